"""Rate constants of voxels, and what follows from them alone."""

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rpt_kinetics.errors import BadInput
from rpt_kinetics.exponentials import Floats
from rpt_kinetics.inputs import LN2, decay_rate_per_min

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
        BadInput: A rate is negative or not finite, V_b is outside [0, 1), or shapes disagree.
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
            raise BadInput(
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
    raise BadInput(f"{name} must be {must} {unit}, got {wrong:g} {unit}. {fix}")


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
        fast,
        slow,
        np.where(fast_leads, larger, smaller),
        np.where(fast_leads, smaller, larger),
    )


def distribution_volume(rates: Rates) -> Floats:
    """Return V_T = K₁/k₂ · (1 + k₃/k₄), mL plasma/mL tissue: tissue over plasma at equilibrium.

    With k₃ = 0 it is K₁/k₂. V_b plays no part.

    Raises:
        BadInput: There is no equilibrium: k₂ = 0, or k₄ = 0 with k₃ > 0, while K₁ > 0.
    """
    k1, k2, k3, k4, _ = rates.in_a_row()
    if np.any(never_clears(k1, k2, k3, k4)):
        raise BadInput(
            "k2_per_min, and k4_per_min where k3_per_min is above 0 /min, must be above 0 /min for "
            "a distribution volume, and a voxel's is 0 /min. For irreversible binding ask for the "
            "net influx rate."
        )
    bound = np.divide(k3, k4, out=np.zeros_like(k3), where=k3 > 0)
    volume = np.divide(k1, k2, out=np.zeros_like(k1), where=k1 > 0) * (1.0 + bound)
    return np.asarray(volume.reshape(rates.shape))


def net_influx_rate(rates: Rates) -> Floats:
    """Return K_i = K₁k₃/(k₂ + k₃), mL plasma/min/mL tissue: the flow into what does not return.

    That is the final slope of C_T over ∫Cₚ where k₄ = 0. With k₂ = 0 nothing returns and K_i is
    K₁, whatever k₃ is.

    Raises:
        BadInput: k₄ > 0: everything returns in the end, and there is no net influx.
    """
    k1, k2, k3, k4, _ = rates.in_a_row()
    if np.any((k4 > 0) & (k3 > 0)):
        raise BadInput(
            "k4_per_min must be 0 /min for a net influx rate, got up to "
            f"{k4[k3 > 0].max():g} /min. "
            "For reversible binding ask for the distribution volume."
        )
    leaving = k2 + k3
    trapped = np.divide(k3, leaving, out=np.ones_like(k3), where=leaving > 0)
    return np.asarray((k1 * trapped).reshape(rates.shape))


def effective_half_life_min(rates: Rates, *, half_life_min: float = np.inf) -> Floats:
    """Return ln 2 / (θ + λ), min: the half-life at which the tissue itself empties in the end.

    θ is the slower exponential that the tissue's answer to a short pulse holds (k₂ where
    k₃ = 0), λ the physical decay. The plasma may fall more slowly; then the measured curve does
    too. ``inf`` where nothing leaves.

    Args:
        rates: Rate constants of voxels of any shape S.
        half_life_min: Physical half-life, min; ``inf`` for the biological half-life.

    Raises:
        BadInput: The half-life is not above 0 min.
    """
    decay = decay_rate_per_min(half_life_min)
    _, k2, k3, k4, _ = rates.in_a_row()
    slowest = np.where(k3 > 0, pulse_answer(k2, k3, k4).slow_per_min, k2) + decay
    half_life = np.divide(LN2, slowest, out=np.full_like(k2, np.inf), where=slowest > 0)
    return np.asarray(half_life.reshape(rates.shape))


def never_clears(k1: Floats, k2: Floats, k3: Floats, k4: Floats) -> NDArray[np.bool_]:
    """Return where a voxel keeps for ever what it took up: k₂ = 0, or k₃ > 0 with k₄ = 0."""
    return np.asarray((k1 > 0) & ((k2 == 0) | ((k3 > 0) & (k4 == 0))))
