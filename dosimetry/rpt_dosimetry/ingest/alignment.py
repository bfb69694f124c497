"""Bring the scans and regions of a cycle to its grid, and tell where all of them are known.

The contract gives a cohort one shape and one spacing. Each cycle's grid is that of its first
SPECT where the voxels are the cohort's, so that the SPECT is not resampled; slices are added on
both sides until they are as many as the cohort's. These choices are ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float32, Shaped, UInt8
from rpt_cohort import BadInput, Volume
from rpt_cohort.labels import REMAINING_BODY

from rpt_dosimetry.ingest.study import FixedGrid
from rpt_dosimetry.registration.pair import Scan, Start, check_picture, register, story
from rpt_dosimetry.registration.resampling import Resampled, covered_share, resample_emission
from rpt_dosimetry.registration.transform import GridMm, Rigid, one_grid, shifted

SAME_MM = 5e-4
"""Of voxel sizes; the contract's check allows twice as much."""


@dataclass(frozen=True)
class CohortGrid:
    """What all cycles' grids have in common."""

    shape: tuple[int, int, int]
    voxel_mm: tuple[float, float, float]


def cohort_grid(own: Sequence[GridMm], *, slice_voxels: int, fixed: FixedGrid | None) -> CohortGrid:
    """Choose the cohort's grid.

    Args:
        own: The grid of each cycle's first SPECT, at least one.
        fixed: What the study states; ``None`` takes the first cycle's voxels and as many slices
            as the longest SPECT needs.
    """
    if fixed is not None:
        x, y, z = fixed.voxel_mm
        return CohortGrid((slice_voxels, slice_voxels, fixed.slices), (x, y, z))
    voxel_mm = own[0].spacing_mm
    longest_mm = max(grid.shape[2] * grid.spacing_mm[2] for grid in own)
    slices = int(np.ceil(longest_mm / voxel_mm[2] - 1e-3))
    return CohortGrid((slice_voxels, slice_voxels, slices), voxel_mm)


def cycle_grid(first_spect: Volume, cohort: CohortGrid, warnings: list[str]) -> GridMm:
    """Return a cycle's grid, of its first SPECT, slices across the third axis."""
    own = one_grid(first_spect, slice_voxels=cohort.shape[0])
    if np.allclose(own.spacing_mm, cohort.voxel_mm, rtol=0, atol=SAME_MM):
        first = (np.array(own.shape) - cohort.shape) // 2
        affine = own.affine.copy()
        affine[:3, 3] += own.affine[:3, :3] @ first
    else:
        affine = _about_middle(own, cohort)
    cut_mm = own.shape[2] * own.spacing_mm[2] - cohort.shape[2] * cohort.voxel_mm[2]
    if cut_mm > cohort.voxel_mm[2]:
        warnings.append(f"The SPECT is {cut_mm:.0f} mm longer than the grid; its ends are cut off.")
    return GridMm(cohort.shape, affine)


def _about_middle(own: GridMm, cohort: CohortGrid) -> np.ndarray:
    axes = own.affine[:3, :3] / np.array(own.spacing_mm)
    middle_mm = own.affine[:3, :3] @ ((np.array(own.shape) - 1) / 2.0) + own.affine[:3, 3]
    affine = np.eye(4)
    affine[:3, :3] = axes * np.array(cohort.voxel_mm)
    affine[:3, 3] = middle_mm - affine[:3, :3] @ ((np.array(cohort.shape) - 1) / 2.0)
    return affine


STAYS = shifted(np.zeros(3))
WHOLLY = 0.999
"""Ours: share of a voxel that a scan must cover to know it; the rest is rounding."""


@dataclass(frozen=True)
class Aligned:
    """A scan on the cycle's grid.

    Attributes:
        data: Bq/mL or g/mL.
        rigid: Position on the grid → position in the scan.
        story: What the registration did, for a JSON; ``None`` for the first SPECT.
        picture: By which a person judges it, PNG; ``None`` for the first SPECT.
    """

    data: Float32[np.ndarray, "x y z"]
    rigid: Rigid
    story: dict[str, Any] | None
    picture: bytes | None


def align(fixed: Scan, still: Resampled, moving: Scan, grid: GridMm, *, start: Start) -> Aligned:
    """Register a scan to the first SPECT, ``fixed``, and resample it once.

    Args:
        still: The first SPECT on the grid.
        moving: What is carried to it; without a CT, emission steers.

    Raises:
        BadInput: The registration failed.
    """
    steered = fixed if moving.ct is not None else Scan(fixed.emission)
    found = register(steered, moving, start=start)
    carried = resample_emission(moving.emission, grid, found.rigid, name="The image")
    picture = check_picture(
        found, fixed_emission=still.data, moving_emission=carried.data, grid=grid
    )
    told = story(found, still, carried, grid)
    return Aligned(carried.data, found.rigid, told, picture)


