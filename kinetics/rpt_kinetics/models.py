"""One- and two-tissue compartment models in closed form, for any number of voxels.

dC₁/dt = K₁·Cₚ − (k₂ + k₃)·C₁ + k₄·C₂,  dC₂/dt = k₃·C₁ − k₄·C₂,  C_T = C₁ + C₂ and
C_PET = (1 − V_b)·C_T + V_b·C_b. (TPCCLIB also offers C_T without the factor 1 − V_b: not here.)
With k₃ = 0 the model has one tissue. Concentrations are corrected for decay to the injection,
like the input; physical decay enters the integrals only, and only once. What is said of C_PET
holds for C_T with ``rates.without_blood()``.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import ArrayLike

from rpt_kinetics.curves import Floats
from rpt_kinetics.inputs import InputFunction, decay_rate_per_min

UNITS = {
    "k1_ml_per_min_per_ml": "mL/min/mL",
    "k2_per_min": "1/min",
    "k3_per_min": "1/min",
    "k4_per_min": "1/min",
    "vb": "mL/mL",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Rates:
    """Rate constants of voxels; scalars and arrays that broadcast together.

    Attributes:
        k1_ml_per_min_per_ml: K₁, from plasma into tissue, mL plasma/min/mL tissue.
        k2_per_min: k₂, back into plasma, 1/min.
        k3_per_min: k₃, into the second tissue, 1/min. 0 for a one-tissue model.
        k4_per_min: k₄, back from the second tissue, 1/min. 0 for irreversible binding.
        vb: V_b, share of the voxel that is blood, 0 ≤ V_b < 1.

    Raises:
        ValueError: A rate is negative or not finite, V_b is outside [0, 1), or shapes disagree.
    """

    k1_ml_per_min_per_ml: Floats
    k2_per_min: Floats
    k3_per_min: Floats
    k4_per_min: Floats
    vb: Floats

    def __init__(
        self,
        *,
        k1_ml_per_min_per_ml: ArrayLike,
        k2_per_min: ArrayLike,
        k3_per_min: ArrayLike = 0.0,
        k4_per_min: ArrayLike = 0.0,
        vb: ArrayLike = 0.0,
    ) -> None:
        given = (k1_ml_per_min_per_ml, k2_per_min, k3_per_min, k4_per_min, vb)
        arrays = [np.asarray(value, dtype=np.float64) for value in given]
        for name, array in zip(UNITS, arrays, strict=True):
            _check_rate(name, array)
        try:
            together = np.broadcast_arrays(*arrays)
        except ValueError as error:
            shapes = ", ".join(f"{n} {a.shape}" for n, a in zip(UNITS, arrays, strict=True))
            raise ValueError(
                f"Rate constants must have one shape or be scalars, got {shapes}. "
                "Give one value for each voxel."
            ) from error
        for name, array in zip(UNITS, together, strict=True):
            object.__setattr__(self, name, array)

    @property
    def shape(self) -> tuple[int, ...]:
        """The voxels' shape; () for a single set."""
        return self.k1_ml_per_min_per_ml.shape

    def without_blood(self) -> "Rates":
        """Return the rates with V_b = 0: what is left is C_T."""
        return replace(self, vb=np.zeros(self.shape))

    def in_a_row(self) -> list[Floats]:
        """Return K₁, k₂, k₃, k₄ and V_b, each of shape (n,)."""
        return [getattr(self, field.name).reshape(-1) for field in fields(self)]


def _check_rate(name: str, array: Floats) -> None:
    # min and max carry a NaN along; both comparisons are then false.
    if not array.size or (array.min() >= 0 and array.max() < (1.0 if name == "vb" else np.inf)):
        return
    fine = (array >= 0) & (array < (1.0 if name == "vb" else np.inf))
    wrong = float(array[~fine].flat[0])
    unit = UNITS[name]
    must = "at least 0 and below 1" if name == "vb" else "finite and at least 0"
    fix = (
        "A share of 5 % is 0.05."
        if name == "vb"
        else "Use 0 for a path that is closed; leave voxels without a value out."
    )
    raise ValueError(f"{name} must be {must} {unit}, got {wrong:g} {unit}. {fix}")


@dataclass(frozen=True)
class Pulse:
    """K₁ (fast_share·e^(−fast·t) + slow_share·e^(−slow·t)): what a short pulse leaves in tissue.

    Attributes:
        fast_per_min: 1/min.
        slow_per_min: 1/min, at most ``fast_per_min``.
        fast_share: 0 to 1.
        slow_share: 0 to 1; the two add up to 1.
    """

    fast_per_min: Floats
    slow_per_min: Floats
    fast_share: Floats
    slow_share: Floats


