"""Pearson's r of PET and dose, over an organ and in each of its sub-tissues."""

import numpy as np
from numpy.typing import NDArray
from rpt_cohort.correlation import pearson_r

from rpt_kinetics.exponentials import Floats

NORMAL_97_5 = 1.959963984540054


def pearson_r_per_cluster(suv: Floats, dose: Floats, subtissue: NDArray[np.uint8]) -> list[float]:
    """Return r in sub-tissue 1 and in sub-tissue 2."""
    return [pearson_r(suv[subtissue == j], dose[subtissue == j]) for j in (1, 2)]


def correlations(suv: Floats, dose: Floats, subtissue: NDArray[np.uint8]) -> Floats:
    """Return r over the organ, in sub-tissue 1 and in sub-tissue 2; shape (3,)."""
    return np.array([pearson_r(suv, dose), *pearson_r_per_cluster(suv, dose, subtissue)])


def fisher_interval(r: float, count: int) -> tuple[float, float]:
    """Return the 95 % confidence interval of r over ``count`` independent voxels, above 3.

    It says how well this many voxels know r, not how r differs from patient to patient. Voxels
    that are alike because they are near (a gradient, a correlated field, blur) count as fewer:
    then it is too narrow.

    Source: Fisher, Metron 1 (1921) 3: arctanh r is nearly normal with variance 1/(n − 3).
    """
    if not abs(r) < 1:
        return r, r
    half = NORMAL_97_5 / np.sqrt(count - 3)
    return float(np.tanh(np.arctanh(r) - half)), float(np.tanh(np.arctanh(r) + half))