def field_of_view(
    spects: list[tuple[Volume, Rigid]], ct: Volume, grid: GridMm
) -> Bool[np.ndarray, "x y z"]:
    """Tell where the dose is known: where every SPECT and the first one's CT are.

    A turning camera sees the circle inscribed in its slices; their corners are left out (ours).

    Args:
        spects: Each SPECT, and position on the grid → position in it.
        ct: CT of the first SPECT, for the density.

    Raises:
        BadInput: The dose is known nowhere.
    """
    known = covered_share(ct, grid, STAYS) >= WHOLLY
    for volume, rigid in spects:
        known &= covered_share(volume, grid, rigid) >= WHOLLY
        known &= _in_circle(volume, grid, rigid)
    if not known.any():
        raise BadInput(
            "All SPECTs and the first one's CT must have a field in common, and they have none. "
            "Check that they show one region."
        )
    return known


def _in_circle(volume: Volume, grid: GridMm, rigid: Rigid) -> Bool[np.ndarray, "x y z"]:
    """Tell which voxels lie in the circle (ellipse) of a SPECT's slices, across its third axis."""
    whole = np.linalg.inv(volume.affine) @ rigid.fixed_to_moving @ grid.affine
    x, y, z = np.ogrid[tuple(slice(n) for n in grid.shape)]
    squared = np.zeros(grid.shape)
    for axis in (0, 1):
        a, b, c, start = whole[axis]
        size = volume.data.shape[axis]
        squared += ((a * x + b * y + c * z + start - (size - 1) / 2.0) / (size / 2.0)) ** 2
    inside: Bool[np.ndarray, "x y z"] = squared <= 1.0
    return inside


BODY_ABOVE_HU = -300.0
"""Ours: between air and fat, half-way as a voxel on the skin is."""


def nearest(labels: Volume, grid: GridMm, rigid: Rigid) -> Shaped[np.ndarray, "x y z"]:
    """Carry labels to a grid: each voxel has the label at its centre, 0 outside."""
    whole = np.linalg.inv(labels.affine) @ rigid.fixed_to_moving @ grid.affine
    x, y, z = (np.arange(size) for size in grid.shape)
    inside = np.ones(grid.shape, dtype=np.bool_)
    index = []
    for axis, size in enumerate(labels.data.shape):
        a, b, c, start = whole[axis]
        at = (a * x)[:, None, None] + (b * y)[:, None] + (c * z + start)
        # Half a millionth of a voxel, so that rounding does not decide what lies on a face.
        voxel = np.floor(at + 0.5 + 5e-7).astype(np.int32)
        inside &= (voxel >= 0) & (voxel < size)
        index.append(np.clip(voxel, 0, size - 1))
    carried: Shaped[np.ndarray, "x y z"] = labels.data[tuple(index)]
    carried[~inside] = 0
    return carried


def with_body(
    organs: Shaped[np.ndarray, "x y z"] | None, ct_hu: Float[np.ndarray, "x y z"]
) -> UInt8[np.ndarray, "x y z"]:
    """Add the remaining body to organs, from the CT.

    The body is the largest part above −300 HU after an opening of the slices by a voxel, which
    takes the couch off, and the air that it encloses in a slice. The steps are ours.

    Raises:
        BadInput: The CT shows no body.
    """
    from scipy import ndimage

    # Within slices alone: an opening along them would eat the ends of the body.
    cross = ndimage.generate_binary_structure(2, 1)[:, :, np.newaxis]
    thick = ndimage.binary_opening(ct_hu > BODY_ABOVE_HU, cross)
    parts, count = ndimage.label(thick)
    if not count:
        raise BadInput(
            f"The CT must show a body, above {BODY_ABOVE_HU:g} HU, where the first SPECT is, and "
            "it does not. Name the CT of that SPECT."
        )
    body = parts == 1 + np.argmax(np.bincount(parts.ravel())[1:])
    for slice_ in np.moveaxis(body, 2, 0):
        slice_[:] = ndimage.binary_fill_holes(slice_)
    found = np.zeros(ct_hu.shape, dtype=np.uint8) if organs is None else organs.astype(np.uint8)
    return np.where((found == 0) & body, np.uint8(REMAINING_BODY), found)
