"""Propagation of uncertainty, against a blurred sphere computed on a grid and by chance."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rpt_cohort import BadInput
from rpt_dosimetry.tia.uncertainty import (
    FWHM_PER_SIGMA,
    combine,
    counts_exponent,
    diameter_mm,
    recovery_coefficient,
    recovery_exponent,
    volume_exponent,
    volume_relative_sd,
)
from scipy.special import erf

SIZES = {"volume_ml": 150.0, "voxel_mm": 4.8, "fwhm_mm": 12.0}


def blurred(at_mm: np.ndarray, radius_mm: float, sigma_mm: float) -> np.ndarray:
    """Density of a blurred unit sphere at a distance from its centre."""
    a, b = (radius_mm - at_mm) / sigma_mm, (radius_mm + at_mm) / sigma_mm
    edge = np.exp(-0.5 * a**2) - np.exp(-0.5 * b**2)
    error = 0.5 * (erf(a / math.sqrt(2)) + erf(b / math.sqrt(2)))
    return error - sigma_mm / (at_mm * math.sqrt(2 * math.pi)) * edge


def counts_inside(radius_mm: float, object_mm: float, sigma_mm: float) -> float:
    at_mm = np.linspace(1e-4, radius_mm, 20_001)
    return float(np.trapezoid(4 * np.pi * at_mm**2 * blurred(at_mm, object_mm, sigma_mm), at_mm))


@pytest.mark.parametrize("size_mm", [8.0, 20.0, 66.0])
def test_the_blurred_sphere_against_its_integral(size_mm) -> None:
    fwhm_mm, radius = 12.0, size_mm / 2
    sigma = fwhm_mm / FWHM_PER_SIGMA

    def recovery(r: float) -> float:
        return counts_inside(r, r, sigma) / (4 / 3 * math.pi * r**3)

    found = recovery_coefficient(diameter_mm=size_mm, fwhm_mm=fwhm_mm)
    assert found == pytest.approx(recovery(radius), rel=1e-5)
    step = 1e-2
    by_volume = math.log((radius + step) / (radius - step)) * 3
    slope = math.log(recovery(radius + step) / recovery(radius - step)) / by_volume
    assert recovery_exponent(diameter_mm=size_mm, fwhm_mm=fwhm_mm) == pytest.approx(slope, rel=1e-3)
    # The outline moves over an object that stays.
    counts = [counts_inside(radius + move, radius, sigma) for move in (step, -step)]
    expected = math.log(counts[0] / counts[1]) / by_volume
    assert counts_exponent(diameter_mm=size_mm, fwhm_mm=fwhm_mm) == pytest.approx(
        expected, rel=1e-3
    )


def test_limits_of_large_spheres() -> None:
    assert recovery_coefficient(diameter_mm=1e5, fwhm_mm=10.0) == pytest.approx(1.0, abs=1e-3)
    assert recovery_exponent(diameter_mm=1e5, fwhm_mm=10.0) == pytest.approx(0.0, abs=1e-3)
    assert counts_exponent(diameter_mm=1e5, fwhm_mm=10.0) == pytest.approx(0.5, abs=1e-3)


def test_a_kidneys_recovery_is_the_clinics() -> None:
    # 150 mL at 10–12 mm FWHM: measured 0.77–0.85; a sphere has less surface than a kidney.
    size_mm = diameter_mm(volume_ml=150.0)
    assert 0.77 < recovery_coefficient(diameter_mm=size_mm, fwhm_mm=12.0) < 0.90


def test_the_volume_by_hand() -> None:
    # d = 65.9 mm; u²(d) = 4.8²/6 + 12²/(4 ln 2) = 3.84 + 51.94 mm²
    found = volume_relative_sd(**SIZES)
    assert found == pytest.approx(3 * math.sqrt(3.84 + 51.937) / 65.922, rel=1e-4)


def test_the_volumes_ends_by_chance() -> None:
    # The two ends of a diameter, each within a voxel and blurred: the variance of their distance.
    rng = np.random.default_rng(5)
    ends = rng.uniform(-2.4, 2.4, (2, 200_000))
    ends += rng.normal(0.0, 12.0 / FWHM_PER_SIGMA, ends.shape)
    relative = 3 * np.std(ends[0] - ends[1]) / diameter_mm(volume_ml=150.0)
    assert volume_relative_sd(**SIZES) == pytest.approx(relative, rel=0.01)


def test_the_covariance_of_volume_recovery_and_mass_by_chance() -> None:
    # Wrong outlines of one true sphere: counts from the blurred image, recovery and mass from
    # the wrong volume. The dose's spread is the exponent times the volume's.
    rng = np.random.default_rng(9)
    sigma, radius = 12.0 / FWHM_PER_SIGMA, 20.0
    radii = radius * (1 + 0.01 * rng.standard_normal(300))
    volumes = 4 / 3 * np.pi * radii**3
    counts = np.array([counts_inside(r, radius, sigma) for r in radii])
    recovery = np.array([recovery_coefficient(diameter_mm=2 * r, fwhm_mm=12.0) for r in radii])
    spread = np.std(np.log(volumes))
    volume_ml = 4 / 3 * math.pi * radius**3 / 1000
    for dose, recovered in ((counts / recovery / volumes, True), (counts / volumes, False)):
        exponent = volume_exponent(volume_ml=volume_ml, fwhm_mm=12.0, recovered=recovered)
        assert np.std(np.log(dose)) / spread == pytest.approx(abs(exponent), rel=0.05)


@given(
    calibration=st.floats(0.0, 0.5),
    fit=st.floats(0.0, 0.5),
    recovery=st.floats(0.0, 0.5),
    volume_ml=st.floats(5.0, 2000.0),
)
def test_parts_add_in_quadrature(calibration, fit, recovery, volume_ml) -> None:
    found = combine(
        volume_ml=volume_ml,
        voxel_mm=4.8,
        fwhm_mm=12.0,
        calibration_relative_sd=calibration,
        fit_relative_sd=fit,
        recovery_relative_sd=recovery,
    )
    squares = found.calibration**2 + found.volume**2 + found.recovery**2 + fit**2
    assert found.total == pytest.approx(math.sqrt(squares))
    assert found.volume < 1.6 * volume_relative_sd(volume_ml=volume_ml, voxel_mm=4.8, fwhm_mm=12.0)


def test_a_kidney_has_the_uncertainty_that_is_reported() -> None:
    # Staanum 2021 (EJNMMI Phys 8:78): about 13 % for a kidney with three SPECT/CT.
    found = combine(
        **SIZES, calibration_relative_sd=0.05, fit_relative_sd=0.05, recovery_relative_sd=0.05
    )
    assert 0.08 < found.total < 0.25


def test_what_is_not_known_is_not_counted() -> None:
    found = combine(**SIZES, calibration_relative_sd=0.05, fit_relative_sd=None)
    assert found.fit is None
    assert found.recovery == 0.0
    assert found.total is None


def test_no_total_without_the_calibration() -> None:
    found = combine(**SIZES, calibration_relative_sd=None, fit_relative_sd=0.05)
    assert (found.calibration, found.total) == (None, None)
    assert found.volume > 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"volume_ml": 0.0}, "volume_ml must be a finite number above 0, got 0.0"),
        ({"volume_ml": 0.05}, "at least half the resolution of 12 mm across, got 4.6 mm"),
        ({"calibration_relative_sd": -0.1}, "must be finite and at least 0, got -0.1"),
        ({"fwhm_mm": math.nan}, "fwhm_mm must be a finite number above 0"),
    ],
)
def test_refused(changes, message) -> None:
    values = SIZES | {"calibration_relative_sd": 0.05, "fit_relative_sd": 0.05} | changes
    with pytest.raises(BadInput, match=message):
        combine(**values)
