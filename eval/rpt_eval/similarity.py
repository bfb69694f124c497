"""Structural similarity of two dose maps in 3D."""

import numpy as np
from jaxtyping import Bool, Float
from skimage.metrics import structural_similarity

SIGMA_VOXELS = 1.5
WINDOW_VOXELS = 11
MARGIN = WINDOW_VOXELS // 2

Map = Float[np.ndarray, "x y z"]


def ssim_map(prediction: Map, reference: Map, known: Bool[np.ndarray, "x y z"]) -> Map:
    """Return the SSIM of the window around each voxel; NaN where it leaves the volume.

    Gaussian window of σ 1.5 voxels, 11³; the data range is the maximum of the reference
    where it is known, the whole dose map's scale. Both maps are 0 where the reference is
    not known, so that windows at the edge of the field of view compare what is known.

    Args:
        prediction: Gy/GBq.
        reference: Gy/GBq.
        known: Where the reference counts.

    Returns:
        SSIM by window; its mean over a region is the region's SSIM. All NaN where an
        axis is shorter than the window or the reference is 0.

    Source: Wang et al., IEEE Trans Image Process 13 (2004) 600, in scikit-image.
    """
    full = np.full(reference.shape, np.nan)
    data_range = float(reference[known].max())
    if min(reference.shape) < WINDOW_VOXELS or data_range <= 0:
        return full
    box = _windows_box(known)
    _, per_window = structural_similarity(
        np.where(known, reference, 0.0)[box].astype(np.float64),
        np.where(known, prediction, 0.0)[box].astype(np.float64),
        data_range=data_range,
        gaussian_weights=True,
        sigma=SIGMA_VOXELS,
        use_sample_covariance=False,
        full=True,
    )
    inside = (slice(MARGIN, -MARGIN),) * 3
    full[box][inside] = per_window[inside]
    return full


def ssim(per_window: Map, region: Bool[np.ndarray, "x y z"]) -> float:
    """Mean SSIM of the windows that are centred in a region and lie in the volume; else NaN."""
    values = per_window[region]
    values = values[np.isfinite(values)]
    return float(values.mean()) if values.size else float("nan")


def _windows_box(known: Bool[np.ndarray, "x y z"]) -> tuple[slice, slice, slice]:
    """Return the box of all windows centred where the reference counts, inside the volume."""
    slices = []
    for axis, length in enumerate(known.shape):
        others = tuple(other for other in range(3) if other != axis)
        where = np.flatnonzero(known.any(axis=others))
        start = max(0, int(where[0]) - MARGIN)
        stop = min(length, int(where[-1]) + MARGIN + 1)
        short = max(0, WINDOW_VOXELS - (stop - start))
        start = max(0, start - short)
        slices.append(slice(start, max(stop, min(length, start + WINDOW_VOXELS))))
    return slices[0], slices[1], slices[2]
