"""The TIA of every voxel, from its own points.

Each voxel is fitted with a·e^(−kt), a ≥ 0, k no slower than physical decay, by unweighted least
squares (noise is nearly the same at all levels within a reconstructed image; ours). For a given k
the best a is known, and what is left to maximise is the projection of the points y on the curve,
h(k) = Σ y e^(−ks) / √(Σ e^(−2ks)), s = t − t₁: first on a grid of k that all voxels share, one
matrix product, then by Newton's method on d ln h/dk = 0 between the neighbouring nodes. An
infusion multiplies the curve by a factor that is the same at all times, so k does not see it.

Source: variable projection, Golub & Pereyra, SIAM J Numer Anal 10 (1973) 413; the grid ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float, UInt8
from rpt_cohort import BadInput

from rpt_dosimetry.tia.exponential_fit import (
    after_infusion,
    check_half_life,
    check_times,
    highest_rate_per_h,
    physical_tail_tia,
)
from rpt_dosimetry.tia.region_fit import RegionFit

ZERO, MONO, AT_PHYSICAL, AT_FASTEST, RISES, ONE_POINT = range(6)
METHODS = {
    ZERO: "zero",
    MONO: "mono",
    AT_PHYSICAL: "mono, bounded at the physical half-life",
    AT_FASTEST: "falls too fast: trapezoid and physical tail",
    RISES: "rises: trapezoid and physical tail",
    ONE_POINT: "physical decay through the one time point",
}
"""Code in :attr:`VoxelTia.method` → its meaning."""

_NODES = 64
_QUADRATURE = 48  # points of Gauss and Legendre between two scans
_CHUNK = 1 << 14  # voxels; the work arrays of a chunk stay in the processor's cache
_STEPS = 60
_VANISHED = 12.0  # e^(−2·12) is what the second point then adds to a norm: 4e-11
_TOLERANCE = 1e-9


@dataclass(frozen=True)
class VoxelTia:
    """TIA voxel by voxel.

    Attributes:
        tia: Time integral from 0 to ∞, unit of the activity × h.
        method: A code of :data:`METHODS`.
    """

    tia: Float[np.ndarray, " v"]
    method: UInt8[np.ndarray, " v"]

    @property
    def counts(self) -> dict[str, int]:
        """Name of each method → voxels, those of no voxel left out."""
        found = np.bincount(self.method, minlength=len(METHODS))
        return {name: int(found[code]) for code, name in METHODS.items() if found[code]}


def fit_voxels(
    activity: Float[np.ndarray, "t v"],
    *,
    time_h: Sequence[float],
    half_life_h: float,
    infusion_h: float = 0.0,
) -> VoxelTia:
    """Fit every voxel.

    Where the fit is bounded at the physical half-life and the last activity is above all others,
    no washout is seen: straight lines from 0 at 0 h, then physical decay, are taken. (That the
    last two points cross is not enough: with noise they do, and the fit bears it.) The same is
    done where the fit ends at the fastest rate: the exponential would put any activity before
    the first point.

    Args:
        activity: At their own times, not decay-corrected, any unit. Shape (t, v).
        time_h: Start of infusion to mid-scan.
        half_life_h: Physical half-life.

    Raises:
        BadInput: Times or half-life are impossible, not as many times as images, or an activity
            is negative or not finite.
    """
    times = check_times(time_h, infusion_h=infusion_h)
    decay = check_half_life(half_life_h)
    if len(activity) != len(times):
        raise BadInput(f"time_h must be one an image, got {len(times)} for {len(activity)} images.")
    fastest = highest_rate_per_h(first_time_h=float(times[0]), half_life_h=half_life_h)
    grid = np.geomspace(decay, fastest, _NODES) if len(times) > 1 else np.array([decay])
    voxels = activity.shape[1]
    tia, method = np.zeros(voxels), np.full(voxels, ZERO, dtype=np.uint8)
    _check(activity)
    for start in range(0, voxels, _CHUNK):
        chunk = activity[:, start : start + _CHUNK]
        part = start + np.flatnonzero(chunk.any(axis=0))
        if part.size:
            points = activity[:, part].astype(np.float64)
            tia[part], method[part] = _fit(points, times, grid, infusion_h)
    return VoxelTia(tia, method)


def scale_shape(
    activity: Float[np.ndarray, "t v"], *, time_h: Sequence[float], fit: RegionFit
) -> Float[np.ndarray, " v"]:
    """Share an organ's time-integrated activity among its voxels.

    A voxel's share of the organ's activity is y/Y at every scan, goes along a straight line
    between scans and is constant before the first and after the last; its TIA is the integral of
    share × the organ's curve. So each scan counts by how much of the TIA it stands for: urine that
    runs through a kidney at the first scan does not pass for uptake. It is linear in y, and the
    voxels of an organ sum to the organ's TIA. Ours.

    Args:
        activity: At their own times, not decay-corrected, any unit. Shape (t, v).
        time_h: Start of infusion to mid-scan, those of the fit.

    Returns:
        TIA, unit of the activity × h; 0 where the organ's fit is zero.

    Raises:
        BadInput: Not as many times as images, other times than the fit's, or an activity is
            negative or not finite.
    """
    times = check_times(time_h)
    if len(activity) != len(times):
        raise BadInput(f"time_h must be one an image, got {len(times)} for {len(activity)} images.")
    if times.tolist() != [time for time, _ in fit.points]:
        raise BadInput(
            f"time_h must be the times of the region's fit, got {times.tolist()} h for "
            f"{[time for time, _ in fit.points]} h. Fit the region at the times of the images."
        )
    _check(activity)
    if fit.tia_mbq_h == 0.0:
        return np.zeros(activity.shape[1])
    organ_mbq = np.array([point_mbq for _, point_mbq in fit.points])
    seen = organ_mbq > 0  # elsewhere nobody has a share
    stands_for_mbq_h = _stands_for(times[seen], fit)
    return np.asarray((stands_for_mbq_h / organ_mbq[seen]) @ activity[seen])


def _stands_for(times: Float[np.ndarray, " t"], fit: RegionFit) -> Float[np.ndarray, " t"]:
    """Return how much of a TIA each scan stands for, MBq·h; they sum to it."""
    stands = np.zeros(len(times))
    if len(times) > 1:
        nodes, weights = np.polynomial.legendre.leggauss(_QUADRATURE)
        for k, (begin, end) in enumerate(pairwise(times)):
            later = (nodes + 1.0) / 2.0  # share of the way to the later scan
            mbq = fit.activity_mbq(begin + (end - begin) * later)
            piece = mbq * weights * (end - begin) / 2.0
            stands[k] += float(piece @ (1.0 - later))
            stands[k + 1] += float(piece @ later)
        stands[-1] += fit.tail_mbq_h(float(times[-1]))
    # What is left is before the first scan, whatever the infusion was.
    stands[0] += fit.tia_mbq_h - float(stands.sum())
    return stands


def _check(activity: Float[np.ndarray, "t v"]) -> None:
    # A minimum is NaN where any value is; together they see every fault in two passes.
    if activity.size and not (activity.min() >= 0 and np.isfinite(activity.max())):
        raise BadInput(
            f"Activities must be finite and at least 0 in every voxel, got {activity.min():g} to "
            f"{activity.max():g}. Set what the reconstruction left below 0 to 0."
        )


def _fit(
    activity: Float[np.ndarray, "t v"],
    times: Float[np.ndarray, " t"],
    grid: Float[np.ndarray, " n"],
    infusion_h: float,
) -> tuple[Float[np.ndarray, " v"], UInt8[np.ndarray, " v"]]:
    """Return TIA and method of a chunk; the grid runs from the physical to the fastest rate."""
    decay, fastest = grid[0], grid[-1]
    since_h = times - times[0]
    rate = _best_rate(activity, since_h, grid)
    rate[rate > fastest * (1.0 - 1e-6)] = fastest  # halving comes near a bound and not to it
    curve = np.exp(-since_h[:, None] * rate)
    first = np.einsum("tv,tv->v", activity, curve) / np.einsum("tv,tv->v", curve, curve)
    method = np.full(len(rate), MONO, dtype=np.uint8)
    method[rate <= decay] = AT_PHYSICAL
    method[rate >= fastest] = AT_FASTEST
    tia = first / (rate * after_infusion(float(times[0]), rate, infusion_h=infusion_h))
    if len(times) == 1:
        method[:] = ONE_POINT
    else:
        highest = activity[:-1].max(axis=0)
        method[(method == AT_PHYSICAL) & (activity[-1] > highest)] = RISES
        lines = (method == RISES) | (method == AT_FASTEST)
        tia[lines] = physical_tail_tia(times, activity[:, lines], decay_per_h=decay)
    return tia, method


def _best_rate(
    activity: Float[np.ndarray, "t v"],
    since_h: Float[np.ndarray, " t"],
    grid: Float[np.ndarray, " n"],
) -> Float[np.ndarray, " v"]:
    """Return the least-squares rate within the grid's ends, 1/h."""
    curves = np.exp(-np.outer(grid, since_h))
    curves /= np.linalg.norm(curves, axis=1, keepdims=True)
    node = np.argmax(curves @ activity, axis=0)
    low, high = grid[np.maximum(node - 1, 0)], grid[np.minimum(node + 1, len(grid) - 1)]
    rate = grid[node]
    if len(since_h) > 1:
        # Where all but the first point have vanished, h is flat and the node means nothing.
        flat = int(np.searchsorted(grid, _VANISHED / since_h[1]))
        unclear = node >= flat - 1
        low[unclear], high[unclear] = grid[max(flat - 2, 0)], grid[-1]
        rate[unclear] = low[unclear]
    todo = np.arange(len(rate))
    for _ in range(_STEPS):
        k, lower, upper = rate[todo], low[todo], high[todo]
        new, lower, upper = _newton(activity[:, todo], since_h, k, lower, upper)
        rate[todo], low[todo], high[todo] = new, lower, upper
        todo = todo[np.abs(new - k) > _TOLERANCE * k]
        if not todo.size:
            break
    return np.asarray(rate)


