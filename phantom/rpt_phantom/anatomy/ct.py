"""A CT of the virtual patient on any grid, in HU. Blur and noise are usual values, ours."""

import numpy as np
from jaxtyping import Float, Float32, Int16
from scipy.ndimage import gaussian_filter

from rpt_phantom.anatomy.axis_grid import AxisGrid
from rpt_phantom.anatomy.voxels import Anatomy
from rpt_phantom.fields import FWHM_PER_STD

AIR_HU, LEAST_HU = -1000, -1024
CT_FWHM_MM, CT_NOISE_HU = 4.0, 12.0


def ct_image(
    anatomy: Anatomy,
    rng: np.random.Generator,
    *,
    grid: AxisGrid | None = None,
    fwhm_mm: float = CT_FWHM_MM,
    noise_hu: float = CT_NOISE_HU,
) -> Int16[np.ndarray, "x y z"]:
    """Image the anatomy by CT.

    Args:
        anatomy: The patient on a grid.
        rng: Source of chance.
        grid: The CT's grid; the anatomy's by default.
        fwhm_mm: Full width at half maximum of the blur, mm.
        noise_hu: Standard deviation of the noise, HU; white on the CT's grid.

    Returns:
        HU on the CT's grid, −1024 and above; air where the anatomy is not known.

    Raises:
        ValueError: Blur or noise is below 0.
    """
    if fwhm_mm < 0 or noise_hu < 0:
        raise ValueError(
            f"fwhm_mm and noise_hu must be 0 or above, got {fwhm_mm} mm and {noise_hu} HU."
        )
    hu = anatomy.hu.astype(np.float32)
    if grid is not None and grid != anatomy.grid:
        hu = averaged(hu, anatomy.grid, grid, outside=AIR_HU)
    edges_mm = (grid or anatomy.grid).spacing_mm
    hu = gaussian_filter(hu, [fwhm_mm / FWHM_PER_STD / edge for edge in edges_mm], mode="nearest")
    hu += np.float32(noise_hu) * rng.standard_normal(hu.shape, dtype=np.float32)
    whole: Int16[np.ndarray, "x y z"] = np.clip(np.rint(hu), LEAST_HU, 32_767).astype(np.int16)
    return whole


def averaged(
    values: Float32[np.ndarray, "a b c"], grid: AxisGrid, onto: AxisGrid, *, outside: float = 0.0
) -> Float32[np.ndarray, "x y z"]:
    """Average values over the voxels of another grid, by shares of volume.

    Args:
        values: One value for each voxel of ``grid``.
        grid: Their grid.
        onto: The grid to average over; finer, coarser or shifted.
        outside: The value beyond ``grid``.

    Returns:
        Mean over each voxel of ``onto``, in the unit of ``values``. Their integral over a
        region that both grids hold is kept.
    """
    result = values - np.float32(outside)
    for axis in range(3):
        shares = _overlap(grid, onto, axis)
        result = np.moveaxis(np.tensordot(shares, result, axes=(1, axis)), 0, axis)
    return np.ascontiguousarray(result + np.float32(outside), dtype=np.float32)


def _overlap(grid: AxisGrid, onto: AxisGrid, axis: int) -> Float[np.ndarray, "n m"]:
    """Return which share of each voxel of ``onto`` lies in each voxel of ``grid``, on an axis."""
    low = grid.positions_mm(axis) - grid.spacing_mm[axis] / 2
    edge_mm = onto.spacing_mm[axis]
    start = (onto.positions_mm(axis) - edge_mm / 2)[:, None]
    stop = np.minimum(low + grid.spacing_mm[axis], start + edge_mm)
    shares = np.maximum(stop - np.maximum(low, start), 0.0) / edge_mm
    return np.asarray(shares, dtype=np.float32)
