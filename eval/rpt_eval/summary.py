"""From tidy metrics to tables over cycles and patients, and to tests between methods."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from rpt_eval.agreement import bland_altman
from rpt_eval.catalogue import COMPARED_AS, METRICS
from rpt_eval.regions import LESION
from rpt_eval.statistics import (
    P_OF_THE_PAPER,
    bootstrap_interval,
    holm,
    paired_test,
    patient_means,
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
