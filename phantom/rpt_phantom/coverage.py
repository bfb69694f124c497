"""Which cycles a virtual cohort has, and whether its field of view holds the organs asked for.

Source: the paper's cohort, 23 patients with 48 cycles: 22 first, 12 second, 6 third, 8 later.
How many cycles each of its patients had is not told; ``PAPER`` is one way to those counts, ours.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing

import numpy as np
from rpt_cohort import BadInput
from rpt_cohort.command import progress
from rpt_cohort.labels import ORGANS

from rpt_phantom.anatomy import Anatomy, Body, organs_cut, sized_body, surely_within, world_box_mm
from rpt_phantom.grid import SLICES_MOST, SPACING_MM
from rpt_phantom.imaging import FOV_EDGE_SLICES
from rpt_phantom.person import Purpose, generator
from rpt_phantom.settings import CohortSettings
from rpt_phantom.truth import virtual_person, virtual_place

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
        patients: How many; each patient's cycles are drawn from the seed, 1 to 3. 8 by default.
        preset: ``paper`` for the paper's counts, in an order that the seed draws; ``first`` for
            each patient's first cycle alone: more patients in the same time.

    Raises:
        BadInput: A number is out of its range, the preset is not known, or both are given.
    """
    if preset not in {None, "paper", "first"}:
        raise BadInput(f"preset must be paper or first, got {preset!r}.")
    if preset == "paper":
        if patients is not None:
            raise BadInput("patients must not be given beside preset paper, which has 23 of them.")
        order = generator(seed, 1, Purpose.PRESET).permutation(len(PAPER))
        return {_name(n): PAPER[of] for n, of in enumerate(order.tolist(), start=1)}
    patients = PATIENTS_USUAL if patients is None else patients
    if not 1 <= patients <= PATIENTS_MOST:
        raise BadInput(f"patients must be 1 to {PATIENTS_MOST}, got {patients}.")
    names = [_name(n) for n in range(1, patients + 1)]
    if preset == "first":
        return dict.fromkeys(names, (1,))
    drawn = (virtual_person(seed=seed, patient=n).cycles for n in range(1, patients + 1))
    return {name: tuple(range(1, cycles + 1)) for name, cycles in zip(names, drawn, strict=True)}


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


def check_organs(settings: CohortSettings, organs: Sequence[str]) -> None:
    """Refuse organs that no table knows, or that the anatomy has not, or not whole.

    Args:
        organs: That the field of view must hold whole.

    Raises:
        BadInput: There is one, or the anatomy cannot be read.
    """
    for organ in organs:
        if organ not in ORGANS:
            raise BadInput(f"organs must be among {', '.join(ORGANS)}, or none, got {organ!r}.")
    for atlas in settings.atlases():
        for organ in organs:
            name = organ.replace("_", " ")
            if not set(ORGANS[organ]) & set(atlas.boxes_mm):
                raise BadInput(
                    f"The anatomy must have the {name}, which --organs asks for, and it has no "
                    f"{name}. Leave {organ} out of --organs."
                )
            if set(ORGANS[organ]) & atlas.cut:
                raise BadInput(
                    f"The anatomy must hold the {name} whole, and its CT ends within it. Leave "
                    f"{organ} out of --organs, or give a longer CT."
                )


def refuse_cut(
    anatomy: Anatomy, body: Body, organs: Sequence[str], *, slices: int, name: str
) -> None:
    """Refuse a field of view that cuts an organ, or does not reach it.

    Args:
        anatomy: The patient, on a grid longer than the field of view.
        body: The same, wherever: it may have a single kidney.
        organs: Names of ``rpt_cohort.labels.ORGANS``.
        slices: Of the field of view.

    Raises:
        BadInput: It does so.
    """
    half_mm = _half_mm(slices)
    cut = organs_cut(anatomy, low_mm=-half_mm, high_mm=half_mm)
    seen = np.abs(anatomy.grid.positions_mm(2)) <= half_mm
    there = set(np.unique(anatomy.organs[:, :, seen]).tolist())
    owned = set(body.atlas.boxes_mm)
    for organ in organs:
        wanted = set(ORGANS[organ]) & owned
        if not wanted or not wanted <= there or cut & wanted:
            enough = _slices_enough(body, wanted)
            more = (
                f"{enough} slices surely do: ask for them, or"
                if enough
                else f"At most {SLICES_MOST} slices can be asked for:"
            )
            raise BadInput(
                f"{name}: The field of view must hold the {organ.replace('_', ' ')} whole, and "
                f"{slices} slices do not. {more} leave {organ} out of --organs."
            )


def _slices_enough(body: Body, organs: Iterable[int]) -> int:
    """Return a number of slices that surely holds organs; 0 where none does."""
    boxes = [world_box_mm(body, *body.atlas.boxes_mm[one]) for one in organs]
    reach_mm = max((max(-low[2], high[2]) for low, high in boxes), default=np.inf)
    enough = 2.0 * (reach_mm / SPACING_MM + FOV_EDGE_SLICES)
    return 2 * int(np.ceil(enough / 2)) if enough <= SLICES_MOST else 0


def refuse_cut_cohort(
    settings: CohortSettings, cycles: Mapping[str, Sequence[int]], organs: Sequence[str]
) -> None:
    """Refuse a cohort in which the field of view cuts an organ, before any of it is made.

    Looked at on voxels of 4.8 mm; each cycle is looked at on 2.4 mm again as it is made.

    Args:
        cycles: Patient → numbers of the cycles.
        organs: Names of ``rpt_cohort.labels.ORGANS``.

    Raises:
        BadInput: There is one.
    """
    if not organs:
        return
    numbers = {one for organ in organs for one in ORGANS[organ]}
    half_mm = _half_mm(settings.slices)
    cases = [(patient, cycle) for patient, of in cycles.items() for cycle in of]
    with closing(progress(cases, "Fields of view")) as shown:
        for name, cycle in shown:
            number = patient_number(name)
            person = virtual_person(seed=settings.seed, patient=number)
            sized = [
                sized_body(atlas, weight_kg=person.weight_kg, height_cm=person.height_cm)
                for atlas in settings.atlases()
            ]
            if all(surely_within(one, numbers, low_mm=-half_mm, high_mm=half_mm) for one in sized):
                continue
            place = virtual_place(settings, person, patient=number, cycle=cycle)
            anatomy = place.voxels(place.box.coarse)
            refuse_cut(anatomy, place.body, organs, slices=settings.slices, name=f"{name}/C{cycle}")


def _half_mm(slices: int) -> float:
    """Return half the length along which the dose is known, mm."""
    return (slices / 2 - FOV_EDGE_SLICES) * SPACING_MM
