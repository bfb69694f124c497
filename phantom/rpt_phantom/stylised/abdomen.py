"""Abdominal organs of the stylised adult.

Source: Cristy & Eckerman, ORNL/TM-8381 vol. 1 (1987), adult; where the report took over the
solid unchanged, MIRD Pamphlet 5 revised (Snyder et al., 1978). The constants were checked
against the report's published volumes (see ``published``) and, scaled to its 15-year-old,
against the Geant4 example ``human_phantom``. Duodenum and the division of kidneys and small
bowel are ours.
"""

import numpy as np

from rpt_phantom.stylised.solids import (
    Coordinate,
    Inside,
    Solid,
    box,
    ellipsoid,
    rotated,
    tube,
    upright_cylinder,
)

KIDNEY_CENTRE_CM, KIDNEY_HALF_AXES_CM = (6.0, 6.0, 32.5), (4.5, 1.5, 5.5)
KIDNEY_CUT_CM = 3.0
MEDULLA_OF_KIDNEY = 0.654  # half axes of medulla and pelvis; with the shift 30 % of the volume
PELVIS_OF_KIDNEY = 0.359  # half axes of the renal pelvis; with the shift 5 % of the volume
MEDULLA_MEDIAL_CM, PELVIS_MEDIAL_CM = 0.35, 1.30

STOMACH_CENTRE_CM, STOMACH_HALF_AXES_CM, STOMACH_WALL_CM = (8.0, -4.0, 35.0), (4.0, 3.0, 8.0), 0.613
BLADDER_CENTRE_CM, BLADDER_HALF_AXES_CM = (0.0, -4.5, 8.0), (4.958, 3.458, 3.458)
BLADDER_WALL_CM = 0.252

GALLBLADDER_ORIGIN_CM = (-4.5, -3.2, 30.0)
GALLBLADDER_AXES = (
    (0.9615, 0.0, -0.2748),
    (-0.0574, 0.9779, -0.2008),
    (0.2687, 0.2090, 0.9403),
)
GALLBLADDER_RADIUS_CM, GALLBLADDER_WALL_CM = 2.12, 0.12
GALLBLADDER_TAPER, GALLBLADDER_CONE_CM = 0.2275, 8.0

ASCENDING_WALL_CM, TRANSVERSE_WALL_CM, DESCENDING_WALL_CM = 0.7085, 0.527, 0.54
SIGMOID_RADIUS_CM, SIGMOID_WALL_CM = 1.57, 0.66

DUODENUM_RADIUS_CM = 1.1
DUODENUM_CM = (
    (5.2, -3.0, 30.5),
    (-1.0, -2.3, 32.4),
    (-3.6, 0.0, 33.8),
    (-3.8, 0.2, 28.6),
    (3.2, 0.0, 28.6),
    (4.6, -0.6, 30.8),
)
JEJUNUM_CENTRE_CM, JEJUNUM_HALF_AXES_CM = (4.0, -1.3, 23.0), (7.2, 3.5, 5.2)
LOOPS_CM = 5.6  # period of the bowel's loops: 2.8 cm wide


def liver() -> Solid:
    """Return the liver: an elliptic cylinder cut by a plane."""
    return upright_cylinder((0.0, 0.0), (16.5, 8.0), (27.0, 43.0)).where(
        lambda x, y, z: x / 35.0 + y / 45.0 - z / 43.0 <= -1.0
    )


def spleen() -> Solid:
    """Return the spleen: an ellipsoid."""
    return ellipsoid((11.0, 3.0, 37.0), (3.5, 2.0, 6.0))


def pancreas() -> Solid:
    """Return the pancreas: half an ellipsoid, less a quarter."""
    whole = ellipsoid((-1.0, 0.0, 37.0), (16.0, 1.2, 3.3))
    half = whole & box((-1.0, -1.2, 33.7), (15.0, 1.2, 40.3))
    return half.where(lambda x, y, z: (x <= 3.0) | (z >= 37.0))


