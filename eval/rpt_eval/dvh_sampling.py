"""Dose samples below the voxel: a mask on any grid, or on the dose map's own."""

import math

import numpy as np
from jaxtyping import Bool, Float, Float64, Integer
from rpt_cohort import BadInput, Volume
from rpt_cohort.command import progress
from rpt_cohort.volumes import GRID_TOLERANCE_MM
from scipy.ndimage import map_coordinates

from rpt_eval.dvh import MM3_PER_ML, Dvh, dvh_of_known

FEWEST_PER_AXIS = 3
FEWEST_SAMPLES, MOST_SAMPLES = 100_000, 10_000_000
"""Bounds on the samples of one structure (ours): 0.001 % of its volume, 80 MB."""
CHUNK_SAMPLES = 1_000_000
"""Positions held at a time."""
SILENT_CHUNKS = 10
"""Up to here no progress is shown: some 4 s."""
SHIFTS = (np.outer(np.arange(31), (1, 12, 20)) % 31 + 0.5) / 31
"""Positions within a sub-cell: 31 points, evenly spaced along every axis (a lattice; ours)."""
AXIS_AND_SIGN = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}


def sub_points(
    supersampling: tuple[int, int, int], shifts: Integer[np.ndarray, " voxels"]
) -> Float64[np.ndarray, "voxels points 3"]:
    """Spread points over voxels: one in each sub-cell, each voxel by its own shift.

    The same points in every voxel would lie on few planes, and where the dose rises across
    these the histogram has as many steps: with 3³ sub-cell centres it is up to 1.4 % of the
    volume off in a sphere 10 voxels in radius, with ``dealt_shifts`` 0.35 %.

    Args:
        supersampling: Sub-cells along each axis.
        shifts: Number of each voxel's shift in ``SHIFTS``.

    Returns:
        Positions from the voxel's centre, in voxels, above −0.5 and below 0.5.
    """
    cells = np.indices(supersampling).reshape(3, -1).T
    points: Float64[np.ndarray, "voxels points 3"]
    points = (cells + SHIFTS[shifts][:, None]) / supersampling - 0.5
    return points


def dealt_shifts(voxels: int) -> Integer[np.ndarray, " voxels"]:
    """Deal the shifts out to voxels: each to one in 31 in a row, in an order drawn once."""
    rows = math.ceil(voxels / len(SHIFTS))
    order = np.tile(np.arange(len(SHIFTS), dtype=np.uint8), (rows, 1))
    drawn = np.random.default_rng(0).permuted(order, axis=1)
    dealt: Integer[np.ndarray, " voxels"] = drawn.ravel()[:voxels]
    return dealt


def choose_supersampling(
    voxels: int,
    *,
    spacing_mm: tuple[float, float, float],
    dose_spacing_mm: tuple[float, float, float],
) -> tuple[int, int, int]:
    """Choose the sub-cells of a mask's voxel along each axis (ours).

    At least 3, and no longer than half the dose's shortest voxel edge; then as many as make
    100,000 samples of the structure; then fewer, down to 1, where they would be more than
    10,000,000: a body of 30 litres has 7,500,000 at voxels of 2 mm.

    Args:
        voxels: Of the mask.
        spacing_mm: Of the mask.
        dose_spacing_mm: Of the dose map.
    """
    halves = 2.0 * np.array(spacing_mm) / min(dose_spacing_mm)
    cells = np.maximum(FEWEST_PER_AXIS, np.ceil(halves.round(6)))
    more = FEWEST_SAMPLES / (voxels * cells.prod())
    cells = np.ceil(cells * max(1.0, more ** (1 / 3)))
    while voxels * cells.prod() > MOST_SAMPLES and cells.max() > 1:
        cells[cells.argmax()] -= 1
    x, y, z = cells
    return int(x), int(y), int(z)


def in_ras_order(mask: Volume) -> Volume:
    """Return a mask with its axes nearest to right, anterior, superior; nothing is resampled.

    The points of ``mask_dvh`` follow the order of the axes; after this, the order in which a
    file stores them changes nothing.
    """
    turn, order, flipped = np.eye(4), [0, 0, 0], []
    turn[:3, :3] = 0
    for own, code in enumerate(mask.axis_codes):
        world, sign = AXIS_AND_SIGN[code]
        turn[own, world], order[world] = sign, own
        if sign < 0:
            turn[own, 3] = mask.data.shape[own] - 1
            flipped.append(own)
    return Volume(np.flip(mask.data, tuple(flipped)).transpose(order), mask.affine @ turn)


