"""Where to start a fit: a grid over the model's exponentials, between which all is linear."""

from collections.abc import Sequence

import numpy as np

from rpt_kinetics.basis import best_amplitudes
from rpt_kinetics.exponentials import Floats
from rpt_kinetics.fit_problem import K1, K2, K3, K4, VB, FitProblem

# Ours: the start grid's step in ln θ, and how many starts at least a factor 2 apart are tried.
# With one exponential to find the grid sees every valley; with two it may miss one.
START_LOG_STEP = 0.25
STARTS = {"1tcm": 2, "2tcm_irreversible": 2, "2tcm": 4}


def start_points(problem: FitProblem) -> list[Floats]:
    """Return the best points of a grid over the exponentials, a factor 2 apart, (p,) each."""
    scan, deviation = problem.scan, problem.curve.standard_deviation
    grid = scan.theta_grid_per_min(log_step=START_LOG_STEP)
    theta = np.append(0.0, grid)
    held = problem.vb if problem.vb is not None else 0.0
    bases = (1.0 - held) * scan.bases(theta) / deviation
    blood = scan.blood() / deviation
    fast, slow = _exponentials(problem.model, len(theta))
    columns = [bases[fast], bases[slow]] if problem.model != "1tcm" else [bases[fast]]
    if problem.vb is None:
        columns.append(np.broadcast_to(blood, columns[0].shape))
    design = np.stack(columns, axis=1)
    target = problem.curve.activity / deviation - held * blood
    amplitudes, lowered = best_amplitudes(
        np.einsum("gcm,gdm->gcd", design, design), np.einsum("gcm,m->gc", design, target)
    )
    starts: list[Floats] = []
    taken: list[tuple[float, float]] = []
    for index in np.argsort(-lowered, kind="stable"):
        here = (theta[fast[index]] + grid[0], theta[slow[index]] + grid[0])
        if all(np.abs(np.log(np.divide(here, other))).max() >= np.log(2.0) for other in taken):
            taken.append(here)
            starts.append(
                _start(problem, theta[fast[index]], theta[slow[index]], amplitudes[index])
            )
        if len(starts) == STARTS[problem.model]:
            break
    return starts


def _exponentials(model: str, count: int) -> tuple[Sequence[int], Sequence[int]]:
    # Indices of the fast and the slow θ; index 0 is θ = 0.
    if model == "1tcm":
        return list(range(count)), [0] * count
    if model == "2tcm_irreversible":
        return list(range(1, count)), [0] * (count - 1)
    pairs = [(fast, slow) for fast in range(2, count) for slow in range(1, fast)]
    return [fast for fast, _ in pairs], [slow for _, slow in pairs]


def _start(problem: FitProblem, fast: float, slow: float, amplitudes: Floats) -> Floats:
    """The rate constants of amplitudes and exponentials, kept off the bounds.

    k₂ is the amplitudes' mean θ, and k₂k₄ = θ_fast·θ_slow, k₂ + k₃ + k₄ = θ_fast + θ_slow.
    """
    vb = min(float(amplitudes[-1]), 0.9) if problem.vb is None else problem.vb
    tissues = amplitudes[:1] if problem.model == "1tcm" else amplitudes[:2]
    k1 = float(tissues.sum())
    if problem.vb is None:
        k1 /= 1.0 - vb
    values = {K1: k1, K2: fast, VB: vb}
    if problem.model != "1tcm":
        share = float(tissues[0] / tissues.sum()) if k1 > 0 else 0.5
        k2 = max(share * fast + (1.0 - share) * slow, 1e-3 * fast)
        k4 = fast * slow / k2
        values |= {K2: k2, K3: fast + slow - k2 - k4, K4: k4}
    point = np.array([values[name] for name in problem.free])
    return np.asarray(np.maximum(point, 1e-2 * problem.scale()))
