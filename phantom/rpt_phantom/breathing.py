"""Free breathing: organs below the diaphragm, heart and lungs are smeared along the body.

An organ lies at its drawn place at the end of expiration, where breathing stays longest, and moves
towards the feet by amplitude · cos⁴ of the breath's phase. Source of the form: Lujan et al., Med
Phys 26 (1999) 715. The amplitude, 13 ± 4 mm in a patient and 2 mm from scan to scan, is ours,
within the 10 to 20 mm that are usual. Whatever holds the body up (spine, wall, pelvis) stays still.
"""

import numpy as np
from jaxtyping import Float, Float32

from rpt_phantom.anatomy import Anatomy, ids

AMPLITUDE_MM, AMPLITUDE_STD_MM, SCAN_STD_MM = 13.0, 4.0, 2.0
LEAST_MM, MOST_MM = 5.0, 24.0
PHASES = 8
REACH_MM = ((-150.0, 0.0), (-60.0, 0.7), (20.0, 1.0), (150.0, 1.0), (240.0, 0.0))
"""(height in the world, mm; share of the amplitude there): from the iliac crest to the carina."""
MOVING = (
    *(ids.LIVER, ids.SPLEEN, ids.STOMACH, ids.GALLBLADDER, ids.PANCREAS, ids.DUODENUM),
    *(ids.KIDNEY_LEFT, ids.KIDNEY_RIGHT, ids.ADRENAL_LEFT, ids.ADRENAL_RIGHT),
    *(ids.SMALL_BOWEL, ids.COLON, ids.HEART, *ids.LUNGS),
)


def draw_amplitudes_mm(
    rng_patient: np.random.Generator, rng_cycle: np.random.Generator, scans: int
) -> list[float]:
    """Draw how deep a patient breathes in each scan of a cycle, mm.

    Args:
        rng_patient: Of what the patient keeps.
        rng_cycle: Of the cycle.
        scans: How many; the PET first.
    """
    usual = AMPLITUDE_MM + AMPLITUDE_STD_MM * rng_patient.standard_normal()
    each = usual + SCAN_STD_MM * rng_cycle.standard_normal(scans)
    return [float(one) for one in np.clip(each, LEAST_MM, MOST_MM)]


def breathed(
    values: Float32[np.ndarray, "x y z"], anatomy: Anatomy, *, amplitude_mm: float
) -> Float32[np.ndarray, "x y z"]:
    """Return the mean over a breath of what is in a patient, such as activity.

    Args:
        values: Per mL, on the anatomy's grid.
        anatomy: Which voxels move; lesions move with their hosts.
        amplitude_mm: From the end of expiration to that of inspiration, at the diaphragm.

    Returns:
        The same, its sum kept but for what leaves the grid's ends.
    """
    table = np.zeros(256, bool)
    table[list(MOVING)] = True
    moving = np.where(table[anatomy.organs], values, np.float32(0))
    smear = smear_matrix(anatomy.grid.positions_mm(2), amplitude_mm=amplitude_mm)
    return np.asarray(values - moving + moving @ smear.T.astype(np.float32), dtype=np.float32)


def smear_matrix(z_mm: Float[np.ndarray, " z"], *, amplitude_mm: float) -> Float[np.ndarray, "z z"]:
    """Return which share of each slice's content (column) comes into each slice (row).

    Args:
        z_mm: The slices' heights, mm, evenly spaced.
        amplitude_mm: See :func:`breathed`.
    """
    n, edge_mm = len(z_mm), float(z_mm[1] - z_mm[0])
    reach = np.interp(z_mm, *np.array(REACH_MM).T)
    matrix = np.zeros((n, n))
    for phase in (np.arange(PHASES) + 0.5) / PHASES:
        down = amplitude_mm * reach * np.cos(np.pi * phase) ** 4 / edge_mm
        place = np.arange(n) - down
        low = np.floor(place).astype(int)
        for index, share in ((low, low + 1 - place), (low + 1, place - low)):
            kept = (index >= 0) & (index < n)
            np.add.at(matrix, (index[kept], np.flatnonzero(kept)), share[kept] / PHASES)
    return matrix