def pulse_answer(k2: Floats, k3: Floats, k4: Floats) -> Pulse:
    """Return the tissue's answer to a short pulse of plasma; all 1/min, of one shape.

    Source: the smaller θ follows by Vieta, θ_slow = k₂k₄/θ_fast, and the smaller share
    likewise, from share · share = k₂k₃/(θ_fast − θ_slow)²; differences would cancel digits.
    """
    leaning = k2 - k3 - k4
    # θ₁ − θ₂, as a sum of squares.
    spread = np.hypot(leaning, 2.0 * np.sqrt(k2 * k3))
    fast = 0.5 * (k2 + k3 + k4 + spread)
    slow = k2 * k4 / np.where(fast > 0, fast, 1.0)
    apart = np.where(spread > 0, spread, 1.0)
    larger = np.where(spread > 0, 0.5 * (1.0 + np.abs(leaning) / apart), 1.0)
    smaller = (np.sqrt(k2 * k3) / apart) ** 2 / larger
    fast_leads = leaning >= 0
    return Pulse(
        fast, slow, np.where(fast_leads, larger, smaller), np.where(fast_leads, smaller, larger)
    )


# Numbers in one temporary array of a chunk: 256 KiB, which a core's own cache holds.
NUMBERS = 2**15


def over_chunks(
    work: Callable[..., Floats], arrays: Sequence[Floats], *, columns: int, width: int, workers: int
) -> Floats:
    """Apply ``work`` to slices of arrays of one length and join the results, shape (n, columns).

    Args:
        work: From slices of shape (c,) each to an array of shape (c, columns).
        arrays: Shape (n,) each.
        columns: Columns of the result.
        width: Columns of the largest temporary array.
        workers: Threads; numpy computes without Python's lock.
    """
    count = len(arrays[0])
    result = np.empty((count, columns))
    step = max(1, NUMBERS // max(width, 1))

    def fill(start: int) -> None:
        part = slice(start, start + step)
        result[part] = work(*(array[part] for array in arrays))

    starts = range(0, count, step)
    if workers == 1:  # a thread of its own would not know the caller's np.errstate
        list(map(fill, starts))
    else:
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(fill, starts))
    return result


# Ours: beyond (2,000 years), a unit is wrong.
LARGEST_TIME_MIN = 1e9


def times_min(name: str, value: ArrayLike) -> Floats:
    """Return times as an array of shape (m,), min, if they are finite, at least 0 and ascending.

    Raises:
        ValueError: They are not, or are beyond :data:`LARGEST_TIME_MIN`.
    """
    time = np.atleast_1d(np.asarray(value, dtype=np.float64))
    if time.ndim != 1 or not time.size:
        raise ValueError(
            f"{name} must be a row of at least one time in min, got shape {time.shape}. "
            "Give one time or a list of times."
        )
    if not np.all(np.isfinite(time) & (time >= 0)):
        wrong = time[~(np.isfinite(time) & (time >= 0))][0]
        raise ValueError(
            f"{name} must be finite and at least 0 min after the injection, got {wrong:g} min. "
            "Leave such times out, or move the time zero to the injection."
        )
    if time.max() > LARGEST_TIME_MIN:
        raise ValueError(
            f"{name} must be at most {LARGEST_TIME_MIN:g} min after the injection, got "
            f"{time.max():g} min. Check the unit of the times."
        )
    if np.any(np.diff(time) < 0):
        index = int(np.argmax(np.diff(time) < 0))
        raise ValueError(
            f"{name} must ascend, got {time[index]:g} min before {time[index + 1]:g} min. "
            "Sort the times."
        )
    return time


