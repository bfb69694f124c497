"""The one grid on which all images of a case stand."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from rpt_cohort import Volume

SLICE_VOXELS = 128
"""Along and across a slice, as the contract has it."""


@dataclass(frozen=True)
class GridMm:
    """A grid without values.

    Attributes:
        shape: Voxels along x, y, z.
        affine: Voxel index → position, mm, RAS+.
    """

    shape: tuple[int, int, int]
    affine: Float[np.ndarray, "4 4"]

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel, mL."""
        return float(abs(np.linalg.det(self.affine[:3, :3]))) / 1000.0


def grid_of(volume: Volume) -> GridMm:
    """Return the grid of a volume."""
    x, y, z = volume.data.shape
    return GridMm((x, y, z), volume.affine)


def one_grid(volume: Volume, *, slice_voxels: int = SLICE_VOXELS) -> GridMm:
    """Return the grid of a case: that of its first SPECT/CT, with slices of 128 × 128 voxels.

    The field of view stays where it is; a field that is not square is widened about its
    middle. Slices thinner than the new voxels are made as thick as these, which may let the
    last one reach beyond the field; thicker slices are kept. These choices are ours.

    Args:
        volume: The first SPECT, slices across its third axis.
        slice_voxels: Voxels along and across a slice.

    Returns:
        The grid; the volume's own where that has as many voxels already.
    """
    own = grid_of(volume)
    if own.shape[:2] == (slice_voxels, slice_voxels):
        return own
    spacing_mm = np.array(volume.spacing_mm)
    field_mm = spacing_mm * own.shape
    side_mm = float(field_mm[:2].max()) / slice_voxels
    slice_mm = max(float(spacing_mm[2]), side_mm)
    slices = int(np.ceil(field_mm[2] / slice_mm - 1e-6))
    shape = (slice_voxels, slice_voxels, slices)
    new_mm = np.array([side_mm, side_mm, slice_mm])
    axes = own.affine[:3, :3] / spacing_mm
    # In-plane about the middle, along the slices from the first face.
    middle = (np.array(own.shape) - 1) / 2.0
    middle_mm = own.affine[:3, :3] @ middle + own.affine[:3, 3]
    from_middle_mm = -(np.array(shape) - 1) / 2.0 * new_mm
    from_middle_mm[2] = (slice_mm - field_mm[2]) / 2.0
    affine = np.eye(4)
    affine[:3, :3] = axes * new_mm
    affine[:3, 3] = middle_mm + axes @ from_middle_mm
    return GridMm(shape, affine)


def widened(grid: GridMm, points_mm: Float[np.ndarray, "points 3"]) -> tuple[GridMm, list[int]]:
    """Return a grid with whole voxels added until it holds points, and how many came first.

    Args:
        grid: The grid.
        points_mm: What it is to hold, mm, RAS+.
    """
    to_voxels = np.linalg.inv(grid.affine)
    at = points_mm @ to_voxels[:3, :3].T + to_voxels[:3, 3]
    first = np.minimum(np.floor(at.min(axis=0)).astype(int), 0)
    last = np.maximum(np.ceil(at.max(axis=0)).astype(int), np.array(grid.shape) - 1)
    affine = grid.affine.copy()
    affine[:3, 3] = grid.affine[:3, :3] @ first + grid.affine[:3, 3]
    x, y, z = (int(count) for count in last - first + 1)
    return GridMm((x, y, z), affine), [int(-count) for count in first]
