"""Voxel-wise rate constants by basis functions: linear but for one exponential, tried on a grid.

1TCM: C_PET = (1 − V_b)K₁·B(k₂) + V_b·C_b. Irreversible 2TCM, with θ = k₂ + k₃:
C_PET = a·B(θ) + b·B(0) + V_b·C_b, where (1 − V_b)K₁ = a + b and k₃/θ = b/(a + b). B(θ) is the
plasma sent through e^(−θt), averaged over frames. For each θ the amplitudes at least 0 follow in
closed form; between the grid's θ a parabola through the sums of squares finds the best.

Source: Gunn et al., NeuroImage 6 (1997) 279; Boellaard et al., Mol Imaging Biol 7 (2005) 273, with
blood as a basis function. The parabola and the range of θ are ours.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rpt_kinetics.basis import Scan, best_amplitudes
from rpt_kinetics.checking import LARGEST_ACTIVITY
from rpt_kinetics.errors import BadInput
from rpt_kinetics.exponentials import Floats

# Ours: the grid's step in ln θ, how many steps the first search takes at once, and how often the
# search beside its best θ is centred anew.
LOG_STEP = 0.02
STRIDE = 8
RECENTRED = 3
# Numbers in one temporary array.
NUMBERS = 2**19

FLAGS = {
    0: "outside the mask",
    1: "fitted",
    2: "no change over time: every frame has the same value",
    3: "no uptake from plasma: the fit has K1 = 0",
    4: "rate at the edge of the grid: slower or faster than the frames can show",
    5: "V_b of 1 or more: only blood",
    6: "nothing returns to plasma: the fit has k2 = 0, and k3 is open",
}
FITTED = 1
LEAST_WASHOUT = 1e-9
"""Of the trapped amplitude; a washout below is none."""
MAP_UNITS = {
    "k1": "mL/min/mL",
    "k2": "1/min",
    "k3": "1/min",
    "vb": "mL/mL",
    "vt": "mL/mL",
    "ki": "mL/min/mL",
}
MAPS = {"1tcm": ("k1", "k2", "vt", "vb"), "2tcm_irreversible": ("k1", "k2", "k3", "ki", "vb")}
"""Each model's maps; V_T = K₁/k₂, K_i = K₁k₃/(k₂ + k₃)."""


@dataclass(frozen=True, eq=False)
class ParametricValues:
    """Rate constants of voxels.

    Attributes:
        maps: Name of :data:`MAPS` → shape (n,), unit in :data:`MAP_UNITS`; NaN where not fitted.
        flag: A key of :data:`FLAGS`. Shape (n,).
        misfit: Of the fit, NaN where not fitted: χ² over the degrees of freedom where standard
            deviations were given; else the root mean square residual, weighted like the frames,
            in the activity's unit. Shape (n,).
    """

    maps: dict[str, Floats]
    flag: NDArray[np.uint8]
    misfit: Floats


def parametric_values(
    activity: Floats,
    scan: Scan,
    *,
    model: str = "1tcm",
    vb: float | None = None,
    standard_deviation: Floats | None = None,
) -> ParametricValues:
    """Fit every voxel's curve.

    Args:
        activity: The input's unit, corrected for decay to the injection. Shape (n, m).
        scan: Its frames and the input function.
        model: ``1tcm`` or ``2tcm_irreversible``.
        vb: V_b held at this share; None fits it.
        standard_deviation: Of one voxel in the frames, the activity's unit; for the maps only
            the ratios matter, for the misfit all. Shape (m,). None takes
            :func:`frame_deviation`.

    Raises:
        BadInput: A value is not finite or beyond what can be, there are fewer frames than free
            parameters, or model or V_b are wrong.
    """
    _check(activity, scan, model, vb)
    deviation = frame_deviation(scan) if standard_deviation is None else standard_deviation
    grid = _Grid.of(scan, model, vb, deviation)
    result = {name: np.full(len(activity), np.nan) for name in MAPS[model]}
    flag = np.zeros(len(activity), dtype=np.uint8)
    squares = np.full(len(activity), np.nan)
    for part in _chunks(len(activity), grid.design.shape[0] * grid.design.shape[1]):
        values, flag[part], of_fit = _fit(activity[part], grid)
        fitted = flag[part] == FITTED
        squares[part] = np.where(fitted, of_fit, np.nan)
        for name in MAPS[model]:
            result[name][part] = np.where(fitted, values[name], np.nan)
    if standard_deviation is None:
        return ParametricValues(result, flag, np.sqrt(squares / np.sum(grid.inverse_deviation**2)))
    degrees = len(scan.frames) - _free_parameters(model, vb)
    return ParametricValues(result, flag, squares / standard_deviation.min() ** 2 / degrees)


