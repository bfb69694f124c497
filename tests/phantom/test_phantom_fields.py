import numpy as np
import pytest
from rpt_phantom.fields import blurred, gaussian_field
from rpt_phantom.grid import Grid, torso_grid

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
    grid = Grid((41, 41, 41), 2.0)
    point = np.zeros(grid.shape, np.float32)
    point[20, 20, 20] = 1.0
    image = blurred(point, grid, fwhm_mm=12.0)
    assert image.sum() == pytest.approx(1.0, rel=1e-4)
    # At half the FWHM, 6 mm = 3 voxels, a Gaussian is half its peak.
    assert image[23, 20, 20] / image[20, 20, 20] == pytest.approx(0.5, rel=0.01)


def test_body_goes_on_beyond_the_last_slice() -> None:
    grid = Grid((16, 16, 16), 4.8)
    column = np.ones(grid.shape, np.float32)
    assert blurred(column, grid, fwhm_mm=12.0) == pytest.approx(1.0, rel=1e-5)
