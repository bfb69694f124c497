"""Bones of the stylised adult's trunk, each with its spongiosa.

Source: spine, rib cage and pelvic ring from Cristy & Eckerman, ORNL/TM-8381 vol. 1 (1987),
adult, as in MIRD Pamphlet 5 revised; checked against the published volumes (see
``published``). Ours: the slant of the ribs, the division into vertebrae, sternum, body of the
sacrum, hip joints and the thickness of the cortex. Not modelled: arm bones, clavicles and
scapulae (the arms are raised).
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
    tube,
    upright_cylinder,
)

SPINE_CENTRE_CM, SPINE_HALF_AXES_CM = (0.0, 5.5), (2.0, 2.5)
SPINE_BOTTOM_CM, T12_BOTTOM_CM, C7_BOTTOM_CM, SPINE_TOP_CM = 22.0, 35.1, 70.0, 84.2
CERVICAL_SHIFT_CM = 2.5  # how far the upper end of the neck's spine lies before its lower end

RIB_OUTER_CM, RIB_INNER_CM = (17.0, 9.8), (16.5, 9.3)
RIB_HEIGHT_CM, RIB_PAIRS = 1.4, 12
RIB_SLANT = 0.25  # rise to the back, cm per cm

PELVIS_OUTER_CM, PELVIS_OUTER_Y_CM = 12.0, -3.0
PELVIS_INNER_CM, PELVIS_INNER_Y_CM = 11.3, -3.8
PELVIS_TOP_CM, PELVIS_STEP_CM, PELVIS_STEP_Y_CM = 22.0, 14.0, 5.0
SACRUM_HALF_WIDTH_CM = 4.6

HEAD_OF_FEMUR_CM, HEAD_RADIUS_CM, CUP_RADIUS_CM = (10.2, -2.8, 4.6), 2.4, 3.0
NECK_OF_FEMUR_CM, NECK_RADIUS_CM = ((10.2, -2.8, 4.6), (11.0, 0.0, -0.5)), 1.7

CORTEX_CM = 0.2
THIN_CORTEX_CM = 0.12  # of ribs, sternum and the pelvic ring


def spine(*, inset_cm: float = 0.0) -> Solid:
    """Return middle and lower spine, T1 to L5, with their processes as one cylinder."""
    half = _inset(SPINE_HALF_AXES_CM, inset_cm)
    return upright_cylinder(SPINE_CENTRE_CM, half, (SPINE_BOTTOM_CM, C7_BOTTOM_CM))


def cervical_spine(*, inset_cm: float = 0.0) -> Solid:
    """Return the upper spine, which leans forward into our neck."""
    (x0, y0), (a, b) = SPINE_CENTRE_CM, _inset(SPINE_HALF_AXES_CM, inset_cm)
    lean = CERVICAL_SHIFT_CM / (SPINE_TOP_CM - C7_BOTTOM_CM)
    return box(
        (x0 - a, y0 - b - CERVICAL_SHIFT_CM, C7_BOTTOM_CM), (x0 + a, y0 + b, SPINE_TOP_CM)
    ).where(
        lambda x, y, z: ((x - x0) / a) ** 2 + ((y - y0 + lean * (z - C7_BOTTOM_CM)) / b) ** 2 <= 1
    )


def vertebrae(x: Coordinate, y: Coordinate, z: Coordinate) -> UInt8[np.ndarray, "..."]:
    """Tell the vertebrae apart by height: 5 lumbar, 12 thoracic and 7 cervical, equal in each."""
    edges_cm = [SPINE_BOTTOM_CM, T12_BOTTOM_CM, C7_BOTTOM_CM, SPINE_TOP_CM]
    numbers = [ids.L5, ids.T12, ids.C7, ids.C1 + 1]
    number = np.floor(np.interp(z, edges_cm, numbers))
    clipped: UInt8[np.ndarray, "*n"] = np.clip(number, ids.L5, ids.C1).astype(np.uint8)
    return clipped


def ribs(*, inset_cm: float = 0.0) -> Solid:
    """Return twelve pairs of ribs: bands of an elliptic shell, slanted."""
    (a, b), (c, d) = _inset(RIB_OUTER_CM, inset_cm), _inset(RIB_INNER_CM, -inset_cm)
    low, high = inset_cm / RIB_HEIGHT_CM, 1 - inset_cm / RIB_HEIGHT_CM
    rise_cm = RIB_SLANT * RIB_OUTER_CM[1]
    top_cm = T12_BOTTOM_CM + (2 * RIB_PAIRS - 1) * RIB_HEIGHT_CM

    def contains(x: Coordinate, y: Coordinate, z: Coordinate) -> Inside:
        shell = ((x / a) ** 2 + (y / b) ** 2 <= 1) & ((x / c) ** 2 + (y / d) ** 2 >= 1)
        band = _band(y, z)
        within = (band % 2 >= low) & (band % 2 <= high)
        inside: Inside = shell & within & (band >= 0) & (band <= 2 * RIB_PAIRS - 1)
        return inside

    return box((-a, -b, T12_BOTTOM_CM - rise_cm), (a, b, top_cm + rise_cm)).where(contains)


def rib_numbers(x: Coordinate, y: Coordinate, z: Coordinate) -> UInt8[np.ndarray, "..."]:
    """Tell the ribs apart; the lowest is the twelfth."""
    from_below = np.clip(np.floor(_band(y, z) / 2), 0, RIB_PAIRS - 1)
    first = np.where(x > 0, ids.RIB_LEFT_1, ids.RIB_RIGHT_1)
    number: UInt8[np.ndarray, "*n"] = (first + RIB_PAIRS - 1 - from_below).astype(np.uint8)
    return number


def sternum(*, inset_cm: float = 0.0) -> Solid:
    """Return the sternum, which joins the ribs in front; ours."""
    i = inset_cm
    plate = box((-2.2 + i, -9.8, 46.0 + i), (2.2 - i, -8.0, 64.0 - i))
    return plate.where(
        lambda x, y, z: (
            ((x / 17.0) ** 2 + (y / (9.8 - i)) ** 2 <= 1)
            & ((x / 16.5) ** 2 + (y / (8.8 + i)) ** 2 >= 1)
        )
    )


def pelvic_ring(*, inset_cm: float = 0.0) -> Solid:
    """Return the report's pelvis: between two cylinders that are not concentric."""
    outer_cm, inner_cm = PELVIS_OUTER_CM - inset_cm, PELVIS_INNER_CM + inset_cm
    front_y = PELVIS_OUTER_Y_CM + inset_cm
    around = box((-outer_cm, front_y, inset_cm), (outer_cm, 9.0, PELVIS_TOP_CM - inset_cm))
    return around.where(
        lambda x, y, z: (
            (x**2 + (y - PELVIS_OUTER_Y_CM) ** 2 <= outer_cm**2)
            & (x**2 + (y - PELVIS_INNER_Y_CM) ** 2 >= inner_cm**2)
            & ((z >= PELVIS_STEP_CM + inset_cm) | (y <= PELVIS_STEP_Y_CM - inset_cm))
        )
    )


