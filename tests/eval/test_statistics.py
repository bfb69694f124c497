"""Statistics over patients: against scipy, by hand, and on data made to tell."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rpt_eval.statistics import (
    bootstrap_interval,
    by_cycle,
    compare_methods,
    holm,
    organ_agreement,
    paired_test,
    patient_means,
    summarise,
)


def tidy(values: dict[tuple[str, str, str, str], float], metric: str = "mae") -> pd.DataFrame:
    """Rows from (case, patient, region, method) → value."""
    return pd.DataFrame(
        [(*key, metric, value, "Gy/GBq") for key, value in values.items()],
        columns=["case", "patient", "region", "method", "metric", "value", "unit"],
    )


def test_wilcoxon_is_exact_by_enumeration() -> None:
    difference = np.array([0.5, -0.1, 0.9, 1.4, 0.3, -0.2, 2.0])
    ranks = np.abs(difference).argsort().argsort() + 1
    observed = abs((ranks * np.sign(difference)).sum())
    signs = product([-1, 1], repeat=len(ranks))
    p = np.mean([abs((ranks * np.array(sign)).sum()) >= observed for sign in signs])
    test = paired_test(difference, seed=0)
    assert test.p == pytest.approx(p)
    assert test.rank_biserial == pytest.approx((28 - 2 * 3) / 28)  # ranks 1 and 2 are negative


@pytest.mark.parametrize("patients", [1, 4, 8])
def test_no_p_is_below_the_smallest_possible(patients: int) -> None:
    test = paired_test(np.arange(1.0, patients + 1), seed=0)
    assert test.p == pytest.approx(test.p_smallest_possible)
    assert test.rank_biserial == 1.0


def test_equal_methods_have_no_p_and_no_effect() -> None:
    test = paired_test(np.zeros(6), seed=0)
    assert np.isnan(test.p)
    assert np.isnan(test.rank_biserial)
    assert test.interval == (0.0, 0.0)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=12))
def test_holm_steps_down(p: list[float]) -> None:
    adjusted = holm(np.array([*p, np.nan]))
    assert np.isnan(adjusted[-1])
    order = np.argsort(p, kind="stable")
    steps = np.array(p)[order] * (len(p) - np.arange(len(p)))
    expected = np.minimum(np.maximum.accumulate(steps), 1.0)
    np.testing.assert_allclose(adjusted[:-1][order], expected)


def test_bootstrap_interval_covers_the_mean_and_narrows_with_patients() -> None:
    rng = np.random.default_rng(0)
    widths = []
    for patients in (10, 160):
        values = rng.normal(5.0, 1.0, patients)
        low, high = bootstrap_interval(values, seed=1)
        assert low < values.mean() < high
        widths.append(high - low)
    assert widths[1] < 0.5 * widths[0]
    assert bootstrap_interval(values, seed=1) == bootstrap_interval(values, seed=1)
    assert np.isnan(bootstrap_interval(np.array([1.0, 2.0]), seed=1)).all()


def test_a_patient_counts_once_however_many_cycles() -> None:
    values, patients = np.array([1.0, 3.0, 10.0]), ["P001", "P001", "P002"]
    np.testing.assert_array_equal(patient_means(values, patients), [2.0, 10.0])


@settings(max_examples=10, deadline=None)
@given(st.integers(2, 6))
def test_repeating_a_patient_s_cycles_changes_no_p_value(copies: int) -> None:
    """Cycles are not independent: more of them must not make anything significant."""

    def table(cycles: int) -> pd.DataFrame:
        values = {}
        for patient in range(7):
            for cycle in range(cycles):
                case = f"P{patient:03d}/C{cycle}"
                for method, value in {"a": 1.0, "b": 1.0 + 0.1 * (patient - 1)}.items():
                    values[case, f"P{patient:03d}", "kidney", method] = value
        return compare_methods(by_cycle(tidy(values)), ["a", "b"], seed=0)

    once, often = table(1), table(copies)
    np.testing.assert_allclose(often["p"], once["p"])
    assert (often["n_patients"] == 7).all()
    assert (often["n_cycles"] == 7 * copies).all()


def test_lesions_of_a_cycle_become_one_value_and_missing_ones_do_not_count() -> None:
    values = {
        ("P001/C1", "P001", "lesion_1", "a"): 1.0,
        ("P001/C1", "P001", "lesion_7", "a"): 3.0,
        ("P001/C1", "P001", "lesion_9", "a"): float("nan"),
        ("P001/C1", "P001", "kidney", "a"): float("nan"),
    }
    cycles = by_cycle(tidy(values))
    assert cycles[["region", "value"]].to_numpy().tolist() == [["lesion", 2.0]]


def test_difference_is_above_zero_where_the_first_method_is_better() -> None:
    def table(metric: str, first: float, other: float) -> pd.Series:
        values = {
            (f"P{n:03d}/C1", f"P{n:03d}", "body", method): value + 0.001 * n
            for n in range(8)
            for method, value in {"first": first, "other": other}.items()
        }
        return compare_methods(by_cycle(tidy(values, metric)), ["first", "other"], seed=0).iloc[0]

    assert table("mae", 0.1, 0.2)["mean_loss_difference"] == pytest.approx(0.1)
    assert table("ssim", 0.9, 0.7)["mean_loss_difference"] == pytest.approx(0.2)
    row = table("slope_orthogonal", 0.9, 0.5)
    assert row["mean_loss_difference"] == pytest.approx(0.4)
    assert row["compared_as"] == "nearer 1"
    row = table("mean_error", -0.1, 0.2)
    assert row["mean_loss_difference"] == pytest.approx(0.1, abs=0.01)
    assert row["p"] == pytest.approx(2**-7)
    assert row["p_holm_below_0.025"]


def test_errors_of_either_sign_do_not_cancel_over_a_cycle_s_lesions() -> None:
    values = {}
    for patient in range(8):
        case, name = f"P{patient:03d}/C1", f"P{patient:03d}"
        for lesion, sign in {"lesion_1": 1, "lesion_2": -1}.items():
            values[case, name, lesion, "a"] = 0.1 * sign
            values[case, name, lesion, "b"] = 0.3 * sign
    row = compare_methods(by_cycle(tidy(values, "mean_error")), ["a", "b"], seed=0).iloc[0]
    assert row["first_mean"] == row["other_mean"] == pytest.approx(0.0)
    assert row["mean_loss_difference"] == pytest.approx(0.2)
    assert row["p"] == pytest.approx(2**-7)


def test_only_cycles_that_both_methods_have_are_compared() -> None:
    values = {
        ("P001/C1", "P001", "body", "a"): 1.0,
        ("P001/C2", "P001", "body", "a"): 9.0,
        ("P001/C1", "P001", "body", "b"): 2.0,
        ("P001/C2", "P001", "body", "b"): float("nan"),
    }
    row = compare_methods(by_cycle(tidy(values)), ["a", "b"], seed=0).iloc[0]
    assert (row["n_cycles"], row["first_mean"], row["other_mean"]) == (1, 1.0, 2.0)


def test_summary_is_over_cycles_and_over_patients() -> None:
    values = {
        ("P001/C1", "P001", "body", "a"): 1.0,
        ("P001/C2", "P001", "body", "a"): 3.0,
        ("P002/C1", "P002", "body", "a"): 8.0,
    }
    (entry,) = summarise(by_cycle(tidy(values)), seed=0)
    assert entry["mean_over_cycles"] == 4.0
    assert entry["mean_over_patients"] == 5.0
    assert entry["sd_over_patients"] == pytest.approx(np.std([2, 8], ddof=1))
    assert entry["interval_95_of_mean_over_patients"] == [None, None]
    (alone,) = summarise(by_cycle(tidy(dict(list(values.items())[:1]))), seed=0)
    assert alone["sd_over_cycles"] is None


def test_agreement_of_organ_means_is_over_patients() -> None:
    rows = [
        ("P001/C1", "P001", "kidney", "a", "mean_dose", 1.0, "Gy/GBq"),
        ("P001/C1", "P001", "kidney", "a", "mean_dose_reference", 0.5, "Gy/GBq"),
        ("P001/C2", "P001", "kidney", "a", "mean_dose", 2.0, "Gy/GBq"),
        ("P001/C2", "P001", "kidney", "a", "mean_dose_reference", 0.5, "Gy/GBq"),
    ]
    columns = ["case", "patient", "region", "method", "metric", "value", "unit"]
    (entry,) = organ_agreement(by_cycle(pd.DataFrame(rows, columns=columns)))
    assert entry["n_patients"] == 1
    assert entry["bias_gy_per_gbq"] == pytest.approx(1.0)
    assert entry["lower_limit_gy_per_gbq"] is None
