"""One shape and voxel for the whole cohort, and each cycle's grid of it.

The contract gives a cohort one shape and one spacing. Each cycle's grid is that of its first
SPECT where the voxels are the cohort's, so that the SPECT is not resampled; slices are added on
both sides until they are as many as the cohort's. These choices are ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rpt_cohort import Volume

from rpt_dosimetry.ingest.study import FixedGrid
from rpt_dosimetry.registration.transform import GridMm, one_grid

SAME_MM = 5e-4
"""Of voxel sizes; the contract's check allows twice as much."""


@dataclass(frozen=True)
class CohortGrid:
    """What all cycles' grids have in common.

    Attributes:
        shape: Voxels along x, y, z.
        voxel_mm: Their size along x, y, z, mm.
    """

    shape: tuple[int, int, int]
    voxel_mm: tuple[float, float, float]


def spacing_mm(grid: GridMm) -> tuple[float, float, float]:
    """Return the voxel size of a grid, mm."""
    x, y, z = np.linalg.norm(grid.affine[:3, :3], axis=0).tolist()
    return x, y, z


def cohort_grid(own: Sequence[GridMm], *, slice_voxels: int, fixed: FixedGrid | None) -> CohortGrid:
    """Choose the cohort's grid.

    Args:
        own: The grid of each cycle's first SPECT, at least one.
        slice_voxels: Voxels along and across a slice.
        fixed: What the study states; ``None`` takes the first cycle's voxels and as many slices
            as the longest SPECT needs.
    """
    if fixed is not None:
        x, y, z = fixed.voxel_mm
        return CohortGrid((slice_voxels, slice_voxels, fixed.slices), (x, y, z))
    voxel_mm = spacing_mm(own[0])
    longest_mm = max(grid.shape[2] * spacing_mm(grid)[2] for grid in own)
    slices = int(np.ceil(longest_mm / voxel_mm[2] - 1e-3))
    return CohortGrid((slice_voxels, slice_voxels, slices), voxel_mm)


def cycle_grid(first_spect: Volume, cohort: CohortGrid, warnings: list[str]) -> GridMm:
    """Return a cycle's grid.

    Args:
        first_spect: The first SPECT, slices across its third axis.
        cohort: The cohort's grid.
        warnings: Takes how much of the SPECT lies outside.
    """
    own = one_grid(first_spect, slice_voxels=cohort.shape[0])
    if np.allclose(spacing_mm(own), cohort.voxel_mm, rtol=0, atol=SAME_MM):
        first = (np.array(own.shape) - cohort.shape) // 2
        affine = own.affine.copy()
        affine[:3, 3] += own.affine[:3, :3] @ first
    else:
        affine = _about_middle(own, cohort)
    cut_mm = own.shape[2] * spacing_mm(own)[2] - cohort.shape[2] * cohort.voxel_mm[2]
    if cut_mm > cohort.voxel_mm[2]:
        warnings.append(f"The SPECT is {cut_mm:.0f} mm longer than the grid; its ends are cut off.")
    return GridMm(cohort.shape, affine)


def _about_middle(own: GridMm, cohort: CohortGrid) -> np.ndarray:
    axes = own.affine[:3, :3] / np.array(spacing_mm(own))
    middle_mm = own.affine[:3, :3] @ ((np.array(own.shape) - 1) / 2.0) + own.affine[:3, 3]
    affine = np.eye(4)
    affine[:3, :3] = axes * np.array(cohort.voxel_mm)
    affine[:3, 3] = middle_mm - affine[:3, :3] @ ((np.array(cohort.shape) - 1) / 2.0)
    return affine
