"""Recovery coefficient: how much of a region's activity the scanner's blur leaves inside it."""

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import correlate1d
from scipy.special import ndtr

FWHM_PER_SD = 2.0 * np.sqrt(2.0 * np.log(2.0))
_SDS = 5.0
"""A Gaussian's reach, in standard deviations; beyond is 6e-7 of it."""


def recovery_coefficient(
    mask: Bool[np.ndarray, "x y z"], *, spacing_mm: tuple[float, float, float], fwhm_mm: float
) -> float:
    """Compute the share of a uniform region's mean that is left after a Gaussian blur.

    A measured mean divided by it is the true mean where nothing outside shines in: in a hot
    region's surroundings of similar activity the correction is too large. Exact for the
    voxels as boxes, whatever their size beside the blur.

    Args:
        mask: The region, shape (x, y, z), of at least one voxel.
        spacing_mm: Voxel size along each axis, mm.
        fwhm_mm: Full width at half maximum of the blur, mm.

    Returns:
        The coefficient, above 0 and at most 1.

    Raises:
        ValueError: The mask is empty, or ``fwhm_mm`` not above 0.
    """
    if not mask.any():
        raise ValueError("mask must hold at least one voxel.")
    if not fwhm_mm > 0:
        raise ValueError(f"fwhm_mm must be above 0 mm, got {fwhm_mm!r} mm.")
    places = np.nonzero(mask)
    box = tuple(slice(int(place.min()), int(place.max()) + 1) for place in places)
    inside = mask[box]
    blurred = inside.astype(np.float64)
    for axis, size_mm in enumerate(spacing_mm):
        weights = _weights(size_mm=size_mm, sd_mm=fwhm_mm / FWHM_PER_SD, count=inside.shape[axis])
        blurred = correlate1d(blurred, weights, axis=axis, mode="constant", cval=0.0)
    return min(float(blurred[inside].mean()), 1.0)


def _weights(*, size_mm: float, sd_mm: float, count: int) -> Float[np.ndarray, " n"]:
    """Share of one voxel's activity in each neighbour along an axis, averaged over both."""
    reach = min(int(np.ceil(_SDS * sd_mm / size_mm)) + 1, count)
    edges_mm = size_mm * np.arange(-reach - 1, reach + 2)
    # The second integral of a Gaussian; its second difference averages over both boxes.
    density = np.exp(-0.5 * (edges_mm / sd_mm) ** 2) / np.sqrt(2 * np.pi)
    twice = edges_mm * ndtr(edges_mm / sd_mm) + sd_mm * density
    weights: Float[np.ndarray, " n"] = np.diff(twice, 2) / size_mm
    return weights
