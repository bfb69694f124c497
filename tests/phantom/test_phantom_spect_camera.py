"""The camera's closed forms and energy response."""

import math

import numpy as np
import pytest
from rpt_phantom.spect import LU177_ME
from rpt_phantom.spect.camera import (
    PHOTON_KEV,
    counted_share,
    full_absorption,
    peak_count_per_decay,
    primary_share,
)
from rpt_phantom.spect.reconstruction import assumed_fwhm_mm


def test_resolution_is_that_of_a_medium_energy_collimator():
    """NEMA system resolution of MEGP collimators at 10 cm: 9 to 10 mm with 9.5 mm NaI."""
    assert LU177_ME.fwhm_mm(np.array([100.0]))[0] == pytest.approx(9.3, abs=0.6)


def test_resolution_widens_in_proportion_far_away():
    far_mm = np.array([10_000.0, 20_000.0])
    near, farther = LU177_ME.fwhm_mm(far_mm)
    assert farther / near == pytest.approx(2.0, rel=0.01)


def test_collimator_passes_a_hundred_photons_in_a_million():
    """Sorenson & Phelps, Physics in Nuclear Medicine: ME collimators about 1e-4."""
    assert LU177_ME.collimator.geometric_efficiency == pytest.approx(1.1e-4, rel=0.15)


def test_stated_sensitivity_is_below_the_closed_form_that_loses_nothing():
    bound = (
        LU177_ME.heads
        * LU177_ME.collimator.geometric_efficiency
        * peak_count_per_decay(LU177_ME)
        * 1e6
    )
    assert 0.5 * bound < LU177_ME.sensitivity_cps_per_mbq < bound


def test_peak_holds_the_gaussian_share_of_its_photon():
    """9.5 % at 140.5 keV is 7.80 % at 208.4 keV: FWHM 16.26 keV, the window ±3.0 σ."""
    energy_kev = np.array([PHOTON_KEV])
    absorbed = full_absorption(energy_kev, crystal_mm=LU177_ME.crystal_mm)[0]
    share = counted_share(energy_kev, LU177_ME.peak, LU177_ME)[0] / absorbed
    assert share == pytest.approx(math.erf(3.01 / math.sqrt(2)), abs=5e-4)


def test_crystal_absorbs_less_of_harder_photons():
    energies_kev = np.array([113.0, 140.5, 208.4, 321.3])
    absorbed = full_absorption(energies_kev, crystal_mm=9.5)
    assert (np.diff(absorbed) < 0).all()
    assert absorbed[1] == pytest.approx(0.88, abs=0.05)  # usual for 9.5 mm NaI at 140 keV


def test_side_windows_see_little_unscattered():
    peak, lower, upper = primary_share(LU177_ME)
    assert peak == pytest.approx(1.0, abs=1e-3)
    assert 0 < lower < 0.005
    assert 0 < upper < 0.01


def test_two_heads_halve_the_scan():
    assert LU177_ME.duration_s == 60 * 25 / 2


def test_reconstruction_assumes_another_response():
    distance_mm = np.array([100.0, 200.0, 300.0])
    ratio = assumed_fwhm_mm(distance_mm) / LU177_ME.fwhm_mm(distance_mm)
    assert (np.abs(ratio - 0.8) < 0.06).all()
