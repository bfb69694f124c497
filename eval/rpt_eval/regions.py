"""Where a metric is taken: whole map, body, organs, lesions, each inside the field of view."""

import numpy as np
from jaxtyping import Bool
from rpt_cohort.labels import ORGANS, SALIVARY_GLANDS

from rpt_eval.cycles import CycleMaps

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
