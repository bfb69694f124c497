"""Which organ and tissue a point of the standard adult belongs to, in one patient."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from rpt_phantom.stylised import outline
from rpt_phantom.stylised.adult import Part, parts
from rpt_phantom.stylised.body import StylisedBody
from rpt_phantom.stylised.frames import Points, own_points
from rpt_phantom.stylised.ids import REMAINING_BODY
from rpt_phantom.stylised.solids import Inside, Solid
from rpt_phantom.stylised.tissues import Tissue

Numbers = UInt8[np.ndarray, "..."]


@dataclass(frozen=True)
class Painted:
    """Organ numbers and tissues of some points.

    Attributes:
        organs: Organ numbers; 0 in air.
        tissue: Values of ``Tissue``.
    """

    organs: Numbers
    tissue: Numbers


def outline_solid(body: StylisedBody) -> Solid:
    """Return the whole body's outline, in the report's coordinates."""
    return outline.trunk(fat_cm=body.fat_cm) | outline.legs(fat_cm=body.fat_cm) | outline.head()


def paint_background(body: StylisedBody, points: Points) -> tuple[Painted, Inside]:
    """Paint air, muscle and fat.

    Args:
        body: The patient.
        points: x, y, z in the report's coordinates, cm.

    Returns:
        Organ numbers and tissues, and where organs can be: within the subcutaneous fat.
    """
    inside = outline_solid(body).contains(*points)
    lean = outline.trunk(fat_cm=0.0) | outline.legs(fat_cm=0.0) | outline.head()
    within = lean.contains(*points) & inside
    muscle = within & ~outline.inner_fat().contains(*points)
    tissue = np.where(inside, np.where(muscle, Tissue.MUSCLE, Tissue.FAT), Tissue.AIR)
    organs = np.where(inside, REMAINING_BODY, 0)
    return Painted(organs.astype(np.uint8), tissue.astype(np.uint8)), within


def paint_part(part: Part, body: StylisedBody, points: Points, within: Inside, on: Painted) -> None:
    """Paint one part over what is there.

    Args:
        part: The part.
        body: The patient.
        points: x, y, z in the report's coordinates, cm.
        within: Where organs can be.
        on: Changed in place.
    """
    if part.group in body.poses:
        points = own_points(points, body.poses[part.group], part.group)
    here = part.solid.contains(*points) & within
    if not here.any():
        return
    x, y, z = (p[here] for p in points)
    on.organs[here] = part.organ if isinstance(part.organ, int) else part.organ(x, y, z)
    tissue = np.full(x.shape, part.tissue, np.uint8)
    for inner, solid in part.inner:
        tissue[solid.contains(x, y, z)] = inner
    on.tissue[here] = tissue


def paint_points(body: StylisedBody, points: Points) -> Painted:
    """Paint any points, such as candidates for a lesion.

    Args:
        body: The patient.
        points: x, y, z in the report's coordinates, cm, of one shape.
    """
    painted, within = paint_background(body, points)
    for part in parts():
        paint_part(part, body, points, within, painted)
    return painted