def left_adrenal() -> Solid:
    """Return the left adrenal: half an ellipsoid upon the kidney."""
    whole = ellipsoid((4.5, 6.5, 38.0), (1.5, 0.5, 5.0))
    return whole & box((3.0, 6.0, 38.0), (6.0, 7.0, 43.0))


def left_kidney() -> Solid:
    """Return the left kidney: an ellipsoid cut towards the spine."""
    return _left_renal(KIDNEY_HALF_AXES_CM, 0.0)


def left_renal_medulla() -> Solid:
    """Return medulla and pelvis of the left kidney: a smaller ellipsoid, shifted medially.

    Ours: cortex, medulla and pelvis are 70, 25 and 5 % of the volume as in ICRP Publication
    89; the single pyramids of the multiregion kidney (MIRD Pamphlet 19, Bouchet et al., J Nucl
    Med 44 (2003) 1113) are united, because no scanner here resolves them.
    """
    return _left_renal(_scaled(KIDNEY_HALF_AXES_CM, MEDULLA_OF_KIDNEY), MEDULLA_MEDIAL_CM)


def left_renal_pelvis() -> Solid:
    """Return the pelvis of the left kidney, within its medulla; ours."""
    return _left_renal(_scaled(KIDNEY_HALF_AXES_CM, PELVIS_OF_KIDNEY), PELVIS_MEDIAL_CM)


def stomach(*, inset_cm: float = 0.0) -> Solid:
    """Return the stomach, or its content with ``inset_cm`` the wall's thickness."""
    return ellipsoid(STOMACH_CENTRE_CM, _inset(STOMACH_HALF_AXES_CM, inset_cm))


def bladder(*, inset_cm: float = 0.0) -> Solid:
    """Return the urinary bladder, or its content with ``inset_cm`` the wall's thickness."""
    return ellipsoid(BLADDER_CENTRE_CM, _inset(BLADDER_HALF_AXES_CM, inset_cm))


def gallbladder(*, inset_cm: float = 0.0) -> Solid:
    """Return the gallbladder: a hemisphere upon a blunt cone, tilted."""
    radius_cm = GALLBLADDER_RADIUS_CM - inset_cm

    def contains(x: Coordinate, y: Coordinate, z: Coordinate) -> Inside:
        across2 = x**2 + y**2
        ball = (z < 0) & (across2 + z**2 <= radius_cm**2)
        cone = (z >= 0) & (z <= GALLBLADDER_CONE_CM)
        inside: Inside = ball | (cone & (across2 <= (radius_cm - GALLBLADDER_TAPER * z) ** 2))
        return inside

    x, y, z = GALLBLADDER_ORIGIN_CM
    return Solid(
        (x - 3.0, y - 3.0, z - 3.0),
        (x + 4.6, y + 4.2, z + 8.6),
        rotated(contains, GALLBLADDER_ORIGIN_CM, GALLBLADDER_AXES),
    )


def colon(*, content: bool = False) -> Solid:
    """Return ascending, transverse, descending and sigmoid colon, or their content."""
    share = 1.0 if content else 0.0
    return (
        ascending_colon(inset_cm=share * ASCENDING_WALL_CM)
        | transverse_colon(inset_cm=share * TRANSVERSE_WALL_CM)
        | descending_colon(inset_cm=share * DESCENDING_WALL_CM)
        | sigmoid_colon(inset_cm=share * SIGMOID_WALL_CM)
    )


def ascending_colon(*, inset_cm: float = 0.0) -> Solid:
    """Return the ascending colon."""
    radius_cm = 2.5 - inset_cm
    return upright_cylinder((-8.5, -2.36), (radius_cm, radius_cm), (14.45, 24.0))


