"""Rate constants of voxels, and the tissue's answer to a short pulse."""

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rpt_kinetics.exponentials import Floats

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
        fast,
        slow,
        np.where(fast_leads, larger, smaller),
        np.where(fast_leads, smaller, larger),
    )


def never_clears(k1: Floats, k2: Floats, k3: Floats, k4: Floats) -> NDArray[np.bool_]:
    """Return where a voxel keeps for ever what it took up: k₂ = 0, or k₃ > 0 with k₄ = 0."""
    return np.asarray((k1 > 0) & ((k2 == 0) | ((k3 > 0) & (k4 == 0))))
