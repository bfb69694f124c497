"""Where a registration begins: the shared world, or a place found along the patient."""

from typing import Literal

import numpy as np
from jaxtyping import Float

from rpt_dosimetry.registration.guides import Guide
from rpt_dosimetry.registration.residual import agreement
from rpt_dosimetry.registration.rigid import Rigid, shifted

Start = Literal["world", "search"]
STEP_MM = 12.0
"""Ours: well within the reach of the coarsest level."""
OF_LARGEST_OVERLAP = 0.9
"""Ours: the wider scan is taken to cover the narrower one; where it covers it in part only, a
wrong place can agree as well."""


def find_start(fixed: Guide, moving: Guide, start: Start) -> Rigid:
    """Return the shift from which a registration begins.

    Args:
        fixed: What stays.
        moving: What is carried to it.
        start: ``world``: positions in mm mean the same in both scans, as on one scanner.
            ``search``: they do not, as on two scanners. The bodies' middles are laid over each
            other across the patient, and along the patient (z) the shift of most normalised
            mutual information is taken. This search is ours.
    """
    if start == "world":
        return shifted(np.zeros(3))
    offsets_mm = _across(fixed, moving)
    found = [agreement(fixed, moving, shifted(offset_mm)) for offset_mm in offsets_mm]
    least = OF_LARGEST_OVERLAP * max(one.overlap for one in found)
    scores = [one.normalised_mutual_information if one.overlap >= least else 0.0 for one in found]
    return shifted(offsets_mm[int(np.argmax(scores))])


def _across(fixed: Guide, moving: Guide) -> Float[np.ndarray, "places 3"]:
    """Return shifts with bodies' middles together in x and y, and every overlap in z."""
    ours_mm, theirs_mm = fixed.box_mm(), moving.box_mm()
    low = theirs_mm[:, 2].min() - ours_mm[:, 2].max()
    high = theirs_mm[:, 2].max() - ours_mm[:, 2].min()
    along_mm = np.arange(low, high, STEP_MM)
    offsets_mm = np.tile(theirs_mm[0] - ours_mm[0], (len(along_mm), 1))
    offsets_mm[:, 2] = along_mm
    return offsets_mm