def _newton(
    activity: Float[np.ndarray, "t v"],
    since_h: Float[np.ndarray, " t"],
    k: Float[np.ndarray, " v"],
    low: Float[np.ndarray, " v"],
    high: Float[np.ndarray, " v"],
) -> tuple[Float[np.ndarray, " v"], Float[np.ndarray, " v"], Float[np.ndarray, " v"]]:
    """One step towards d ln h/dk = c₁/c₀ − b₁/b₀ = 0, and the bracket that it leaves.

    Newton's method on ln(b₁c₀/(b₀c₁)), which is linear in k for two points and stays nearly so
    where the later ones vanish.
    """
    curve = np.exp(-since_h[:, None] * k)
    powers = np.stack([np.ones_like(since_h), since_h, since_h**2])
    b0, b1, b2 = powers @ (curve * activity)
    c0, c1, c2 = powers @ (curve * curve)
    with np.errstate(divide="ignore", invalid="ignore"):  # b₁ is 0 if only the first point is not
        level = np.log(b1 * c0 / (b0 * c1))
        slope = b1 / b0 - b2 / b1 + 2.0 * (c2 / c1 - c1 / c0)
        step = k - level / slope
    rising = (level < 0) | (b1 == 0)
    low, high = np.where(rising, k, low), np.where(rising, high, k)
    inside = (step > low) & (step < high) & (slope > 0)
    return np.where(inside, step, 0.5 * (low + high)), low, high
