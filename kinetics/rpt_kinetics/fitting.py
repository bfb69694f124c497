"""Weighted fits of compartment models to a region curve, with what the data do not determine.

The sum of squares Σ((activity − model)/standard deviation)² is minimised from several starts,
which a grid over the model's exponentials finds: with these given, the model is linear.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares
from scipy.stats import chi2

from rpt_kinetics.basis import Scan
from rpt_kinetics.curves import RegionCurve
from rpt_kinetics.errors import BadInput
from rpt_kinetics.exponentials import Floats
from rpt_kinetics.fit_problem import MODELS, VB, FitProblem
from rpt_kinetics.fit_starts import start_points
from rpt_kinetics.rates import UNITS

# Ours: a parameter is undetermined if its standard error is above 10 × (its size + its scale).
UNDETERMINED = 10.0
LARGEST_STEPS = 100
# Relative to the curve's largest value: below, a difference is the arithmetic's, not the model's.
RESOLVED = 1e-6


@dataclass(frozen=True, kw_only=True, eq=False)
class Fit:
    """A fitted model.

    Attributes:
        model: A name of :data:`fit_problem.MODELS`.
        estimates: Each of K₁, k₂, k₃, k₄ and V_b → value; unit in :data:`rates.UNITS`.
        free: Which of them were fitted, p in all.
        covariance: Of the free ones, from the Jacobian and the stated deviations. Shape (p, p).
        at_bound: Free ones that ended at a bound of their range, where the covariance overstates
            what may vary.
        fitted: The model over the frames, the curve's unit. Shape (m,).
        weighted_residual: (activity − fitted) / standard deviation. Shape (m,).
        aicc: n·ln(χ²/n) + 2p + 2p(p + 1)/(n − p − 1), p counting free parameters only, with χ²
            at least that of residuals of :data:`RESOLVED` times the curve's largest value.
    """

    model: str
    estimates: dict[str, float]
    free: tuple[str, ...]
    covariance: Floats
    at_bound: tuple[str, ...]
    fitted: Floats
    weighted_residual: Floats
    aicc: float

    @property
    def chi_square(self) -> float:
        """Sum of squared weighted residuals."""
        return float(np.sum(self.weighted_residual**2))

    @property
    def degrees_of_freedom(self) -> int:
        """Frames less free parameters."""
        return len(self.fitted) - len(self.free)

    @property
    def standard_errors(self) -> dict[str, float]:
        """Each free parameter → standard error, of its unit."""
        errors = np.sqrt(np.diagonal(self.covariance))
        return dict(zip(self.free, errors.tolist(), strict=True))

    @property
    def correlation(self) -> Floats:
        """Correlation of the free parameters' estimates, shape (p, p)."""
        errors = np.sqrt(np.diagonal(self.covariance))
        return np.asarray(self.covariance / np.outer(errors, errors))


def fit_model(
    curve: RegionCurve,
    scan: Scan,
    *,
    model: str,
    vb: float | None = None,
) -> Fit:
    """Fit one model to a region curve.

    Args:
        curve: In the input's unit.
        scan: The frames of ``curve`` with the input function.
        model: ``1tcm``, ``2tcm_irreversible`` (k₄ = 0) or ``2tcm``.
        vb: V_b held at this share; None fits it.

    Raises:
        BadInput: The curve does not determine the model: too few frames, no signal, no change
            over time, or parameters that it leaves open; or model, V_b or units are wrong.
    """
    _check_request(curve, scan, model, vb)
    problem = FitProblem(curve, scan, model, vb)
    point, settled = _best_point(problem)
    covariance = _covariance(problem, point)
    if not settled:
        raise BadInput(
            f"The fit of {model} must settle within {LARGEST_STEPS} steps, and does not: the "
            "curve hardly determines it. Take a smaller model, or fix V_b."
        )
    residual = -problem.residuals(point)
    near = 1e-6 * problem.scale()
    stuck = (point < near) | (point > problem.upper() - near)
    estimates = dict.fromkeys(UNITS, 0.0) | {VB: vb or 0.0}
    return Fit(
        model=model,
        estimates=estimates | dict(zip(problem.free, point.tolist(), strict=True)),
        free=problem.free,
        covariance=covariance,
        at_bound=tuple(name for name, at in zip(problem.free, stuck, strict=True) if at),
        fitted=curve.activity - residual * curve.standard_deviation,
        weighted_residual=residual,
        aicc=_aicc(curve, residual, free_parameters=len(problem.free)),
    )


