"""Dose samples of a mask: its voxels' own doses, or points below the voxel on another grid."""

import math

import numpy as np
from jaxtyping import Float64, Integer
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
SAME_VOXEL = 0.05
"""Of a voxel's edge: centres this near are of one voxel; headers round (ours)."""


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


def on_dose_grid(dose: Volume, mask: Volume) -> bool:
    """Tell whether every voxel of a mask is one of the dose map's grid, which may end before.

    The order and direction in which either file stores its axes do not matter.
    """
    onto = np.linalg.inv(dose.affine) @ mask.affine
    whole = np.rint(onto)
    corners = np.array(list(np.ndindex(2, 2, 2))) * (np.array(mask.data.shape) - 1)
    off = corners @ (onto - whole)[:3, :3].T + (onto - whole)[:3, 3]
    # One 1 in each row and column: a voxel has the size of the other, and lies along it.
    turn = np.abs(whole[:3, :3])
    turns = bool((turn.sum(axis=0) == 1).all() and (turn.sum(axis=1) == 1).all())
    return turns and float(np.abs(off).max()) <= SAME_VOXEL


def mask_dvh(dose: Volume, mask: Volume, *, supersampling: tuple[int, int, int] | None) -> Dvh:
    """Sample a dose map within the voxels of a mask on any grid.

    The mask is not resampled: its volume is that of its voxels. Where these are the dose map's
    own, each has its own dose: interpolation would draw in the dose beyond the structure's edge.
    On another grid the dose is interpolated trilinearly at points inside the mask's voxels.
    Between the dose map's outermost voxel centres and its outer voxel faces it is that of the
    nearest voxel; beyond, there is none.

    A mask smoothed below the voxel (trilinear, at least 0.5) was tried on spheres of 3 to 10
    voxels in radius: it shrinks their volume by 0.4 to 6 %, and the worst deviation of the
    histogram stays the same within 0.1 % of volume. So the mask's voxels stand as they are.

    Args:
        dose: Finite values.
        mask: Not 0 in the structure.
        supersampling: Sub-cells along each axis of the mask, from ``choose_supersampling``;
            ``None`` where ``on_dose_grid``.

    Raises:
        BadInput: The mask is empty or lies outside the dose map.
    """
    flat = np.flatnonzero(mask.data)
    if not flat.size:
        raise BadInput("The mask must mark at least one voxel, and is empty.")
    shifts, points = dealt_shifts(flat.size), math.prod(supersampling or (1,))
    samples = np.empty((flat.size, points))
    step = max(1, CHUNK_SAMPLES // points)
    starts = range(0, flat.size, step)
    for start in progress(starts, "dose in mask") if len(starts) > SILENT_CHUNKS else starts:
        here = slice(start, start + step)
        index = np.stack(np.unravel_index(flat[here], mask.data.shape), axis=-1)[:, None]
        if supersampling is not None:
            index = index + sub_points(supersampling, shifts[here])
        positions_mm = index.reshape(-1, 3) @ mask.affine[:3, :3].T + mask.affine[:3, 3]
        found = doses_at(dose, positions_mm, interpolate=supersampling is not None)
        samples[here] = found.reshape(-1, points)
    volume_ml = flat.size * abs(float(np.linalg.det(mask.affine[:3, :3]))) / MM3_PER_ML
    return dvh_of_known(samples.ravel(), volume_ml=volume_ml)


def doses_at(
    dose: Volume, positions_mm: Float64[np.ndarray, "points 3"], *, interpolate: bool = True
) -> Float64[np.ndarray, " points"]:
    """Interpolate a dose map trilinearly; NaN beyond its outer voxel faces.

    Args:
        dose: Finite values.
        positions_mm: In the RAS+ world of its affine, mm.
        interpolate: Without it, the dose of the voxel that a position lies in.
    """
    inverse = np.linalg.inv(dose.affine)
    index = positions_mm @ inverse[:3, :3].T + inverse[:3, 3]
    last = np.array(dose.data.shape) - 1.0
    margin = 0.5 + GRID_TOLERANCE_MM / np.array(dose.spacing_mm)
    outside = ((index < -margin) | (index > last + margin)).any(axis=1)
    data = dose.data.astype(np.result_type(dose.data.dtype, np.float32), copy=False)
    found: Float64[np.ndarray, " points"] = map_coordinates(
        data, np.clip(index, 0.0, last).T, order=int(interpolate), output=np.float64
    )
    found[outside] = np.nan
    return found
