"""The kernel of effective sources, against a Monte Carlo that knows the body's edge."""

import numpy as np
import pytest
from rpt_phantom.spect import LU177_ME, Expected, Views, project
from rpt_phantom.spect.camera import LINES, PHOTON_KEV, counted_share, peak_count_per_decay
from rpt_phantom.spect.scatter_kernel import (
    energy_after_kev,
    klein_nishina_per_sr,
    scatter_kernels,
    water_per_cm,
)

SPACING_MM, RADIUS_MM = 4.8, 100.0
WATER_PER_CM = 0.1351  # xraydb at 208.37 keV


def axes_mm(n: int, slices: int) -> list[np.ndarray]:
    positions = [(np.arange(k) - (k - 1) / 2) * SPACING_MM for k in (n, n, slices)]
    return list(np.meshgrid(*positions, indexing="ij", sparse=True))


@pytest.fixture(scope="module")
def centred() -> Expected:
    """A source of 38 mL in the middle of a ball of water, seen once."""
    x, y, z = axes_mm(48, 48)
    far_mm = np.sqrt(x**2 + y**2 + z**2)
    mu = np.where(far_mm <= RADIUS_MM, WATER_PER_CM, 0.0).astype(np.float32)
    activity = np.where(far_mm <= 15.0, 1e5, 0.0).astype(np.float32)
    views = Views(np.array([270.0]), np.array([150.0]))
    return project(activity, mu, spacing_mm=SPACING_MM, views=views)


def ball_scatter_per_primary() -> np.ndarray:
    """Follow photons from the middle of the ball; each collision looks along +x."""
    rng = np.random.default_rng(7)
    n = 40_000
    scattered = np.zeros(3)
    for line_kev, per_decay in LINES:
        position = np.zeros((n, 3))
        cosine = rng.uniform(-1, 1, n)
        azimuth = rng.uniform(0, 2 * np.pi, n)
        flat = np.sqrt(1 - cosine**2)
        way = np.c_[cosine, flat * np.cos(azimuth), flat * np.sin(azimuth)]
        energy_kev, share = np.full(n, line_kev), np.full(n, per_decay / n)
        while share.size:
            total = water_per_cm(energy_kev, "total")
            position = position + way * (rng.exponential(size=share.size) / total * 10)[:, None]
            share = share * water_per_cm(energy_kev, "incoh") / total
            stays = (position**2).sum(axis=1) < RADIUS_MM**2
            position, way, energy_kev, share = (
                a[stays] for a in (position, way, energy_kev, share)
            )
            if not share.size:
                break
            out_kev = energy_after_kev(energy_kev, way[:, 0])
            edge = np.sqrt(RADIUS_MM**2 - position[:, 1] ** 2 - position[:, 2] ** 2)
            path_cm = (edge - position[:, 0]) / 10
            seen = share * 4 * np.pi * klein_nishina_per_sr(energy_kev, way[:, 0])
            seen = np.where(
                out_kev > 150, seen * np.exp(-water_per_cm(out_kev, "total") * path_cm), 0
            )
            for number, window in enumerate(LU177_ME.windows):
                counted = counted_share(np.maximum(out_kev, 150.0), window, LU177_ME)
                scattered[number] += (seen * counted).sum()
            cosine = rng.uniform(-1, 1, share.size)
            azimuth = rng.uniform(0, 2 * np.pi, share.size)
            flat = np.sqrt(1 - cosine**2)
            fresh = np.c_[cosine, flat * np.cos(azimuth), flat * np.sin(azimuth)]
            turn = (fresh * way).sum(axis=1)
            share = share * 4 * np.pi * klein_nishina_per_sr(energy_kev, turn)
            energy_kev, way = energy_after_kev(energy_kev, turn), fresh
            goes = energy_kev > 150
            position, way, energy_kev, share = (a[goes] for a in (position, way, energy_kev, share))
    return scattered / (peak_count_per_decay(LU177_ME) * np.exp(-WATER_PER_CM * RADIUS_MM / 10))


def test_scatter_of_each_window_is_that_of_the_monte_carlo(centred):
    """Within the Monte Carlo's noise of 1 %, the source's size and the voxels: 4 %."""
    primary = (centred.cps - centred.scatter_cps)[0].sum()
    per_primary = centred.scatter_cps.sum(axis=(1, 2, 3)) / primary
    assert per_primary == pytest.approx(ball_scatter_per_primary(), rel=0.04)


def test_scatter_in_the_peak_is_a_fifth_to_a_half_of_the_primary(centred):
    """Of sources in the abdomen, 20 % window at 208 keV: ours, by the Monte Carlo."""
    primary = (centred.cps - centred.scatter_cps)[0].sum()
    assert 0.2 < centred.scatter_cps[0].sum() / primary < 0.5


def test_triple_energy_window_is_near_the_scatter_and_not_it(centred):
    """TEW overestimates at 208 keV: 17 % more than ESSE, LMU Munich (epub.ub 63442)."""
    peak, lower, upper = LU177_ME.windows
    seen = centred.cps.sum(axis=(1, 2, 3))
    estimate = (seen[1] / lower.width_kev + seen[2] / upper.width_kev) * peak.width_kev / 2
    error = estimate / centred.scatter_cps[0].sum() - 1
    assert 0.02 < abs(error) < 0.25


def test_photons_scatter_last_on_the_way_to_the_detector():
    counts = scatter_kernels(LU177_ME, voxel_mm=9.6).counts[0]
    half = len(counts) // 2
    assert counts[half + 1 :].sum() > 10 * counts[:half].sum()


def test_kernel_is_symmetric_around_the_way_to_the_detector():
    counts = scatter_kernels(LU177_ME, voxel_mm=9.6).counts
    np.testing.assert_allclose(counts, counts[:, :, ::-1], rtol=1e-5)
    np.testing.assert_allclose(counts, counts.swapaxes(2, 3), rtol=1e-5)


@pytest.mark.parametrize("energy_kev", [113.0, 208.4, 321.3])
def test_directions_after_scattering_sum_to_one(energy_kev):
    cosine = np.linspace(-1, 1, 20_001)
    density = klein_nishina_per_sr(np.full(cosine.size, energy_kev), cosine)
    assert 2 * np.pi * np.trapezoid(density, cosine) == pytest.approx(1.0, rel=1e-4)


def test_water_is_that_of_the_tables():
    """Total of XCOM at 208.37 keV: 0.1351 1/cm."""
    assert water_per_cm(np.array([PHOTON_KEV]), "total")[0] == pytest.approx(0.1351, rel=2e-3)