def _best_point(problem: FitProblem) -> tuple[Floats, bool]:
    upper = problem.upper()
    ends = [
        least_squares(
            problem.residuals,
            start,
            jac=problem.jacobian,
            bounds=(np.zeros(len(upper)), upper),
            x_scale="jac",
            ftol=1e-10,
            xtol=1e-8,
            gtol=1e-12,
            max_nfev=LARGEST_STEPS,
        )
        for start in start_points(problem)
    ]
    best = min(ends, key=lambda end: float(end.cost))
    return np.asarray(best.x), bool(best.success)


def _aicc(curve: RegionCurve, residual: Floats, *, free_parameters: int) -> float:
    n, p = len(residual), free_parameters
    floor = np.sum((RESOLVED * np.abs(curve.activity).max() / curve.standard_deviation) ** 2)
    misfit = max(float(np.sum(residual**2)), float(floor))
    return float(n * np.log(misfit / n) + 2 * p + 2 * p * (p + 1) / (n - p - 1))


def _check_request(curve: RegionCurve, scan: Scan, model: str, vb: float | None) -> None:
    if model not in MODELS:
        raise BadInput(
            f"model must be one of {', '.join(MODELS)}, got '{model}'. Check the spelling."
        )
    if vb is not None and not 0 <= vb < 1:
        raise BadInput(
            f"vb must be at least 0 and below 1 mL/mL, got {vb!r} mL/mL. A share of 5 % is 0.05."
        )
    if curve.unit != scan.input_function.unit:
        raise BadInput(
            f"Curve and input function must be in one unit, got {curve.unit} and "
            f"{scan.input_function.unit}. Convert the curve by in_unit."
        )
    free = len(MODELS[model]) + (vb is None)
    if len(curve.frames) < free + 2:
        raise BadInput(
            f"{model} with {free} free parameters needs at least {free + 2} frames for the AICc, "
            f"got {len(curve.frames)}. Fix V_b, take a smaller model, or more frames."
        )
    signal = float(np.sum((curve.activity / curve.standard_deviation) ** 2))
    if signal < chi2.ppf(0.95, len(curve.frames)):
        raise BadInput(
            f"The activity must differ from 0, and with the stated standard deviations it does "
            f"not (χ² {signal:.3g} of {len(curve.frames)} frames). Check region and units."
        )
    if np.ptp(curve.activity) == 0:
        raise BadInput(
            "The activity must change over time, and every frame has the same value. "
            "A model cannot be told from that; check the column."
        )


def _covariance(problem: FitProblem, point: Floats) -> Floats:
    """(JᵀJ)⁻¹, refused where the data leave a parameter open."""
    jacobian = problem.jacobian(point)
    size = point + problem.scale()
    _, singular, axes = np.linalg.svd(jacobian * size, full_matrices=False)
    lost = singular <= 1e-9 * singular[0]
    spread = axes.T / np.where(lost, 1.0, singular)
    relative = np.sqrt(np.sum(spread**2, axis=1))
    open_ones = relative > UNDETERMINED
    if lost.any():
        open_ones |= np.abs(axes[lost]).max(axis=0) > 0.1
    if open_ones.any():
        names = [name for name, is_open in zip(problem.free, open_ones, strict=True) if is_open]
        raise BadInput(
            f"{problem.model} is not identifiable from this curve: it leaves {', '.join(names)} "
            f"open (standard error above {UNDETERMINED:g} times the size). Take a smaller model, "
            "or fix V_b."
        )
    spread *= size[:, np.newaxis]
    return np.asarray(spread @ spread.T)
