"""From slices anywhere in space to one regular grid.

DICOM's patient axes are LPS, NIfTI's world is RAS: x and y change sign.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation
from rpt_cohort import BadInput, Volume

from rpt_dosimetry.attributes import (
    COLUMNS,
    FRAME_OF_REFERENCE,
    NUMBER_OF_FRAMES,
    ORIENTATION,
    PIXEL_SPACING,
    POSITION,
    ROWS,
    Tag,
)
from rpt_dosimetry.decimals import BOUNDS, check_bounds, parse_decimal
from rpt_dosimetry.elements import components

_COSINE_TOLERANCE = 1e-3
"""On length and angle of the direction cosines: some scanners write four digits."""
_MM3_PER_ML = 1000.0


@dataclass(frozen=True)
class Grid:
    """Where the slices of one series stand.

    Attributes:
        order: Index of the file that holds each slice, along the normal.
        shape: Columns, rows, slices: i, j, k.
        affine: (i, j, k) → position, mm, RAS+ world.
    """

    order: Int[np.ndarray, " k"]
    shape: tuple[int, int, int]
    affine: Float[np.ndarray, "4 4"]

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel, mL."""
        return abs(float(np.linalg.det(self.affine[:3, :3]))) / _MM3_PER_ML


def repeated_positions(headers: Sequence[Any]) -> list[list[int]]:
    """Group the slices that stand at one and the same position.

    Returns:
        Lists of two or more indices into ``headers``.

    Raises:
        BadInput: A slice has no position or orientation, or they differ in orientation.
    """
    distance_mm = _distances_mm(_positions_mm(headers), _cosines(headers))
    groups: list[list[int]] = []
    last = -np.inf
    for index in np.argsort(distance_mm, kind="stable"):
        if distance_mm[index] - last < 1e-3:
            groups[-1].append(int(index))
        else:
            groups.append([int(index)])
        last = distance_mm[index]
    return [group for group in groups if len(group) > 1]


def find_grid(headers: Sequence[Any]) -> Grid:
    """Find the regular grid of a series' slices.

    Args:
        headers: One header a slice, in any order.

    Returns:
        The grid; the distance of slices comes from their positions, never from a tag.

    Raises:
        BadInput: The slices are fewer than two, differ in matrix, spacing, orientation or
            frame of reference, are several frames, stand at uneven distances (a slice is
            missing), are sheared (gantry tilt), or have a position or spacing that is not
            plausible.
    """
    if len(headers) < 2:
        raise BadInput(
            f"A series must have at least 2 slices, got {len(headers)}: without a neighbour a "
            "slice has no distance."
        )
    rows, columns, spacing_mm = _plane(headers)
    cosines = _cosines(headers)
    positions_mm = _positions_mm(headers)
    distance_mm = _distances_mm(positions_mm, cosines)
    order = np.argsort(distance_mm, kind="stable")
    _check_steps(distance_mm[order])
    _check_shear(positions_mm[order], cosines)
    step_mm = float(distance_mm[order[-1]] - distance_mm[order[0]]) / (len(headers) - 1)
    _check_step(step_mm)
    affine = np.eye(4)
    # Pixel Spacing is the distance of rows, then of columns; i runs along a row.
    affine[:3, 0] = cosines[0] * spacing_mm[1]
    affine[:3, 1] = cosines[1] * spacing_mm[0]
    affine[:3, 2] = np.cross(*cosines) * step_mm
    affine[:3, 3] = positions_mm[order[0]]
    return Grid(order, (columns, rows, len(headers)), np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine)


def to_ras(data: Float[np.ndarray, "i j k"], grid: Grid) -> tuple[Volume, int, bool]:
    """Turn the axes so that they run to the right, front and head as nearly as they can.

    Args:
        data: Values on the grid.
        grid: Where they stand.

    Returns:
        The volume, float32; the axis along which its slices stand; and whether they now
        run the other way.
    """
    orientation = io_orientation(grid.affine)
    turned = apply_orientation(data.astype(np.float32), orientation)
    affine = grid.affine @ inv_ornt_aff(orientation, grid.shape)
    axis, direction = orientation[2]
    return Volume(np.ascontiguousarray(turned), affine), int(axis), bool(direction < 0)


def _plane(headers: Sequence[Any]) -> tuple[int, int, Float[np.ndarray, "2"]]:
    for tag in (ROWS, COLUMNS, FRAME_OF_REFERENCE):
        if len({tuple(components(header, tag)) for header in headers}) > 1:
            raise BadInput(
                f"{tag} must be the same in all {len(headers)} slices, and it differs. The "
                "series mixes images; export the transverse slices alone."
            )
    for header in headers:
        frames = components(header, NUMBER_OF_FRAMES)
        if frames and frames != ["1"]:
            raise BadInput(
                f"{NUMBER_OF_FRAMES} must be 1 in a PET image, and it is not. Export one slice "
                "a file."
            )
    spacing_mm = _numbers(headers, PIXEL_SPACING, 2)
    if not (spacing_mm > 0).all() or np.abs(spacing_mm - spacing_mm[0]).max() > 1e-4:
        raise BadInput(f"{PIXEL_SPACING} must be above 0 mm and the same in all slices.")
    size = [_numbers(headers[:1], tag, 1)[0, 0] for tag in (ROWS, COLUMNS)]
    if min(size) < 1:
        raise BadInput(f"{ROWS} and {COLUMNS} must be at least 1, got {size[0]} and {size[1]}.")
    return int(size[0]), int(size[1]), spacing_mm[0]


