"""From the world to the standard adult: setup, deformation, size, and each organ's own pose.

The world is RAS+, mm: x to the patient's right, y anterior, z superior; its origin lies in the
trunk's axis at the height of 35 cm, the border of T12 and L1. The report counts in cm, x to the
left, y to the back, z from the trunk's base: half a turn about z and a shift.
"""

from itertools import product

import numpy as np
from jaxtyping import Float32
from scipy.spatial.transform import Rotation

from rpt_phantom.stylised.adult import anchors_cm
from rpt_phantom.stylised.axis_grid import AxisGrid
from rpt_phantom.stylised.body import Pose, StylisedBody
from rpt_phantom.stylised.solids import Coordinate, Solid, Vector

ORIGIN_Z_CM = 35.0

Points = tuple[Coordinate, Coordinate, Coordinate]


def report_points(
    body: StylisedBody, grid: AxisGrid, window: tuple[slice, slice, slice]
) -> Float32[np.ndarray, "3 x y z"]:
    """Return where in the standard adult the voxels of a window come from.

    Args:
        body: The patient.
        grid: The voxels.
        window: Which of them.

    Returns:
        x, y and z in the report's coordinates, cm.
    """
    axes_mm = [grid.positions_mm(axis)[window[axis]] - body.setup_mm[axis] for axis in range(3)]
    shape = tuple(len(axis_mm) for axis_mm in axes_mm)
    if body.deformation is None:
        points = np.zeros((3, *shape), np.float32)
    else:
        points = body.deformation.on_axes(*axes_mm)
    scales = (-1 / (10 * body.width), -1 / (10 * body.width), 1 / (10 * body.height))
    for axis in range(3):
        along = [1, 1, 1]
        along[axis] = -1
        points[axis] += axes_mm[axis].astype(np.float32).reshape(along)
        points[axis] *= np.float32(scales[axis])
    points[2] += np.float32(ORIGIN_Z_CM)
    return points


def world_box_mm(body: StylisedBody, low_cm: Vector, high_cm: Vector) -> tuple[Vector, Vector]:
    """Return a box in the world, mm, that holds a box in the report's coordinates, cm."""
    ends = np.array([low_cm, high_cm]) - [0.0, 0.0, ORIGIN_Z_CM]
    ends *= [-10 * body.width, -10 * body.width, 10 * body.height]
    ends += body.setup_mm
    margin_mm = 0.0 if body.deformation is None else body.deformation.most_mm
    low, high = ends.min(axis=0) - margin_mm, ends.max(axis=0) + margin_mm
    return (
        (float(low[0]), float(low[1]), float(low[2])),
        (float(high[0]), float(high[1]), float(high[2])),
    )


def own_points(points: Points, pose: Pose, group: str) -> Points:
    """Return where in the standard organ points come from, given its pose, cm."""
    anchor = anchors_cm()[group]
    rows = _turn(pose).T / pose.volume_factor ** (1 / 3)
    x, y, z = (p - np.float32(a + s) for p, a, s in zip(points, anchor, pose.shift_cm, strict=True))
    u, v, w = (
        np.float32(row[0]) * x + np.float32(row[1]) * y + np.float32(row[2]) * z + np.float32(a)
        for row, a in zip(rows, anchor, strict=True)
    )
    return u, v, w


def posed_box_cm(solid: Solid, pose: Pose, group: str) -> tuple[Vector, Vector]:
    """Return a box, cm, that holds a solid in its pose."""
    anchor = np.array(anchors_cm()[group])
    corners = np.array(list(product(*zip(solid.low_cm, solid.high_cm, strict=True))))
    moved = (corners - anchor) @ _turn(pose).T * pose.volume_factor ** (1 / 3)
    moved += anchor + pose.shift_cm
    low, high = moved.min(axis=0), moved.max(axis=0)
    return (
        (float(low[0]), float(low[1]), float(low[2])),
        (float(high[0]), float(high[1]), float(high[2])),
    )


def _turn(pose: Pose) -> np.ndarray:
    matrix: np.ndarray = Rotation.from_euler("xyz", pose.tilt_deg, degrees=True).as_matrix()
    return matrix
