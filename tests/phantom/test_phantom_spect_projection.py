"""Views of points and cylinders against closed forms."""

from dataclasses import replace

import numpy as np
import pytest
from rpt_phantom.grid import Grid
from rpt_phantom.spect import LU177_ME, Counts, Expected, Views, contour, count, project
from rpt_phantom.spect.camera import primary_share
from rpt_phantom.spect.reconstruction import CYLINDER_RADIUS_MM, cylinder

SPACING_MM = 4.8
FOUR = np.array([0.0, 90.0, 180.0, 270.0])
WATER_PER_CM = 0.1351


def point(shape: tuple[int, int, int], at: tuple[int, int, int], mbq: float) -> np.ndarray:
    activity = np.zeros(shape, np.float32)
    activity[at] = mbq * 1e6 / (SPACING_MM**3 / 1000)
    return activity


def in_air(at: tuple[int, int, int], *, radius_mm: float = 250.0, mbq: float = 1.0) -> Expected:
    shape = (64, 64, 32)
    views = Views(FOUR, np.full(4, radius_mm))
    mu = np.zeros(shape, np.float32)
    return project(point(shape, at, mbq), mu, spacing_mm=SPACING_MM, views=views)


def fwhm_mm(profile: np.ndarray) -> float:
    position_mm = np.arange(profile.size) * SPACING_MM
    middle = (profile * position_mm).sum() / profile.sum()
    variance = (profile * (position_mm - middle) ** 2).sum() / profile.sum()
    return float(2.3548 * np.sqrt(variance))


def centre_mm(view: np.ndarray) -> np.ndarray:
    offsets = [(np.arange(n) - (n - 1) / 2) * SPACING_MM for n in view.shape]
    return np.array(
        [
            (view.sum(axis=1) * offsets[0]).sum() / view.sum(),
            (view.sum(axis=0) * offsets[1]).sum() / view.sum(),
        ]
    )


def test_a_point_in_air_counts_as_the_sensitivity_says():
    seen = in_air((32, 32, 16)).cps[0].sum(axis=(1, 2))
    assert seen == pytest.approx(LU177_ME.sensitivity_cps_per_mbq / 2, rel=2e-3)


def test_the_side_windows_see_their_share_in_air():
    seen = in_air((32, 32, 16)).cps.sum(axis=(1, 2, 3))
    assert seen / seen[0] == pytest.approx(primary_share(LU177_ME), rel=1e-2)


@pytest.mark.parametrize("radius_mm", [100.0, 200.0, 300.0])
def test_a_point_is_as_wide_as_the_law_at_its_depth(radius_mm):
    """Within the planes blurred as one (0.5 mm of FWHM) and the pixel's width."""
    view = in_air((32, 32, 16), radius_mm=radius_mm).cps[0, 1]
    law_mm = LU177_ME.fwhm_mm(np.array([radius_mm]))[0]
    assert fwhm_mm(view.sum(axis=1)) == pytest.approx(law_mm, rel=0.04)
    assert fwhm_mm(view.sum(axis=0)) == pytest.approx(law_mm, rel=0.04)


def test_heads_see_the_side_that_they_stand_at():
    """At x = +36, y = +84, z = +12 mm; r runs to the right from behind, to the left in front."""
    seen = [centre_mm(one) for one in in_air((39, 49, 18)).cps[0]]
    expected = [(36.0, 12.0), (-84.0, 12.0), (-36.0, 12.0), (84.0, 12.0)]
    for got, want in zip(seen, expected, strict=True):
        assert got == pytest.approx(want, abs=0.3)


def test_a_point_is_sharpest_to_the_head_it_is_near():
    behind, _left, front, _right = (
        fwhm_mm(one.sum(axis=0)) for one in in_air((32, 52, 16), radius_mm=150.0).cps[0]
    )
    near_mm, far_mm = LU177_ME.fwhm_mm(np.array([150 - 98.4, 150 + 98.4]))
    assert (front, behind) == pytest.approx((near_mm, far_mm), rel=0.04)


def test_water_around_a_point_attenuates_exponentially():
    """Within 1.5 %: the cylinder's edge is filled to 0.8 mm, 1.1 % of attenuation."""
    grid = Grid.centred((64, 64, 32), SPACING_MM)
    _, mu = cylinder(grid)
    at = (32, 32, 16)
    views = Views(FOUR, np.full(4, 200.0))
    expected = project(point(grid.shape, at, 1.0), mu, spacing_mm=SPACING_MM, views=views)
    primary = (expected.cps - expected.scatter_cps)[0].sum(axis=(1, 2))
    half_mm = SPACING_MM / 2  # the point is off the axis by half a voxel
    chord_mm = np.sqrt(CYLINDER_RADIUS_MM**2 - half_mm**2)
    for seen, off_mm in zip(primary, (half_mm, half_mm, -half_mm, -half_mm), strict=True):
        law = np.exp(-WATER_PER_CM * (chord_mm + off_mm) / 10)
        assert seen == pytest.approx(LU177_ME.sensitivity_cps_per_mbq / 2 * law, rel=0.015)


