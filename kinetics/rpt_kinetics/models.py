"""One- and two-tissue compartment models in closed form, for any number of voxels.

dC₁/dt = K₁·Cₚ − (k₂ + k₃)·C₁ + k₄·C₂,  dC₂/dt = k₃·C₁ − k₄·C₂,  C_T = C₁ + C₂ and
C_PET = (1 − V_b)·C_T + V_b·C_b. (TPCCLIB also offers C_T without the factor 1 − V_b: not here.)
With k₃ = 0 the model has one tissue. Concentrations are corrected for decay to the injection,
like the input; physical decay enters the integrals only, and only once. What is said of C_PET
holds for C_T with ``rates.without_blood()``.
"""

import numpy as np
from numpy.typing import ArrayLike

from rpt_kinetics.checking import frames_min, times_min
from rpt_kinetics.chunks import over_chunks
from rpt_kinetics.exponentials import Floats, exponential_difference
from rpt_kinetics.inputs import HALF_LIVES, InputFunction, decay_rate_per_min
from rpt_kinetics.rates import Rates, never_clears, pulse_answer

# Above the smallest numbers, which have fewer digits.
SMALLEST_WEIGHT = 1e-290


def pet_concentration(
    rates: Rates, input_function: InputFunction, time_min: ArrayLike, *, workers: int = 1
) -> Floats:
    """Return C_PET = (1 − V_b)·C_T + V_b·C_b at instants.

    With an input in SUV it is the SUV, and the isotope's half-life plays no part.

    Args:
        rates: Rate constants of voxels of any shape S.
        input_function: Corrected for decay.
        time_min: Instants, min after the injection, ascending. Shape (m,) or a scalar.
        workers: Threads.

    Returns:
        C_PET in the input's unit, corrected for decay. Shape (*S, m), or S for a scalar time.

    Raises:
        ValueError: Times are negative or unsorted, or the input is not corrected for decay.
    """
    time = times_min("time_min", time_min)
    _must_be_corrected(input_function)
    plasma = input_function.plasma
    blood = input_function.blood.value(time)

    def of_chunk(k1: Floats, k2: Floats, k3: Floats, k4: Floats, vb: Floats) -> Floats:
        pulse = pulse_answer(k2, k3, k4)
        fast = plasma.response(pulse.fast_per_min, time)
        slow = plasma.response(pulse.slow_per_min, time)
        into = (1.0 - vb) * k1
        return np.asarray(
            _column(into * pulse.fast_share) * fast
            + _column(into * pulse.slow_share) * slow
            + _column(vb) * blood
        )

    values = over_chunks(
        of_chunk,
        rates.in_a_row(),
        columns=len(time),
        width=len(time),
        workers=workers,
    )
    return values.reshape(rates.shape + np.shape(time_min))


def tissue_concentration(
    rates: Rates, input_function: InputFunction, time_min: ArrayLike, *, workers: int = 1
) -> Floats:
    """Return C_T = C₁ + C₂ at instants; arguments and result as for :func:`pet_concentration`."""
    return pet_concentration(rates.without_blood(), input_function, time_min, workers=workers)


def partial_integral(
    rates: Rates,
    input_function: InputFunction,
    start_min: ArrayLike,
    end_min: ArrayLike,
    *,
    half_life_min: float = np.inf,
    workers: int = 1,
) -> Floats:
    """Return ∫ C_PET·e^(−λt) dt from start to end of each frame.

    Args:
        rates: Rate constants of voxels of any shape S.
        input_function: Corrected for decay.
        start_min: Start of each frame, min after the injection, ascending. Shape (m,).
        end_min: End of each frame, min, ascending. Shape (m,).
        half_life_min: Physical half-life, min; ``inf`` for the integral of C_PET itself.
        workers: Threads.

    Returns:
        The input's unit times min, shape (*S, m).

    Raises:
        ValueError: Times are negative or unsorted, a frame does not last, the half-life is not
            above 0 min, or the input is not corrected for decay.
    """
    start, end = frames_min(start_min, end_min)
    _must_be_corrected(input_function)
    decay = decay_rate_per_min(half_life_min)
    plasma, blood = input_function.plasma.decayed(decay), input_function.blood.decayed(decay)
    blood_integral = blood.integral(start, end)

    def of_chunk(k1: Floats, k2: Floats, k3: Floats, k4: Floats, vb: Floats) -> Floats:
        pulse = pulse_answer(k2, k3, k4)
        fast = plasma.response_integral(pulse.fast_per_min + decay, start, end)
        slow = plasma.response_integral(pulse.slow_per_min + decay, start, end)
        into = (1.0 - vb) * k1
        return np.asarray(
            _column(into * pulse.fast_share) * fast
            + _column(into * pulse.slow_share) * slow
            + _column(vb) * blood_integral
        )

    values = over_chunks(
        of_chunk,
        rates.in_a_row(),
        columns=len(start),
        width=len(start),
        workers=workers,
    )
    return values.reshape((*rates.shape, len(start)))


def pet_frame_mean(
    rates: Rates,
    input_function: InputFunction,
    start_min: ArrayLike,
    end_min: ArrayLike,
    *,
    half_life_min: float = np.inf,
    workers: int = 1,
) -> Floats:
    """Return the exact mean of C_PET over frames; arguments as for :func:`partial_integral`.

    With ``half_life_min`` the mean is weighted with e^(−λt), as the result of a scanner is that
    counts the decays of a frame and divides by the mean of e^(−λt); ``inf`` is the plain mean.

    Returns:
        The input's unit, corrected for decay. Shape (*S, m).

    Raises:
        ValueError: As for :func:`partial_integral`, or the half-life leaves nothing in a frame.
    """
    start, end = frames_min(start_min, end_min)
    decay = decay_rate_per_min(half_life_min)
    weight = exponential_difference(decay * start, decay * end)
    if weight.min() < SMALLEST_WEIGHT:
        raise ValueError(
            f"half_life_min must leave activity in every frame, got {half_life_min!r} min, of "
            f"which nothing is left in that from {start[weight.argmin()]:g} to "
            f"{end[weight.argmin()]:g} min. {HALF_LIVES}: check its unit."
        )
    integral = partial_integral(
        rates, input_function, start_min, end_min, half_life_min=half_life_min, workers=workers
    )
    return np.asarray(integral / ((end - start) * weight))


def time_integrated_activity(
    rates: Rates,
    input_function: InputFunction,
    *,
    half_life_min: float = np.inf,
    workers: int = 1,
) -> Floats:
    """Return ∫₀^∞ C_PET·e^(−λt) dt = (1 − V_b)·H(λ)·C̃ₚ(λ) + V_b·C̃_b(λ).

    H(s) = K₁(s + k₃ + k₄) / (s² + (k₂ + k₃ + k₄)s + k₂k₄) is the tissue's transfer function, C̃ the
    input's Laplace transform: physical decay, added to every loss, is a shift of s.

    Args:
        rates: Rate constants of voxels of any shape S.
        input_function: Corrected for decay.
        half_life_min: Physical half-life, min; ``inf`` for no decay.
        workers: Threads.

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
    # H(0) = K₁/k₂·(1 + k₃/k₄), the distribution volume.
    if np.any(never_clears(k1, k2, k3, k4)):
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
