"""A stylised torso: body, liver, spleen, kidneys and vertebrae as simple solids.

Positions are in the patient's frame, mm, RAS+ (x to the patient's right, y anterior,
z superior); its origin lies in mid-trunk at the border of the vertebrae T12 and L1.

Source: liver and spleen after the ORNL/MIRD-5 adult (Cristy & Eckerman, ORNL/TM-8381,
1987; there x points to the left, y backward, and our origin is at z = 35 cm), the liver
rounded; kidneys and vertebrae are our own ellipsoids, of the published masses.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8, UInt16
from rpt_cohort.labels import KIDNEY_LEFT, KIDNEY_RIGHT, LIVER, REMAINING_BODY, SPLEEN
from scipy.spatial.transform import Rotation

from rpt_phantom.grid import Grid
from rpt_phantom.lesions import Lesion
from rpt_phantom.spine import COLUMN_Y_MM, is_vertebra, paint_vertebrae

Vector = Float[np.ndarray, "3"]
Points = tuple[Float[np.ndarray, "x y z"], Float[np.ndarray, "x y z"], Float[np.ndarray, "x y z"]]

BODY_HALF_AXES_MM = (190.0, 120.0)  # x, y; a girth of about 1.0 m. Ours
WALL_MM = 8.0  # muscle between fat and organs. Ours
LIVER_VOLUME_ML = 1_698.0  # of the solid below at scale 1; a test holds it
LIVER_HALF_AXES_MM = (165.0, 80.0)
LIVER_ANCHOR_MM = (60.0, 0.0, 20.0)  # the point about which the liver scales and tilts
KIDNEY_HALF_AXES_MM = (28.0, 22.0, 55.0)
MEDULLA_SHARE = (0.60, 0.50, 0.68)  # of the kidney's half axes: medulla and pelvis. Ours
MEDULLA_MEDIAL_MM = 7.0
SPLEEN_HALF_AXES_MM = (35.0, 20.0, 60.0)
DENSITY_G_PER_ML = 1.04  # soft tissue


@dataclass(frozen=True)
class Pose:
    """Where a solid lies.

    Attributes:
        centre_mm: Its centre in the patient's frame, mm.
        tilt_deg: Rotations about x, y and z, degrees.
        scale: Its lengths along its own x, y, z relative to the standard solid.
    """

    centre_mm: Vector
    tilt_deg: Vector
    scale: Vector


@dataclass(frozen=True)
class Body:
    """One patient's shape, without any grid.

    Attributes:
        half_axes_mm: Half axes of the elliptic trunk along x and y, mm.
        fat_mm: Thickness of the subcutaneous fat, mm.
        organs: Pose of liver, spleen and kidneys by their id.
        spine_mm: Shift of the spine, and of the lesions at it, mm.
        setup_mm: Shift of the whole patient on the couch, mm.
    """

    half_axes_mm: tuple[float, float]
    fat_mm: float
    organs: dict[int, Pose]
    spine_mm: Vector
    setup_mm: Vector


@dataclass(frozen=True)
class Anatomy:
    """One patient on a grid.

    Attributes:
        organs: TotalSegmentator ids, 199 for the remaining body, 0 for air.
        lesions: Number of the lesion, 0 elsewhere.
        medulla: True in medulla and pelvis of the kidneys.
        fat: True in subcutaneous fat.
    """

    organs: UInt8[np.ndarray, "x y z"]
    lesions: UInt16[np.ndarray, "x y z"]
    medulla: Bool[np.ndarray, "x y z"]
    fat: Bool[np.ndarray, "x y z"]


def draw_body(rng: np.random.Generator, *, weight_kg: float, height_cm: float) -> Body:
    """Draw a patient's shape; the trunk is wider for more weight per height.

    Args:
        rng: Source of chance.
        weight_kg: Body weight, kg.
        height_cm: Body height, cm.
    """
    girth = float(np.clip(np.sqrt(weight_kg / height_cm / (78.7 / 176.0)), 0.88, 1.25))
    half_axes_mm = (BODY_HALF_AXES_MM[0] * girth, BODY_HALF_AXES_MM[1] * girth)

    def pose(centre_mm: tuple[float, ...], tilt_deg: tuple[float, ...], volume: float) -> Pose:
        # Spread of position, tilt and volume: ours; 12–20 % SD of volume is usual for adults.
        stretched = np.array(centre_mm) * [girth, girth, 1.0]
        return Pose(
            centre_mm=stretched + rng.normal(0, [4.0, 4.0, 7.0]),
            tilt_deg=np.array(tilt_deg) + rng.normal(0, 5.0, 3),
            scale=np.full(3, np.exp(volume * np.clip(rng.normal(), -2, 2) / 3)),
        )

    liver = pose(LIVER_ANCHOR_MM, (0, 0, 0), 0.12)
    # As wide as the trunk lets it be, of 1,800 mL on average all the same.
    to_trunk = np.array([girth, girth, 1.0]) * (1_800.0 / LIVER_VOLUME_ML / girth**2) ** (1 / 3)
    organs = {
        LIVER: Pose(liver.centre_mm, liver.tilt_deg, liver.scale * to_trunk),
        SPLEEN: pose((-98.0, -42.0, 22.0), (0, 15, 0), 0.18),
        # Upper poles lean to the spine; the hilum looks forward. Ours.
        KIDNEY_RIGHT: pose((64.0, -52.0, -36.0), (0, -12, -25), 0.12),
        KIDNEY_LEFT: pose((-64.0, -52.0, -24.0), (0, 12, 25), 0.12),
    }
    fat_mm = float(np.clip(rng.normal(18.0, 5.0), 8.0, 35.0))
    spine_mm = np.array([0.0, (girth - 1.0) * COLUMN_Y_MM, 0.0])
    return Body(half_axes_mm, fat_mm, organs, spine_mm, rng.normal(0, [3.0, 3.0, 6.0]))


def voxelise(body: Body, lesions: list[Lesion], grid: Grid) -> Anatomy:
    """Put a patient on a grid; a voxel belongs to the solid that holds its centre.

    Args:
        body: The patient's shape.
        lesions: Lesions in the spine's frame; number 1 comes first. A bone lesion ends
            at its vertebra, a node at the neighbouring organs.
        grid: The grid; what lies beyond its slices is cut.
    """
    x, y, z = (p - shift for p, shift in zip(grid.axes_mm(), body.setup_mm, strict=True))
    inside = _in_trunk(x, y, body, inset_mm=0.0)
    within_wall = _in_trunk(x, y, body, inset_mm=body.fat_mm + WALL_MM)
    organs = np.zeros(grid.shape, np.uint8)
    organs[np.broadcast_to(inside, grid.shape)] = REMAINING_BODY
    medulla = np.zeros(grid.shape, bool)
    for organ, pose in body.organs.items():
        local = _local(x, y, z, pose)
        solid = _SOLIDS[organ](local) & within_wall
        organs[solid] = organ
        if organ in (KIDNEY_RIGHT, KIDNEY_LEFT):
            medial = -MEDULLA_MEDIAL_MM if organ == KIDNEY_RIGHT else MEDULLA_MEDIAL_MM
            medulla |= solid & _in_medulla(local, medial_mm=medial)
    at_spine = tuple(p - shift for p, shift in zip((x, y, z), body.spine_mm, strict=True))
    paint_vertebrae(organs, at_spine)
    fat = np.broadcast_to(~_in_trunk(x, y, body, inset_mm=body.fat_mm), grid.shape)
    return Anatomy(
        organs=organs,
        lesions=_number_lesions(lesions, organs, at_spine),
        medulla=medulla & np.isin(organs, (KIDNEY_RIGHT, KIDNEY_LEFT)),
        fat=fat & (organs == REMAINING_BODY),
    )


def _in_trunk(
    x: Float[np.ndarray, "x 1 1"], y: Float[np.ndarray, "1 y 1"], body: Body, *, inset_mm: float
) -> Bool[np.ndarray, "x y 1"]:
    a, b = body.half_axes_mm
    inside: Bool[np.ndarray, "x y 1"] = (x / (a - inset_mm)) ** 2 + (y / (b - inset_mm)) ** 2 <= 1
    return inside


def _local(
    x: Float[np.ndarray, "x 1 1"],
    y: Float[np.ndarray, "1 y 1"],
    z: Float[np.ndarray, "1 1 z"],
    pose: Pose,
) -> Points:
    """Return the grid's points in the frame of the standard solid, mm."""
    turn = Rotation.from_euler("xyz", pose.tilt_deg, degrees=True).inv().as_matrix()
    dx, dy, dz = (p - c for p, c in zip((x, y, z), pose.centre_mm, strict=True))
    u, v, w = (
        (row[0] * dx + row[1] * dy + row[2] * dz) / scale
        for row, scale in zip(turn, pose.scale, strict=True)
    )
    return u, v, w


