"""The virtual organ: two touching balls, its sub-tissues, on a grid with room around them."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.fft import next_fast_len

from rpt_kinetics.exponentials import Floats

# Room for blur on each side, twice the SPECT's FWHM (ours). The grid is periodic.
MARGIN_MM = 24.0
# 0.2 GB for one map; a blur or a correlated field holds several (ours).
MOST_GRID_POINTS = 20_000_000

Whole = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Organ:
    """Voxels of two sub-tissues on a grid of cubic voxels.

    Attributes:
        shape: Of the grid.
        spacing_mm: Edge of a voxel, mm.
        index: Position of each voxel on the grid, shape (3, n).
        subtissue: 1 or 2, shape (n,).
        radius_share: Distance from the sub-tissue's centre over its radius, 0 to 1, shape (n,).
    """

    shape: tuple[int, int, int]
    spacing_mm: float
    index: Whole
    subtissue: NDArray[np.uint8]
    radius_share: Floats

    @property
    def affine(self) -> Floats:
        """Index → position, mm, RAS+, 0 at the grid's middle; shape (4, 4)."""
        matrix = np.diag([self.spacing_mm] * 3 + [1.0])
        matrix[:3, 3] = -self.spacing_mm * (np.array(self.shape) - 1) / 2
        return matrix

    def position_mm(self) -> Floats:
        """Return where each voxel's centre is, mm, RAS+, shape (3, n)."""
        matrix = self.affine
        return np.asarray(matrix[:3, :3] @ self.index + matrix[:3, 3:])

    def volume(self, values: Floats) -> Floats:
        """Put the voxels' values on the grid, 0 elsewhere.

        Args:
            values: Shape (n,), any unit.
        """
        grid = np.zeros(self.shape)
        grid[tuple(self.index)] = values
        return grid

    def values(self, volume: Floats) -> Floats:
        """Take the voxels' values from a grid; shape (n,)."""
        return np.asarray(volume[tuple(self.index)])


@lru_cache(maxsize=16)
def two_balls(*, voxels: int, volume_ml: float) -> Organ:
    """Make an organ of two touching balls of half the voxels each.

    A ball is the wanted number of grid points nearest to its centre, so the organ has exactly
    ``voxels`` voxels and exactly ``volume_ml``. With an odd number the first has one more.

    Args:
        voxels: Number in both together.
        volume_ml: Of both together, mL.

    Raises:
        ValueError: The grid is too large for the memory.
    """
    spacing_mm = (1000.0 * volume_ml / voxels) ** (1 / 3)
    first, second = _ball((voxels + 1) // 2), _ball(voxels // 2)
    offsets = np.concatenate([first, second], axis=1)
    subtissue = np.repeat(np.array([1, 2], dtype=np.uint8), [first.shape[1], second.shape[1]])
    distance = np.linalg.norm(offsets, axis=0)
    radius = [distance[subtissue == number].max() for number in (1, 2)]
    # A whole number above both radii together: no voxel belongs to both.
    offsets[0, subtissue == 2] += int(radius[0] + radius[1]) + 1
    margin = int(np.ceil(MARGIN_MM / spacing_mm))
    lowest = offsets.min(axis=1, keepdims=True)
    needed = offsets.max(axis=1) - lowest[:, 0] + 1 + 2 * margin
    x, y, z = (next_fast_len(int(count), real=True) for count in needed)
    if x * y * z > MOST_GRID_POINTS:
        raise ValueError(
            f"The organ's grid with {MARGIN_MM:g} mm around it must have at most "
            f"{MOST_GRID_POINTS:,} points, got {x * y * z:,} of {spacing_mm:.2g} mm. "
            "Take fewer voxels, or a larger organ_mass_g."
        )
    organ = Organ(
        shape=(x, y, z),
        spacing_mm=spacing_mm,
        index=offsets - lowest + margin,
        subtissue=subtissue,
        radius_share=distance / np.where(subtissue == 1, radius[0], radius[1]),
    )
    for array in (organ.index, organ.subtissue, organ.radius_share):
        array.flags.writeable = False
    return organ


def _ball(count: int) -> Whole:
    """Return the ``count`` grid points nearest to 0, shape (3, count)."""
    reach = int(np.ceil((3 * count / (4 * np.pi)) ** (1 / 3))) + 1
    edge = np.arange(-reach, reach + 1)
    points = np.stack(np.meshgrid(edge, edge, edge, indexing="ij")).reshape(3, -1)
    # Stable: of equally distant points the first on the grid, always the same ones.
    nearest = np.argsort((points**2).sum(axis=0), kind="stable")[:count]
    return np.asarray(points[:, np.sort(nearest)])
