"""Planar contours, as of an RTSTRUCT, become evenly spread points of the structure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64
from matplotlib.path import Path as Polygon
from rpt_cohort import BadInput, Volume
from rpt_eval.dvh import MM3_PER_ML, Dvh, doses_at, dvh_of_known

BOX_SAMPLES = 1_000_000
"""Points spread over the boxes around a structure's planes (ours): its own are some half."""
SAME_PLANE_MM = 0.01
"""Contours this near along z are of one plane (ours)."""
LPS_TO_RAS = np.array([-1.0, -1.0, 1.0])
GOLDEN_3D = 1.2207440846057596
"""The real root of x⁴ = x + 1."""


@dataclass(frozen=True)
class Contour:
    """One closed polygon in an axial plane, patient LPS.

    Attributes:
        z_mm: Where the plane is, mm.
        xy_mm: Its vertices in order, mm; the last joins the first.
    """

    z_mm: float
    xy_mm: Float64[np.ndarray, "vertices 2"]


@dataclass(frozen=True)
class StructurePoints:
    """Points that each stand for the same volume of a structure.

    Attributes:
        positions_mm: In the RAS+ world, mm.
        volume_ml: Volume of the structure, mL.
    """

    positions_mm: Float64[np.ndarray, "points 3"]
    volume_ml: float


def contour_dvh(dose: Volume, contours: Sequence[Contour]) -> Dvh:
    """Sample a dose map within a structure of planar contours.

    Args:
        dose: Finite values.
        contours: As ``structure_points`` takes them.

    Raises:
        BadInput: As ``structure_points``; or the structure lies outside the dose map.
    """
    points = structure_points(contours)
    return dvh_of_known(doses_at(dose, points.positions_mm), volume_ml=points.volume_ml)


def structure_points(
    contours: Sequence[Contour], *, box_samples: int = BOX_SAMPLES
) -> StructurePoints:
    """Spread points over the slabs that planar contours stand for.

    Each plane reaches half way to its neighbours, the two end planes as far beyond. Polygons
    of one plane are united by exclusive or, so that one within another is a hole. Polygons of
    fewer than three vertices (POINT contours) are left out. The points are Roberts' sequence
    in three dimensions, which lies on no common planes: a lattice makes steps in a histogram.

    Against the histograms of Eclipse and SlicerRT, end planes that reach half, a quarter or
    nothing of their spacing beyond leave 0.9, 0.9 and 1.0 % of volume at worst. Both programs'
    volumes are met best by a quarter; half is what the spacing itself says, and is kept.

    Args:
        contours: In any order, planes at any spacing.
        box_samples: Points in the boxes around the planes' polygons.

    Raises:
        BadInput: Fewer than two planes, a coordinate that is not finite, or no area.

    Source: M. Roberts, "The unreasonable effectiveness of quasirandom sequences" (2018), for
    the sequence.
    """
    planes = _planes([contour for contour in contours if len(contour.xy_mm) >= 3])
    edges_mm = _slab_edges([plane[0].z_mm for plane in planes])
    corners = [_box(plane) for plane in planes]
    boxes_mm3 = np.array([np.prod(high - low) for low, high in corners]) * np.diff(edges_mm)
    if not boxes_mm3.sum() > 0:
        raise BadInput("The contours must enclose an area, and enclose none.")
    counts = np.round(boxes_mm3 / boxes_mm3.sum() * box_samples).astype(int)
    found, start = [], 0
    for number, (plane, (low, high), count) in enumerate(
        zip(planes, corners, counts.tolist(), strict=True)
    ):
        unit = _roberts(start, start + count)
        xy_mm = low + unit[:, :2] * (high - low)
        z_mm = edges_mm[number] + unit[:, 2] * (edges_mm[number + 1] - edges_mm[number])
        inside = _inside(plane, xy_mm)
        found.append(np.column_stack([xy_mm, z_mm])[inside] * LPS_TO_RAS)
        start += count
    positions_mm = np.concatenate(found)
    if not len(positions_mm):
        raise BadInput("The contours must enclose an area, and enclose none.")
    volume_ml = len(positions_mm) * boxes_mm3.sum() / counts.sum() / MM3_PER_ML
    return StructurePoints(positions_mm, float(volume_ml))


def _planes(contours: list[Contour]) -> list[list[Contour]]:
    if not all(np.isfinite(contour.z_mm) for contour in contours) or not all(
        np.isfinite(contour.xy_mm).all() for contour in contours
    ):
        raise BadInput("The contours' coordinates must be finite, mm, and some are not.")
    planes: list[list[Contour]] = []
    for contour in sorted(contours, key=lambda contour: contour.z_mm):
        if planes and contour.z_mm - planes[-1][0].z_mm <= SAME_PLANE_MM:
            planes[-1].append(contour)
        else:
            planes.append([contour])
    if len(planes) < 2:
        raise BadInput(
            "A structure must have polygons of three vertices or more in at least two planes, "
            f"got {len(planes)}: their spacing is their thickness."
        )
    return planes


def _slab_edges(z_mm: list[float]) -> Float64[np.ndarray, " edges"]:
    z = np.array(z_mm)
    between = (z[1:] + z[:-1]) / 2
    return np.concatenate([[2 * z[0] - between[0]], between, [2 * z[-1] - between[-1]]])


def _box(
    plane: list[Contour],
) -> tuple[Float64[np.ndarray, "2"], Float64[np.ndarray, "2"]]:
    xy_mm = np.concatenate([contour.xy_mm for contour in plane])
    return xy_mm.min(axis=0), xy_mm.max(axis=0)


def _roberts(start: int, stop: int) -> Float64[np.ndarray, "points 3"]:
    steps = GOLDEN_3D ** -np.arange(1.0, 4.0)
    # Not from 0: the middle of a box may lie on an edge.
    return (0.5 + np.arange(start + 1, stop + 1)[:, None] * steps) % 1.0


def _inside(
    plane: list[Contour], xy_mm: Float64[np.ndarray, "points 2"]
) -> Bool[np.ndarray, " points"]:
    inside = np.zeros(len(xy_mm), dtype=bool)
    for contour in plane:
        inside ^= Polygon(contour.xy_mm).contains_points(xy_mm)
    return inside
