"""The paper's study: its three correlations, laws that hold for any parameters, bad input."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.compartments import quadrature
from rpt_cohort.correlation import pearson_r
from rpt_kinetics.imaging import blurred_images, imaged
from rpt_kinetics.measures import (
    SPECT_FWHM_MM,
    SUV_TIMES_MIN,
    movable,
    moved,
    r_at_resolutions,
    r_at_suv_times,
    r_of_moved,
)
from rpt_kinetics.parameters import (
    LIMITS,
    NONE,
    PAPER_PRESETS,
    SAME,
    BaseRates,
    PerRate,
    StudyParameters,
    preset_names,
    preset_of,
    read_preset,
    with_voxels,
)
from rpt_kinetics.simulation import Simulation, fisher_interval, simulate, suv_at
from scipy.integrate import quad, solve_ivp
from scipy.stats import pearsonr

SEEDS = range(10)
BASE = BaseRates(k1_ml_per_min_per_ml=0.3, k2_per_min=0.3, k3_per_min=0.2, k4_per_min=0.01, vb=0.1)
SMALL = StudyParameters(pet_rates=BASE, voxels=400)


def organs(name: str, **changes: object) -> list[Simulation]:
    parameters = replace(read_preset(name).parameters, **changes)  # type: ignore[arg-type]
    return [simulate(parameters, seed=seed) for seed in SEEDS]


@pytest.mark.parametrize(
    ("name", "overall", "per_cluster"),
    [
        # Xue et al. 2024, text and Fig. S3; the prototype of ours met them too.
        ("homogeneous", 0.99, None),
        ("heterogeneous", None, 0.96),
        ("varied", 0.40, None),
        ("homogeneous_independent", 0.99, None),
        ("heterogeneous_independent", None, 0.96),
        ("varied_independent", 0.40, None),
    ],
)
def test_presets_reach_the_papers_correlations(
    name: str, overall: float | None, per_cluster: float | None
) -> None:
    found = organs(name)
    preset = read_preset(name)
    assert preset.target_pearson_r == (overall or per_cluster)
    if overall is not None:
        assert preset.target_of == "overall"
        assert np.mean([one.pearson_r() for one in found]) == pytest.approx(overall, abs=0.02)
    if per_cluster is not None:
        assert preset.target_of == "per cluster"
        clusters = np.mean([one.pearson_r_per_cluster() for one in found], axis=0)
        np.testing.assert_allclose(clusters, per_cluster, atol=0.02)


def test_opposed_direction_keeps_the_clusters_and_loses_the_organ() -> None:
    along, against = simulate_first("heterogeneous"), simulate_first("opposed")
    np.testing.assert_allclose(
        along.pearson_r_per_cluster(), against.pearson_r_per_cluster(), atol=0.01
    )
    assert against.pearson_r() < along.pearson_r() - 0.3


def simulate_first(name: str) -> Simulation:
    return simulate(read_preset(name).parameters, seed=0)


@pytest.mark.parametrize("name", ["homogeneous", "varied", "heterogeneous_independent"])
def test_presets_are_a_kidney_in_suv_and_dose(name: str) -> None:
    found = simulate_first(name)
    # Published: SUVmean 25-50 at 60 min; 0.69-0.72 Gy/GBq measured, 0.5-1 by spread of patients.
    assert 20 < found.suv_g_per_ml.mean() < 50
    assert 0.5 < found.dose_gy.mean() / 7.4 < 1.0


def test_one_voxel_against_an_ode_solver_and_the_units_by_hand() -> None:
    found = simulate(with_voxels(read_preset("varied"), 40).parameters, seed=3)
    voxel = 7
    pet = [float(row[voxel]) for row in found.pet.in_a_row()]
    # 1 %IA/L is 0.01 of the activity in 1000 mL; over the activity in 80,000 g it is SUV 0.8.
    assert found.suv_g_per_ml[voxel] == pytest.approx(0.8 * concentration(pet, 60.0), rel=1e-6)
    therapy = [float(row[voxel]) for row in found.therapy.in_a_row()]
    decay = np.log(2) / (6.647 * 24 * 60)
    # In %IA·min/L; 7400 MBq and 1.04 g/mL make it MBq·s/g, the organ's S and mass Gy.
    per_litre = transform(therapy, decay)
    mbq_s_per_g = per_litre / 100.0 * 7400.0 / 1000.0 / 1.04 * 60.0
    assert found.dose_gy[voxel] == pytest.approx(2.2e-4 * 107.104 * mbq_s_per_g / 1000.0, rel=1e-6)


def blood_percent_per_l(time_min: float) -> float:
    amplitudes = (6.53, 3.01, 0.139, 0.0231, 0.0088, 0.0004)
    half_lives_h = (0.345, 5.24, 28.3, 51.1, 23.3, 76.9)
    phases = zip(amplitudes, half_lives_h, strict=True)
    return float(sum(a * 0.5 ** (time_min / 60 / half) for a, half in phases))


def solved(rates: list[float], end_min: float) -> "object":
    k1, k2, k3, k4, _ = rates

    def slope(time_min: float, c: np.ndarray) -> list[float]:
        blood = blood_percent_per_l(time_min)
        return [k1 * blood - (k2 + k3) * c[0] + k4 * c[1], k3 * c[0] - k4 * c[1]]

    return solve_ivp(
        slope, (0, end_min), [0, 0], method="LSODA", rtol=1e-10, atol=1e-12, dense_output=True
    ).sol


def concentration(rates: list[float], time_min: float) -> float:
    vb = rates[4]
    tissue = float(np.sum(solved(rates, time_min)(time_min)))  # type: ignore[operator]
    return (1 - vb) * tissue + vb * blood_percent_per_l(time_min)


def transform(rates: list[float], decay: float) -> float:
    end, vb = 60 * 24 * 120.0, rates[4]
    curve = solved(rates, end)

    def measured(log_time: float) -> float:
        time_min = np.exp(log_time)
        tissue = float(np.sum(curve(time_min)))  # type: ignore[operator]
        value = (1 - vb) * tissue + vb * blood_percent_per_l(time_min)
        return float(value * np.exp(-decay * time_min) * time_min)

    return float(quad(measured, np.log(1e-9), np.log(end), limit=500, epsrel=1e-9)[0])


def test_without_variation_two_alike_sub_tissues_have_r_1() -> None:
    parameters = replace(SMALL, second_subtissue_factor=replace(SAME, k1=0.7))
    found = simulate(parameters, seed=0)
    assert len(np.unique(found.suv_g_per_ml)) == 2
    assert found.pearson_r() == pytest.approx(1.0, abs=1e-12)
    assert np.isnan(found.pearson_r_per_cluster()).all()


def test_only_k1_varying_without_blood_is_exactly_proportional() -> None:
    parameters = replace(
        SMALL,
        pet_rates=replace(BASE, vb=0.0),
        pet_to_therapy_ratio=PerRate(k1=4, k2=1, k3=4, k4=30, vb=1),
        voxel_cv=replace(NONE, k1=0.5),
        gradient_amplitude=replace(NONE, k1=1.0),
    )
    found = simulate(parameters, seed=0)
    assert found.pearson_r() == pytest.approx(1.0, abs=1e-12)
    np.testing.assert_allclose(np.array(found.pearson_r_per_cluster()), 1.0, atol=1e-12)


def test_coupled_rates_keep_the_ratio_and_independent_ones_keep_its_mean() -> None:
    ratio = PerRate(k1=6, k2=1, k3=4, k4=30, vb=1)
    parameters = replace(
        SMALL,
        voxels=20_000,
        pet_to_therapy_ratio=ratio,
        voxel_cv=PerRate(**dict.fromkeys(vars(ratio), 0.1)),
    )
    coupled = simulate(parameters, seed=0)
    for pet, therapy, one in zip(
        coupled.pet.in_a_row(), coupled.therapy.in_a_row(), ratio.row(), strict=True
    ):
        np.testing.assert_allclose(pet / therapy, one)
    apart = simulate(replace(parameters, draws="independent"), seed=0)
    for pet, therapy, one in zip(
        apart.pet.in_a_row(), apart.therapy.in_a_row(), ratio.row(), strict=True
    ):
        assert abs(np.corrcoef(pet, therapy)[0, 1]) < 0.03
        assert pet.mean() / therapy.mean() == pytest.approx(one, rel=0.01)


def test_gradient_rises_towards_each_centre() -> None:
    for form, middle in (("linear", 1.25), ("quadratic", 1.375)):
        parameters = replace(
            SMALL,
            gradient_form=form,  # type: ignore[arg-type]
            gradient_amplitude=replace(NONE, k3=0.5),
        )
        found = simulate(parameters, seed=0)
        share, k3 = found.organ.radius_share, found.pet.k3_per_min / BASE.k3_per_min
        assert k3[share == 0] == pytest.approx([1.5, 1.5])
        assert k3[share == 1].max() == pytest.approx(1.0)
        assert np.interp(0.5, *np.array(sorted(zip(share, k3, strict=True))).T) == pytest.approx(
            middle, abs=0.02
        )


def test_patients_spread_is_shared_by_all_voxels() -> None:
    parameters = replace(SMALL, patient_cv=replace(NONE, k1=0.3))
    k1 = [np.unique(simulate(parameters, seed=s).pet.k1_ml_per_min_per_ml) for s in range(5)]
    assert all(len(one) == 1 for one in k1)
    assert len(np.unique(k1)) == 5


def test_dose_does_not_depend_on_the_number_of_voxels() -> None:
    doses = [simulate(replace(SMALL, voxels=n), seed=0).dose_gy.mean() for n in (40, 999)]
    assert doses[0] == pytest.approx(doses[1])


def test_same_seed_same_organ_and_another_seed_another() -> None:
    parameters = with_voxels(read_preset("correlated"), 500).parameters
    first, again, other = (simulate(parameters, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.dose_gy, again.dose_gy)
    assert not np.array_equal(first.dose_gy, other.dose_gy)


@pytest.mark.parametrize("name", preset_names())
def test_parts_add_up_to_one_minus_r_squared_of_the_images(name: str) -> None:
    found = simulate(with_voxels(read_preset(name), 1000).parameters, seed=1)
    images, parts = imaged(found)
    assert parts.total == pytest.approx(1 - images.pearson_r() ** 2, abs=1e-12)
    assert parts.kinetics == pytest.approx(1 - found.pearson_r() ** 2, abs=1e-12)


def test_perfect_scanners_add_nothing() -> None:
    parameters = replace(
        with_voxels(read_preset("varied"), 1000).parameters,
        pet_fwhm_mm=0.0,
        spect_fwhm_mm=0.0,
        pet_noise_cv=0.0,
        spect_noise_cv=0.0,
    )
    images, parts = imaged(simulate(parameters, seed=1))
    assert parts.resolution == 0
    assert parts.noise == 0
    assert images.pearson_r() == simulate(parameters, seed=1).pearson_r()


def test_noise_has_its_size() -> None:
    parameters = replace(SMALL, voxels=20_000, pet_fwhm_mm=0.0, pet_noise_cv=0.2)
    found = simulate(parameters, seed=0)
    images, _ = imaged(found)
    noise = images.suv_g_per_ml - found.suv_g_per_ml
    assert noise.std() / found.suv_g_per_ml.mean() == pytest.approx(0.2, rel=0.03)


def test_a_uniform_organ_that_goes_on_looks_uniform_and_a_cold_rim_dims_it() -> None:
    found = simulate(SMALL, seed=0)
    fwhm = {"pet_fwhm_mm": 6.0, "spect_fwhm_mm": 12.0}
    alike = blurred_images(found, surroundings="alike", **fwhm)
    np.testing.assert_allclose(alike.suv_g_per_ml, found.suv_g_per_ml)
    np.testing.assert_allclose(alike.dose_gy, found.dose_gy)
    cold = blurred_images(found, surroundings="cold", **fwhm)
    rim = found.organ.radius_share > 0.9
    assert cold.dose_gy[rim].mean() < 0.8 * found.dose_gy.mean()


def test_blur_averages_away_what_each_voxel_has_alone_but_not_correlated_fields() -> None:
    parameters = with_voxels(read_preset("varied"), 4000).parameters
    r = np.mean([r_at_resolutions(parameters, seed=seed) for seed in range(3)], axis=0)
    sharp, clinical = SPECT_FWHM_MM.index(0.0), SPECT_FWHM_MM.index(12.0)
    np.testing.assert_allclose(r[:, sharp, 0], r[:, sharp, 1])
    assert r[0, clinical].min() > 0.8  # alone
    assert r[-1, clinical, 1] < 0.7  # 30 mm, no rim
    assert r[0, clinical, 0] > r[-1, clinical, 0]


def test_suv_at_the_studys_time_gives_the_studys_r() -> None:
    found = simulate(with_voxels(read_preset("heterogeneous"), 1000).parameters, seed=0)
    r = r_at_suv_times(found)[SUV_TIMES_MIN.index(60.0)]
    assert r == pytest.approx([found.pearson_r(), *found.pearson_r_per_cluster()])


def test_a_short_frame_is_an_instant() -> None:
    instant = simulate(SMALL, seed=0).suv_g_per_ml
    frame = simulate(replace(SMALL, pet_frame_min=0.1), seed=0).suv_g_per_ml
    np.testing.assert_allclose(frame, instant, rtol=1e-4)


@pytest.mark.parametrize("length_min", [10.0, 60.0, 120.0])
def test_a_frame_is_the_mean_of_its_instants_weighted_with_the_decay(length_min: float) -> None:
    found = simulate(replace(SMALL, voxels=40, pet_frame_min=length_min), seed=0)
    instant = replace(found.parameters, pet_frame_min=0.0)
    edges = np.linspace(60.0 - length_min / 2, 60.0 + length_min / 2, 13)

    def counted(time: np.ndarray) -> np.ndarray:
        suv = np.stack([suv_at(instant, found.pet, time_min=t) for t in time], axis=1)
        return suv * 2 ** (-time / 67.71)

    of_ones = quadrature(lambda time: 2 ** (-time / 67.71), edges)
    expected = quadrature(counted, edges) / of_ones
    np.testing.assert_allclose(found.suv_g_per_ml, expected, rtol=1e-9)


def test_every_number_that_is_not_0_is_moved_by_20_percent() -> None:
    parameters = with_voxels(read_preset("varied"), 200).parameters
    names = movable(parameters)
    assert {"pet_rates.k4_per_min", "voxel_cv", "voxel_cv.vb", "weight_kg", "voxels"} <= set(names)
    assert "correlation_length_mm" not in names  # it is 0
    assert moved(parameters, "pet_rates.k4_per_min", 1.2).pet_rates.k4_per_min == 1.2 * 0.01
    assert moved(parameters, "voxel_cv", 0.8).voxel_cv.row() == pytest.approx(0.8 * 0.09)
    assert moved(parameters, "voxels", 1.2).voxels == 240
    r = r_of_moved(parameters, seed=0)
    assert r.shape == (len(names), 2, 3)
    assert np.isfinite(r).all()
    base = simulate(parameters, seed=0).pearson_r()
    # A factor on all doses or on all SUV changes no r.
    for name in ("administered_activity_mbq", "s_mgy_per_mbq_s", "weight_kg"):
        np.testing.assert_allclose(r[names.index(name), :, 0], base)
    assert np.ptp(r[names.index("ratio_cv"), :, 0]) > 0.02


def test_pearson_and_fisher_are_scipys() -> None:
    rng = np.random.default_rng(0)
    suv = rng.standard_normal(50)
    dose = suv + rng.standard_normal(50)
    theirs = pearsonr(suv, dose)
    assert pearson_r(suv, dose) == pytest.approx(theirs.statistic)
    assert fisher_interval(pearson_r(suv, dose), 50) == pytest.approx(
        tuple(theirs.confidence_interval(0.95))
    )
    assert fisher_interval(1.0, 50) == (1.0, 1.0)
    assert np.isnan(pearson_r(np.full(50, 0.1), dose))


def test_presets_say_what_they_are_and_why_they_are_not_unique() -> None:
    assert set(PAPER_PRESETS) | {"opposed"} <= set(preset_names())
    for name in preset_names():
        preset = read_preset(name)
        assert preset.description.endswith(".")
        assert len(preset.why_not_unique.split()) > 8


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"pet_rates": "2"}, "mine: parameters.pet_rates: .* got '2'"),
        ({"voxel_cv": {"k1": 0.1}}, "voxel_cv.k2: Field required"),
        ({"voxel_cv": {**vars(NONE), "k9": 0.1}}, "voxel_cv.k9: Unexpected"),
        ({"voxel_cv": {**vars(NONE), "k1": -0.1}}, r"voxel_cv.k1 must be from 0 to 10, got -0.1"),
        (
            {"gradient_amplitude": {**vars(NONE), "k1": -1.5}},
            "gradient_amplitude.k1 must be from -1 to 1000",
        ),
        ({"pet_to_therapy_ratio": {**vars(SAME), "k4": 0.0}}, "pet_to_therapy_ratio.k4 must be"),
        ({"pet_rates": {**vars(BASE), "vb": 1.0}}, "vb must be at least 0 and below 1"),
        ({"pet_rates": {**vars(BASE), "k2_per_min": -1.0}}, "k2_per_min must be finite"),
        ({"weight_kg": 0.0}, "weight_kg must be from 1 to 1000 kg, got 0.0 kg"),
        ({"weight_kg": "80"}, "weight_kg: .* valid number, got '80'"),
        ({"weight_kg": True}, "weight_kg: .* valid number, got True"),
        ({"voxels": 4000.5}, "voxels: .* valid integer"),
        ({"voxels": 39}, r"voxels must be from 40 to 1e\+06"),
        ({"draws": "both"}, "draws: .* 'coupled' or 'independent', got 'both'"),
        ({"colour": 1}, "parameters.colour: Unexpected"),
        ({"suv_time_min": 1e300}, "suv_time_min must be from 0.01 to 1440 min, got 1e"),
        ({"pet_to_therapy_ratio": {**vars(SAME), "k1": 1e-300}}, "pet_to_therapy_ratio.k1 must be"),
        ({"second_ratio_factor": {**vars(SAME), "k4": 1e300}}, "second_ratio_factor.k4 must be"),
        ({"gradient_amplitude": {**vars(NONE), "k3": 1e200}}, "gradient_amplitude.k3 must be"),
        ({"pet_rates": {**vars(BASE), "k3_per_min": 1e9}}, "k3_per_min must be from 0 to 100"),
        ({"weight_kg": 10**400}, "weight_kg"),
        ({"pet_frame_min": 121.0}, "pet_frame_min must be at most 120 min"),
        ({"pet_fwhm_mm": float("nan")}, "pet_fwhm_mm must be from 0 to 40 mm, got nan"),
    ],
)
def test_bad_parameters_are_refused_with_a_sentence(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        preset_of({"pet_rates": vars(BASE)} | changes, name="mine")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"second_subtissue_factor": replace(SAME, vb=20.0)}, "mean V_b of the PET .* got 2: "),
        ({"gradient_amplitude": replace(NONE, vb=10.0)}, "mean V_b of the PET .* got 1.1"),
        ({"pet_to_therapy_ratio": replace(SAME, vb=0.05)}, "mean V_b of the therapy .* got 2: "),
        ({"organ_mass_g": 0.1, "voxels": 100_000}, "grid .* must have at most 20,000,000 points"),
    ],
)
def test_organs_that_cannot_be_are_refused_before_any_draw(
    changes: dict[str, object], words: str
) -> None:
    # With a spread the draws would cut V_b off at 1, and nobody would see it.
    wide = replace(SMALL, voxel_cv=replace(NONE, vb=0.1), **changes)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=words):
        simulate(wide, seed=0)


def test_a_patients_factor_keeps_blood_below_the_whole() -> None:
    parameters = replace(SMALL, pet_rates=replace(BASE, vb=0.9), patient_cv=replace(NONE, vb=0.5))
    vb = [simulate(parameters, seed=seed).pet.vb.max() for seed in range(20)]
    assert max(vb) < 1
    assert len(np.unique(vb)) == 20


def test_results_too_large_for_the_files_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rpt_kinetics.simulation.LARGEST", 10.0)
    with pytest.raises(ValueError, match=r"Every voxel's SUV \(g/mL\) must be finite and below 10"):
        simulate(SMALL, seed=0)


def test_the_widest_parameters_that_are_allowed_stay_finite() -> None:
    high = {name: limits[1] for name, limits in LIMITS.items() if not name.endswith("fwhm_mm")}
    parameters = replace(
        SMALL,
        **high | {"pet_frame_min": 0.0, "correlation_length_mm": 0.0},
        pet_to_therapy_ratio=PerRate(k1=1e-4, k2=1e6, k3=1e6, k4=1e6, vb=1.0),
        ratio_cv=PerRate(k1=10.0, k2=10.0, k3=10.0, k4=10.0, vb=0.0),
        voxel_cv=PerRate(k1=10.0, k2=10.0, k3=10.0, k4=10.0, vb=10.0),
        distribution="log_normal",
    )
    found = simulate(parameters, seed=0)
    assert np.isfinite([found.suv_g_per_ml, found.dose_gy]).all()
    assert np.isfinite(found.pearson_r())


def test_the_dip_at_4_mm_comes_from_unequal_blur() -> None:
    found = simulate_first("homogeneous")

    def r(pet_fwhm_mm: float) -> float:
        return blurred_images(
            found, pet_fwhm_mm=pet_fwhm_mm, spect_fwhm_mm=4.0, surroundings="cold"
        ).pearson_r()

    assert r(2.0) < found.pearson_r() - 0.02
    assert r(4.0) > found.pearson_r()


def test_missing_rates_are_refused() -> None:
    with pytest.raises(ValueError, match="pet_rates: Field required"):
        preset_of({}, name="mine")
