"""Gaussian random fields: chance that is alike at near points."""

import numpy as np
from jaxtyping import Float, Float32
from scipy.ndimage import gaussian_filter

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


def blurred(
    image: Float32[np.ndarray, "x y z"], grid: Grid, *, fwhm_mm: float
) -> Float32[np.ndarray, "x y z"]:
    """Blur with an isotropic Gaussian; the body goes on beyond the first and last slice.

    Args:
        image: Values in any unit, shape (x, y, z).
        grid: Its grid.
        fwhm_mm: Full width at half maximum of the Gaussian, mm.

    Returns:
        The blurred values in the same unit.
    """
    sigma_voxels = fwhm_mm / FWHM_PER_STD / grid.spacing_mm
    return np.asarray(gaussian_filter(image, sigma_voxels, mode="nearest"), dtype=np.float32)
