import numpy as np
import pytest
from rpt_phantom.anatomy import Body, shipped_atlas
from rpt_phantom.grid import torso_grid
from rpt_phantom.pet import (
    PET_FWHM_MM,
    attenuation_correction,
    pet_image,
    relative_positrons,
    with_noise,
)
from rpt_phantom.truth import patient_box

PAPER = {"activity_mbq": 118.4, "weight_kg": 78.7, "time_min": 60.0}


def test_paper_scan_counts_one() -> None:
    assert relative_positrons("68Ga-PSMA-11", **PAPER) == pytest.approx(1.0)


def test_later_less_and_heavier_counts_less() -> None:
    later = relative_positrons("68Ga-PSMA-11", **PAPER | {"time_min": 60.0 + 67.71})
    assert later == pytest.approx(0.5)
    heavier = relative_positrons("68Ga-PSMA-11", **PAPER | {"weight_kg": 118.05})
    assert heavier == pytest.approx(1 / 1.5)
    fluorine = relative_positrons("18F-PSMA-1007", **PAPER)
    # 0.967 / 0.891 · 2^(−60/109.77 + 60/67.71)
    assert fluorine == pytest.approx(1.373, rel=1e-3)


def test_noise_grows_with_the_root_of_the_mean() -> None:
    grid = torso_grid(16)

    def std(suv: float, relative_counts: float) -> float:
        flat, rng = np.full(grid.shape, suv, np.float32), np.random.default_rng(0)
        return float(with_noise(flat, grid, rng, relative_counts=relative_counts).std())

    assert std(20.0, 1.0) / std(5.0, 1.0) == pytest.approx(2.0, rel=0.01)
    assert std(5.0, 1.0) / std(5.0, 4.0) == pytest.approx(2.0, rel=0.01)
    assert std(5.0, 1.0) / 5.0 == pytest.approx(0.12, rel=0.02)


def test_noise_is_largest_in_the_middle_of_a_large_body() -> None:
    """A water cylinder: exp(0.096/cm · chord) in the middle, as XCOM has it; less at its rim."""
    grid = torso_grid(16)
    x, y, _ = grid.axes_mm()

    def correction(radius_mm: float) -> np.ndarray:
        water = np.broadcast_to(x**2 + y**2 <= radius_mm**2, grid.shape).astype(np.float32)
        return attenuation_correction(water, grid)[:, 64, 8]

    large, small = correction(180.0), correction(120.0)
    assert large[64] == pytest.approx(np.exp(0.096 * 36.0), rel=0.05)
    assert small[64] == pytest.approx(np.exp(0.096 * 24.0), rel=0.05)
    rim = int(64 + 170 / 4.8)
    assert 0.3 < large[rim] / large[64] < 0.7
    flat, rng = np.full(grid.shape, 5.0, np.float32), np.random.default_rng(0)
    counts = np.ones(grid.shape, np.float32)
    counts[:64] = 0.25  # four times corrected: half the counts' precision
    noisy = with_noise(flat, grid, rng, relative_counts=counts)
    assert noisy[:64].std() / noisy[64:].std() == pytest.approx(2.0, rel=0.03)


def test_point_is_as_wide_as_the_scanner_sees_it() -> None:
    box = patient_box(Body(shipped_atlas("man")), slices=20)
    point = np.zeros(box.fine.shape, np.float32)
    middle = tuple(n // 2 for n in box.fine.shape)
    point[middle] = 1e6
    air = np.zeros(box.fine.shape, np.float32)
    image = pet_image(point, air, box, np.random.default_rng(0), relative_counts=1e12)
    along = image.sum(axis=(1, 2), dtype=np.float64)
    x_mm = box.case.axes_mm()[0][:, 0, 0]
    mean = along @ x_mm / along.sum()
    variance = along @ (x_mm - mean) ** 2 / along.sum()
    # The Gaussian, and the mean over two voxels of 2.4 mm along each axis.
    expected = (PET_FWHM_MM / 2.3548) ** 2 + 2.4**2 * (2**2 - 1) / 12
    assert variance == pytest.approx(expected, rel=0.01)
