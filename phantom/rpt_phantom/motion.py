"""How a patient lies at each SPECT, compared with the first.

Ours, all numbers: some millimetres and a degree or two, as between visits to one couch.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32
from rpt_dosimetry.registration.transform import Rigid
from scipy.ndimage import affine_transform
from scipy.spatial.transform import Rotation

from rpt_phantom.anatomy import AxisGrid

SHIFT_STD_MM = (4.0, 4.0, 6.0)
TURN_STD_DEG = (0.7, 0.7, 1.2)
CLIP = 2.0
"""Largest deviate, SD: the box around the body has room for so much."""


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
    """Draw how the patient lies at another time.

    Args:
        rng: Source of chance.
    """
    shift, turn = np.clip(rng.standard_normal((2, 3)), -CLIP, CLIP)
    matrix = np.eye(4)
    degrees = turn * TURN_STD_DEG
    matrix[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    matrix[:3, 3] = shift * SHIFT_STD_MM
    return Motion(matrix)


def moved(
    values: Float32[np.ndarray, "a b c"], grid: AxisGrid, motion: Motion
) -> Float32[np.ndarray, "a b c"]:
    """Carry a map along with the patient, by linear interpolation.

    Args:
        values: Concentration, HU or the like, as the patient lay at first.
        grid: Its grid, which stays.
        motion: How the patient lies now.

    Returns:
        The map now; beyond the grid it goes on as at its edge.
    """
    if motion is STILL:
        return values
    back = np.linalg.inv(grid.affine) @ np.linalg.inv(motion.matrix) @ grid.affine
    carried = affine_transform(values, back[:3, :3], back[:3, 3], order=1, mode="nearest")
    return np.asarray(carried, dtype=np.float32)
