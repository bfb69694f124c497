"""A grid of voxels along the patient's axes, RAS+."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

Vector = tuple[float, float, float]


@dataclass(frozen=True)
class AxisGrid:
    """Voxels along x (to the patient's right), y (anterior) and z (superior).

    Attributes:
        shape: Voxels along x, y, z.
        spacing_mm: Edges of a voxel, mm.
        first_mm: Centre of the first voxel, mm.
    """

    shape: tuple[int, int, int]
    spacing_mm: Vector
    first_mm: Vector

    def __post_init__(self) -> None:
        """Check that the grid holds voxels.

        Raises:
            ValueError: A shape is below 1 or a spacing is not above 0 mm.
        """
        if min(self.shape) < 1 or not min(self.spacing_mm) > 0:
            raise ValueError(
                "A grid must have at least 1 voxel of more than 0 mm along each axis, got shape "
                f"{self.shape} and spacing_mm {self.spacing_mm}."
            )

    @classmethod
    def centred(cls, shape: tuple[int, int, int], spacing_mm: float | Vector) -> "AxisGrid":
        """Make a grid whose middle is the origin of the world.

        Args:
            shape: Voxels along x, y, z.
            spacing_mm: Edge of a cubic voxel or edges along x, y, z, mm.
        """
        edges = (spacing_mm,) * 3 if isinstance(spacing_mm, int | float) else spacing_mm
        first = [-(n - 1) / 2 * edge for n, edge in zip(shape, edges, strict=True)]
        return cls(shape, edges, (first[0], first[1], first[2]))

    @classmethod
    def from_affine(
        cls, shape: tuple[int, int, int], affine: Float[np.ndarray, "4 4"]
    ) -> "AxisGrid":
        """Make the grid of an image.

        Args:
            shape: Voxels along x, y, z.
            affine: Voxel index → position, mm, RAS+.

        Raises:
            ValueError: The axes are oblique or do not rise to right, front and top.
        """
        edges = np.diag(affine)[:3]
        if not (edges > 0).all() or np.any(affine[:3, :3] != np.diag(edges)):
            raise ValueError(
                "The affine must be along the patient's axes and RAS+, with a positive diagonal "
                f"and nothing beside it, got {affine[:3, :3].tolist()}. Reorient the image first."
            )
        x, y, z = (float(edge) for edge in edges)
        a, b, c = (float(value) for value in affine[:3, 3])
        return cls(shape, (x, y, z), (a, b, c))

    @property
    def affine(self) -> Float[np.ndarray, "4 4"]:
        """Voxel index → position, mm, RAS+."""
        affine = np.diag([*self.spacing_mm, 1.0])
        affine[:3, 3] = self.first_mm
        return affine

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel, mL."""
        return float(np.prod(self.spacing_mm)) / 1000

    def positions_mm(self, axis: int) -> Float[np.ndarray, " n"]:
        """Return the voxels' centres along one axis, mm."""
        steps: Float[np.ndarray, " n"] = np.arange(self.shape[axis], dtype=np.float64)
        return self.first_mm[axis] + steps * self.spacing_mm[axis]

    def cut(self, low_mm: Vector, high_mm: Vector) -> tuple[slice, slice, slice]:
        """Return which voxels have their centres in a box; slices may be empty.

        Args:
            low_mm: Corner of the box, mm.
            high_mm: Opposite corner, mm.
        """
        slices = []
        for axis in range(3):
            edge, first, n = self.spacing_mm[axis], self.first_mm[axis], self.shape[axis]
            start = int(np.clip(np.ceil((low_mm[axis] - first) / edge), 0, n))
            stop = int(np.clip(np.floor((high_mm[axis] - first) / edge) + 1, start, n))
            slices.append(slice(start, stop))
        return slices[0], slices[1], slices[2]
