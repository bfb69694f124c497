"""Which organs a field of view cuts."""

from collections.abc import Collection

import numpy as np

from rpt_phantom.stylised.adult import parts
from rpt_phantom.stylised.body import StylisedBody
from rpt_phantom.stylised.frames import posed_box_cm, world_box_mm
from rpt_phantom.stylised.ids import REMAINING_BODY
from rpt_phantom.stylised.voxels import StylisedAnatomy


def surely_within(
    body: StylisedBody, organs: Collection[int], *, low_mm: float, high_mm: float
) -> bool:
    """Tell whether boxes around organs lie in a field of view; if not, the organs still may.

    Args:
        body: The patient.
        organs: Numbers of the organs.
        low_mm: Lower end of the field, mm in the world.
        high_mm: Upper end of the field, mm in the world.
    """
    found = set()
    for part in parts():
        if part.organ not in organs:
            continue
        found.add(part.organ)
        box_cm = part.solid.low_cm, part.solid.high_cm
        if part.group in body.poses:
            box_cm = posed_box_cm(part.solid, body.poses[part.group], part.group)
        low, high = world_box_mm(body, *box_cm)
        if low[2] < low_mm or high[2] > high_mm:
            return False
    return found == set(organs)


def organs_cut(anatomy: StylisedAnatomy, *, low_mm: float, high_mm: float) -> frozenset[int]:
    """Return the organs of which a field of view sees a part.

    An organ that reaches the first or last slice of ``anatomy`` counts as going on beyond it:
    give a grid that is longer than the field of view.

    Args:
        anatomy: The patient, on a grid longer than the field of view.
        low_mm: Lower end of the field, mm in the world.
        high_mm: Upper end of the field, mm in the world.

    Returns:
        Numbers of organs that have voxels both within and beyond the field; neither air nor
        the remaining body.

    Raises:
        ValueError: The field's ends are not in order.
    """
    if not low_mm < high_mm:
        raise ValueError(f"low_mm must be below high_mm, got {low_mm} mm and {high_mm} mm.")
    present = _organs_by_slice(anatomy)
    z_mm = anatomy.grid.positions_mm(2)
    seen = (z_mm >= low_mm) & (z_mm <= high_mm)
    beyond = present[:, ~seen].any(axis=1) | present[:, 0] | present[:, -1]
    cut = present[:, seen].any(axis=1) & beyond
    cut[[0, REMAINING_BODY]] = False
    return frozenset(int(organ) for organ in np.flatnonzero(cut))


def _organs_by_slice(anatomy: StylisedAnatomy) -> np.ndarray:
    slices = anatomy.organs.shape[2]
    present = np.zeros((256, slices), bool)
    for k in range(slices):
        present[np.unique(anatomy.organs[:, :, k]), k] = True
    return present
