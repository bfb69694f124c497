"""Which organs a field of view cuts."""

from collections.abc import Collection

import numpy as np

from rpt_phantom.anatomy.body import Body
from rpt_phantom.anatomy.deformation import MOST_MM
from rpt_phantom.anatomy.ids import REMAINING_BODY
from rpt_phantom.anatomy.voxels import Anatomy

SETUP_MOST_MM = 25.0
"""By which a patient's place on the couch may be off along z, mm; beyond what is drawn."""


def surely_within(body: Body, organs: Collection[int], *, low_mm: float, high_mm: float) -> bool:
    """Tell whether organs lie in a field of view however a body is deformed and laid.

    Args:
        body: The patient's atlas and size; its deformation is not looked at.
        organs: Numbers of the organs.
        low_mm: Lower end of the field, mm in the world.
        high_mm: Upper end of the field, mm in the world.
    """
    boxes = body.atlas.boxes_mm
    if not set(organs) <= set(boxes):
        return False
    for organ in organs:
        low, high = (corner[2] for corner in boxes[organ])
        if (low - MOST_MM) * body.height - SETUP_MOST_MM < low_mm:
            return False
        if (high + MOST_MM) * body.height + SETUP_MOST_MM > high_mm:
            return False
    return True


def organs_cut(anatomy: Anatomy, *, low_mm: float, high_mm: float) -> frozenset[int]:
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


def _organs_by_slice(anatomy: Anatomy) -> np.ndarray:
    slices = anatomy.organs.shape[2]
    present = np.zeros((256, slices), bool)
    for k in range(slices):
        present[np.unique(anatomy.organs[:, :, k]), k] = True
    return present
