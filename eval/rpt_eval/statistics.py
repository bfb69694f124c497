"""Statistics over patients: cycles of one patient are no independent observations.

Cycle → patient → cohort is done by ``patient_means``. Neighbouring voxels are no independent
observations either: PET and SPECT blur them together, so a p value over voxels is far too small. A
cycle's r is one number, a patient's the mean over the cycles, and the patients are what is counted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from rpt_cohort.correlation import SAME, is_constant
from scipy import stats
from scipy.stats import rankdata, wilcoxon
from statsmodels.stats.multitest import multipletests

from rpt_eval.metrics import COMPARED_AS, METRICS, bland_altman
from rpt_eval.regions import LESION

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


FEWEST_PATIENTS = 3
"""Below this nothing is tested (ours)."""


def pearson_p(r: float, *, n: int) -> float:
    """Return the two-sided p of r = 0 for ``n`` independent pairs; NaN below three.

    Source: Student's t with n − 2 degrees of freedom, t = r √((n − 2) / (1 − r²)).
    """
    if n < FEWEST_PATIENTS or not np.isfinite(r):
        return NAN
    if 1.0 - abs(r) < SAME:
        return 0.0
    return float(2.0 * stats.t.sf(abs(r) * np.sqrt((n - 2) / (1.0 - r * r)), n - 2))


@dataclass(frozen=True)
class FisherMean:
    """The mean correlation over patients, from Fisher's z; NaN where it is not defined.

    Attributes:
        r: tanh of the mean z over patients.
        low: Lower end of its 95 % interval.
        high: Upper end.
        p: Two-sided, of a mean z of 0.
        reason: Why a number is missing; None where none is.
    """

    r: float
    low: float
    high: float
    p: float
    reason: str | None


def fisher_mean(r: pd.Series, patients: pd.Series) -> FisherMean:
    """Average correlations over patients and test whether their mean is 0.

    z = artanh r for each cycle, averaged over a patient's cycles; then Student's one-sample
    t test over patients, n − 1 degrees of freedom, and the interval of the mean z by t; mean
    and interval are turned back into r.

    Args:
        r: One for each cycle; no NaN.
        patients: Whose cycle it is.

    Source: Fisher, Metron 1 (1921) 3. Patients count alike, whatever their voxels and cycles
        (ours).
    """
    if r.empty:
        return FisherMean(NAN, NAN, NAN, NAN, "no cycle with an r")
    perfect = int((1.0 - r.abs() < SAME).sum())
    if perfect:
        why = f"Fisher's z is infinite: r is 1 or −1 in {perfect} of {len(r)} cycles"
        return FisherMean(NAN, NAN, NAN, NAN, why)
    z = patient_means(np.arctanh(r.to_numpy()), patients.tolist())
    mean = float(z.mean())
    if len(z) < FEWEST_PATIENTS:
        why = f"fewer than {FEWEST_PATIENTS} patients: {len(z)}"
        return FisherMean(float(np.tanh(mean)), NAN, NAN, NAN, why)
    if is_constant(z):
        return FisherMean(float(np.tanh(mean)), NAN, NAN, NAN, "r the same in every patient")
    standard_error = float(z.std(ddof=1)) / np.sqrt(len(z))
    reach = float(stats.t.ppf(0.975, len(z) - 1)) * standard_error
    return FisherMean(
        r=float(np.tanh(mean)),
        low=float(np.tanh(mean - reach)),
        high=float(np.tanh(mean + reach)),
        p=float(2.0 * stats.t.sf(abs(mean) / standard_error, len(z) - 1)),
        reason=None,
    )


KEYS = ["case", "patient", "region", "method", "metric"]


def by_cycle(rows: pd.DataFrame) -> pd.DataFrame:
    """Average a cycle's lesions into one region, ``lesion``; other rows stay as they are.

    Args:
        rows: Tidy metrics, columns case, patient, region, method, metric, value.

    Returns:
        One value for each case, region, method and metric, and its loss, of which the lower
        is the better. The loss is taken before lesions are averaged, so that errors of either
        sign do not cancel in it. NaN rows are left out.
    """
    rows = rows.dropna(subset=["value"])
    lesion = rows["region"].str.startswith(f"{LESION}_")
    losses = pd.Series(np.nan, index=rows.index)
    for metric, values in rows.groupby("metric")["value"]:
        better = METRICS[str(metric)].better
        if better is not None:
            losses[values.index] = COMPARED_AS[better](values.to_numpy())
    rows = rows.assign(region=rows["region"].where(~lesion, LESION), loss=losses)
    return rows.groupby(KEYS, sort=False, as_index=False)[["value", "loss"]].mean()


def summarise(cycles: pd.DataFrame, *, seed: int) -> list[dict[str, Any]]:
    """Describe each method, region and metric over cycles and over patients.

    Args:
        cycles: What ``by_cycle`` returns.
        seed: Of the bootstrap.

    Returns:
        A JSON-ready entry each: n, mean and sample SD over cycles and over patients (a
        patient's value is the mean of its cycles), the patients' median, and the 95 %
        bootstrap interval of the mean over patients; None where it is not defined.
    """
    entries = []
    for (method, region, metric), group in cycles.groupby(
        ["method", "region", "metric"], sort=False
    ):
        patients = patient_means(group["value"].to_numpy(), group["patient"].tolist())
        low, high = bootstrap_interval(patients, seed=seed)
        entries.append(
            {
                "method": method,
                "region": region,
                "metric": metric,
                "unit": METRICS[str(metric)].unit,
                "n_cycles": len(group),
                "mean_over_cycles": finite(group["value"].mean()),
                "sd_over_cycles": finite(group["value"].std()),
                "n_patients": len(patients),
                "mean_over_patients": finite(patients.mean()),
                "sd_over_patients": finite(pd.Series(patients).std()),
                "median_over_patients": finite(np.median(patients)),
                "interval_95_of_mean_over_patients": [finite(low), finite(high)],
            }
        )
    return entries


def organ_agreement(cycles: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the Bland-Altman bias and limits of organ means over patients, Gy/GBq."""
    wide = cycles.pivot(index=KEYS[:-1], columns="metric", values="value").reset_index()
    if "mean_dose" not in wide:
        return []
    entries = []
    known = wide.dropna(subset=["mean_dose", "mean_dose_reference"])
    for (method, region), group in known.groupby(["method", "region"], sort=False):
        prediction, reference = (
            patient_means(group[name].to_numpy(), group["patient"].tolist())
            for name in ("mean_dose", "mean_dose_reference")
        )
        limits = bland_altman(prediction, reference)
        entries.append(
            {
                "method": method,
                "region": region,
                "n_patients": len(prediction),
                "bias_gy_per_gbq": finite(limits.bias),
                "lower_limit_gy_per_gbq": finite(limits.lower),
                "upper_limit_gy_per_gbq": finite(limits.upper),
            }
        )
    return entries


def compare_methods(cycles: pd.DataFrame, methods: Sequence[str], *, seed: int) -> pd.DataFrame:
    """Test the first method against each other one, by metric and region, over patients.

    A metric is compared as a loss (``compared_as``); the difference is the other's loss
    less the first's, so that above 0 the first is the better. Only cycles where both have
    a value count. Holm adjusts over all regions and pairs of one metric (ours).

    Args:
        cycles: What ``by_cycle`` returns.
        methods: Names, the first one to be judged.
        seed: Of the bootstrap.
    """
    first, *others = methods
    tests = []
    for (metric, region), group in cycles.groupby(["metric", "region"], sort=False):
        better = METRICS[str(metric)].better
        if better is None:
            continue
        wide = group.pivot(index=["case", "patient"], columns="method", values=["value", "loss"])
        for other in others:
            if {first, other} <= set(group["method"]):
                pair = wide.dropna(subset=[("value", first), ("value", other)]).reset_index()
                tests.append(_test(pair, first, other, str(metric), str(region), seed=seed))
    table = pd.DataFrame(tests, columns=COLUMNS)
    table["p_holm"] = table.groupby("metric")["p"].transform(lambda p: holm(p.to_numpy(float)))
    table["p_holm_below_0.025"] = table["p_holm"] < P_OF_THE_PAPER
    return table


COLUMNS = [
    *("metric", "region", "first", "other", "compared_as", "unit", "n_cycles", "n_patients"),
    *("first_mean", "other_mean", "mean_loss_difference", "interval_95_low"),
    *("interval_95_high", "rank_biserial", "p", "p_smallest_possible"),
]


def _test(
    pair: pd.DataFrame, first: str, other: str, metric: str, region: str, *, seed: int
) -> dict[str, Any]:
    patients = pair["patient"].tolist()
    means = {
        name: patient_means(pair["value", name].to_numpy(), patients) for name in (first, other)
    }
    difference = patient_means((pair["loss", other] - pair["loss", first]).to_numpy(), patients)
    test = paired_test(difference, seed=seed)
    return {
        "metric": metric,
        "region": region,
        "first": first,
        "other": other,
        "compared_as": METRICS[metric].better,
        "unit": METRICS[metric].unit,
        "n_cycles": len(pair),
        "n_patients": difference.size,
        "first_mean": means[first].mean() if difference.size else np.nan,
        "other_mean": means[other].mean() if difference.size else np.nan,
        "mean_loss_difference": test.mean_difference,
        "interval_95_low": test.interval[0],
        "interval_95_high": test.interval[1],
        "rank_biserial": test.rank_biserial,
        "p": test.p,
        "p_smallest_possible": test.p_smallest_possible,
    }


def finite(value: float) -> float | None:
    """Return a number for JSON, which has no NaN."""
    return float(value) if np.isfinite(value) else None
