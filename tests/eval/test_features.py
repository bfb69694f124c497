"""SUV features against closed forms; the record; what a regressor is given."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rpt_cohort import BadInput, CycleInfo
from rpt_eval.organ_dose import (
    laboratory_units,
    organ_fault,
    record_features,
    regressor_input,
    sphere_weights,
    suv_features,
    suv_peak,
)

RADIUS_MM = (3000 / (4 * np.pi)) ** (1 / 3)  # of 1 mL
ROTATION = np.array([[0.8, -0.6, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, 1.0]])


def affine(*spacing_mm: float, rotation: np.ndarray | None = None) -> np.ndarray:
    made = np.eye(4)
    made[:3, :3] = (np.eye(3) if rotation is None else rotation) * np.array(spacing_mm)
    return made


def cycle(**changes: object) -> CycleInfo:
    content = {"patient": "P001", "cycle": 1, "tracer": "68Ga-PSMA-11"}
    content |= {"therapy": "177Lu-PSMA-617", "pet_activity_mbq": 150.0, "weight_kg": 80.0}
    content |= {"administered_activity_mbq": 7400.0, "height_cm": 175.0, "age_y": 70.0}
    content |= {"laboratory": {}, "pet_time_min": 60.0, "spect_times_h": [24.0]}
    return CycleInfo.model_validate({**content, "how": {}, "provenance": {}, **changes})


def test_features_of_known_values() -> None:
    suv = np.zeros((30, 10, 10), dtype=np.float32)
    organ = np.zeros(suv.shape, dtype=bool)
    organ[5:26, 5, 5] = True
    suv[5:26, 5, 5] = np.arange(21)  # 0 … 20
    found = suv_features(suv, organ, affine(2.0, 3.0, 5.0, rotation=ROTATION))
    assert next(iter(found)) == "suv_mean_g_per_ml"  # regressors that see one feature see this
    assert found["suv_mean_g_per_ml"] == pytest.approx(10.0)
    assert found["suv_max_g_per_ml"] == 20.0
    assert found["suv_sd_g_per_ml"] == pytest.approx(np.sqrt((21**2 - 1) / 12))
    for percent in (10, 25, 50, 75, 90):
        assert found[f"suv_p{percent}_g_per_ml"] == pytest.approx(percent / 5)
    assert found["volume_ml"] == pytest.approx(21 * 2 * 3 * 5 / 1000)
    assert found["total_uptake_g"] == pytest.approx(10.0 * 0.63)


@pytest.mark.parametrize("rotation", [None, ROTATION])
@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0, 1.0), (2.0, 2.5, 3.0), (4.8, 4.8, 4.8)])
def test_the_peak_s_sphere_holds_one_millilitre(spacing_mm, rotation) -> None:
    weights = sphere_weights(affine(*spacing_mm, rotation=rotation))
    assert weights.sum() == pytest.approx(1.0)
    assert np.allclose(weights, weights[::-1, ::-1, ::-1])
    # A voxel wholly inside weighs its volume over the sphere's, 1 mL; 8³ points
    # a voxel find the sphere's volume within 2 %.
    assert weights.max() == pytest.approx(np.prod(spacing_mm) / 1000, rel=0.02)


def test_a_voxel_larger_than_the_sphere_is_the_sphere() -> None:
    assert sphere_weights(affine(20.0, 20.0, 20.0)).tolist() == [[[1.0]]]


def test_the_peak_of_a_paraboloid() -> None:
    # Mean of 50 − r²/4 over a ball of radius R: 50 − (3/5) R²/4.
    grid_mm = np.moveaxis(np.indices((41, 41, 41)), 0, -1) - 20.0
    suv = np.clip(50.0 - (grid_mm**2).sum(-1) / 4, 0, None).astype(np.float32)
    organ = (grid_mm**2).sum(-1) <= 4**2
    assert suv_peak(suv, organ, affine(1.0, 1.0, 1.0)) == pytest.approx(
        50.0 - 0.6 * RADIUS_MM**2 / 4, abs=0.08
    )  # the voxels' own extent adds 1/16


def test_the_peak_reaches_beyond_the_organ_but_not_beyond_the_volume() -> None:
    suv = np.full((6, 6, 6), 3.0, dtype=np.float32)
    organ = np.zeros(suv.shape, dtype=bool)
    organ[0, 0, 0] = True
    assert suv_peak(suv, organ, affine(4.8, 4.8, 4.8)) == pytest.approx(3.0)
    suv[1, 0, 0] = 300.0
    assert suv_peak(suv, organ, affine(4.8, 4.8, 4.8)) > 10.0


@settings(max_examples=20, deadline=None)
@given(st.floats(0.01, 100.0), st.integers(0, 2**32 - 1))
def test_uptake_scales_with_the_pet_and_volume_does_not(factor: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    suv = rng.random((7, 6, 5))
    organ = rng.random(suv.shape) < 0.5
    organ[3, 3, 3] = True
    before, after = (suv_features(s, organ, affine(3.0, 4.0, 5.0)) for s in (suv, factor * suv))
    scale = {name: 1.0 if name == "volume_ml" else factor for name in before}
    assert after == pytest.approx({name: scale[name] * before[name] for name in before})


def test_an_organ_that_cannot_be_described_says_why() -> None:
    suv = np.ones((5, 5, 5), dtype=np.float32)
    organ = np.zeros(suv.shape, dtype=bool)
    assert organ_fault(suv, organ) == "absent from the PET"
    organ.flat[:19] = True
    assert organ_fault(suv, organ) == "19 voxels in the PET, fewer than 20"
    organ.flat[:20] = True
    assert organ_fault(suv, organ) is None
    assert organ_fault(0 * suv, organ) == "mean SUV of 0 g/mL"


def test_the_record_keeps_what_is_missing_missing() -> None:
    psa = {"PSA": {"value": 30.0, "unit": "ng/mL"}}
    cycles = [cycle(laboratory=psa), cycle(height_cm=None, age_y=None)]
    units = laboratory_units(cycles)
    assert units == {"PSA": "ng/mL"}
    first, second = (record_features(one, units) for one in cycles)
    assert list(first) == list(second)
    assert first["laboratory: PSA (ng/mL)"] == 30.0
    assert {name for name, value in second.items() if np.isnan(value)} == {
        "height_cm",
        "age_y",
        "laboratory: PSA (ng/mL)",
    }


def test_a_laboratory_value_in_two_units_is_refused() -> None:
    units = ("mg/dL", "µmol/L")
    cycles = [cycle(laboratory={"creatinine": {"value": 1.0, "unit": unit}}) for unit in units]
    with pytest.raises(BadInput, match=r"'creatinine' .* got 'mg/dL' and 'µmol/L'"):
        laboratory_units(cycles)


def test_a_power_law_becomes_a_line_and_nothing_becomes_infinite() -> None:
    rows = [
        {"suv_mean_g_per_ml": 0.0, "age_y": float("nan"), "laboratory: BE (mmol/L)": -2.0},
        {"suv_mean_g_per_ml": 5.0, "age_y": 70.0, "laboratory: BE (mmol/L)": 0.0},
    ]
    made = regressor_input(rows)
    assert made[:, 0].tolist() == pytest.approx([np.log(0.01), np.log(5.0)])
    assert np.isnan(made[0, 1])
    assert made[:, 2].tolist() == pytest.approx([np.arcsinh(-2.0), 0.0])