def transverse_colon(*, inset_cm: float = 0.0) -> Solid:
    """Return the transverse colon: an elliptic cylinder along x."""
    a, b = 2.5 - inset_cm, 1.5 - inset_cm
    return box((-10.5, -2.36 - a, 25.5 - b), (10.5, -2.36 + a, 25.5 + b)).where(
        lambda x, y, z: ((y + 2.36) / a) ** 2 + ((z - 25.5) / b) ** 2 <= 1
    )


def descending_colon(*, inset_cm: float = 0.0) -> Solid:
    """Return the descending colon: an elliptic cylinder that leans."""
    a, b, bottom_cm, top_cm = 1.88 - inset_cm, 2.13 - inset_cm, 8.72, 24.0
    length_cm = top_cm - bottom_cm

    def contains(x: Coordinate, y: Coordinate, z: Coordinate) -> Inside:
        centre_x = 9.4 + 0.9 * (z - top_cm) / length_cm
        centre_y = 2.5 * (bottom_cm - z) / length_cm
        inside: Inside = ((x - centre_x) / a) ** 2 + ((y - centre_y) / b) ** 2 <= 1
        return inside

    return box((6.5, -4.7, bottom_cm), (11.4, 2.2, top_cm)).where(contains)


def sigmoid_colon(*, inset_cm: float = 0.0) -> Solid:
    """Return the sigmoid colon: two quarters of tori in the plane y = 0."""
    tube_cm = SIGMOID_RADIUS_CM - inset_cm

    def contains(x: Coordinate, y: Coordinate, z: Coordinate) -> Inside:
        upper = (np.hypot(x - 3.0, z - 8.72) - 5.72) ** 2 + y**2 <= tube_cm**2
        lower = (np.hypot(x - 3.0, z) - 3.0) ** 2 + y**2 <= tube_cm**2
        inside: Inside = (upper & (x >= 3.0) & (z <= 8.72)) | (lower & (x <= 3.0) & (z >= 0.0))
        return inside

    return box((-1.6, -1.57, 0.0), (10.3, 1.57, 8.72)).where(contains)


def small_bowel() -> Solid:
    """Return wall and content of the small bowel, as one: a slice of a cylinder less the colon."""
    drum = upright_cylinder((0.0, -3.8), (11.3, 11.3), (17.0, 27.0))
    slab = box((-11.3, -4.86, 17.0), (11.3, 2.2, 27.0))
    return (drum & slab) - colon()


def jejunum() -> Solid:
    """Return loops in the left upper part of the small bowel's region; ours.

    One side of a gyroid: half of the space, wound through the other half.
    """

    def wound(x: Coordinate, y: Coordinate, z: Coordinate) -> Inside:
        a, b, c = (2 * np.pi / LOOPS_CM * at for at in (x, y, z))
        gyroid = np.sin(a) * np.cos(b) + np.sin(b) * np.cos(c) + np.sin(c) * np.cos(a)
        inside: Inside = gyroid > 0
        return inside

    return ellipsoid(JEJUNUM_CENTRE_CM, JEJUNUM_HALF_AXES_CM).where(wound)


def duodenum() -> Solid:
    """Return the duodenum, a tube around the head of the pancreas; ours, the report has none."""
    return tube(DUODENUM_CM, DUODENUM_RADIUS_CM)


def _left_renal(half_axes_cm: tuple[float, float, float], medial_cm: float) -> Solid:
    x, y, z = KIDNEY_CENTRE_CM
    whole = ellipsoid((x - medial_cm, y, z), half_axes_cm)
    return whole.where(lambda x, y, z: x >= KIDNEY_CUT_CM)


def _inset(half_axes_cm: tuple[float, float, float], by_cm: float) -> tuple[float, float, float]:
    a, b, c = half_axes_cm
    return a - by_cm, b - by_cm, c - by_cm


def _scaled(half_axes_cm: tuple[float, float, float], by: float) -> tuple[float, float, float]:
    a, b, c = half_axes_cm
    return a * by, b * by, c * by
