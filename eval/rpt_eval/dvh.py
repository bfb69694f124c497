"""Cumulative dose-volume histogram (DVH) of a structure, from samples of its dose."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64
from rpt_cohort import BadInput

MM3_PER_ML = 1000.0
R2_DOSES = 200
"""Doses from 0 to the reference's maximum at which two histograms are compared."""
SAME_DOSE = 1e-6
"""Doses this near, relatively, are equal: maps are stored as float32. Ours."""


@dataclass(frozen=True)
class Dvh:
    """A cumulative histogram as the doses of equal parts of a structure.

    Attributes:
        doses: In the unit of the dose map, ascending; each stands for the same volume.
        volume_ml: Volume that they stand for, mL.
        outside_ml: Volume of the structure outside the dose map, which they leave out, mL.
    """

    doses: Float64[np.ndarray, " samples"]
    volume_ml: float
    outside_ml: float = 0.0

    def __post_init__(self) -> None:
        """Refuse samples that make no histogram.

        Raises:
            ValueError: No sample, one that is not finite, or a descent.
        """
        if not self.doses.size or not np.isfinite(self.doses[[0, -1]]).all():
            raise ValueError("doses must be finite and at least one.")
        if not (np.diff(self.doses) >= 0).all():
            raise ValueError("doses must ascend; make the histogram with Dvh.of.")

    @classmethod
    def of(
        cls,
        samples: Float[np.ndarray, " samples"],
        *,
        volume_ml: float,
        outside_ml: float = 0.0,
    ) -> "Dvh":
        """Make the histogram of samples in any order."""
        return cls(np.sort(samples.astype(np.float64)), volume_ml, outside_ml)

    @property
    def mean(self) -> float:
        """Dmean."""
        return float(self.doses.mean())

    @property
    def minimum(self) -> float:
        """Smallest dose in the structure."""
        return float(self.doses[0])

    @property
    def maximum(self) -> float:
        """Largest dose in the structure."""
        return float(self.doses[-1])

    def dose_at_pct(self, volume_pct: float) -> float:
        """Return Dx, the minimum dose of the hottest ``volume_pct`` % of the volume.

        Raises:
            ValueError: ``volume_pct`` is not above 0 % and at most 100 %.
        """
        if not 0 < volume_pct <= 100:
            raise ValueError(f"volume_pct must be above 0 and at most 100 %, got {volume_pct!r} %.")
        # Rounded: 0.07 · 100 samples must be 7, not the 8 above 7.000000000000001.
        hottest = math.ceil(round(volume_pct / 100 * self.doses.size, 6))
        return float(self.doses[-max(hottest, 1)])

    def dose_at_ml(self, volume_ml: float) -> float:
        """Return the minimum dose of the hottest ``volume_ml`` mL, such as D2cc.

        Raises:
            ValueError: ``volume_ml`` is not above 0 mL and at most the histogram's volume.
        """
        if not 0 < volume_ml <= self.volume_ml:
            raise ValueError(
                f"volume_ml must be above 0 and at most the structure's {self.volume_ml:.6g} mL, "
                f"got {volume_ml!r} mL."
            )
        return self.dose_at_pct(min(100.0, 100 * volume_ml / self.volume_ml))

    def volume_pct_at(self, levels: Float[np.ndarray, " levels"]) -> Float64[np.ndarray, " levels"]:
        """Return Vx: the volume at or above each dose, % of ``volume_ml``."""
        below = np.searchsorted(self.doses, np.asarray(levels, np.float64) * (1 - SAME_DOSE))
        return 100.0 * (self.doses.size - below) / self.doses.size


def dvh_r2(reference: Dvh, prediction: Dvh) -> float:
    """Return R² of a predicted histogram about the identity line.

    1 − SSE / SST between predicted and true V(D) at 200 doses from 0 to the reference's
    maximum, both included, all of equal weight; no line is fitted.

    Returns:
        At most 1; below 0 where the prediction is worse than the mean of the true V(D).
        NaN where the true V(D) does not vary (a uniform dose).
    """
    levels = np.linspace(0.0, reference.maximum, R2_DOSES)
    true_pct, predicted_pct = reference.volume_pct_at(levels), prediction.volume_pct_at(levels)
    total = float(((true_pct - true_pct.mean()) ** 2).sum())
    if total == 0:
        return math.nan
    return 1.0 - float(((true_pct - predicted_pct) ** 2).sum()) / total


def dvh_of_known(samples: Float64[np.ndarray, " samples"], *, volume_ml: float) -> Dvh:
    """Make the histogram of the samples that are in the dose map.

    Args:
        samples: Doses of equal volumes; NaN outside the dose map.
        volume_ml: Of all samples, mL.

    Raises:
        BadInput: All are outside.
    """
    known = ~np.isnan(samples)
    share = float(known.mean())
    if share == 0:
        raise BadInput(
            "The structure must overlap the dose map, and lies wholly outside its grid. "
            "Give both in the same world of positions, mm."
        )
    inside = samples if share == 1 else samples[known]
    return Dvh.of(inside, volume_ml=volume_ml * share, outside_ml=volume_ml * (1 - share))
