"""Gaussian random fields: chance that is alike at near points."""

import numpy as np
from jaxtyping import Float, Float32
from scipy.ndimage import correlate1d, gaussian_filter

from rpt_phantom.grid import Grid

FWHM_PER_STD = 2 * np.sqrt(2 * np.log(2))


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