def _in_ellipsoid(points: Points, half_axes_mm: tuple[float, ...]) -> Bool[np.ndarray, "x y z"]:
    x, y, z = (p / a for p, a in zip(points, half_axes_mm, strict=True))
    inside: Bool[np.ndarray, "x y z"] = x**2 + y**2 + z**2 <= 1
    return inside


def _in_kidney(points: Points) -> Bool[np.ndarray, "x y z"]:
    return _in_ellipsoid(points, KIDNEY_HALF_AXES_MM)


def _in_medulla(points: Points, *, medial_mm: float) -> Bool[np.ndarray, "x y z"]:
    shares = zip(KIDNEY_HALF_AXES_MM, MEDULLA_SHARE, strict=True)
    return _in_ellipsoid(
        (points[0] - medial_mm, points[1], points[2]), tuple(a * share for a, share in shares)
    )


def _in_spleen(points: Points) -> Bool[np.ndarray, "x y z"]:
    return _in_ellipsoid(points, SPLEEN_HALF_AXES_MM)


def _in_liver(points: Points) -> Bool[np.ndarray, "x y z"]:
    """Cut an elliptic cylinder by the MIRD-5 plane, rounded above and below."""
    x, y, z = (p + anchor for p, anchor in zip(points, LIVER_ANCHOR_MM, strict=True))
    round_ = (x / LIVER_HALF_AXES_MM[0]) ** 2 + (y / LIVER_HALF_AXES_MM[1]) ** 2
    dome = (np.maximum(np.abs(z) - 20.0, 0.0) / 70.0) ** 4
    above_plane = x / 350.0 + y / 450.0 + (z + 350.0) / 430.0 >= 1.0
    inside: Bool[np.ndarray, "x y z"] = (round_ + dome <= 1) & above_plane
    return inside


_SOLIDS = {
    LIVER: _in_liver,
    SPLEEN: _in_spleen,
    KIDNEY_RIGHT: _in_kidney,
    KIDNEY_LEFT: _in_kidney,
}


def _number_lesions(
    lesions: list[Lesion], organs: UInt8[np.ndarray, "x y z"], axes_mm: tuple[np.ndarray, ...]
) -> UInt16[np.ndarray, "x y z"]:
    numbers = np.zeros(organs.shape, np.uint16)
    vertebrae = is_vertebra(organs)
    for number, lesion in enumerate(lesions, start=1):
        distance2 = sum((p - c) ** 2 for p, c in zip(axes_mm, lesion.centre_mm, strict=True))
        host = vertebrae if lesion.in_bone else organs == REMAINING_BODY
        numbers[(distance2 <= lesion.radius_mm**2) & host & (numbers == 0)] = number
    return numbers