def pet_concentration(
    rates: Rates, input_function: InputFunction, time_min: ArrayLike, *, workers: int = 1
) -> Floats:
    """Return C_PET = (1 − V_b)·C_T + V_b·C_b at instants.

    With an input in SUV it is the SUV, and the isotope's half-life plays no part.

    Args:
        rates: Of voxels of any shape S.
        input_function: Corrected for decay.
        time_min: Instants, min after the injection, ascending. Shape (m,) or a scalar.

    Returns:
        C_PET in the input's unit, corrected for decay. Shape (*S, m), or S for a scalar time.

    Raises:
        ValueError: Times are negative or unsorted, or the input is not corrected for decay.
    """
    time = times_min("time_min", time_min)
    _must_be_corrected(input_function)
    plasma, blood = input_function.plasma, input_function.blood.value(time)

    def of_chunk(k1: Floats, k2: Floats, k3: Floats, k4: Floats, vb: Floats) -> Floats:
        pulse = pulse_answer(k2, k3, k4)
        into = (1.0 - vb) * k1
        return np.asarray(
            _column(into * pulse.fast_share) * plasma.response(pulse.fast_per_min, time)
            + _column(into * pulse.slow_share) * plasma.response(pulse.slow_per_min, time)
            + _column(vb) * blood
        )

    columns = len(time)
    values = over_chunks(
        of_chunk, rates.in_a_row(), columns=columns, width=columns, workers=workers
    )
    return values.reshape(rates.shape + np.shape(time_min))


def tissue_concentration(
    rates: Rates, input_function: InputFunction, time_min: ArrayLike, *, workers: int = 1
) -> Floats:
    """Return C_T = C₁ + C₂ at instants; arguments and result as for :func:`pet_concentration`."""
    return pet_concentration(rates.without_blood(), input_function, time_min, workers=workers)


def time_integrated_activity(
    rates: Rates, input_function: InputFunction, *, half_life_min: float = np.inf, workers: int = 1
) -> Floats:
    """Return ∫₀^∞ C_PET·e^(−λt) dt = (1 − V_b)·H(λ)·C̃ₚ(λ) + V_b·C̃_b(λ).

    H(s) = K₁(s + k₃ + k₄) / (s² + (k₂ + k₃ + k₄)s + k₂k₄) is the tissue's transfer function, C̃ the
    input's Laplace transform: physical decay, added to every loss, is a shift of s.

    Args:
        rates: Rate constants of voxels of any shape S.
        input_function: Corrected for decay.
        half_life_min: Physical half-life, min; ``inf`` for no decay.

    Returns:
        The input's unit times min, shape S.

    Raises:
        ValueError: The integral diverges (an input that does not fall, or a tissue that never
            empties, without physical decay), the half-life is not above 0 min, or the input is
            not corrected for decay.
    """
    _must_be_corrected(input_function)
    decay = decay_rate_per_min(half_life_min)
    plasma, blood = input_function.plasma.laplace(decay), input_function.blood.laplace(decay)

    def of_chunk(k1: Floats, k2: Floats, k3: Floats, k4: Floats, vb: Floats) -> Floats:
        bound = k3 + k4 + decay
        area = k1 * _transfer(k2, bound, k4, decay) if decay > 0 else _undecayed(k1, k2, k3, k4)
        return np.asarray((1.0 - vb) * (area * plasma) + vb * blood)[:, np.newaxis]

    values = over_chunks(of_chunk, rates.in_a_row(), columns=1, width=1, workers=workers)
    return values.reshape(rates.shape)


def _transfer(k2: Floats, bound: Floats, k4: Floats, decay: float) -> Floats:
    # H/K₁ = (s + k₃ + k₄) / (s·(s + k₂ + k₃ + k₄) + k₂k₄): sums of positive terms only.
    return np.asarray(bound / (decay * (bound + k2) + k2 * k4))


def _undecayed(k1: Floats, k2: Floats, k3: Floats, k4: Floats) -> Floats:
    # H(0) = K₁/k₂·(1 + k₃/k₄), the distribution volume; some tissue keeps for ever what it takes.
    if np.any((k1 > 0) & ((k2 == 0) | ((k3 > 0) & (k4 == 0)))):
        raise ValueError(
            "The time-integrated activity to infinity diverges: without physical decay k2_per_min "
            "must be above 0 /min, and k4_per_min too where k3_per_min is, and a voxel's is "
            "0 /min. Give half_life_min, the isotope's half-life in min (68Ga 67.71)."
        )
    bound = np.divide(k3, k4, out=np.zeros_like(k3), where=k3 > 0)
    return np.divide(k1, k2, out=np.zeros_like(k1), where=k1 > 0) * (1.0 + bound)


def _column(values: Floats) -> Floats:
    return values[:, np.newaxis]


def _must_be_corrected(input_function: InputFunction) -> None:
    if not input_function.decay_corrected:
        raise ValueError(
            f"The input function '{input_function.name}' must be corrected for decay to the "
            "injection, or the decay would count twice. Multiply it with e^(+λt)."
        )
