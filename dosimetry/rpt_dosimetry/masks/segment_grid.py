"""One grid for the frames of a segmentation, of which some may be left out."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from rpt_cohort import BadInput

from rpt_dosimetry.dicom.attributes import ORIENTATION, PIXEL_SPACING, POSITION
from rpt_dosimetry.dicom.reading import BOUNDS

_ASTRAY_VOXELS = 0.05
"""By how much a frame may leave the grid, ours: decimals cut off."""
_COSINES = 1e-3
_LARGEST_SLICES = 4096
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class FrameGeometry:
    """Where one frame stands, in DICOM's LPS.

    Attributes:
        position_mm: Centre of its first voxel.
        cosines: Directions of a row and of a column.
        spacing_mm: Distance of rows, then of columns.
        step_mm: Distance of neighbouring frames, as told; ``None`` where nothing tells.
    """

    position_mm: Float[np.ndarray, "3"]
    cosines: Float[np.ndarray, "2 3"]
    spacing_mm: Float[np.ndarray, "2"]
    step_mm: float | None


def segment_grid(
    frames: Sequence[FrameGeometry],
) -> tuple[Float[np.ndarray, "4 4"], Int[np.ndarray, " frames"]]:
    """Find the regular grid of frames, in any order and with gaps.

    Args:
        frames: At least one.

    Returns:
        Column, row, slice → position, mm, RAS+ world; and the slice of each frame.

    Raises:
        BadInput: Frames differ in orientation or spacing, nothing tells their distance, or
            they leave the grid.
    """
    first = frames[0]
    lengths = np.linalg.norm(first.cosines, axis=1)
    right = np.abs(lengths - 1.0).max() < _COSINES and abs(np.dot(*first.cosines)) < _COSINES
    if not right or any(
        not np.abs(one.cosines - first.cosines).max() <= _COSINES for one in frames
    ):
        raise BadInput(
            f"{ORIENTATION} must be two unit vectors at a right angle, the same in every frame of "
            "the segmentation, and it is not. Export it anew."
        )
    if not (first.spacing_mm > 0).all() or any(
        not np.abs(one.spacing_mm - first.spacing_mm).max() <= 1e-4 for one in frames
    ):
        raise BadInput(
            f"{PIXEL_SPACING} must be above 0 mm and the same in every frame, and it is not."
        )
    positions_mm = np.array([one.position_mm for one in frames])
    if not (np.abs(positions_mm) <= BOUNDS[POSITION].high).all():  # NaN compares as false
        raise BadInput(f"{POSITION} must be within 1e5 mm in every frame, and it is not.")
    normal = np.cross(first.cosines[0], first.cosines[1])
    distances_mm = positions_mm @ normal
    start = int(np.argmin(distances_mm))
    step_mm = _step_mm(frames, distances_mm)
    at = (distances_mm - distances_mm[start]) / step_mm
    slices = np.rint(at).astype(np.intp)
    _check_places(positions_mm, slices, start, step_mm * normal, first)
    affine = np.eye(4)
    affine[:3, 0] = first.cosines[0] * first.spacing_mm[1]
    affine[:3, 1] = first.cosines[1] * first.spacing_mm[0]
    affine[:3, 2] = normal * step_mm
    affine[:3, 3] = positions_mm[start]
    return _LPS_TO_RAS @ affine, slices


def _step_mm(frames: Sequence[FrameGeometry], distances_mm: Float[np.ndarray, " frames"]) -> float:
    """Return the distance of frames: the smallest met, or the told one where it divides it.

    Slice Thickness is often untrue; of frames that are left out it may be all that is told.
    """
    apart_mm = np.diff(np.sort(distances_mm))
    apart_mm = apart_mm[apart_mm > 1e-3]
    told_mm = frames[0].step_mm
    if not len(apart_mm):
        if told_mm is None or not told_mm > 0:
            raise BadInput(
                "A segmentation in one plane must tell Slice Thickness (0018,0050), and it does "
                "not. Export it anew."
            )
        return told_mm
    step_mm = float(apart_mm.min())
    if told_mm is not None and 0 < told_mm < step_mm:
        ratio = step_mm / told_mm
        if abs(ratio - round(ratio)) < _ASTRAY_VOXELS:
            step_mm /= round(ratio)
    # Over the whole extent, so that the decimals of one distance do not add up.
    extent_mm = float(np.ptp(distances_mm))
    return extent_mm / round(extent_mm / step_mm)


def _check_places(
    positions_mm: Float[np.ndarray, "frames 3"],
    slices: Int[np.ndarray, " frames"],
    start: int,
    step: Float[np.ndarray, "3"],
    first: FrameGeometry,
) -> None:
    if slices.max() >= _LARGEST_SLICES:
        raise BadInput(f"{POSITION} must span at most {_LARGEST_SLICES} slices. Export it anew.")
    astray_mm = positions_mm - positions_mm[start] - slices[:, np.newaxis] * step
    smallest_mm = min(float(np.linalg.norm(step)), *first.spacing_mm.tolist())
    worst = float(np.linalg.norm(astray_mm, axis=1).max()) / smallest_mm
    if worst > _ASTRAY_VOXELS:
        raise BadInput(
            f"{POSITION} must place all frames of the segmentation on one grid, and a frame leaves "
            f"it by {worst:.2g} voxels. Resample the segmentation to an upright grid."
        )