def _cosines(headers: Sequence[Any]) -> Float[np.ndarray, "2 3"]:
    """Return the common directions of a row and of a column, orthonormal."""
    every = _numbers(headers, ORIENTATION, 6)
    if np.abs(every - every[0]).max() > _COSINE_TOLERANCE:
        raise BadInput(
            f"{ORIENTATION} must be the same in all {len(headers)} slices, and it differs. The "
            "series holds a localizer or a reformatted image; export the PET slices alone."
        )
    row, column = every[0, :3], every[0, 3:]
    lengths = np.linalg.norm([row, column], axis=1)
    if np.abs(lengths - 1.0).max() > _COSINE_TOLERANCE or abs(row @ column) > _COSINE_TOLERANCE:
        raise BadInput(
            f"{ORIENTATION} must be two unit vectors at a right angle, and they are not."
        )
    row = row / np.linalg.norm(row)
    column = column - (column @ row) * row
    return np.stack([row, column / np.linalg.norm(column)])


def _positions_mm(headers: Sequence[Any]) -> Float[np.ndarray, "n 3"]:
    return _numbers(headers, POSITION, 3)


def _distances_mm(
    positions_mm: Float[np.ndarray, "n 3"], cosines: Float[np.ndarray, "2 3"]
) -> Float[np.ndarray, " n"]:
    distances: Float[np.ndarray, " n"] = positions_mm @ np.cross(cosines[0], cosines[1])
    return distances


def _check_steps(distance_mm: Float[np.ndarray, " n"]) -> None:
    steps_mm = np.diff(distance_mm)
    step_mm = float(np.median(steps_mm))
    # A real scanner's beds join with steps of 3.19 and 3.29 mm among 3.27 mm.
    uneven = np.abs(steps_mm - step_mm) > 0.05 * step_mm + 0.02
    regular_mm = np.linspace(distance_mm[0], distance_mm[-1], len(distance_mm))
    astray_mm = float(np.abs(distance_mm - regular_mm).max())
    if uneven.any() or astray_mm > 0.1 * step_mm + 0.02:
        cause = "slices are missing" if steps_mm.max() > 1.5 * step_mm else "two series are mixed"
        raise BadInput(
            f"Slices must stand at even distances, here {step_mm:.3f} mm, and {uneven.sum()} of "
            f"{len(steps_mm)} distances differ ({steps_mm.min():.3f} to {steps_mm.max():.3f} mm): "
            f"{cause}. Copy or export the whole series."
        )


def _check_step(step_mm: float) -> None:
    bounds = BOUNDS[PIXEL_SPACING]
    if not bounds.low <= step_mm <= bounds.high:
        raise BadInput(
            f"Slices must stand {bounds.low:g} to {bounds.high:g} mm apart, got {step_mm:g} mm. "
            f"Check {POSITION}."
        )


def _check_shear(positions_mm: Float[np.ndarray, "n 3"], cosines: Float[np.ndarray, "2 3"]) -> None:
    drift_mm = (positions_mm - positions_mm[0]) @ cosines.T
    extent_mm = float(np.linalg.norm(positions_mm[-1] - positions_mm[0]))
    worst_mm = float(np.abs(drift_mm).max())
    if worst_mm > 0.1 + 1e-4 * extent_mm:
        raise BadInput(
            f"Slices must lie straight above each other, and they shift by {worst_mm:.2f} mm in "
            "their plane (gantry tilt). Resample the series to an upright one first."
        )


def _numbers(headers: Sequence[Any], tag: Tag, count: int) -> Float[np.ndarray, "n count"]:
    try:
        values = np.array(
            [[parse_decimal(text) for text in components(header, tag)] for header in headers],
            dtype=np.float64,
        )
    except ValueError:
        values = np.empty((0, 0))
    if values.shape != (len(headers), count):
        raise BadInput(
            f"{tag} must be {count} finite {'numbers' if count > 1 else 'number'} in every "
            f"slice, and in {_bad_count(headers, tag, count)} of {len(headers)} it is not."
        )
    if tag in BOUNDS:
        for value in (values.min(), values.max()):
            check_bounds(float(value), tag, BOUNDS[tag])
    return values


def _bad_count(headers: Sequence[Any], tag: Tag, count: int) -> int:
    def good(header: Any) -> bool:
        try:
            return len([parse_decimal(text) for text in components(header, tag)]) == count
        except ValueError:
            return False

    return sum(not good(header) for header in headers)
