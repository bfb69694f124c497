import numpy as np
import pytest
from rpt_phantom.grid import blurred_and_shifted, gaussian_field, torso_grid

GRID = torso_grid(64)


@pytest.mark.parametrize("correlation_length_mm", [6.0, 25.0])
def test_variance_is_one(correlation_length_mm: float) -> None:
    rng = np.random.default_rng(0)
    field = gaussian_field(GRID, rng, correlation_length_mm=correlation_length_mm)
    # About 128·128·64 / 5³ independent cells at 25 mm: 3 SD of the variance is 5 %.
    assert field.var() == pytest.approx(1.0, rel=0.05)
    assert field.mean() == pytest.approx(0.0, abs=0.05)


def test_autocorrelation_follows_the_formula() -> None:
    length_mm = 24.0  # five voxels
    field = gaussian_field(GRID, np.random.default_rng(1), correlation_length_mm=length_mm)
    for lag in (1, 2, 5, 10):
        measured = float((field * np.roll(field, lag, axis=0)).mean() / (field**2).mean())
        # exp(−d² / 4σ²), σ half the correlation length; chance leaves some 0.01.
        assert measured == pytest.approx(np.exp(-((lag * 4.8 / length_mm) ** 2)), abs=0.03)


def test_correlation_length_must_be_above_zero() -> None:
    with pytest.raises(ValueError, match="correlation_length_mm must be above 0 mm, got 0"):
        gaussian_field(GRID, np.random.default_rng(0), correlation_length_mm=0)


def test_blur_has_the_width_it_says_and_keeps_the_sum() -> None:
    point = np.zeros((41, 41, 41), np.float32)
    point[20, 20, 20] = 1.0
    image = blurred_and_shifted(point, (2.0, 2.0, 2.0), fwhm_mm=(12.0, 12.0, 8.0))
    assert image.sum() == pytest.approx(1.0, rel=1e-4)
    # At half the FWHM, 6 mm = 3 voxels or 4 mm = 2 voxels, a Gaussian is half its peak.
    assert image[23, 20, 20] / image[20, 20, 20] == pytest.approx(0.5, rel=0.01)
    assert image[20, 20, 22] / image[20, 20, 20] == pytest.approx(0.5, rel=0.01)


def test_shift_moves_the_middle_and_adds_no_blur() -> None:
    point = np.zeros((41, 41, 41), np.float32)
    point[20, 20, 20] = 1.0
    still, gone = (
        blurred_and_shifted(point, (2.0,) * 3, fwhm_mm=(9.0,) * 3, shift_mm=shift)
        for shift in ((0.0, 0.0, 0.0), (1.3, -0.7, 3.1))
    )
    at_mm = (np.arange(41) - 20) * 2.0
    for axis, shift_mm in enumerate((1.3, -0.7, 3.1)):
        along = gone.sum(axis=tuple(set(range(3)) - {axis}), dtype=np.float64)
        assert along @ at_mm == pytest.approx(shift_mm, abs=0.01)
        of_still = still.sum(axis=tuple(set(range(3)) - {axis}), dtype=np.float64)
        spread = along @ (at_mm - shift_mm) ** 2
        assert spread == pytest.approx(of_still @ at_mm**2, rel=0.01)


def test_body_goes_on_beyond_the_last_slice() -> None:
    column = np.ones((16, 16, 16), np.float32)
    blurred = blurred_and_shifted(column, (4.8,) * 3, fwhm_mm=(12.0,) * 3)
    assert blurred == pytest.approx(1.0, rel=1e-5)
