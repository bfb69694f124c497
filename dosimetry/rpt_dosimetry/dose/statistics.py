"""What a table tells of the dose in a region."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True)
class DoseStatistics:
    """Doses of a region's voxels, Gy.

    Attributes:
        mean_gy: Mean over the voxels; all have one volume, so it is the mean over volume.
        sd_gy: Standard deviation over the voxels (of the population).
        d2_gy: Least dose of the hottest 2 % of the volume.
        d50_gy: Least dose of the hottest half.
        d98_gy: Least dose of the hottest 98 %.
    """

    mean_gy: float
    sd_gy: float
    d2_gy: float
    d50_gy: float
    d98_gy: float


def dose_statistics(dose_gy: Float[np.ndarray, " n"]) -> DoseStatistics:
    """Describe the doses of a region's voxels.

    Args:
        dose_gy: Dose of each voxel, Gy, at least one.

    Returns:
        The statistics; Dx is the dose of a voxel, never between two.

    Source: D2, D50, D98 as in ICRU Report 83 (2010).
    """
    ascending = np.sort(dose_gy.astype(np.float64))
    d2, d50, d98 = (_dose_at(ascending, percent) for percent in (2, 50, 98))
    return DoseStatistics(float(ascending.mean()), float(ascending.std()), d2, d50, d98)


def _dose_at(ascending_gy: Float[np.ndarray, " n"], volume_pct: int) -> float:
    hottest = math.ceil(volume_pct * len(ascending_gy) / 100)
    return float(ascending_gy[-hottest])