def frame_deviation(scan: Scan) -> Floats:
    """Return the frames' relative standard deviation for one activity, 1/√(duration · e^(−λt)).

    That is what counting leaves in a tissue whose activity does not change; ours, as it needs
    no data and so cannot lean on their noise. Shape (m,).
    """
    frames = scan.frames
    counted = (frames.end_min - frames.start_min) * frames.mean_decay_factor(scan.half_life_min)
    return np.asarray(1.0 / np.sqrt(counted))


def _check(activity: Floats, scan: Scan, model: str, vb: float | None) -> None:
    if model not in MAPS:
        raise BadInput(
            f"Maps can be made of {' or '.join(MAPS)}, got '{model}'. Fit other models to regions."
        )
    if vb is not None and not 0 <= vb < 1:
        raise BadInput(
            f"vb must be at least 0 and below 1 mL/mL, got {vb!r} mL/mL. A share of 5 % is 0.05."
        )
    frames = len(scan.frames)
    if activity.ndim != 2 or activity.shape[1] != frames:
        raise BadInput(
            f"activity must have one column for each of {frames} frames, got shape "
            f"{activity.shape}. Check the table of frames."
        )
    free = _free_parameters(model, vb)
    if frames <= free:
        raise BadInput(
            f"{model} with {free} free parameters needs at least {free + 1} frames, got {frames}. "
            "Fix V_b, or take more frames."
        )
    wrong = ~(np.abs(activity) <= LARGEST_ACTIVITY).all(axis=0)
    if wrong.any():
        raise BadInput(
            f"Frames must be finite and at most {LARGEST_ACTIVITY:g} in every voxel of the mask, "
            f"and {', '.join(str(frame + 1) for frame in np.flatnonzero(wrong))} (counted from 1) "
            "are not. Leave the frames out, or the voxels out of the mask."
        )


def _free_parameters(model: str, vb: float | None) -> int:
    # One of the maps follows from the others.
    return len(MAPS[model]) - 1 - (vb is not None)


