"""Images of known activity, by the whole chain."""

from dataclasses import replace

import numpy as np
import pytest
from rpt_phantom.grid import Grid
from rpt_phantom.spect import (
    LU177_ME,
    Counts,
    Expected,
    Views,
    coarser,
    count,
    measure_factor,
    mu_per_cm,
    project,
    reconstruct,
)
from rpt_phantom.spect.reconstruction import CYLINDER_MBQ, cylinder

CAMERA = replace(LU177_ME, views=30, view_s=200.0)
FINE = Grid.centred((112, 112, 64), 2.4)
COARSE = Grid.centred((56, 56, 32), 4.8)
WATER_PER_CM = 0.1351
SPHERES_MM = {8.0: (60.0, 0.0, 0.0), 13.0: (0.0, 60.0, 0.0), 20.0: (-55.0, -25.0, 0.0)}


def per_ml(image: np.ndarray, factor: float) -> np.ndarray:
    return image / CAMERA.duration_s / factor / COARSE.voxel_ml * 1e6


def water(radius_mm: float) -> np.ndarray:
    x, y, _ = FINE.axes_mm()
    disc = np.broadcast_to(np.hypot(x, y) <= radius_mm, FINE.shape)
    return np.where(disc, WATER_PER_CM, 0.0).astype(np.float32)


def imaged(activity: np.ndarray, mu: np.ndarray, seed: int = 0) -> np.ndarray:
    expected = project(activity, mu, spacing_mm=FINE.spacing_mm[0], camera=CAMERA)
    measured = count(expected, np.random.default_rng(seed), view_s=CAMERA.view_s)
    return reconstruct(measured, coarser(mu, 2), camera=CAMERA)


@pytest.fixture(scope="module")
def factor() -> float:
    rng = np.random.default_rng(4)
    return measure_factor(rng, camera=CAMERA, spacing_mm=4.8).cps_per_mbq


@pytest.fixture(scope="module")
def spheres() -> tuple[np.ndarray, np.ndarray]:
    """Hot spheres in cold water: truth and image, the image in counts."""
    x, y, z = FINE.axes_mm()
    activity = np.zeros(FINE.shape, np.float32)
    for radius_mm, (at_x, at_y, at_z) in SPHERES_MM.items():
        ball = (x - at_x) ** 2 + (y - at_y) ** 2 + (z - at_z) ** 2 <= radius_mm**2
        activity[ball] = 1e6
    return coarser(activity, 2), imaged(activity, water(100.0))


def test_the_factor_is_near_the_sensitivity_and_not_it(factor):
    """The triple energy window takes off more than the scatter."""
    assert 0.9 < factor / LU177_ME.sensitivity_cps_per_mbq < 0.998


def test_a_cylinder_of_another_size_comes_out_right(factor):
    """Of 180 mm, calibrated on 216 mm, in the middle: within 5 %."""
    mu = water(90.0)
    activity = (mu > 0).astype(np.float32) * np.float32(2e5)
    image = per_ml(imaged(activity, mu), factor)
    x, y, z = COARSE.axes_mm()
    middle = (np.hypot(x, y) < 55) & (np.abs(z) < 40)
    assert image[middle].mean() == pytest.approx(2e5, rel=0.05)


def test_recovery_of_spheres_is_below_one_and_grows(factor, spheres):
    truth, image = spheres
    x, y, z = COARSE.axes_mm()
    recovered = []
    for radius_mm, (at_x, at_y, at_z) in SPHERES_MM.items():
        ball = (x - at_x) ** 2 + (y - at_y) ** 2 + (z - at_z) ** 2 <= radius_mm**2
        recovered.append(per_ml(image, factor)[ball].sum() / truth[ball].sum())
    assert recovered == sorted(recovered)
    assert recovered[-1] < 1.0
    assert 0.2 < recovered[0] < 0.7


def test_no_axis_is_turned_or_mirrored(spheres):
    truth, image = spheres
    for axis, positions in enumerate(COARSE.axes_mm()):
        found, true = ((one * positions).sum() / one.sum() for one in (image, truth))
        assert found == pytest.approx(true, abs=2.0), f"axis {axis}"
    turned = (truth[::-1], truth[:, ::-1], truth.swapaxes(0, 1))
    match = np.corrcoef(image.ravel(), truth.ravel())[0, 1]
    for other in turned:
        assert np.corrcoef(image.ravel(), other.ravel())[0, 1] < match - 0.2


def test_one_seed_gives_one_image():
    mu = np.zeros((16, 16, 8), np.float32)
    mu[4:12, 4:12] = WATER_PER_CM
    camera = replace(LU177_ME, views=8)
    expected = project(mu * 1e6, mu, spacing_mm=4.8, camera=camera)
    images = [
        reconstruct(
            count(expected, np.random.default_rng(9), view_s=20.0), mu, camera=camera, subsets=4
        )
        for _ in range(2)
    ]
    np.testing.assert_array_equal(*images)


def test_the_calibration_phantom_holds_what_it_says():
    activity, mu = cylinder(COARSE)
    assert activity.sum() * COARSE.voxel_ml / 1e6 == pytest.approx(CYLINDER_MBQ, rel=1e-5)
    assert mu.max() == pytest.approx(WATER_PER_CM, rel=2e-3)


def test_water_of_0_hu_attenuates_as_water():
    """Within the density and composition of the CT's soft tissue: 3 %."""
    mu = mu_per_cm(np.zeros((2, 2, 2), np.int16))
    assert mu.mean() == pytest.approx(WATER_PER_CM, rel=0.03)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mu_per_cm": np.zeros((8, 8, 5), np.float32)}, "on the camera's pixels"),
        ({"subsets": 7}, "must divide the 4 views, got 7"),
        ({"filter_fwhm_mm": -1.0}, "filter_fwhm_mm must be 0 mm or above"),
    ],
)
def test_what_cannot_be_reconstructed_is_refused(change, message):
    angles = np.array([0.0, 90.0, 180.0, 270.0])
    blank = Expected(*2 * [np.ones((3, 4, 8, 4), np.float32)], Views(angles, angles * 0 + 200))
    measured: Counts = count(blank, np.random.default_rng(0), view_s=1.0)
    given = {"mu_per_cm": np.zeros((8, 8, 4), np.float32), "subsets": 2} | change
    with pytest.raises(ValueError, match=message):
        reconstruct(measured, given.pop("mu_per_cm"), **given)
