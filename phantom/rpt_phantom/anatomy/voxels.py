"""A patient on a grid of voxels: organs, tissues, lesions, what a field of view cuts, and a CT.

The CT's blur and noise are usual values, ours.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Int16, UInt8, UInt16
from scipy.ndimage import gaussian_filter

from rpt_phantom.anatomy.body import Body
from rpt_phantom.anatomy.deformation import MOST_MM
from rpt_phantom.anatomy.ids import REMAINING_BODY
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
from rpt_phantom.grid import FWHM_PER_STD, Grid, Vector

SETUP_MOST_MM = 25.0
"""By which a patient's place on the couch may be off along z, mm; beyond what is drawn."""
AIR_HU, LEAST_HU = -1000, -1024
CT_FWHM_MM, CT_NOISE_HU = 4.0, 12.0


@dataclass(frozen=True)
class Anatomy:
    """One patient on a grid; a voxel belongs to what holds its centre.

    Attributes:
        grid: The grid of every array.
        organs: TotalSegmentator ids, 150–157 glands, 199 remaining body, 0 air.
        tissue: Values of ``Tissue``: kidney cortex, fat, spongiosa, wall or content, …
        lesions: Number of the lesion, 0 elsewhere.
        hu: CT number, sharp and free of noise, HU.
        cut: Numbers of the organs that go on beyond the label map.
    """

    grid: Grid
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


def voxelise(body: Body, lesions: Sequence[Lesion], grid: Grid) -> Anatomy:
    """Put a patient on a grid.

    Args:
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


def atlas_points(body: Body, grid: Grid) -> Float32[np.ndarray, "3 x y z"]:
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


def surely_within(body: Body, organs: Collection[int], *, low_mm: float, high_mm: float) -> bool:
    """Tell whether organs lie in a field of view however a body is deformed and laid.

    Args:
        body: The patient's atlas and size; its deformation is not looked at.
        organs: Numbers of the organs.
        low_mm: Lower end of the field, mm in the world.
        high_mm: Upper end of the field, mm in the world.
    """
    boxes = body.atlas.boxes_mm
    if not set(organs) <= set(boxes):
        return False
    for organ in organs:
        low, high = (corner[2] for corner in boxes[organ])
        if (low - MOST_MM) * body.height - SETUP_MOST_MM < low_mm:
            return False
        if (high + MOST_MM) * body.height + SETUP_MOST_MM > high_mm:
            return False
    return True


def organs_cut(anatomy: Anatomy, *, low_mm: float, high_mm: float) -> frozenset[int]:
    """Return the organs of which a field of view sees a part.

    An organ that reaches the first or last slice of ``anatomy`` counts as going on beyond it:
    give a grid that is longer than the field of view.

    Args:
        anatomy: The patient, on a grid longer than the field of view.
        low_mm: Lower end of the field, mm in the world.
        high_mm: Upper end of the field, mm in the world.

    Returns:
        Numbers of organs that have voxels both within and beyond the field; neither air nor
        the remaining body.

    Raises:
        ValueError: The field's ends are not in order.
    """
    if not low_mm < high_mm:
        raise ValueError(f"low_mm must be below high_mm, got {low_mm} mm and {high_mm} mm.")
    present = _organs_by_slice(anatomy)
    z_mm = anatomy.grid.positions_mm(2)
    seen = (z_mm >= low_mm) & (z_mm <= high_mm)
    beyond = present[:, ~seen].any(axis=1) | present[:, 0] | present[:, -1]
    cut = present[:, seen].any(axis=1) & beyond
    cut[[0, REMAINING_BODY]] = False
    return frozenset(int(organ) for organ in np.flatnonzero(cut))


def _organs_by_slice(anatomy: Anatomy) -> np.ndarray:
    slices = anatomy.organs.shape[2]
    present = np.zeros((256, slices), bool)
    for k in range(slices):
        present[np.unique(anatomy.organs[:, :, k]), k] = True
    return present


def ct_image(
    anatomy: Anatomy,
    rng: np.random.Generator,
    *,
    grid: Grid | None = None,
    fwhm_mm: float = CT_FWHM_MM,
    noise_hu: float = CT_NOISE_HU,
) -> Int16[np.ndarray, "x y z"]:
    """Image the anatomy by CT.

    Args:
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
    values: Float32[np.ndarray, "a b c"], grid: Grid, onto: Grid, *, outside: float = 0.0
) -> Float32[np.ndarray, "x y z"]:
    """Average values over the voxels of another grid, by shares of volume.

    Args:
        values: One value for each voxel of ``grid``.
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


def _overlap(grid: Grid, onto: Grid, axis: int) -> Float[np.ndarray, "n m"]:
    """Return which share of each voxel of ``onto`` lies in each voxel of ``grid``, on an axis."""
    low = grid.positions_mm(axis) - grid.spacing_mm[axis] / 2
    edge_mm = onto.spacing_mm[axis]
    start = (onto.positions_mm(axis) - edge_mm / 2)[:, None]
    stop = np.minimum(low + grid.spacing_mm[axis], start + edge_mm)
    shares = np.maximum(stop - np.maximum(low, start), 0.0) / edge_mm
    return np.asarray(shares, dtype=np.float32)
