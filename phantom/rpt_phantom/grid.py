"""The voxel grid that every volume of a case shares, and Gaussian blur and chance upon a grid."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32
from rpt_cohort import BadInput
from scipy.ndimage import correlate1d, gaussian_filter

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
Vector = tuple[float, float, float]
FWHM_PER_STD = 2 * np.sqrt(2 * np.log(2))


@dataclass(frozen=True)
class Grid:
    """Voxels along x (to the patient's right), y (anterior) and z (superior): RAS+.

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
    def centred(cls, shape: tuple[int, int, int], spacing_mm: float) -> "Grid":
        """Make a grid of cubic voxels whose middle is the origin of the world."""
        x, y, z = (-(n - 1) / 2 * spacing_mm for n in shape)
        return cls(shape, (spacing_mm,) * 3, (x, y, z))

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

    def axes_mm(
        self,
    ) -> tuple[Float[np.ndarray, "x 1 1"], Float[np.ndarray, "1 y 1"], Float[np.ndarray, "1 1 z"]]:
        """Return the positions along x, y and z, mm, shaped to broadcast to the grid."""
        x, y, z = (self.positions_mm(axis) for axis in range(3))
        return x[:, None, None], y[None, :, None], z[None, None, :]

    def cut(self, low_mm: Vector, high_mm: Vector) -> tuple[slice, slice, slice]:
        """Return which voxels have their centres between two corners; slices may be empty."""
        slices = []
        for axis in range(3):
            edge, first, n = self.spacing_mm[axis], self.first_mm[axis], self.shape[axis]
            start = int(np.clip(np.ceil((low_mm[axis] - first) / edge), 0, n))
            stop = int(np.clip(np.floor((high_mm[axis] - first) / edge) + 1, start, n))
            slices.append(slice(start, stop))
        return slices[0], slices[1], slices[2]


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
    return Grid.centred((IN_PLANE, IN_PLANE, slices), SPACING_MM)


def gaussian_field(
    grid: Grid, rng: np.random.Generator, *, correlation_length_mm: float
) -> Float32[np.ndarray, "x y z"]:
    """Draw a field of mean 0 and variance 1 at every voxel.

    White noise is filtered with a Gaussian of standard deviation σ, which gives the
    autocorrelation exp(−d² / 4σ²).

    Args:
        grid: Where to draw, of cubic voxels; the field is periodic on it.
        correlation_length_mm: Distance at which the autocorrelation is 1/e, mm; 2σ.

    Returns:
        The field, no unit, shape (x, y, z).

    Raises:
        ValueError: ``correlation_length_mm`` is not above 0 mm.
    """
    if not correlation_length_mm > 0:
        raise ValueError(f"correlation_length_mm must be above 0 mm, got {correlation_length_mm}.")
    sigma_voxels = correlation_length_mm / 2 / grid.spacing_mm[0]
    noise = rng.standard_normal(grid.shape, dtype=np.float32)
    field = gaussian_filter(noise, sigma_voxels, mode="wrap", truncate=3.0)
    gain = _noise_gain(grid, sigma_voxels)
    return np.asarray(field / np.float32(gain), dtype=np.float32)


def _noise_gain(grid: Grid, sigma_voxels: float) -> float:
    """Return the filter's standard deviation for white noise of 1: the kernel's 2-norm."""
    gains = []
    for n in grid.shape:
        impulse: Float[np.ndarray, " n"] = np.zeros(n)
        impulse[n // 2] = 1.0
        kernel = gaussian_filter(impulse, sigma_voxels, mode="wrap", truncate=3.0)
        gains.append(np.linalg.norm(kernel))
    return float(np.prod(gains))


def blurred_and_shifted(
    image: Float32[np.ndarray, "x y z"],
    spacing_mm: Vector,
    *,
    fwhm_mm: Vector,
    shift_mm: Vector = (0.0, 0.0, 0.0),
) -> Float32[np.ndarray, "x y z"]:
    """Blur with a Gaussian and shift, in one step that adds no blur of its own.

    What is seen goes on beyond the grid as at its edge.

    Args:
        image: Values in any unit, shape (x, y, z).
        spacing_mm: Edges of a voxel, mm.
        fwhm_mm: Full width at half maximum of the Gaussian along each axis, mm.
        shift_mm: Where a point of the image goes, mm.

    Returns:
        The blurred values in the same unit.
    """
    result = image
    for axis in range(3):
        kernel = _shifted_gaussian(
            fwhm_mm[axis] / FWHM_PER_STD / spacing_mm[axis], shift_mm[axis] / spacing_mm[axis]
        )
        result = correlate1d(result, kernel, axis=axis, mode="nearest")
    return np.asarray(result, dtype=np.float32)


def _shifted_gaussian(std: float, shift: float) -> Float[np.ndarray, " n"]:
    """Return a kernel for ``correlate1d``, all lengths in voxels."""
    reach = int(np.ceil(4.0 * std + abs(shift)))
    kernel = np.exp(-0.5 * ((np.arange(-reach, reach + 1) + shift) / std) ** 2)
    normalised: Float[np.ndarray, " n"] = kernel / kernel.sum()
    return normalised
