"""Activity is kept: by interpolation, at the edges, and what leaves the grid is told."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rpt_cohort import BadInput, Volume
from rpt_dosimetry.registration.resampling import (
    covered_share,
    resample_ct,
    resample_emission,
)
from rpt_dosimetry.registration.transform import GridMm, Rigid, grid_of, one_grid, shifted
from scipy import ndimage
from scipy.spatial.transform import Rotation

STAY = shifted(np.zeros(3))


def volume(data: np.ndarray, spacing_mm=(4.8, 4.8, 4.8), origin_mm=(0.0, 0.0, 0.0)) -> Volume:
    affine = np.diag([*spacing_mm, 1.0])
    affine[:3, 3] = origin_mm
    return Volume(data.astype(np.float32), affine)


def lesions(shape=(40, 44, 36), seed=0) -> np.ndarray:
    """Noise and hot spots of a SPECT's blur, hot up to the ends of the field of view."""
    rng = np.random.default_rng(seed)
    body = np.zeros(shape)
    body[8:-8, 10:-10] = 10
    body[tuple(rng.integers(8, 28, (3, 12)))] += 5000
    return ndimage.gaussian_filter(rng.poisson(body).astype(float), (1.2, 1.2, 0.8))


def turned(angle_deg, shift_mm, about_mm) -> Rigid:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec(angle_deg, degrees=True).as_matrix()
    matrix[:3, 3] = np.array(about_mm) + shift_mm - matrix[:3, :3] @ about_mm
    return Rigid(matrix)


@given(
    angle_deg=st.tuples(*[st.floats(-8, 8)] * 3),
    shift_mm=st.tuples(*[st.floats(-20, 20)] * 3),
    spacing_mm=st.tuples(*[st.floats(2.0, 5.5)] * 3),
)
@settings(max_examples=25)
def test_activity_is_kept(angle_deg, shift_mm, spacing_mm) -> None:
    emission = volume(lesions(), spacing_mm)
    grid = GridMm((40, 44, 36), np.diag([4.8, 4.8, 4.8, 1.0]))
    rigid = turned(angle_deg, shift_mm, np.array(spacing_mm) * 20)
    found = resample_emission(emission, grid, rigid, name="It")
    assert abs(found.change_share) < 0.005
    inside = found.data.sum(dtype=float) * grid.voxel_ml
    assert found.integral_on_grid == pytest.approx(inside)
    told = inside / (1 - found.left_share)
    assert told == pytest.approx(found.integral_before, rel=0.005)


def test_the_same_grid_changes_nothing() -> None:
    emission = volume(lesions())
    found = resample_emission(emission, grid_of(emission), STAY, name="It")
    assert found.data == pytest.approx(emission.data, rel=1e-5, abs=1e-4)
    assert np.all(found.covered == 1)
    assert found.left_share == pytest.approx(0, abs=1e-9)


def test_a_whole_voxel() -> None:
    """A shift of n voxels moves values, and changes none."""
    data = lesions()
    emission = volume(data)
    one = resample_emission(emission, grid_of(emission), shifted(np.array([0, 0, 4.8])), name="It")
    assert one.data[..., :-1] == pytest.approx(emission.data[..., 1:], rel=1e-4, abs=1e-3)
    lost = data[..., 0].sum() / data.sum()
    assert one.left_share == pytest.approx(lost, rel=1e-4)


def test_part_of_a_voxel_is_scipys_cubic_spline() -> None:
    emission = volume(ndimage.gaussian_filter(lesions(), 1.5) + 10.0)
    grid, part = grid_of(emission), np.array([0.5, 0.25, -0.4])
    found = resample_emission(emission, grid, shifted(4.8 * part), name="It")
    inner = (slice(4, -4),) * 3
    at = np.indices(emission.data.shape) + part[:, None, None, None]
    expected = ndimage.map_coordinates(emission.data.astype(float), at, order=3, mode="mirror")
    assert found.data[inner] == pytest.approx(expected[inner], rel=1e-3)


