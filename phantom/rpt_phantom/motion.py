"""How a patient moves: how he lies at each SPECT, compared with the first, and how he breathes.

Couch: some millimetres and a degree or two, as between visits to one; ours, all numbers. Breathing:
organs below the diaphragm, heart and lungs are smeared along the body. An organ lies at its drawn
place at the end of expiration, where breathing stays longest, and moves towards the feet by
amplitude · cos⁴ of the breath's phase. Source of the form: Lujan et al., Med Phys 26 (1999) 715.
The amplitude, 13 ± 4 mm in a patient and 2 mm from scan to scan, is ours, within the 10 to 20 mm
that are usual. Whatever holds the body up (spine, wall, pelvis) stays still.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32
from rpt_dosimetry.registration.transform import Rigid
from scipy.ndimage import affine_transform
from scipy.spatial.transform import Rotation

from rpt_phantom.anatomy import Anatomy, ids
from rpt_phantom.grid import Grid

SHIFT_STD_MM = (4.0, 4.0, 6.0)
TURN_STD_DEG = (0.7, 0.7, 1.2)
CLIP = 2.0
"""Largest deviate, SD: the box around the body has room for so much."""
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


@dataclass(frozen=True)
class Motion:
    """A rigid motion about the middle of the world.

    Attributes:
        matrix: Position at the first SPECT → position now, mm, RAS+.
    """

    matrix: Float[np.ndarray, "4 4"]

    @property
    def rigid(self) -> Rigid:
        """What a perfect registration to the first SPECT finds."""
        return Rigid(self.matrix)


STILL = Motion(np.eye(4))


def draw_motion(rng: np.random.Generator) -> Motion:
    """Draw how the patient lies at another time."""
    shift, turn = np.clip(rng.standard_normal((2, 3)), -CLIP, CLIP)
    matrix = np.eye(4)
    degrees = turn * TURN_STD_DEG
    matrix[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    matrix[:3, 3] = shift * SHIFT_STD_MM
    return Motion(matrix)


def moved(
    values: Float32[np.ndarray, "a b c"], grid: Grid, motion: Motion
) -> Float32[np.ndarray, "a b c"]:
    """Carry a map along with the patient, by linear interpolation.

    Args:
        values: Concentration, HU or the like, as the patient lay at first.
        grid: Its grid, which stays.

    Returns:
        The map now; beyond the grid it goes on as at its edge.
    """
    if motion is STILL:
        return values
    back = np.linalg.inv(grid.affine) @ np.linalg.inv(motion.matrix) @ grid.affine
    carried = affine_transform(values, back[:3, :3], back[:3, 3], order=1, mode="nearest")
    return np.asarray(carried, dtype=np.float32)


def draw_amplitudes_mm(
    rng_patient: np.random.Generator, rng_cycle: np.random.Generator, scans: int
) -> list[float]:
    """Draw how deep a patient breathes in each scan of a cycle, mm.

    Args:
        rng_patient: Of what the patient keeps.
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
