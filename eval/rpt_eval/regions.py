"""Where a metric is taken: whole map, body, organs, lesions, each inside the field of view."""

import numpy as np
from jaxtyping import Bool
from rpt_cohort.labels import ORGANS, SALIVARY_GLANDS
from scipy.ndimage import distance_transform_edt

from rpt_eval.predictions import CycleMaps

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


WHOLE_MAP, BODY, ORGANS_MEAN, LESION = "whole_map", "body", "organs_mean", "lesion"
RATED_ORGANS = ("kidney", "liver", "spleen")
"""The organs of the paper; ``organs_mean`` is the mean over these three."""
SMALLEST_VOXELS = 20
"""Below this a region is reported as too small (ours)."""


def organ(maps: CycleMaps, name: str) -> Bool[np.ndarray, "x y z"]:
    """Return where an organ of ``rpt_cohort.labels.ORGANS`` is, known or not."""
    here: Bool[np.ndarray, "x y z"] = np.isin(maps.organs, ORGANS[name])
    return here


def regions(maps: CycleMaps) -> dict[str, Bool[np.ndarray, "x y z"]]:
    """Return every region of a cycle inside its field of view.

    Returns:
        ``whole_map``, ``body``, ``kidney`` (both), ``liver``, ``spleen``,
        ``salivary_glands`` where the cycle has them, and ``lesion_1``, ``lesion_2``, … by
        their numbers. An organ that is not there, or not in the field of view, is empty.
    """
    found = {WHOLE_MAP: maps.known, BODY: maps.known & (maps.organs > 0)}
    names = [*RATED_ORGANS]
    names += ["salivary_glands"] if np.isin(maps.organs, SALIVARY_GLANDS).any() else []
    found |= {name: maps.known & organ(maps, name) for name in names}
    numbers = np.unique(maps.lesions)
    found |= {
        f"{LESION}_{number}": maps.known & (maps.lesions == number) for number in numbers if number
    }
    return found


def too_small(region: Bool[np.ndarray, "x y z"]) -> str | None:
    """Say why a region cannot be rated, or None where it can."""
    voxels = int(region.sum())
    if voxels == 0:
        return "absent from the field of view"
    if voxels < SMALLEST_VOXELS:
        return f"{voxels} voxels, fewer than {SMALLEST_VOXELS}"
    return None