@given(part=st.tuples(*[st.floats(-0.5, 0.5)] * 3), seed=st.integers(0, 99))
@settings(max_examples=15, deadline=None)
def test_small_hot_spots_keep_their_activity(part, seed) -> None:
    """Of 12 mm FWHM, moved by part of a voxel: within 1 %, where linear interpolation loses 11 %.

    None is below 0, and the whole keeps its activity to 0.1 %.
    """
    middle = np.random.default_rng(seed).uniform(-1, 1, 3)

    def spot(shift) -> tuple[np.ndarray, np.ndarray]:
        """Values and the region within 10 mm, with the image's origin moved by voxels."""
        index = np.indices((24, 24, 24)) - 12.0
        offset = middle + np.array(shift)
        squared = (((index + offset[:, None, None, None]) * 4.8) ** 2).sum(axis=0)
        return 1000 * np.exp(-squared / (2 * (12 / 2.355) ** 2)), squared <= 10**2

    emission = volume(spot((0, 0, 0))[0])
    move = shifted(4.8 * np.array(part))
    found = resample_emission(emission, grid_of(emission), move, name="It")
    expected, hot = spot(part)
    assert found.data[hot].sum() == pytest.approx(expected[hot].sum(), rel=0.01)
    assert found.data.min() >= 0
    assert abs(found.change_share) < 1e-3


def test_coarser_voxels_hold_the_mean() -> None:
    """Voxels that hold whole fine ones have their mean, and nothing is blurred over the edge."""
    data = np.zeros((36, 36, 36))
    data[15:18, 18:21, 18:21] = np.random.default_rng(2).random((3, 3, 3))
    emission = volume(data, (2.0, 2.0, 2.0))
    grid = GridMm((12, 12, 12), np.diag([6.0, 6.0, 6.0, 1.0]))
    grid.affine[:3, 3] = 2.0
    found = resample_emission(emission, grid, STAY, name="It")
    assert found.data[5, 6, 6] == pytest.approx(data.sum() / 27, rel=1e-5)
    assert found.data.sum() == pytest.approx(found.data[5, 6, 6], rel=1e-6)


def test_an_image_that_cannot_be_kept_is_refused() -> None:
    data = np.zeros((20, 20, 20))
    data[10, 10, 10] = 1.0
    coarse = GridMm((16, 16, 16), np.diag([5.9, 5.9, 5.9, 1.0]))
    with pytest.raises(BadInput, match=r"The moving image must keep its activity within 0.5%"):
        resample_emission(volume(data), coarse, STAY, name="The moving image")


@given(
    shift_mm=st.tuples(*[st.floats(-30, 30)] * 3), side_mm=st.tuples(*[st.floats(1.0, 12.0)] * 3)
)
def test_covered_share_is_the_overlap_of_boxes(shift_mm, side_mm) -> None:
    image = volume(np.zeros((5, 6, 7)))
    grid = GridMm((8, 8, 8), np.diag([*side_mm, 1.0]))
    found = covered_share(image, grid, shifted(np.array(shift_mm)))
    expected = np.ones((8, 8, 8))
    for axis, (side, shift, n) in enumerate(zip(side_mm, shift_mm, (5, 6, 7), strict=True)):
        at_mm = np.arange(8) * side + shift
        low = np.maximum(at_mm - side / 2, -2.4)
        high = np.minimum(at_mm + side / 2, (n - 0.5) * 4.8)
        share = np.clip((high - low) / side, 0, 1)
        expected *= share.reshape([-1 if a == axis else 1 for a in range(3)])
    assert found == pytest.approx(expected, abs=1e-5)


def test_ct_is_air_where_there_is_none() -> None:
    ct = volume(np.full((10, 10, 10), 40.0))
    grid = GridMm((10, 10, 10), ct.affine)
    found = resample_ct(ct, grid, shifted(np.array([0.0, 0.0, 7.2])))
    assert found[..., :8] == pytest.approx(40.0)
    assert found[..., 8] == pytest.approx((40.0 - 1000.0) / 2)
    assert found[..., 9] == pytest.approx(-1000.0)


def test_one_grid() -> None:
    real = volume(np.zeros((256, 256, 199), dtype=np.int8), (1.95313,) * 3, (-249.0, -88.0, 1157.0))
    grid = one_grid(real)
    assert grid.shape == (128, 128, 100)
    assert np.diag(grid.affine)[:3] == pytest.approx(2 * 1.95313)
    # The outer faces at the origin are where they were.
    assert grid.affine[:3, 3] - 1.95313 == pytest.approx(real.affine[:3, 3] - 1.95313 / 2)
    own = volume(np.zeros((128, 128, 60), dtype=np.int8))
    assert one_grid(own).shape == (128, 128, 60)
    assert np.array_equal(one_grid(own).affine, own.affine)
    oblong = one_grid(volume(np.zeros((64, 32, 10), dtype=np.int8), (4.0, 4.0, 8.0)))
    assert oblong.shape == (128, 128, 10)
    assert np.diag(oblong.affine)[:3] == pytest.approx([2.0, 2.0, 8.0])
    middle = oblong.affine @ [63.5, 63.5, 4.5, 1]
    assert middle[:3] == pytest.approx([126.0, 62.0, 36.0])
