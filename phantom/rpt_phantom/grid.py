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
FWHM_PER_STD = 2 * np.sqrt(2 * np.log(2))


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


def gaussian_field(
    grid: Grid, rng: np.random.Generator, *, correlation_length_mm: float
) -> Float32[np.ndarray, "x y z"]:
    """Draw a field of mean 0 and variance 1 at every voxel.

    White noise is filtered with a Gaussian of standard deviation σ, which gives the
    autocorrelation exp(−d² / 4σ²).

    Args:
        grid: Where to draw; the field is periodic on it.
        rng: Source of chance.
        correlation_length_mm: Distance at which the autocorrelation is 1/e, mm; 2σ.

    Returns:
        The field, no unit, shape (x, y, z).

    Raises:
        ValueError: ``correlation_length_mm`` is not above 0 mm.
    """
    if not correlation_length_mm > 0:
        raise ValueError(f"correlation_length_mm must be above 0 mm, got {correlation_length_mm}.")
    sigma_voxels = correlation_length_mm / 2 / grid.spacing_mm
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
    spacing_mm: tuple[float, float, float],
    *,
    fwhm_mm: tuple[float, float, float],
    shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0),
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