def sacrum(*, inset_cm: float = 0.0) -> Solid:
    """Return the body of the sacrum before the ring's back; ours."""
    half = tuple(axis - inset_cm for axis in (SACRUM_HALF_WIDTH_CM, 2.0, 6.5))
    whole = ellipsoid((0.0, 6.4, 17.0), (half[0], half[1], half[2]))
    return whole.where(lambda x, y, z: z <= PELVIS_TOP_CM - inset_cm)


def pelvis_numbers(x: Coordinate, y: Coordinate, z: Coordinate) -> UInt8[np.ndarray, "..."]:
    """Tell the sacrum, in the middle of the back, from the hips."""
    hip = np.where(x > 0, ids.HIP_LEFT, ids.HIP_RIGHT)
    middle = (np.abs(x) <= SACRUM_HALF_WIDTH_CM) & (y > 0)
    return np.where(middle, ids.SACRUM, hip).astype(np.uint8)


def left_hip_joint(*, inset_cm: float = 0.0) -> Solid:
    """Return the socket of the left hip; ours. The femur's head, painted later, fills it."""
    x0, _, z0 = HEAD_OF_FEMUR_CM
    radius_cm = CUP_RADIUS_CM - inset_cm
    ball = ellipsoid(HEAD_OF_FEMUR_CM, (radius_cm, radius_cm, radius_cm))
    return ball.where(lambda x, y, z: (x <= x0 + 1.0) | (z >= z0 + 0.5))


def left_femur(*, bottom_cm: float, inset_cm: float = 0.0) -> Solid:
    """Return the upper end of the left femur; ours below the neck too, for a cut field.

    Args:
        bottom_cm: Where the shaft is cut, cm; below 0.
        inset_cm: Thickness of the cortex to leave out, cm.
    """
    radius_cm = HEAD_RADIUS_CM - inset_cm
    ball = ellipsoid(HEAD_OF_FEMUR_CM, (radius_cm, radius_cm, radius_cm))
    neck = tube(NECK_OF_FEMUR_CM, NECK_RADIUS_CM - inset_cm)
    shaft = tube(((11.0, 0.0, -0.5), (10.0, 0.0, bottom_cm)), NECK_RADIUS_CM - inset_cm)
    return ball | neck | shaft


def _band(y: Coordinate, z: Coordinate) -> Coordinate:
    """Return the height above the lowest rib in heights of a rib; even bands are ribs."""
    height: Coordinate = (z - RIB_SLANT * y - T12_BOTTOM_CM) / RIB_HEIGHT_CM
    return height


def _inset(half_axes_cm: tuple[float, float], by_cm: float) -> tuple[float, float]:
    return half_axes_cm[0] - by_cm, half_axes_cm[1] - by_cm
