"""Which cycles a virtual cohort has.

Source: the paper's cohort, 23 patients with 48 cycles: 22 first, 12 second, 6 third, 8 later.
How many cycles each of its patients had is not told; ``PAPER`` is one way to those counts, ours.
"""

from rpt_cohort import BadInput

from rpt_phantom.seeds import Purpose, generator
from rpt_phantom.truth import virtual_person

PAPER: tuple[tuple[int, ...], ...] = (
    *[(1,)] * 10,
    *[(1, 2)] * 6,
    *[(1, 2, 3)] * 3,
    (1, 2, 3, 4),
    (1, 2, 3, 4, 5),
    (1, 2, 3, 4, 5, 6),
    (4, 5),
)
PATIENTS_USUAL, PATIENTS_MOST = 8, 999


def cohort_cycles(
    *, seed: int, patients: int | None, preset: str | None
) -> dict[str, tuple[int, ...]]:
    """Return patient → numbers of the cycles.

    Args:
        seed: The cohort's.
        patients: How many; each patient's cycles are drawn from the seed, 1 to 3. 8 by default.
        preset: ``paper`` for the paper's counts, in an order that the seed draws.

    Raises:
        BadInput: A number is out of its range, the preset is not known, or both are given.
    """
    if preset is not None:
        if preset != "paper":
            raise BadInput(f"preset must be paper, got {preset!r}.")
        if patients is not None:
            raise BadInput("patients must not be given beside preset, which has 23 of them.")
        order = generator(seed, 1, Purpose.PRESET).permutation(len(PAPER))
        return {_name(n): PAPER[of] for n, of in enumerate(order.tolist(), start=1)}
    patients = PATIENTS_USUAL if patients is None else patients
    if not 1 <= patients <= PATIENTS_MOST:
        raise BadInput(f"patients must be 1 to {PATIENTS_MOST}, got {patients}.")
    drawn = {n: virtual_person(seed=seed, patient=n).cycles for n in range(1, patients + 1)}
    return {_name(n): tuple(range(1, cycles + 1)) for n, cycles in drawn.items()}


def patient_number(name: str) -> int:
    """Return the number of a patient called ``P001``.

    Raises:
        BadInput: It is not called so.
    """
    digits = name.removeprefix("P")
    if name[:1] != "P" or not digits.isdecimal() or not 1 <= int(digits) <= PATIENTS_MOST:
        raise BadInput(f"A virtual patient must be named like P001, got {name!r}.")
    return int(digits)


def _name(number: int) -> str:
    return f"P{number:03d}"
