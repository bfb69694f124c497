"""Statistics over patients: cycles of one patient are no independent observations.

Each function takes one value for each patient. Cycle → patient → cohort is done by
``patient_means``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.stats import rankdata, wilcoxon
from statsmodels.stats.multitest import multipletests

P_OF_THE_PAPER = 0.025
"""Xue et al. 2024 call P < 0.025 significant."""
RESAMPLES = 10_000
NAN = float("nan")

Patients = Float[np.ndarray, " patients"]


def patient_means(values: Float[np.ndarray, " cycles"], patients: Sequence[str]) -> Patients:
    """Return the mean of each patient's cycles, patients in the order of their names."""
    cycles = pd.Series(values, dtype=np.float64)
    means: Patients = cycles.groupby(np.asarray(patients, dtype=str)).mean().to_numpy()
    return means


@dataclass(frozen=True)
class PairedTest:
    """Two methods compared over the same patients.

    Attributes:
        p: Two-sided Wilcoxon signed-rank; NaN where no two patients' values differ.
        p_smallest_possible: What p would be if every patient agreed, 2^(1 − n).
        rank_biserial: Effect size −1 … 1; 1 where every difference is positive.
        mean_difference: Mean of the differences.
        interval: 95 % bootstrap interval of that mean, over patients.
    """

    p: float
    p_smallest_possible: float
    rank_biserial: float
    mean_difference: float
    interval: tuple[float, float]


def paired_test(difference: Patients, *, seed: int) -> PairedTest:
    """Test whether paired differences are symmetric about 0.

    Args:
        difference: One for each patient; NaN is not allowed.
        seed: Of the bootstrap.

    Source: Wilcoxon, Biometrics 1 (1945) 80, zeros dropped, exact where there are no ties
        (scipy); matched-pairs rank-biserial correlation, Kerby 2014.
    """
    moved = difference[difference != 0]
    p, effect = NAN, NAN
    if moved.size:
        p = float(wilcoxon(moved).pvalue)
        ranks = rankdata(np.abs(moved))
        effect = float((ranks * np.sign(moved)).sum() / ranks.sum())
    return PairedTest(
        p=p,
        p_smallest_possible=float(min(1.0, 2.0 ** (1 - difference.size))),
        rank_biserial=effect,
        mean_difference=float(difference.mean()) if difference.size else NAN,
        interval=bootstrap_interval(difference, seed=seed),
    )


def bootstrap_interval(values: Patients, *, seed: int) -> tuple[float, float]:
    """Return the 95 % percentile bootstrap interval of the mean over patients.

    Below three patients the interval is NaN: it would be made of the values themselves.

    Source: Efron and Tibshirani 1993, percentile method; 10,000 resamples (ours).
    """
    if values.size < 3:
        return NAN, NAN
    drawn = np.random.default_rng(seed).integers(values.size, size=(RESAMPLES, values.size))
    low, high = np.quantile(values[drawn].mean(axis=1), [0.025, 0.975])
    return float(low), float(high)


def holm(p_values: Float[np.ndarray, " tests"]) -> Float[np.ndarray, " tests"]:
    """Adjust a family of p values by Holm; NaN (no test) stays NaN and does not count.

    Source: Holm, Scand J Stat 6 (1979) 65, in statsmodels.
    """
    adjusted = np.full(p_values.shape, np.nan)
    tested = np.isfinite(p_values)
    if tested.any():
        adjusted[tested] = multipletests(p_values[tested], method="holm")[1]
    return adjusted
