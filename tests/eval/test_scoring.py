"""Every number of a cycle: regions, what is not rated, and where the dose is not known."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from rpt_eval import metrics
from rpt_eval.metrics import (
    COMPARED_AS,
    METRICS,
    TABLE,
    Doses,
    GammaCriteria,
    Metric,
    ssim_map,
)
from rpt_eval.predictions import CycleMaps, unit_fault
from rpt_eval.regions import regions, too_small
from rpt_eval.scoring import Row, score, unrated
from rpt_eval.statistics import by_cycle, compare_methods, summarise


def value_of(rows: list[Row], region: str, metric: str, method: str = "a") -> float:
    (row,) = [r for r in rows if (r.region, r.metric, r.method) == (region, metric, method)]
    return row.value


def test_regions_are_inside_the_field_of_view_and_kidney_is_both(maps: CycleMaps) -> None:
    found = regions(maps)
    assert [*found] == ["whole_map", "body", "kidney", "liver", "spleen", "lesion_1", "lesion_2"]
    for region in found.values():
        assert not (region & ~maps.known).any()
    np.testing.assert_array_equal(found["kidney"], np.isin(maps.organs, [2, 3]) & maps.known)
    assert found["body"].sum() < found["whole_map"].sum()


def test_salivary_glands_are_rated_where_present(maps: CycleMaps) -> None:
    organs = maps.organs.copy()
    organs[5:9, 3:9, 17:] = 152
    with_glands = replace(maps, organs=organs)
    assert too_small(regions(with_glands)["salivary_glands"]) is None
    rows = score(with_glands, {"a": 1.1 * maps.dose})
    assert value_of(rows, "salivary_glands", "ape_organ_mean") == pytest.approx(10.0, rel=1e-5)


def test_absent_and_small_regions_are_named_and_never_zero(maps: CycleMaps) -> None:
    reasons = {entry.region: entry.reason for entry in unrated(maps)}
    assert reasons == {
        "spleen": "absent from the field of view",
        "lesion_2": "3 voxels, fewer than 20",
    }
    rows = score(maps, {"a": maps.dose})
    for row in rows:
        if row.region in (*reasons, "organs_mean"):  # the mean needs all three organs
            assert np.isnan(row.value), row


@pytest.mark.parametrize("metric", TABLE, ids=lambda metric: metric.name)
def test_every_metric_of_the_table_is_whole_and_prefers_the_truth(
    metric: Metric, maps: CycleMaps
) -> None:
    here = regions(maps)["kidney"]
    rng = np.random.default_rng(7)
    worse = (maps.dose * rng.uniform(0.2, 3.0, maps.dose.shape)).astype(np.float32)
    values = []
    for dose in (maps.dose, worse):
        windows = ssim_map(dose, maps.dose, maps.known)
        gamma = GammaCriteria(1.0, max(maps.spacing_mm))
        doses = Doses(dose, maps.dose, maps.known, here, maps.spacing_mm, windows, gamma)
        values.append(metric.function(doses))
    assert np.isfinite(values).all()
    assert list(METRICS).count(metric.name) == [one.name for one in TABLE].count(metric.name) == 1
    assert metric.meaning
    if metric.better is not None:
        true, spoiled = COMPARED_AS[metric.better](np.array(values))
        assert true < spoiled


def test_a_half_made_metric_fails_at_once() -> None:
    with pytest.raises(TypeError, match="function"):
        Metric("rmse", "Gy/GBq", "lower", "root mean squared error")  # type: ignore[call-arg]


def test_an_entry_of_the_table_is_scored_summarised_and_tested(
    maps: CycleMaps, monkeypatch: pytest.MonkeyPatch
) -> None:
    rmse = Metric(
        "rmse",
        "Gy/GBq",
        "lower",
        "root mean squared error",
        lambda doses: metrics.rmse(doses.prediction, doses.reference),
    )
    monkeypatch.setattr("rpt_eval.scoring.TABLE", (*TABLE, rmse))
    monkeypatch.setitem(METRICS, "rmse", rmse)
    rows = score(maps, {"a": 1.1 * maps.dose, "b": 1.2 * maps.dose})
    cycles = by_cycle(pd.DataFrame(rows))
    assert value_of(rows, "body", "rmse") > 0
    assert {one["unit"] for one in summarise(cycles, seed=0) if one["metric"] == "rmse"} == {
        "Gy/GBq"
    }
    tests = compare_methods(cycles, ["a", "b"], seed=0)
    assert (tests[tests["metric"] == "rmse"]["mean_loss_difference"] > 0).all()


def test_perfect_prediction_has_perfect_numbers(maps: CycleMaps) -> None:
    rows = score(maps, {"a": maps.dose.copy()})
    rated = [row for row in rows if not np.isnan(row.value)]
    perfect = {"lower": 0.0, "higher": 1.0, "nearer 1": 1.0, "nearer 0": 0.0}
    for row in rated:
        better = METRICS[row.metric].better
        if better is not None:
            assert row.value == pytest.approx(perfect[better], abs=1e-6), row
    assert {row.region for row in rated} == {"whole_map", "body", "kidney", "liver", "lesion_1"}


def test_numbers_of_a_region_are_those_of_its_voxels(maps: CycleMaps) -> None:
    rng = np.random.default_rng(5)
    dose = (maps.dose * rng.uniform(0.5, 1.4, maps.dose.shape)).astype(np.float32)
    rows = score(maps, {"a": dose})
    here = np.isin(maps.organs, [2, 3]) & maps.known
    error = (dose[here] - maps.dose[here]).astype(np.float64)
    known = maps.dose[maps.known]
    by_range = np.sqrt(np.mean(error**2)) / (known.max() - known.min())
    assert value_of(rows, "kidney", "nrmse_range") == pytest.approx(by_range, rel=1e-5)
    masked = np.sqrt(np.sum(error**2) / dose.size) / np.ptp(maps.dose[here])
    assert value_of(rows, "kidney", "nrmse_masked") == pytest.approx(masked, rel=1e-5)
    mean = float(maps.dose[here].mean(dtype=np.float64))
    assert value_of(rows, "kidney", "mean_dose_reference") == pytest.approx(mean)
    ape = 100 * abs(error.mean()) / mean
    assert value_of(rows, "kidney", "ape_organ_mean") == pytest.approx(ape, rel=1e-4)


def test_mean_over_organs_is_the_mean_of_kidney_liver_and_spleen(maps: CycleMaps) -> None:
    organs = maps.organs.copy()
    organs[6:8, 5:13, 5:9] = 1
    rows = score(replace(maps, organs=organs), {"a": 0.7 * maps.dose + np.float32(0.1)})
    for metric in ("nrmse_masked", "ape_organ_mean", "dvh_r2", "ssim"):
        values = [value_of(rows, organ, metric) for organ in ("kidney", "liver", "spleen")]
        assert value_of(rows, "organs_mean", metric) == pytest.approx(np.mean(values))


def test_what_is_not_known_changes_no_number(maps: CycleMaps) -> None:
    dose = (0.9 * maps.dose).astype(np.float32)
    outside = ~maps.known
    other = replace(maps, dose=np.where(outside, np.float32(99.0), maps.dose))
    other_dose = np.where(outside, np.float32(50.0), dose)
    for row, same in zip(score(maps, {"a": dose}), score(other, {"a": other_dose}), strict=True):
        assert row.value == pytest.approx(same.value, nan_ok=True), row


def test_histogram_of_a_region_is_of_its_voxels_and_none_beside_it(maps: CycleMaps) -> None:
    here = np.isin(maps.organs, [2, 3]) & maps.known
    dose = np.where(here, np.float32(2.55), np.float32(0.1))
    rows = score(replace(maps, dose=dose), {"a": maps.dose, "b": dose.copy()})
    lowest = np.sort(maps.dose[here].astype(np.float64))
    hottest_98 = int(np.ceil(0.98 * lowest.size))
    expected = lowest[lowest.size - hottest_98] - np.float64(np.float32(2.55))
    assert value_of(rows, "kidney", "d98_error") == pytest.approx(expected)
    for metric in ("d2_error", "d50_error", "d98_error"):
        assert value_of(rows, "kidney", metric, "b") == 0
    # The bordering liver's dose changes nothing.
    other = np.where(here, maps.dose, np.float32(9.0))
    rows = score(replace(maps, dose=dose), {"a": other})
    assert value_of(rows, "kidney", "d98_error") == pytest.approx(expected)


def test_numbers_without_unit_do_not_know_the_unit(maps: CycleMaps) -> None:
    rng = np.random.default_rng(5)
    dose = (maps.dose * rng.uniform(0.5, 1.4, maps.dose.shape)).astype(np.float32)
    tenfold = replace(maps, dose=10 * maps.dose)
    for row, same in zip(score(maps, {"a": dose}), score(tenfold, {"a": 10 * dose}), strict=True):
        factor = 10 if row.unit == "Gy/GBq" else 1
        expected = pytest.approx(factor * row.value, rel=1e-4, abs=1e-5, nan_ok=True)
        if row.metric != "mape_voxel":  # its floor is a dose
            assert same.value == expected, row


@pytest.mark.parametrize("factor", [7.4, 6.0, 9.0])
def test_gy_for_gy_per_gbq_is_noticed(maps: CycleMaps, factor: float) -> None:
    fault = unit_fault((factor * maps.dose).astype(np.float32), maps)
    assert fault is not None
    assert "looks like Gy" in fault
    assert "7.4 GBq" in fault
    assert "divided twice" in str(unit_fault((maps.dose / factor).astype(np.float32), maps))


@pytest.mark.parametrize("factor", [0.0, 0.5, 1.0, 2.5, 30.0])
def test_an_honest_error_is_no_unit_fault(maps: CycleMaps, factor: float) -> None:
    assert unit_fault((factor * maps.dose).astype(np.float32), maps) is None


def test_one_hot_lesion_is_no_unit_fault(maps: CycleMaps) -> None:
    dose = maps.dose.copy()
    dose[maps.lesions == 1] *= 1500
    assert dose.sum() > 6 * maps.dose.sum()
    assert unit_fault(dose, maps) is None


def test_bundle_has_the_same_metrics(maps: CycleMaps) -> None:
    """Parity: the bundle stands alone, and its metrics are those of the body here."""
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).parents[2] / "bundle"))
    from scripts import metrics as of_bundle

    body = maps.known & (maps.organs > 0)
    dose = (0.8 * maps.dose + 0.05).astype(np.float32)
    rows = score(replace(maps, known=body), {"a": dose})
    label = torch.as_tensor(np.where(body, maps.dose, np.nan))[None]
    prediction = torch.as_tensor(dose)[None]
    for name in ("nrmse_range", "nrmse_euclid", "ssim"):
        theirs = getattr(of_bundle, name)(prediction, label).item()
        assert theirs == pytest.approx(value_of(rows, "body", name), rel=1e-4), name
    rmse = of_bundle.rmse(prediction, label).item()
    expected = metrics.rmse(dose[body].astype(float), maps.dose[body].astype(float))
    assert rmse == pytest.approx(expected, rel=1e-5)
