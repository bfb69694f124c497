"""Recovery of boxes and spheres against their integrals."""

import math

import numpy as np
import pytest
from rpt_dosimetry.dose.rows import FWHM_PER_SD, recovery_coefficient
from scipy.integrate import quad
from scipy.stats import norm


def sphere_mask(radius_mm: float, spacing_mm) -> np.ndarray:
    axes = [np.arange(-40, 41) * step for step in spacing_mm]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    return x**2 + y**2 + z**2 <= radius_mm**2


def sphere_recovery(radius_mm: float, fwhm_mm: float) -> float:
    """Mean over a sphere of itself blurred: its pair-distance distribution under a Gaussian.

    Two points at distance r: γ(r) = 1 − 3r/4R + r³/16R³ of the sphere's volume overlaps with
    itself moved by r (the covariogram of a ball).
    """
    sd = fwhm_mm / FWHM_PER_SD

    def integrand(r: float) -> float:
        gamma = 1 - 3 * r / (4 * radius_mm) + r**3 / (16 * radius_mm**3)
        density = math.exp(-0.5 * (r / sd) ** 2) / (math.sqrt(2 * math.pi) * sd) ** 3
        return 4 * math.pi * r**2 * gamma * density

    return quad(integrand, 0, 2 * radius_mm, points=[min(sd, radius_mm)])[0]


@pytest.mark.parametrize(("radius_mm", "fwhm_mm"), [(12, 10), (20, 12), (30, 10), (30, 15)])
@pytest.mark.parametrize("spacing_mm", [(1.5, 1.5, 1.5), (1.2, 2.0, 1.6)])
def test_sphere(radius_mm, fwhm_mm, spacing_mm) -> None:
    # The mask's own volume differs from the sphere's, by which the radius is corrected.
    mask = sphere_mask(radius_mm, spacing_mm)
    volume_mm3 = mask.sum() * np.prod(spacing_mm)
    radius = (3 * volume_mm3 / (4 * math.pi)) ** (1 / 3)
    expected = sphere_recovery(radius, fwhm_mm)
    # A stair-cased surface is larger than the sphere's, but over the blur that averages out.
    got = recovery_coefficient(mask, spacing_mm=spacing_mm, fwhm_mm=fwhm_mm)
    assert got == pytest.approx(expected, rel=0.01)


def test_box_is_exact() -> None:
    # ∫∫ over [0, L]² of a Gaussian of x − y, / L: 2 [L Φ(L/σ) − L/2 + σ (φ(L/σ) − φ(0))] / L
    spacing_mm, counts, fwhm_mm = (4.8, 3.0, 2.0), (4, 7, 3), 9.0
    sd = fwhm_mm / FWHM_PER_SD
    mask = np.zeros((10, 12, 9), dtype=bool)
    mask[3:7, 2:9, 4:7] = True
    expected = 1.0
    for step, count in zip(spacing_mm, counts, strict=True):
        side = step * count
        u = side / sd
        expected *= 2 * (norm.cdf(u) - 0.5 + (norm.pdf(u) - norm.pdf(0)) / u)
    got = recovery_coefficient(mask, spacing_mm=spacing_mm, fwhm_mm=fwhm_mm)
    assert got == pytest.approx(expected, rel=1e-5)


def test_limits() -> None:
    mask = np.zeros((9, 9, 9), dtype=bool)
    mask[2:7, 2:7, 2:7] = True
    sharp = recovery_coefficient(mask, spacing_mm=(4.0, 4.0, 4.0), fwhm_mm=0.01)
    assert sharp == pytest.approx(1.0, abs=2e-3)
    values = [recovery_coefficient(mask, spacing_mm=(4, 4, 4), fwhm_mm=f) for f in (5, 10, 20)]
    assert values == sorted(values, reverse=True)


def test_a_mask_at_the_edge_is_as_one_inside() -> None:
    inner = np.zeros((12, 12, 12), dtype=bool)
    inner[4:8, 4:8, 4:8] = True
    outer = np.roll(inner, -4, axis=0)
    kwargs = {"spacing_mm": (4.0, 4.0, 4.0), "fwhm_mm": 12.0}
    assert recovery_coefficient(outer, **kwargs) == recovery_coefficient(inner, **kwargs)


def test_kidney_of_published_size() -> None:
    # Measured in clinics: 0.77–0.85 at 10–12 mm; an ellipsoid of 11 × 6 × 4.5 cm, 156 mL
    axes = [np.arange(-n, n + 1) * 2.0 for n in (30, 20, 20)]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    mask = (x / 55) ** 2 + (y / 30) ** 2 + (z / 22.5) ** 2 <= 1
    for fwhm_mm in (10.0, 12.0):
        assert 0.75 < recovery_coefficient(mask, spacing_mm=(2.0, 2.0, 2.0), fwhm_mm=fwhm_mm) < 0.87


@pytest.mark.parametrize(("voxels", "fwhm_mm"), [(0, 10.0), (1, 0.0), (1, -1.0)])
def test_impossible(voxels, fwhm_mm) -> None:
    mask = np.zeros((2, 2, 2), dtype=bool)
    mask.ravel()[:voxels] = True
    with pytest.raises(ValueError, match="must"):
        recovery_coefficient(mask, spacing_mm=(1, 1, 1), fwhm_mm=fwhm_mm)
