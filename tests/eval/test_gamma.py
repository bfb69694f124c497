"""The gamma index: identity, offsets, a shifted ramp, refusals."""

import builtins

import numpy as np
import pytest
from rpt_cohort import BadInput
from rpt_eval.metrics import gamma_pass_rate

SHAPE = (14, 9, 8)
SPACING_MM = (2.0, 2.5, 3.0)
X_MM = np.arange(SHAPE[0])[:, None, None] * SPACING_MM[0] + np.zeros(SHAPE)
WHOLE = np.ones(SHAPE, dtype=bool)


def rate(
    prediction: np.ndarray,
    reference: np.ndarray,
    *,
    dose_percent: float = 3.0,
    distance_mm: float = 3.0,
    region: np.ndarray = WHOLE,
    local: bool = False,
    cutoff_percent: float = 10.0,
) -> float:
    return gamma_pass_rate(
        prediction,
        reference,
        spacing_mm=SPACING_MM,
        region=region,
        dose_percent=dose_percent,
        distance_mm=distance_mm,
        local=local,
        cutoff_percent=cutoff_percent,
    )


def test_a_map_agrees_with_itself() -> None:
    dose = np.random.default_rng(0).uniform(0.1, 2.0, SHAPE).astype(np.float32)
    assert rate(dose, dose) == 100


@pytest.mark.parametrize(
    ("dose_percent", "expected"), [(6.0, 100.0), (5.0, 100.0), (4.9, 0.0), (3.0, 0.0)]
)
def test_uniform_offset_of_5_percent(dose_percent: float, expected: float) -> None:
    reference = np.full(SHAPE, 2.0)
    assert rate(1.05 * reference, reference, dose_percent=dose_percent) == expected


def test_global_is_of_the_maximum_and_local_of_each_voxel() -> None:
    reference = np.full(SHAPE, 1.0)
    reference[7:] = 2.0
    prediction = reference + 0.05  # 2.5 % of the maximum; 5 % of the lower half
    far = WHOLE.copy()
    far[4:10] = False  # no step within the search
    assert rate(prediction, reference, region=far) == 100
    upper_pct = 100 * far[7:].sum() / far.sum()
    assert rate(prediction, reference, region=far, local=True) == pytest.approx(upper_pct)


@pytest.mark.parametrize("slope", [0.05, 0.2, 0.6, 5.0])
def test_shifted_ramp(slope: float) -> None:
    """In a slope g a shift s has the gamma index s / √(Δd² + (ΔD / g)²)."""
    reference = 20.0 + slope * X_MM
    inner = WHOLE.copy()
    inner[:3] = inner[-3:] = False
    dose_criterion = 0.03 * reference[inner].max()
    limit_mm = np.hypot(3.0, dose_criterion / slope)
    for factor, expected in ((0.95, 100.0), (1.05, 0.0)):
        prediction = reference - slope * factor * limit_mm  # the ramp, so much further along x
        assert rate(prediction, reference, region=inner) == expected


def test_only_the_region_and_what_is_above_the_cutoff_is_rated() -> None:
    reference = np.full(SHAPE, 2.0)
    reference[:4] = 0.1
    prediction = reference.copy()
    prediction[:4] = 1.0
    prediction[8:] = 9.0
    region = WHOLE.copy()
    region[6:] = False
    assert rate(prediction, reference, region=region) == 100
    with_low_doses = rate(prediction, reference, region=region, cutoff_percent=4.0)
    assert with_low_doses == pytest.approx(100 * 2 / 6)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"distance_mm": 2.9}, "at least the longest voxel edge, 3 mm"),
        ({"distance_mm": np.inf}, "at least the longest voxel edge"),
        ({"distance_mm": np.nan}, "at least the longest voxel edge"),
        ({"dose_percent": 0.0}, "dose criterion above 0 %"),
        ({"dose_percent": np.nan}, "dose criterion above 0 %"),
        ({"cutoff_percent": 0.0}, "cutoff_percent must be above 0"),
        ({"cutoff_percent": 101.0}, "cutoff_percent must be above 0"),
        ({"region": ~WHOLE}, "must hold a reference dose above 0"),
    ],
)
def test_criteria_that_mean_nothing(changes: dict, fault: str) -> None:
    with pytest.raises(BadInput, match=fault):
        rate(np.ones(SHAPE), np.ones(SHAPE), **changes)


def test_no_dose_to_rate() -> None:
    with pytest.raises(BadInput, match="must hold a reference dose above 0"):
        rate(np.ones(SHAPE), np.zeros(SHAPE))


def test_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    really_import = builtins.__import__

    def without(name: str, *rest: object, **more: object) -> object:
        if name == "pymedphys":
            raise ImportError(name)
        return really_import(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(BadInput, match=r"pip install 'rpt-eval\[gamma\]'"):
        rate(np.ones(SHAPE), np.ones(SHAPE))
