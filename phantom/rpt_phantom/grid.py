"""The voxel grid that every volume of a case shares."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from rpt_cohort import BadInput

IN_PLANE = 128
"""Voxels across a slice: that of the reference SPECT."""
SPACING_MM = 4.8
"""Edge of a voxel, mm: a 614 mm field over 128 voxels, usual for a SPECT."""
SLICES_LEAST = 16
"""77 mm: fewer slices leave next to nothing of the organs."""
SLICES_MOST = 256
"""1229 mm: from the thighs to the top of the head of the tallest."""
SLICES_USUAL = 224
"""1075 mm: trunk and head of most, with the salivary glands."""


@dataclass(frozen=True)
class Grid:
    """A grid of cubic voxels centred on the origin of the world.

    Attributes:
        shape: Voxels along x, y, z.
        spacing_mm: Edge of a voxel, mm.
    """

    shape: tuple[int, int, int]
    spacing_mm: float

    @property
    def affine(self) -> Float[np.ndarray, "4 4"]:
        """Voxel index → position, mm. RAS+: x to the patient's right, y anterior, z superior."""
        affine = np.diag([self.spacing_mm] * 3 + [1.0])
        affine[:3, 3] = [-(n - 1) / 2 * self.spacing_mm for n in self.shape]
        return affine

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel, mL."""
        return self.spacing_mm**3 / 1000

    def axes_mm(
        self,
    ) -> tuple[Float[np.ndarray, "x 1 1"], Float[np.ndarray, "1 y 1"], Float[np.ndarray, "1 1 z"]]:
        """Return the positions along x, y and z, mm, shaped to broadcast to the grid."""
        axes = [(np.arange(n) - (n - 1) / 2) * self.spacing_mm for n in self.shape]
        return axes[0][:, None, None], axes[1][None, :, None], axes[2][None, None, :]


def torso_grid(slices: int) -> Grid:
    """Make the grid of a virtual case: 128 × 128 × ``slices`` voxels of 4.8 mm.

    Raises:
        BadInput: ``slices`` is not between 16 and 256.
    """
    if not SLICES_LEAST <= slices <= SLICES_MOST:
        raise BadInput(
            f"slices must be {SLICES_LEAST} to {SLICES_MOST} of {SPACING_MM} mm, got {slices}. "
            f"96 slices reach from the pelvis to the heart, {SLICES_USUAL} to the head."
        )
    return Grid((IN_PLANE, IN_PLANE, slices), SPACING_MM)
