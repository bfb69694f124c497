"""Laws of the projections: means, scale, blur, and what cannot be scaled."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rpt_cohort import BadInput, Case
from rpt_eval.predictions import CycleMaps
from rpt_eval.projection import (
    METHODS,
    Recipe,
    blurred,
    constant_projection,
    dose_maps,
    fwhm_between_mm,
    least_squares_sums,
    organ_projection,
)

SPACING_MM = (2.0, 3.0, 5.0)


def maps_of(seed: int) -> CycleMaps:
    """A cycle of noise: spleen, two kidneys, liver and rest of body, partly out of view."""
    rng = np.random.default_rng(seed)
    organs = np.zeros((14, 12, 10), dtype=np.uint8)
    organs[1:13, 1:11] = 199
    organs[2:5, 2:6, 2:8], organs[6:9, 2:6, 2:8] = 5, 1
    organs[2:5, 7:10, 2:8], organs[6:9, 7:10, 2:8] = 2, 3
    known = np.ones(organs.shape, dtype=bool)
    known[:, :, :4] = False
    suv, dose = (rng.lognormal(size=organs.shape).astype(np.float32) for _ in range(2))
    names = ("image", "label", "ct", "organs", "fov")
    case = Case(
        **dict.fromkeys(names, "P001/C1/x"), patient="P001", cycle=1, administered_activity_mbq=7e3
    )
    affine = np.diag([*SPACING_MM, 1.0])
    return CycleMaps(case, suv, dose, organs, np.zeros_like(organs), known, affine)


RECIPE = Recipe(
    guided={"kidney": 0.6, "liver": 0.1},
    optimum={"kidney": 0.5, "liver": 0.2, "spleen": 0.3},
    population={"kidney": 0.55, "liver": 0.08, "spleen": 0.2},
    rest=0.01,
    factor=0.02,
    blurred_factor=0.03,
)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_organ_means_are_what_was_asked_and_elsewhere_the_factor_rules(seed: int) -> None:
    maps = maps_of(seed)
    made = {method: dose for method, dose, _ in dose_maps(maps, RECIPE, fwhm_mm=10.0)}
    assert list(made) == list(METHODS)
    kidney, spleen = np.isin(maps.organs, (2, 3)), maps.organs == 1
    for suffix in ("", "_blurred"):
        guided, optimum = made["organ_guided" + suffix], made["organ_optimum" + suffix]
        assert guided[kidney].mean(dtype=float) == pytest.approx(0.6)
        assert optimum[kidney & maps.known].mean(dtype=float) == pytest.approx(0.5)
        assert optimum[spleen & maps.known].mean(dtype=float) == pytest.approx(0.3)
        # One factor for the whole organ, in view or not.
        ratio = (guided / optimum)[kidney]
        assert np.allclose(ratio, ratio[0], rtol=1e-5)
    assert np.allclose(made["organ_guided"][spleen], 0.02 * maps.suv[spleen])
    rest = maps.organs == 199
    assert np.allclose(made["organ_optimum"][rest], made["pet_factor"][rest])
    smooth = blurred(maps.suv, SPACING_MM, fwhm_mm=10.0)
    assert np.allclose(made["organ_guided_blurred"][rest], 0.03 * smooth[rest])
    assert set(np.unique(made["population_mean"])) == set(np.float32([0, 0.01, 0.08, 0.2, 0.55]))
    assert not made["population_mean"][maps.organs == 0].any()
    assert not made["all_zero"].any()


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(1e-3, 1e3))
def test_within_organs_the_pet_s_scale_does_not_matter(seed: int, scale: float) -> None:
    maps = maps_of(seed)
    where = {"liver": maps.organs == 5}
    dose, scaled = (
        organ_projection(suv, where, {"liver": 0.1}, over=maps.known, factor=0.02)[0]
        for suv in (maps.suv, maps.suv * np.float32(scale))
    )
    assert np.allclose(dose[where["liver"]], scaled[where["liver"]], rtol=1e-5)
    assert np.allclose(scale * dose[~where["liver"]], scaled[~where["liver"]], rtol=1e-5)


def test_without_blur_blurred_is_sharp() -> None:
    recipe = Recipe(**{**vars(RECIPE), "blurred_factor": RECIPE.factor})
    made = {method: dose for method, dose, _ in dose_maps(maps_of(0), recipe, fwhm_mm=0.0)}
    for method in ("organ_guided", "organ_optimum"):
        assert np.array_equal(made[method], made[method + "_blurred"])


def test_nothing_of_the_dose_is_used() -> None:
    maps = maps_of(0)
    other = CycleMaps(**{**vars(maps), "dose": 7 * maps.dose + 1})
    for (_, dose, _), (_, same, _) in zip(
        dose_maps(maps, RECIPE, fwhm_mm=8.0), dose_maps(other, RECIPE, fwhm_mm=8.0), strict=True
    ):
        assert np.array_equal(dose, same)


def test_an_organ_without_uptake_keeps_the_factor_and_is_told() -> None:
    maps = maps_of(0)
    maps.suv[maps.organs == 5] = 0.0
    told = {method: left for method, _, left in dose_maps(maps, RECIPE, fwhm_mm=0.0)}
    assert told["organ_guided"] == told["organ_optimum"] == ["liver"]
    dose, left = organ_projection(
        maps.suv, {"liver": maps.organs == 77}, {"liver": 0.1}, over=maps.known, factor=0.02
    )
    assert left == ["liver"]
    assert np.array_equal(dose, maps.suv * np.float32(0.02))


def test_blur_has_the_width_it_says_on_any_voxel_and_keeps_the_sum() -> None:
    point = np.zeros((61, 51, 41), dtype=np.float32)
    point[30, 25, 20] = 1.0
    smooth = blurred(point, SPACING_MM, fwhm_mm=10.0).astype(float)
    assert smooth.sum() == pytest.approx(1.0, abs=1e-4)
    for axis, mm in enumerate(SPACING_MM):
        profile = smooth.sum(axis=tuple({0, 1, 2} - {axis}))
        position_mm = (np.arange(profile.size) - profile.size // 2) * mm
        variance_mm2 = (profile * position_mm**2).sum() / profile.sum()
        # sampled and cut at 4 sigma: within 1 %
        assert np.sqrt(8 * np.log(2) * variance_mm2) == pytest.approx(10.0, rel=0.01)


def test_blur_leaves_an_even_pet_even_up_to_the_edge() -> None:
    even = np.full((5, 6, 7), 3.0, dtype=np.float32)
    assert np.allclose(blurred(even, SPACING_MM, fwhm_mm=12.0), 3.0)


def test_resolutions_add_in_quadrature() -> None:
    assert fwhm_between_mm(spect_fwhm_mm=13.0, pet_fwhm_mm=5.0) == pytest.approx(12.0)
    assert fwhm_between_mm(spect_fwhm_mm=7.3, pet_fwhm_mm=7.3) == 0.0


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan"), float("inf")])
def test_an_impossible_resolution_is_refused(bad: float) -> None:
    with pytest.raises(BadInput, match="--spect-fwhm-mm must be a finite number above 0 mm"):
        fwhm_between_mm(spect_fwhm_mm=bad, pet_fwhm_mm=6.0)
    with pytest.raises(BadInput, match="--pet-fwhm-mm must be a finite number above 0 mm"):
        fwhm_between_mm(spect_fwhm_mm=12.0, pet_fwhm_mm=bad)


def test_a_pet_cannot_be_sharpened() -> None:
    with pytest.raises(BadInput, match="got 6 mm and 12 mm"):
        fwhm_between_mm(spect_fwhm_mm=6.0, pet_fwhm_mm=12.0)


def test_the_factor_minimises_the_squared_error() -> None:
    maps = maps_of(1)
    body = maps.known & (maps.organs > 0)
    product, square = least_squares_sums(maps.suv, maps.dose, body)
    fitted, *_ = np.linalg.lstsq(
        maps.suv[body].astype(float)[:, None], maps.dose[body].astype(float)
    )
    assert product / square == pytest.approx(fitted[0])


def test_a_constant_projection_gives_an_unknown_organ_the_rest_s_dose() -> None:
    organs = np.array([[[0, 199, 5, 1]]], dtype=np.uint8)
    dose = constant_projection(organs, {"liver": 0.1}, rest_gy_per_gbq=0.02)
    assert dose.ravel().tolist() == pytest.approx([0.0, 0.02, 0.1, 0.02])
