"""A patient on a grid: organs, lesions, tissues, density and CT number."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int16, UInt8, UInt16

from rpt_phantom.anatomy.axis_grid import AxisGrid, Vector
from rpt_phantom.anatomy.body import Body
from rpt_phantom.anatomy.lesions import Lesion
from rpt_phantom.anatomy.tissues import (
    CELLULARITY,
    MARROW_OF_SPONGIOSA,
    SCLEROTIC_G_PER_ML,
    SCLEROTIC_HU,
    Tissue,
    density_table,
    hu_table,
)


@dataclass(frozen=True)
class Anatomy:
    """One patient on a grid; a voxel belongs to what holds its centre.

    Attributes:
        grid: The grid of every array.
        organs: TotalSegmentator ids, 150–157 glands, 199 remaining body, 0 air.
        tissue: Values of ``Tissue``: kidney cortex, fat, spongiosa, wall or content, …
        lesions: Number of the lesion, 0 elsewhere.
        hu: CT number, sharp and free of noise, HU.
        density_g_per_ml: Mass density, g/mL.
        cut: Numbers of the organs that go on beyond the label map.
    """

    grid: AxisGrid
    organs: UInt8[np.ndarray, "x y z"]
    tissue: UInt8[np.ndarray, "x y z"]
    lesions: UInt16[np.ndarray, "x y z"]
    hu: Int16[np.ndarray, "x y z"]
    density_g_per_ml: Float32[np.ndarray, "x y z"]
    cut: frozenset[int] = frozenset()

    def where(self, *tissues: Tissue) -> Bool[np.ndarray, "x y z"]:
        """Return the mask of one or several tissues."""
        chosen = np.zeros(256, bool)
        chosen[list(tissues)] = True
        mask: Bool[np.ndarray, "x y z"] = chosen[self.tissue]
        return mask

    def active_marrow(self) -> Float32[np.ndarray, "x y z"]:
        """Return the volume fraction of active marrow: cellularity of the bone in spongiosa."""
        share = np.zeros(256, np.float32)
        for organ, cellularity in CELLULARITY.items():
            share[organ] = cellularity * MARROW_OF_SPONGIOSA
        return np.where(self.where(Tissue.SPONGIOSA), share[self.organs], np.float32(0))


def voxelise(body: Body, lesions: Sequence[Lesion], grid: AxisGrid) -> Anatomy:
    """Put a patient on a grid.

    Args:
        body: The patient.
        lesions: Its lesions; number 1 comes first, an earlier one keeps its voxels.
        grid: The grid; what lies beyond it is cut.
    """
    points = atlas_points(body, grid)
    organs, tissue = _sampled(body, points)
    numbers = np.zeros(grid.shape, np.uint16)
    for number, lesion in enumerate(lesions, start=1):
        cut = grid.cut(*world_box_mm(body, *lesion.box_mm()))
        if not numbers[cut].size:
            continue
        depth = lesion.depth(points[(slice(None), *cut)])
        here = (depth <= 1) & (numbers[cut] == 0) & np.isin(organs[cut], lesion.hosts)
        if lesion.in_bone:
            here &= np.isin(tissue[cut], (Tissue.SPONGIOSA, Tissue.CORTICAL_BONE))
        numbers[cut][here] = number
        if lesion.necrotic:
            tissue[cut][here & (depth <= lesion.necrotic)] = Tissue.NECROSIS
    hu = hu_table()[organs, tissue]
    density = density_table()[tissue]
    sclerotic = (numbers > 0) & np.isin(tissue, (Tissue.SPONGIOSA, Tissue.CORTICAL_BONE))
    hu[sclerotic] = np.maximum(hu[sclerotic], np.float32(SCLEROTIC_HU))
    density[sclerotic] = np.maximum(density[sclerotic], np.float32(SCLEROTIC_G_PER_ML))
    return Anatomy(grid, organs, tissue, numbers, hu.astype(np.int16), density, body.atlas.cut)


def atlas_points(body: Body, grid: AxisGrid) -> Float32[np.ndarray, "3 x y z"]:
    """Return where in the atlas the voxels of a grid come from, mm."""
    axes = [
        (grid.positions_mm(axis) - body.setup_mm[axis]) / body.scales[axis] for axis in range(3)
    ]
    if body.deformation is None:
        points = np.zeros((3, *grid.shape), np.float32)
    else:
        points = body.deformation.on_axes(*axes)
    for axis in range(3):
        along = [1, 1, 1]
        along[axis] = -1
        points[axis] += axes[axis].astype(np.float32).reshape(along)
    return points


def _sampled(
    body: Body, points: Float32[np.ndarray, "3 x y z"]
) -> tuple[UInt8[np.ndarray, "x y z"], UInt8[np.ndarray, "x y z"]]:
    """Return organ and tissue of the atlas's voxel nearest to each point; air beyond it."""
    grid = body.atlas.grid
    at = np.zeros(points.shape[1:], np.int32)
    inside = np.ones(points.shape[1:], bool)
    for axis, n in enumerate(grid.shape):
        place = (points[axis] - np.float32(grid.first_mm[axis])) / np.float32(grid.spacing_mm[axis])
        index = np.rint(place).astype(np.int32)
        inside &= (index >= 0) & (index < n)
        at = at * n + np.clip(index, 0, n - 1)
    return (
        np.where(inside, body.atlas.organs.reshape(-1)[at], np.uint8(0)),
        np.where(inside, body.atlas.tissue.reshape(-1)[at], np.uint8(0)),
    )


def world_box_mm(body: Body, low_mm: Vector, high_mm: Vector) -> tuple[Vector, Vector]:
    """Return a box in the world, mm, that holds what a box in the atlas holds."""
    margin_mm = 0.0 if body.deformation is None else body.deformation.most_mm
    ends = []
    for corner, sign in ((low_mm, -1.0), (high_mm, 1.0)):
        x, y, z = (
            (at + sign * margin_mm) * scale + shift
            for at, scale, shift in zip(corner, body.scales, body.setup_mm, strict=True)
        )
        ends.append((x, y, z))
    return ends[0], ends[1]
