"""Pearson's r, Fisher's z over patients, the peeled mask, and the tables made of them."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from rpt_cohort.correlation import pearson_r, why_undefined
from rpt_eval.correlate import (
    records,
    texture_correlation,
    texture_summary,
    voxelwise_summary,
)
from rpt_eval.figures import region_scatter
from rpt_eval.radiomics import FAMILY, GLCM, GLRLM
from rpt_eval.regions import eroded
from rpt_eval.statistics import fisher_mean, pearson_p
from scipy import stats
from scipy.ndimage import gaussian_filter
from statsmodels.stats.multitest import multipletests


def related(n: int, *, seed: int = 0, slope: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    pet = rng.gamma(4.0, 2.0, n)
    return pet, slope * pet + rng.normal(0.0, 4.0, n)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("n", [3, 20, 5000])
def test_r_and_p_are_scipy_s(n: int, seed: int) -> None:
    pet, dose = related(n, seed=seed, slope=0.3)
    expected = stats.pearsonr(pet, dose)
    r = pearson_r(pet, dose)
    assert r == pytest.approx(expected.statistic, abs=1e-13)
    assert pearson_p(r, n=n) == pytest.approx(expected.pvalue, rel=1e-9)


@given(
    gain=st.floats(1e-150, 1e150),
    offset=st.floats(-50, 50),
    seed=st.integers(0, 99),
    negative=st.booleans(),
)
def test_r_knows_no_unit(gain: float, offset: float, seed: int, negative: bool) -> None:
    pet, dose = related(40, seed=seed)
    sign = -1.0 if negative else 1.0
    turned = pearson_r(sign * gain * (pet + offset), dose)
    assert turned == pytest.approx(sign * pearson_r(pet, dose), abs=1e-12)
    assert pearson_r(dose, pet) == pytest.approx(pearson_r(pet, dose), abs=1e-15)


def test_r_of_single_precision_maps_is_taken_in_double() -> None:
    # A small signal on a large mean, where single precision would lose it.
    rng = np.random.default_rng(1)
    pet = (1e4 + rng.random(20_000)).astype(np.float32)
    dose = pet.astype(np.float64) + rng.normal(0.0, 0.3, pet.size)
    assert pearson_r(pet, dose) == pytest.approx(stats.pearsonr(pet.astype(float), dose).statistic)


@pytest.mark.parametrize(
    ("pet", "dose", "reason"),
    [
        ([2.0, 2.0, 2.0], [1.0, 2.0, 3.0], "PET the same everywhere"),
        ([1.0, 2.0, 3.0], [0.0, 0.0, 0.0], "dose the same everywhere"),
        ([0.1, 0.1, 0.1 + 1e-17], [7.0, 7.0, 7.0], "PET and dose the same everywhere"),
        ([1.0, 2.0], [1.0, 2.0], "fewer than 3 values: 2"),
        ([], [], "fewer than 3 values: 0"),
    ],
)
def test_undefined_r_is_empty_and_has_a_reason(
    pet: list[float], dose: list[float], reason: str
) -> None:
    assert why_undefined(np.array(pet), np.array(dose)) == reason
    assert np.isnan(pearson_r(np.array(pet), np.array(dose)))


def test_p_of_few_none_and_perfect_pairs() -> None:
    assert np.isnan(pearson_p(0.5, n=2))
    assert np.isnan(pearson_p(float("nan"), n=9))
    assert pearson_p(1.0, n=9) == pearson_p(-1.0, n=9) == 0.0


def test_fisher_mean_by_hand() -> None:
    # z = 0.5, 0.7, 0.9: mean 0.7, SD 0.2, t = 3.5 √3. With 2 degrees of freedom
    # P(|T| > t) = 1 − t / √(t² + 2), and the 97.5 % point is 0.95 √(2 / (1 − 0.95²)).
    found = fisher_mean(pd.Series(np.tanh([0.5, 0.7, 0.9])), pd.Series(["a", "b", "c"]))
    t = 3.5 * np.sqrt(3)
    reach = 0.95 * np.sqrt(2 / (1 - 0.95**2)) * 0.2 / np.sqrt(3)
    assert found.r == pytest.approx(np.tanh(0.7))
    assert found.p == pytest.approx(1 - t / np.sqrt(t**2 + 2))
    assert (found.low, found.high) == pytest.approx(
        (np.tanh(0.7 - reach), np.tanh(0.7 + reach)), rel=1e-6
    )
    assert found.reason is None


def test_fisher_mean_counts_patients_not_cycles() -> None:
    r = pd.Series([0.9, 0.8, 0.85, 0.2, 0.4, -0.1, 0.5])
    patients = pd.Series(["a", "a", "a", "b", "c", "d", "d"])
    z = np.arctanh(r)
    by_patient = np.array([z[:3].mean(), z[3], z[4], z[5:].mean()])
    test = stats.ttest_1samp(by_patient, 0.0)
    found = fisher_mean(r, patients)
    assert found.p == pytest.approx(test.pvalue)
    assert found.r == pytest.approx(np.tanh(by_patient.mean()))
    assert (found.low, found.high) == pytest.approx(np.tanh(test.confidence_interval(0.95)))
    # Cycles of a patient that say the same again are no further evidence.
    twice = fisher_mean(pd.concat([r, r]), pd.concat([patients, patients]))
    assert twice.p == pytest.approx(found.p)


@given(st.lists(st.floats(-0.99, 0.99), min_size=3, max_size=9, unique_by=lambda r: round(r, 3)))
def test_fisher_mean_turns_with_the_sign(values: list[float]) -> None:
    patients = pd.Series([str(number) for number in range(len(values))])
    found = fisher_mean(pd.Series(values), patients)
    turned = fisher_mean(-pd.Series(values), patients)
    assert min(values) - 1e-12 <= found.r <= max(values) + 1e-12
    assert found.low < found.r < found.high
    assert turned.r == pytest.approx(-found.r, abs=1e-12)
    assert turned.p == pytest.approx(found.p)


@pytest.mark.parametrize(
    ("r", "mean", "reason"),
    [
        ([], None, "no cycle with an r"),
        ([0.5, 0.6], np.tanh(np.arctanh([0.5, 0.6]).mean()), "fewer than 3 patients: 2"),
        ([0.5, 1.0, 0.7], None, "Fisher's z is infinite: r is 1 or −1 in 1 of 3 cycles"),
        ([-1.0, -1.0 + 1e-15, 0.7], None, "Fisher's z is infinite: r is 1 or −1 in 2 of 3 cycles"),
        ([0.5, 0.5, 0.5], 0.5, "r the same in every patient"),
    ],
)
def test_fisher_mean_without_p_has_a_reason(
    r: list[float], mean: float | None, reason: str
) -> None:
    patients = pd.Series([str(number) for number in range(len(r))])
    found = fisher_mean(pd.Series(r, dtype=float), patients)
    assert found.reason == reason
    assert np.isnan(found.p)
    assert np.isnan(found.low)
    assert np.isnan(found.r) if mean is None else found.r == pytest.approx(mean)


def test_blurred_noise_is_significant_over_voxels_but_not_over_patients() -> None:
    """PET and dose that have nothing in common but the blur: 15 patients, 20 cohorts."""
    rng = np.random.default_rng(0)
    over_voxels, over_patients = [], []
    for _ in range(20):
        rs = []
        for _ in range(15):
            pet, dose = (gaussian_filter(rng.normal(size=(16,) * 3), 2.0) for _ in range(2))
            rs.append(pearson_r(pet.ravel(), dose.ravel()))
            over_voxels.append(pearson_p(rs[-1], n=pet.size) < 0.025)
        found = fisher_mean(pd.Series(rs), pd.Series(map(str, range(15))))
        over_patients.append(found.p < 0.025)
    # A sound test errs in 2.5 %: of 300 cycles 7.5, of 20 cohorts 0.5 (3 or more: P = 1 %).
    assert np.mean(over_voxels) > 0.5
    assert sum(over_patients) <= 2


SPACINGS = [(4.8, 4.8, 4.8), (2.0, 3.0, 5.0), (4.42, 4.42, 2.21)]


@pytest.mark.parametrize("spacing_mm", SPACINGS)
def test_peeled_ball_is_a_smaller_ball(spacing_mm: tuple[float, float, float]) -> None:
    radius, depth = 48.0, 12.0
    axes = [mm * (np.arange(int(112 / mm)) + 0.3) - 56 for mm in spacing_mm]
    distance = np.sqrt(sum(axis**2 for axis in np.meshgrid(*axes, indexing="ij")))
    kept = eroded(distance <= radius, spacing_mm=spacing_mm, depth_mm=depth)
    assert kept[distance < radius - depth].all()
    assert distance[kept].max() <= radius - depth + np.linalg.norm(spacing_mm)
    volume = kept.sum() * np.prod(spacing_mm)
    equal_radius = (volume * 3 / (4 * np.pi)) ** (1 / 3)
    assert equal_radius == pytest.approx(radius - depth, abs=0.5 * max(spacing_mm))


def test_depth_is_that_to_the_nearest_voxel_outside() -> None:
    """Against every pair of voxels, on a ragged region of flat voxels that meets the border."""
    spacing = (1.0, 2.5, 10.0)
    rng = np.random.default_rng(3)
    region = gaussian_filter(rng.normal(size=(14, 9, 5)), 1.5) > -0.05
    padded = np.pad(region, 1)
    outside = np.argwhere(~padded)
    for depth_mm in (1.0, 2.5, 3.0, 5.2):
        kept = np.pad(eroded(region, spacing_mm=spacing, depth_mm=depth_mm), 1)
        for index in np.argwhere(padded):
            nearest_mm = np.linalg.norm((outside - index) * spacing, axis=1).min()
            assert kept[tuple(index)] == (nearest_mm >= depth_mm - 1e-3)
    assert region[0].any()
    assert region[-1].any()


def test_exact_multiples_are_kept_and_the_border_is_outside() -> None:
    whole = np.ones((7, 7, 7), dtype=bool)
    kept = eroded(whole, spacing_mm=(4.0000002, 4.0, 3.9999998), depth_mm=12.0)
    expected = np.zeros_like(whole)
    expected[2:5, 2:5, 2:5] = True
    assert np.array_equal(kept, expected)


def test_peeling_leaves_nothing_of_nothing_or_of_thin_things() -> None:
    empty = np.zeros((4, 4, 4), dtype=bool)
    assert not eroded(empty, spacing_mm=(2.0, 2.0, 2.0), depth_mm=1.0).any()
    sheet = empty.copy()
    sheet[:, :, 2] = True
    assert not eroded(sheet, spacing_mm=(2.0, 2.0, 2.0), depth_mm=2.1).any()


def voxelwise(r_of: dict[str, list[float]]) -> pd.DataFrame:
    """A table of whole masks: organ → r of patients 0, 0, 1, 2, 3, …"""
    rows = [
        {"organ": organ, "mask": "whole", "r": r, "patient": f"P{max(0, number - 1)}"}
        for organ, values in r_of.items()
        for number, r in enumerate(values)
    ]
    return pd.DataFrame(rows)


def test_summary_is_over_cycles_and_over_patients() -> None:
    kidney, liver = [0.9, 0.7, 0.6, 0.75, 0.8], [0.2, 0.3, float("nan"), 0.5, -0.1]
    table = voxelwise_summary(voxelwise({"kidney": kidney, "liver": liver}))
    assert len(table) == 2 * 4
    row = table.set_index(["mask", "organ"]).loc[("whole", "kidney")]
    assert (row["n_cycles"], row["n_patients"]) == (5, 4)
    assert row["mean_over_cycles"] == pytest.approx(0.75)
    assert row["sd_over_cycles"] == pytest.approx(np.std(kidney, ddof=1))
    assert row["mean_over_patients"] == pytest.approx(np.mean([0.8, 0.6, 0.75, 0.8]))
    assert row["sd_over_patients"] == pytest.approx(np.std([0.8, 0.6, 0.75, 0.8], ddof=1))
    tested = table.dropna(subset=["p"])
    assert list(tested["organ"]) == ["kidney", "liver"]
    assert list(tested["p_holm"]) == pytest.approx(multipletests(tested["p"], method="holm")[1])
    assert list(tested["p_holm_below_0.025"]) == [True, False]


def test_summary_of_an_organ_that_is_nowhere_is_empty_not_zero() -> None:
    table = voxelwise_summary(voxelwise({"kidney": [0.5], "spleen": [float("nan")]}))
    rows = {(row["mask"], row["organ"]): row for row in records(table)}
    spleen, kidney = rows["whole", "spleen"], rows["whole", "kidney"]
    assert spleen["n_cycles"] == 0
    assert spleen["reason"] == "no cycle with an r"
    assert {spleen[name] for name in ("mean_over_cycles", "fisher_mean", "p")} == {None}
    assert spleen["p_holm_below_0.025"] is None
    assert kidney["mean_over_cycles"] == 0.5
    assert kidney["sd_over_cycles"] is None
    assert kidney["reason"] == "fewer than 3 patients: 1"


def textures(patients: list[str], *, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "patient": patient,
            "organ": organ,
            "feature": feature,
            "pet": (pet := rng.random()),
            "dose": 2 * pet + rng.random() * (feature != "cm_contrast"),
        }
        for patient in patients
        for organ in ("kidney", "liver")
        for feature in FAMILY
    )


def test_features_are_correlated_over_cycles_and_over_patients() -> None:
    rows = textures(["a", "a", "b", "c", "c", "c", "d", "e"])
    table = texture_correlation(rows).set_index(["organ", "feature"])
    assert len(table) == 4 * len(FAMILY) == 4 * (25 + 16)
    some = rows[(rows["organ"] == "liver") & (rows["feature"] == "rlm_sre")]
    means = some.groupby("patient")[["pet", "dose"]].mean()
    expected = stats.pearsonr(means["pet"], means["dose"])
    row = table.loc[("liver", "rlm_sre")]
    assert row["r_cycles"] == pytest.approx(stats.pearsonr(some["pet"], some["dose"]).statistic)
    assert row["r_patients"] == pytest.approx(expected.statistic)
    assert row["p"] == pytest.approx(expected.pvalue)
    assert (row["n_cycles"], row["n_patients"]) == (8, 5)
    family = table.loc["liver"].loc[list(GLRLM)]
    assert list(family["p_holm"]) == pytest.approx(multipletests(family["p"], method="holm")[1])
    assert table.loc[("kidney", "cm_contrast"), "r_patients"] == pytest.approx(1.0)
    assert table.loc[("spleen", "rlm_sre"), "n_cycles"] == 0
    assert table.loc[("spleen", "rlm_sre"), "reason"] == "fewer than 3 patients: 0"


def test_feature_means_are_over_features_then_over_organs() -> None:
    correlation = texture_correlation(textures(["a", "b", "c", "d", "e"], seed=1))
    table = texture_summary(correlation).set_index(["organ", "family"])
    r = correlation.set_index(["organ", "feature"])["r_patients"]
    kidney, liver = (r[organ][list(GLCM)] for organ in ("kidney", "liver"))
    assert table.loc[("kidney", "GLCM"), "mean_r_patients"] == pytest.approx(kidney.mean())
    assert table.loc[("kidney", "GLCM"), "sd_r_patients"] == pytest.approx(kidney.std())
    over = table.loc[("organs_mean", "GLCM")]
    assert over["mean_r_patients"] == pytest.approx((kidney.mean() + liver.mean()) / 2)
    assert over["n_r_patients"] == 2  # the spleen has none, and is not 0
    assert np.isnan(table.loc[("spleen", "GLCM"), "mean_r_patients"])
    assert over["features_tested"] == 50


def test_features_of_two_patients_have_no_p() -> None:
    table = texture_correlation(textures(["a", "a", "b"])).set_index(["organ", "feature"])
    row = table.loc[("kidney", "rlm_lre")]
    assert np.isfinite(row["r_cycles"])
    assert np.isnan(row["r_patients"])
    assert np.isnan(row["p"])
    assert row["p_holm_below_0.025"] is None
    assert row["reason"] == "fewer than 3 patients: 2"


def test_scatter_counts_every_voxel_and_draws_the_line() -> None:
    suv, dose = related(3000)
    ax = Figure().subplots()
    assert region_scatter(ax, suv, dose, title="kidney") is ax
    assert np.nansum(np.ma.filled(ax.collections[0].get_array().astype(float), 0.0)) == 3000
    fit = stats.linregress(suv, dose)
    x, y = ax.lines[0].get_data()
    assert list(y) == pytest.approx(list(fit.intercept + fit.slope * np.asarray(x)))
    assert ax.get_xlabel() == "PET (SUV, g/mL)"
    assert ax.get_ylabel() == "Absorbed dose (Gy/GBq)"
    assert f"r = {fit.rvalue:.2f}" in ax.get_title()


def test_scatter_of_a_constant_is_refused() -> None:
    with pytest.raises(ValueError, match="must have a correlation, got PET the same everywhere"):
        region_scatter(Figure().subplots(), np.ones(30), np.arange(30.0), title="kidney")