def test_counts_go_with_activity_and_time():
    once, twice = (in_air((32, 32, 16), mbq=mbq) for mbq in (1.0, 2.0))
    np.testing.assert_allclose(twice.cps, 2 * once.cps, rtol=1e-4, atol=1e-9)
    rng = np.random.default_rng(0)
    short, long = (count(once, rng, view_s=s).counts[0].sum() for s in (1000.0, 4000.0))
    assert long / short == pytest.approx(4.0, abs=6 * 4 / np.sqrt(short))


def test_finer_voxels_see_the_same():
    """A ball of 1 MBq in water on 2.4 and on 4.8 mm: within what voxels make of its edge."""
    seen = []
    for spacing_mm, n in ((4.8, 48), (2.4, 96)):
        grid = Grid.centred((n, n, n // 2), spacing_mm)
        x, y, z = grid.axes_mm()
        ball = ((x - 20) ** 2 + y**2 + z**2 <= 25**2).astype(np.float32)
        _, mu = cylinder(grid)
        activity = ball * np.float32(1e6 / (ball.sum() * grid.voxel_ml))
        views = Views(FOUR, np.full(4, 140.0))
        seen.append(project(activity, mu, spacing_mm=spacing_mm, views=views).cps)
    assert seen[0].shape == seen[1].shape
    assert seen[0].sum(axis=(2, 3)) == pytest.approx(seen[1].sum(axis=(2, 3)), rel=0.03)


def test_counts_are_poisson():
    flat = np.full((3, 4, 50, 50), 2.5, np.float32)
    expected = Expected(flat, flat * 0, Views(FOUR, np.full(4, 200.0)))
    drawn = count(expected, np.random.default_rng(3), view_s=4.0).counts
    n = drawn.size
    assert drawn.mean() == pytest.approx(10.0, abs=5 * np.sqrt(10 / n))
    assert drawn.var() == pytest.approx(10.0, rel=5 * np.sqrt(2 / n))


def test_one_seed_gives_one_scan():
    def scan(seed: int) -> Counts:
        return count(in_air((32, 40, 16)), np.random.default_rng(seed), view_s=25.0)

    np.testing.assert_array_equal(scan(1).counts, scan(1).counts)
    assert (scan(1).counts != scan(2).counts).any()


def test_the_heads_follow_the_body():
    x, y, _ = Grid.centred((64, 64, 4), SPACING_MM).axes_mm()
    flat = ((x / 140) ** 2 + (y / 90) ** 2 <= 1) & np.ones((1, 1, 4), bool)
    mu = np.where(flat, WATER_PER_CM, 0.0).astype(np.float32)
    camera = replace(LU177_ME, views=4)
    behind, left, front, right = contour(mu, spacing_mm=SPACING_MM, camera=camera).radii_mm
    assert behind == front == pytest.approx(90 + 20, abs=12.5)
    assert left == right == pytest.approx(140 + 20, abs=12.5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"spacing_mm": 3.0}, "whole part"),
        ({"spacing_mm": 1.2}, "multiple of 16 voxels wide at 1.2 mm, got 8"),
        ({"mu_per_cm": np.zeros((8, 8, 5), np.float32)}, "on the activity's grid"),
        ({"activity_bq_per_ml": np.zeros((8, 10, 4), np.float32)}, "one even width"),
        ({"activity_bq_per_ml": np.full((8, 8, 4), -1, np.float32)}, "nowhere negative"),
        ({"activity_bq_per_ml": np.full((8, 8, 4), np.nan, np.float32)}, "finite"),
    ],
)
def test_maps_that_cannot_be_projected_are_refused(change, message):
    zeros = np.zeros((8, 8, 4), np.float32)
    given = {"activity_bq_per_ml": zeros, "mu_per_cm": zeros, "spacing_mm": SPACING_MM} | change
    with pytest.raises(ValueError, match=message):
        project(**given)


def test_a_scan_takes_time():
    expected = Expected(*2 * [np.zeros((3, 1, 2, 2), np.float32)], Views(FOUR[:1], FOUR[:1]))
    with pytest.raises(ValueError, match=r"view_s must be above 0 s, got 0\.0 s"):
        count(expected, np.random.default_rng(0), view_s=0.0)
