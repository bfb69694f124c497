"""Lungs, heart and great vessels of the stylised adult.

Source: lungs and heart from Cristy & Eckerman, ORNL/TM-8381 vol. 1 (1987), adult, checked
against the published volumes (see ``published``). Lobes and vessels are ours.
"""

import numpy as np
from jaxtyping import UInt8

from rpt_phantom.stylised import ids
from rpt_phantom.stylised.solids import (
    Coordinate,
    Inside,
    Solid,
    box,
    ellipsoid,
    rotated,
    tube,
)

LUNG_HALF_AXES_CM, LUNG_X_CM, LUNG_BASE_CM = (5.0, 7.5, 24.0), 8.5, 43.5

HEART_ORIGIN_CM = (1.0, -1.8, 50.0)
HEART_AXES = (
    (0.6751, -0.4727, -0.5664),
    (-0.4640, 0.3249, -0.8241),
    (0.5736, 0.8191, 0.0),
)
HEART_LENGTH_CM, HEART_WIDTH_CM, ATRIUM_LENGTH_CM = 8.60, 5.00, 5.40
LEFT_DEPTH_CM, RIGHT_DEPTH_CM = 3.10, 7.00
LEFT_WALL_CM, RIGHT_WALL_CM, ATRIUM_WALL_CM = 1.30, 0.60, 0.30

AORTA_RADIUS_CM, VENA_CAVA_RADIUS_CM, ILIAC_RADIUS_CM = 1.05, 1.1, 0.5
AORTA_CM = ((1.5, 2.3, 24.0), (1.5, 2.3, 57.0), (0.6, -0.6, 59.0), (0.0, -2.6, 55.0))
VENA_CAVA_CM = ((-1.6, 2.3, 23.5), (-1.6, 2.0, 43.5), (-1.8, 0.0, 48.0))
LEFT_ILIAC_CM = ((1.5, 2.3, 23.8), (4.0, 2.4, 16.0), (6.4, -3.2, 8.5), (7.6, -6.4, 1.0))


def lungs() -> Solid:
    """Return both lungs: halves of ellipsoids, cut away where the heart lies."""
    return right_lung() | left_lung()


def right_lung() -> Solid:
    """Return the right lung."""
    return _half(-LUNG_X_CM).where(
        lambda x, y, z: ~((z >= 46.0) & (z <= 54.0) & (y < 1.5) & (x > -5.4))
    )


def left_lung() -> Solid:
    """Return the left lung."""
    return _half(LUNG_X_CM).where(
        lambda x, y, z: ~((z >= 43.5) & (z <= 55.0) & (y < 1.0) & (x < 8.0))
    )


def lobes(x: Coordinate, y: Coordinate, z: Coordinate) -> UInt8[np.ndarray, "..."]:
    """Tell the lobes apart by two planes; ours.

    The oblique fissure rises to the back, the horizontal one lies at z = 53 cm.
    """
    below = z < 52.0 + 1.2 * y
    left = np.where(below, ids.LUNG_LOWER_LEFT, ids.LUNG_UPPER_LEFT)
    upper = np.where(z < 53.0, ids.LUNG_MIDDLE_RIGHT, ids.LUNG_UPPER_RIGHT)
    right = np.where(below, ids.LUNG_LOWER_RIGHT, upper)
    return np.where(x > 0, left, right).astype(np.uint8)


def heart(*, chambers: bool = False) -> Solid:
    """Return the heart, or the blood in its chambers.

    Four parts of ellipsoids in the heart's own coordinates, whose first axis points to the
    apex and whose third axis points from the right to the left side. A septum as thick as the
    atrium's wall brings the chambers to the published 436 mL; that it is on the right is ours.
    """
    left_cm, right_cm, atrium_cm = (
        (LEFT_WALL_CM, RIGHT_WALL_CM, ATRIUM_WALL_CM) if chambers else (0.0, 0.0, 0.0)
    )

    def contains(x: Coordinate, y: Coordinate, z: Coordinate) -> Inside:
        ventricle = x >= 0
        whole_left = _part(x, y, z, HEART_LENGTH_CM, LEFT_DEPTH_CM, 0.0)
        left = _part(x, y, z, HEART_LENGTH_CM, LEFT_DEPTH_CM, left_cm)
        right = _part(x, y, z, HEART_LENGTH_CM, RIGHT_DEPTH_CM, right_cm) & (z < 0) & ~whole_left
        left_atrium = _part(x, y, z, ATRIUM_LENGTH_CM, LEFT_DEPTH_CM, atrium_cm) & (z >= 0)
        right_atrium = _part(x, y, z, ATRIUM_LENGTH_CM, RIGHT_DEPTH_CM, atrium_cm)
        right_atrium &= z < -atrium_cm
        inside: Inside = (ventricle & (left | right)) | (~ventricle & (left_atrium | right_atrium))
        return inside

    x, y, z = HEART_ORIGIN_CM
    return Solid(
        (x - 9.0, y - 9.0, z - 8.0),
        (x + 9.0, y + 9.0, z + 8.0),
        rotated(contains, HEART_ORIGIN_CM, HEART_AXES),
    )


def aorta() -> Solid:
    """Return the aorta from the arch to its bifurcation before L4; ours."""
    return tube(AORTA_CM, AORTA_RADIUS_CM)


def vena_cava() -> Solid:
    """Return the inferior vena cava; ours."""
    return tube(VENA_CAVA_CM, VENA_CAVA_RADIUS_CM)


def left_iliac_artery() -> Solid:
    """Return the left common and external iliac artery; ours."""
    return tube(LEFT_ILIAC_CM, ILIAC_RADIUS_CM)


def _half(x_cm: float) -> Solid:
    a, b, c = LUNG_HALF_AXES_CM
    whole = ellipsoid((x_cm, 0.0, LUNG_BASE_CM), LUNG_HALF_AXES_CM)
    return whole & box((x_cm - a, -b, LUNG_BASE_CM), (x_cm + a, b, LUNG_BASE_CM + c))


def _part(
    x: Coordinate,
    y: Coordinate,
    z: Coordinate,
    length_cm: float,
    depth_cm: float,
    wall_cm: float,
) -> Inside:
    a, b, c = length_cm - wall_cm, HEART_WIDTH_CM - wall_cm, depth_cm - wall_cm
    inside: Inside = (x / a) ** 2 + (y / b) ** 2 + (z / c) ** 2 <= 1
    return inside
