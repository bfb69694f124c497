"""Peel a region by a distance in mm, so that edges blurred by the SPECT do not count."""

import numpy as np
from jaxtyping import Bool
from scipy.ndimage import distance_transform_edt

TOLERANCE_MM = 1e-3
"""Of a distance, since grids are stored in single precision (ours)."""


def eroded(
    region: Bool[np.ndarray, "x y z"], *, spacing_mm: tuple[float, float, float], depth_mm: float
) -> Bool[np.ndarray, "x y z"]:
    """Keep the voxels at least ``depth_mm`` away from everything outside the region.

    From the voxel's centre to the nearest centre outside, which peels a ball of voxels by
    ``depth_mm`` within half a voxel. Beyond the border of the volume nothing is known of the
    region, so what lies there counts as outside (ours).

    Args:
        region: What to peel.
        spacing_mm: Distance between voxel centres along each axis, mm.
        depth_mm: How much, mm.
    """
    kept = np.zeros_like(region)
    box = bounding_box(region)
    if box is not None:
        away_mm = distance_transform_edt(np.pad(region[box], 1), sampling=spacing_mm)
        kept[box] = away_mm[1:-1, 1:-1, 1:-1] >= depth_mm - TOLERANCE_MM
    return kept


def bounding_box(region: Bool[np.ndarray, "x y z"]) -> tuple[slice, ...] | None:
    """Return the smallest box that holds the region, or None where it is empty."""
    if not region.any():
        return None
    places = np.nonzero(region)
    return tuple(slice(int(place.min()), int(place.max()) + 1) for place in places)