def mask_dvh(dose: Volume, mask: Volume, *, supersampling: tuple[int, int, int]) -> Dvh:
    """Sample a dose map within the voxels of a mask on any grid.

    The mask is not resampled: its volume is that of its voxels, and the dose is interpolated
    trilinearly at points inside them. Between the dose map's outermost voxel centres and its
    outer voxel faces the dose is that of the nearest voxel; beyond, there is none.

    A mask smoothed below the voxel (trilinear, at least 0.5) was tried on spheres of 3 to 10
    voxels in radius: it shrinks their volume by 0.4 to 6 %, and the worst deviation of the
    histogram stays the same within 0.1 % of volume. So the mask's voxels stand as they are.

    Args:
        dose: Finite values.
        mask: Not 0 in the structure.
        supersampling: Sub-cells along each axis of the mask, from ``choose_supersampling``.

    Raises:
        BadInput: The mask is empty or lies outside the dose map.
    """
    flat = np.flatnonzero(mask.data)
    if not flat.size:
        raise BadInput("The mask must mark at least one voxel, and is empty.")
    shifts, points = dealt_shifts(flat.size), math.prod(supersampling)
    samples = np.empty((flat.size, points))
    step = max(1, CHUNK_SAMPLES // points)
    starts = range(0, flat.size, step)
    for start in progress(starts, "dose in mask") if len(starts) > SILENT_CHUNKS else starts:
        here = slice(start, start + step)
        voxels = np.stack(np.unravel_index(flat[here], mask.data.shape), axis=-1)
        index = (voxels[:, None] + sub_points(supersampling, shifts[here])).reshape(-1, 3)
        positions_mm = index @ mask.affine[:3, :3].T + mask.affine[:3, 3]
        samples[here] = doses_at(dose, positions_mm).reshape(-1, points)
    volume_ml = flat.size * abs(float(np.linalg.det(mask.affine[:3, :3]))) / MM3_PER_ML
    return dvh_of_known(samples.ravel(), volume_ml=volume_ml)


def doses_at(
    dose: Volume, positions_mm: Float64[np.ndarray, "points 3"]
) -> Float64[np.ndarray, " points"]:
    """Interpolate a dose map trilinearly; NaN beyond its outer voxel faces.

    Args:
        dose: Finite values.
        positions_mm: In the RAS+ world of its affine, mm.
    """
    inverse = np.linalg.inv(dose.affine)
    index = positions_mm @ inverse[:3, :3].T + inverse[:3, 3]
    last = np.array(dose.data.shape) - 1.0
    margin = 0.5 + GRID_TOLERANCE_MM / np.array(dose.spacing_mm)
    outside = ((index < -margin) | (index > last + margin)).any(axis=1)
    data = dose.data.astype(np.result_type(dose.data.dtype, np.float32), copy=False)
    found: Float64[np.ndarray, " points"] = map_coordinates(
        data, np.clip(index, 0.0, last).T, order=1, output=np.float64
    )
    found[outside] = np.nan
    return found


def sub_voxel_doses(
    dose: Float[np.ndarray, "x y z"],
    mask: Bool[np.ndarray, "x y z"],
    *,
    known: Bool[np.ndarray, "x y z"] | None = None,
    supersampling: int = FEWEST_PER_AXIS,
) -> Float64[np.ndarray, " samples"]:
    """Sample a dose map within a mask on the same grid; quick.

    Args:
        dose: Any unit.
        mask: The structure.
        known: Where the dose is known, everywhere by default. What is not known, and what is
            beyond the array, has no part in the interpolation: the trilinear weights of the
            known voxels are scaled up to 1.
        supersampling: Sub-cells along each axis of a voxel.

    Returns:
        Doses of equal volumes, voxel by voxel; none of an empty mask.

    Raises:
        ValueError: The mask reaches where the dose is not known.
    """
    known = np.ones_like(mask) if known is None else known
    if (mask & ~known).any():
        raise ValueError("mask must lie where the dose is known: give mask & known.")
    if not mask.any():
        return np.empty(0)
    box = tuple(slice(np.min(found), np.max(found) + 1) for found in np.nonzero(mask))
    wide = tuple(slice(max(side.start - 1, 0), side.stop + 1) for side in box)
    inner, inner_known = dose[wide], known[wide]
    padded_known = np.pad(inner_known.astype(np.float64), 1)
    padded = np.pad(np.where(inner_known, inner, 0.0).astype(np.float64), 1)
    voxels = np.flatnonzero(np.pad(mask[wide], 1))
    return _interpolate(padded, padded_known, voxels, supersampling).ravel()


def _interpolate(
    dose: Float64[np.ndarray, "x y z"],
    known: Float64[np.ndarray, "x y z"],
    voxels: Integer[np.ndarray, " voxels"],
    supersampling: int,
) -> Float64[np.ndarray, "voxels points"]:
    """Weight the 27 neighbours of each voxel; ``dose`` is 0 where ``known`` is."""
    strides = np.array([dose.shape[1] * dose.shape[2], dose.shape[2], 1])
    steps = strides @ (np.indices((3, 3, 3)).reshape(3, -1) - 1)
    shifts = dealt_shifts(voxels.size)
    samples = np.empty((voxels.size, supersampling**3))
    for shift in range(len(SHIFTS)):
        (points,) = sub_points((supersampling,) * 3, np.array([shift]))
        # Of the neighbour at −1, 0 and 1 along an axis, for a point between −0.5 and 0.5.
        near = np.stack([np.maximum(-points, 0), 1 - np.abs(points), np.maximum(points, 0)])
        weights = np.einsum("ip,jp,kp->ijkp", *np.moveaxis(near, 2, 0)).reshape(27, -1)
        around = voxels[shifts == shift][:, None] + steps
        certain = known.ravel()[around] @ weights
        samples[shifts == shift] = dose.ravel()[around] @ weights / certain
    return samples
