"""Where the frames of a dose stand: from a volume to DICOM's terms.

The axes are turned to run to the left, back and head as nearly as they can: a dose on an
upright grid then has the orientation 1, 0, 0, 0, 1, 0, the only one that some planning
systems read. Oblique grids keep their angles. DICOM's patient axes are LPS, NIfTI's RAS.

Source: DICOM PS3.3, C.7.6.2 (Image Plane: a position is that of a voxel's centre) and
C.8.8.3.2 (Grid Frame Offset Vector: distances along the normal, from the first frame).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Shaped
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation
from pydicom.valuerep import format_number_as_ds
from rpt_cohort import BadInput, Volume, grid_fault

from rpt_dosimetry.dicom.attributes import PIXEL_SPACING
from rpt_dosimetry.dicom.reading import BOUNDS

_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class FrameGrid:
    """The attributes that place the frames, as decimal strings of 16 characters at most.

    Attributes:
        position_mm: Centre of the first voxel of the first frame, LPS.
        orientation: Direction cosines of a row, then of a column, LPS.
        spacing_mm: Distance of rows, then of columns.
        offsets_mm: Distance of each frame from the first, along the normal.
    """

    position_mm: tuple[str, ...]
    orientation: tuple[str, ...]
    spacing_mm: tuple[str, ...]
    offsets_mm: tuple[str, ...]

    @property
    def affine(self) -> Float[np.ndarray, "4 4"]:
        """Column, row, frame → position, mm, LPS, of the strings as they are written."""
        row, column = np.array(self.orientation, dtype=np.float64).reshape(2, 3)
        rows_mm, columns_mm = (float(text) for text in self.spacing_mm)
        affine = np.eye(4)
        affine[:3, 0] = row * columns_mm
        affine[:3, 1] = column * rows_mm
        affine[:3, 2] = np.cross(row, column) * float(self.offsets_mm[1])
        affine[:3, 3] = np.array(self.position_mm, dtype=np.float64)
        return affine


def to_frames(volume: Volume) -> tuple[Shaped[np.ndarray, "frame row column"], FrameGrid]:
    """Turn a volume into frames.

    Args:
        volume: Values and affine, any axes, oblique or not.

    Returns:
        The values, and where they stand; every centre within 1e-3 mm of its own.

    Raises:
        BadInput: Axes that are not at right angles, fewer than two frames, or voxels of a
            size that is not plausible.
    """
    affine = _RAS_TO_LPS @ volume.affine
    turn = io_orientation(affine)
    affine = affine @ inv_ornt_aff(turn, volume.data.shape)
    data = apply_orientation(volume.data, turn)
    if np.linalg.det(affine[:3, :3]) < 0:  # a normal is right-handed
        affine[:3, 3] += affine[:3, 2] * (data.shape[2] - 1)
        affine[:3, 2] *= -1.0
        data = data[:, :, ::-1]
    if data.shape[2] < 2:
        raise BadInput(
            f"A dose must have at least 2 slices, got {data.shape[2]}: an RT Dose tells the "
            "distance of slices by their offsets. Give the whole dose."
        )
    _check_spacing(affine)
    grid = _written(affine, frames=data.shape[2])
    if grid_fault(Volume(data, grid.affine), Volume(data, affine), name="", like_name=""):
        raise BadInput(
            "The dose's axes must stand at right angles, and its affine is sheared or lies too "
            "far out. Resample it to an upright grid."
        )
    return np.ascontiguousarray(data.transpose(2, 1, 0)), grid


def _written(affine: Float[np.ndarray, "4 4"], *, frames: int) -> FrameGrid:
    columns_mm, rows_mm, step_mm = np.linalg.norm(affine[:3, :3], axis=0)
    cosines = np.concatenate([affine[:3, 0] / columns_mm, affine[:3, 1] / rows_mm])
    return FrameGrid(
        position_mm=_decimals(affine[:3, 3]),
        orientation=_decimals(cosines),
        spacing_mm=_decimals(np.array([rows_mm, columns_mm])),
        offsets_mm=_decimals(np.arange(frames) * step_mm),
    )


def _decimals(values: Float[np.ndarray, " n"]) -> tuple[str, ...]:
    # Adding 0 turns −0 into 0. Ten decimals: no digits of rounding.
    return tuple(format_number_as_ds(float(value)) for value in np.round(values, 10) + 0.0)


def _check_spacing(affine: Float[np.ndarray, "4 4"]) -> None:
    bounds = BOUNDS[PIXEL_SPACING]
    spacing_mm = np.linalg.norm(affine[:3, :3], axis=0)
    if not (bounds.low <= spacing_mm.min() and spacing_mm.max() <= bounds.high):
        told = " × ".join(f"{size:g}" for size in spacing_mm)
        raise BadInput(
            f"The dose's voxels must measure {bounds.low:g} to {bounds.high:g} mm, got {told} mm. "
            "Correct its affine."
        )
