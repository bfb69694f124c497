"""From a volume's affine to an RT Dose's frames: every centre keeps its place."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rpt_cohort import BadInput, Volume
from rpt_dosimetry.rtdose.reading import to_frames
from scipy.spatial.transform import Rotation

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def volume_at(rotation=None, spacing_mm=(2.0, 3.0, 5.0), origin_mm=(-40.0, 25.0, 900.0)):
    """Values that number the voxels, so that each can be found again."""
    shape = (4, 5, 3)
    affine = np.eye(4)
    turned = np.eye(3) if rotation is None else rotation
    affine[:3, :3] = turned @ np.diag(spacing_mm)
    affine[:3, 3] = origin_mm
    return Volume(np.arange(np.prod(shape), dtype=np.float64).reshape(shape), affine)


def centres_mm(values, affine):
    """Position of each value, in the order of the values."""
    at = np.argwhere(values >= 0)
    return (at @ affine[:3, :3].T + affine[:3, 3])[np.argsort(values[tuple(at.T)])]


ANGLE = st.floats(-180.0, 180.0)


@given(
    angles_deg=st.tuples(ANGLE, ANGLE, ANGLE),
    spacing_mm=st.tuples(*[st.floats(0.5, 12.0)] * 3),
    origin_mm=st.tuples(*[st.floats(-3000.0, 3000.0)] * 3),
    mirrored=st.booleans(),
)
def test_every_centre_keeps_its_place(angles_deg, spacing_mm, origin_mm, mirrored) -> None:
    rotation = Rotation.from_euler("xyz", angles_deg, degrees=True).as_matrix()
    rotation = rotation @ np.diag([1.0, 1.0, -1.0]) if mirrored else rotation
    volume = volume_at(rotation, spacing_mm, origin_mm)
    frames, grid = to_frames(volume)
    found = centres_mm(frames.transpose(2, 1, 0), LPS_TO_RAS @ grid.affine)
    assert np.abs(found - centres_mm(volume.data, volume.affine)).max() < 1e-3
    every = (*grid.position_mm, *grid.orientation, *grid.spacing_mm, *grid.offsets_mm)
    assert max(map(len, every)) <= 16


def test_an_upright_grid_has_the_usual_orientation() -> None:
    frames, grid = to_frames(volume_at())
    assert [float(one) for one in grid.orientation] == [1, 0, 0, 0, 1, 0]
    assert [float(one) for one in grid.spacing_mm] == [3.0, 2.0]  # of rows, then of columns
    assert [float(one) for one in grid.offsets_mm] == [0.0, 5.0, 10.0]
    # the corner at the left back foot: x rises to the left in DICOM
    assert [float(one) for one in grid.position_mm] == [40.0 - 3 * 2.0, -25.0 - 4 * 3.0, 900.0]
    assert frames.shape == (3, 5, 4)


def test_a_sheared_grid_is_refused() -> None:
    volume = volume_at()
    volume.affine[0, 2] = 0.01  # 0.02 mm over the grid
    with pytest.raises(BadInput, match="must stand at right angles"):
        to_frames(volume)


def test_a_single_slice_is_refused() -> None:
    volume = volume_at()
    with pytest.raises(BadInput, match="at least 2 slices, got 1"):
        to_frames(Volume(volume.data[:, :, :1], volume.affine))


def test_voxels_in_metres_are_refused() -> None:
    with pytest.raises(BadInput, match=r"0\.1 to 50 mm, got 0\.003 × 0\.003 × 0\.003 mm"):
        to_frames(volume_at(spacing_mm=(0.003, 0.003, 0.003)))