def _chunks(count: int, width: int) -> Iterator[slice]:
    step = max(1, NUMBERS // width)
    return (slice(start, start + step) for start in range(0, count, step))


@dataclass(frozen=True, eq=False)
class _Grid:
    model: str
    held: float | None
    theta: Floats  # (g,), a geometric row
    inverse_deviation: Floats  # (m,)
    design: Floats  # (g, c, m), weighted
    gram: Floats  # (g, c, c)
    blood: Floats  # (m,), weighted

    @property
    def log_step(self) -> float:
        return float(np.log(self.theta[1] / self.theta[0]))

    @staticmethod
    def of(scan: Scan, model: str, vb: float | None, deviation: Floats) -> "_Grid":
        theta = scan.theta_grid_per_min(log_step=LOG_STEP)
        inverse = deviation.min() / deviation
        blood = scan.blood() * inverse
        columns = [scan.bases(theta) * inverse]
        if model == "2tcm_irreversible":
            columns.append(np.broadcast_to(scan.bases(np.zeros(1)) * inverse, columns[0].shape))
        if vb is None:
            columns.append(np.broadcast_to(blood, columns[0].shape))
        design = np.stack(columns, axis=1)
        return _Grid(
            model, vb, theta, inverse, design, np.einsum("gcm,gdm->gcd", design, design), blood
        )


def _fit(activity: Floats, grid: _Grid) -> tuple[dict[str, Floats], NDArray[np.uint8], Floats]:
    target = activity * grid.inverse_deviation
    if grid.held is not None:
        target = target - grid.held * grid.blood
    coarse_onto = np.einsum("gcm,nm->ngc", grid.design[::STRIDE], target, optimize=True)
    _, lowered = best_amplitudes(grid.gram[::STRIDE], coarse_onto)
    coarse = np.argmax(lowered, axis=1)
    last = len(grid.theta) - 1
    near = np.rint(STRIDE * (coarse + _summit(lowered, coarse))).astype(int)
    offset = np.zeros(len(target))
    for _ in range(RECENTRED):
        near = np.clip(near + np.rint(offset).astype(int), 1, last - 1)
        around = near[:, np.newaxis] + np.arange(-1, 2)
        gram, design = grid.gram[around], grid.design[around]
        onto = np.einsum("nkcm,nm->nkc", design, target)
        _, lowered = best_amplitudes(gram, onto)
        offset = _summit(lowered, np.ones(len(target), dtype=int))
    # Between the steps by Lagrange's formula: the basis functions are smooth in ln θ.
    share = np.stack(
        [0.5 * offset * (offset - 1.0), 1.0 - offset**2, 0.5 * offset * (offset + 1.0)], axis=1
    )
    amplitudes, _ = best_amplitudes(
        np.einsum("nk,nkcd->ncd", share, gram), np.einsum("nk,nkc->nc", share, onto)
    )
    theta = grid.theta[near] * np.exp(grid.log_step * offset)
    edge = (theta <= grid.theta[0]) | (theta >= grid.theta[-1])
    residual = target - np.einsum("nk,nkcm,nc->nm", share, design, amplitudes, optimize=True)
    return (
        _rates(grid, theta, amplitudes),
        _flags(grid, activity, edge, amplitudes),
        np.sum(residual**2, axis=1),
    )


def _summit(values: Floats, index: NDArray[np.int_]) -> Floats:
    """Where a parabola through the values at and beside ``index`` is highest, −1 to 1 from it."""
    rows, inner = np.arange(len(values)), np.clip(index, 1, values.shape[1] - 2)
    below, here, above = (values[rows, inner + side] for side in (-1, 0, 1))
    bend = 2.0 * here - below - above
    shift = 0.5 * (above - below) / np.where(bend > 0, bend, np.inf)
    return np.clip(inner + shift - index, -1.0, 1.0)


def _rates(grid: _Grid, theta: Floats, amplitudes: Floats) -> dict[str, Floats]:
    vb = amplitudes[:, -1] if grid.held is None else np.full(len(theta), grid.held)
    with np.errstate(divide="ignore", invalid="ignore"):  # such voxels are flagged
        if grid.model == "1tcm":
            k1 = amplitudes[:, 0] / (1.0 - vb)
            return {"k1": k1, "k2": theta, "vt": k1 / theta, "vb": vb}
        total = amplitudes[:, 0] + amplitudes[:, 1]
        k1, trapped = total / (1.0 - vb), amplitudes[:, 1] / total
        k3 = theta * trapped
        return {"k1": k1, "k2": theta - k3, "k3": k3, "ki": k1 * trapped, "vb": vb}


def _flags(
    grid: _Grid, activity: Floats, edge: NDArray[np.bool_], amplitudes: Floats
) -> NDArray[np.uint8]:
    irreversible = grid.model == "2tcm_irreversible"
    flag = np.full(len(activity), FITTED, dtype=np.uint8)
    flag[edge] = 4
    if grid.held is None:
        flag[amplitudes[:, -1] >= 1.0] = 5
    if irreversible:
        # Relative, as a washout of exactly 0 comes out as rounding of either sign.
        flag[amplitudes[:, 0] <= LEAST_WASHOUT * amplitudes[:, 1]] = 6
    flag[amplitudes[:, : 1 + irreversible].sum(axis=1) <= 0] = 3
    flag[np.ptp(activity, axis=1) == 0] = 2
    return flag
