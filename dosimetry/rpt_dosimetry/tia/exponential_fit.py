"""Weighted least squares of the exponential models, the amplitude eliminated.

For given rates the best amplitude is Σwyf / Σwf² (f the unit curve, w the inverse variance),
never negative where activities are not. Only rates are searched: on a grid, which sees every
valley, then from its best nodes on by scipy: one rate by bounded minimisation between the
neighbouring nodes, two by bounded least squares.

Source: variable projection, Golub & Pereyra, SIAM J Numer Anal 10 (1973) 413.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from scipy.optimize import least_squares, minimize_scalar

from rpt_dosimetry.tia.exponential import (
    after_infusion,
    highest_rate_per_h,
    unit_curve,
    unit_tia_h,
)

FASTEST_UPTAKE_PER_H = float(np.log(2.0)) * 60.0
"""An uptake half-life of 1 min; faster is a bolus into the organ. Ours."""

LEAST_RATIO = 1.01
"""Of uptake rate to washout rate: at 1 the amplitude would be infinite. Ours."""

SMALLEST_SHARE = 0.05
"""Where no SD is given: of the largest activity, below which a point's SD falls no more. Ours."""

SCATTER = 0.05
"""Relative scatter of an organ's activity from scan to scan, beside which an absolute noise floor
is weighed. Ours; it sets weights only, no uncertainty."""

DETECTED = 3.0
"""Of the noise floor: a point above it is told from noise and keeps its relative SD. Ours."""

FREE = {"mono": 2, "bi_population": 2, "bi": 3}
"""Model → free parameters: amplitude, washout rate and, in ``bi``, uptake rate."""

_STARTS = 2
_NODES = {1: (201,), 2: (61, 41)}
_TOLERANCE = 1e-10
_STEP = 1e-5  # of the logarithms, for central differences


@dataclass(frozen=True)
class Points:
    """What is fitted.

    Attributes:
        time_h: Times, h, ascending.
        activity_mbq: Activities, MBq, not negative.
        sd_mbq: Their standard deviations, MBq, or only proportional to them. Shape (t,).
        sd_known: True where ``sd_mbq`` are standard deviations, not only proportional to them.
        noise_floor_mbq: What noise alone may make of each, 1 SD, MBq; 0 where it is not known.
        half_life_h: Physical half-life, h.
        infusion_h: Duration of the infusion, h.
    """

    time_h: Float[np.ndarray, " t"]
    activity_mbq: Float[np.ndarray, " t"]
    sd_mbq: Float[np.ndarray, " t"]
    sd_known: bool
    noise_floor_mbq: Float[np.ndarray, " t"]
    half_life_h: float
    infusion_h: float


@dataclass(frozen=True)
class ExponentialFit:
    """One fitted model.

    Attributes:
        model: A key of :data:`FREE`.
        amplitude_mbq: Of the bolus that the infusion stands for, MBq.
        rates_per_h: Washout and, in the bi-exponential models, uptake, 1/h.
        residual_sum: Σ((activity − curve)/SD)².
        tia_mbq_h: Time integral from 0 to ∞, MBq·h.
        tia_sd_mbq_h: Its standard deviation, MBq·h; None where nothing tells the scatter.
        freedom: Points less parameters that were free, by which the scatter was told; infinite
            where the points' SDs are known.
        misfit: How far the points lie from the curve: root mean square of (activity − curve) over
            their :func:`relative_sd_mbq`, which for points well above 0 is relative.
        at_physical: The washout ended at the physical rate.
        at_fastest: It ended at the fastest that is fitted.
    """

    model: str
    amplitude_mbq: float
    rates_per_h: tuple[float, ...]
    residual_sum: float
    tia_mbq_h: float
    tia_sd_mbq_h: float | None
    freedom: float
    misfit: float
    at_physical: bool
    at_fastest: bool


def relative_sd_mbq(
    activity_mbq: Float[np.ndarray, " t"],
    *,
    noise_floor_mbq: Float[np.ndarray, " t"] | float = 0.0,
) -> Float[np.ndarray, " t"]:
    """Return standard deviations in proportion to the activities.

    Ours: what makes organ activities scatter from scan to scan (delineation, registration,
    recovery, attenuation and scatter correction) scales with them, and the late points, which
    carry the half-life, would count for nothing if all had the same SD. A point below
    :data:`SMALLEST_SHARE` of the largest keeps that share, so a late 0 does not govern the fit;
    nor does a point after the largest that lies within the image's noise, where its floor is
    known: its SD is the floor's, in units of :data:`SCATTER`. Points above :data:`DETECTED`
    floors, and those of an uptake, keep theirs, so that a floor hides no misfit of the curve
    elsewhere.

    Args:
        activity_mbq: Activities, MBq, in order of time.
        noise_floor_mbq: What noise alone may make of each, 1 SD, MBq.
    """
    relative = np.maximum(activity_mbq, SMALLEST_SHARE * activity_mbq.max())
    floor = np.broadcast_to(np.asarray(noise_floor_mbq, dtype=np.float64), relative.shape)
    after_largest = np.arange(len(relative)) > activity_mbq.argmax()
    inside = after_largest & (activity_mbq <= DETECTED * floor)
    return np.asarray(np.where(inside, np.hypot(relative, floor / SCATTER), relative))


def fit_exponential(points: Points, *, model: str, uptake_half_life_h: float) -> ExponentialFit:
    """Fit one model.

    Args:
        points: At least as many as free parameters, not all 0.
        model: ``mono``: a·e^(−k₁t); ``bi``: a·(e^(−k₁t) − e^(−k₂t)); ``bi_population``: the same
            with k₂ given.
        uptake_half_life_h: ln 2/k₂ of ``bi_population``, h.

    Returns:
        The global optimum with k₁ no slower than physical decay and k₂ above k₁.
    """
    # In units of the largest activity, so that no square leaves the range of numbers.
    largest = float(points.activity_mbq.max())
    unit = replace(
        points, activity_mbq=points.activity_mbq / largest, sd_mbq=points.sd_mbq / largest
    )
    problem = _Problem(unit, model, float(np.log(2.0)) / uptake_half_life_h)
    best = min((problem.solve(start) for start in problem.starts()), key=problem.residual_sum)
    rates, amplitude = problem.rates(best), problem.amplitude(best)
    deviation, freedom = problem.tia_sd_h(best)
    return ExponentialFit(
        model=model,
        amplitude_mbq=largest * amplitude,
        rates_per_h=rates,
        residual_sum=problem.residual_sum(best),
        tia_mbq_h=largest * amplitude * unit_tia_h(rates),
        tia_sd_mbq_h=None if deviation is None else largest * deviation,
        freedom=freedom,
        misfit=problem.misfit(best),
        at_physical=bool(best[0] - problem.low[0] < 1e-6),
        at_fastest=bool(problem.high[0] - best[0] < 1e-6),
    )


class _Problem:
    """Residuals as a function of x: ln(k₁/physical) and, in ``bi``, ln(k₂/k₁)."""

    def __init__(self, points: Points, model: str, uptake_per_h: float) -> None:
        self.points, self.model, self.uptake_per_h = points, model, uptake_per_h
        self.decay_per_h = float(np.log(2.0)) / points.half_life_h
        self.measured = points.activity_mbq / points.sd_mbq
        fastest = highest_rate_per_h(
            first_time_h=float(points.time_h[0]), half_life_h=points.half_life_h
        )
        if model == "bi_population":
            fastest = min(fastest, uptake_per_h / LEAST_RATIO)
        free = FREE[model] - 1
        self.low = np.log([1.0, LEAST_RATIO])[:free]
        self.high = np.log([fastest, FASTEST_UPTAKE_PER_H])[:free] - np.log(self.decay_per_h)

    def rates(self, x: Float[np.ndarray, " p"]) -> tuple[float, ...]:
        washout = self.decay_per_h * float(np.exp(x[0]))
        if self.model == "mono":
            return (washout,)
        return (washout, self.uptake_per_h if len(x) == 1 else washout * float(np.exp(x[1])))

    def curve(self, x: Float[np.ndarray, " p"]) -> Float[np.ndarray, " t"]:
        """The unit curve over the standard deviations."""
        points = self.points
        unit = unit_curve(points.time_h, self.rates(x), infusion_h=points.infusion_h)
        return np.asarray(unit / points.sd_mbq)

    def amplitude(self, x: Float[np.ndarray, " p"]) -> float:
        curve = self.curve(x)
        return float(curve @ self.measured / (curve @ curve))

    def residuals(self, x: Float[np.ndarray, " p"]) -> Float[np.ndarray, " t"]:
        curve = self.curve(x)
        return np.asarray(curve @ self.measured / (curve @ curve) * curve - self.measured)

    def residual_sum(self, x: Float[np.ndarray, " p"]) -> float:
        return float(np.sum(self.residuals(x) ** 2))

    def misfit(self, x: Float[np.ndarray, " p"]) -> float:
        points = self.points
        relative = relative_sd_mbq(points.activity_mbq) if points.sd_known else points.sd_mbq
        away = self.residuals(x) * points.sd_mbq / relative
        return float(np.sqrt(np.mean(away**2)))

    def starts(self) -> list[Float[np.ndarray, " p"]]:
        """The best nodes of a grid: one where there is one rate, which it brackets."""
        axes = [
            np.linspace(lowest, highest, nodes)
            for lowest, highest, nodes in zip(
                self.low, self.high, _NODES[len(self.low)], strict=True
            )
        ]
        nodes = np.stack([axis.ravel() for axis in np.meshgrid(*axes)])
        curves = self._curves_at(nodes)
        projected = (self.measured @ curves) ** 2 / np.sum(curves**2, axis=0)
        best = np.argsort(-projected, kind="stable")[: 1 if len(nodes) == 1 else _STARTS]
        return [nodes[:, index] for index in best]

    def _curves_at(self, nodes: Float[np.ndarray, "p n"]) -> Float[np.ndarray, "t n"]:
        times, infusion_h = self.points.time_h[:, None], self.points.infusion_h
        washout = self.decay_per_h * np.exp(nodes[:1])
        curves = after_infusion(times, washout, infusion_h=infusion_h)
        if self.model != "mono":
            uptake = washout * np.exp(nodes[1:]) if len(nodes) == 2 else self.uptake_per_h
            curves = curves - after_infusion(times, uptake, infusion_h=infusion_h)
        return np.asarray(curves / self.points.sd_mbq[:, None])

    def solve(self, start: Float[np.ndarray, " p"]) -> Float[np.ndarray, " p"]:
        if len(start) == 1:
            # Between the neighbours of the best node, which bracket the optimum.
            step = float(self.high[0] - self.low[0]) / (_NODES[1][0] - 1)
            bracket = (
                max(float(start[0]) - step, float(self.low[0])),
                min(float(start[0]) + step, float(self.high[0])),
            )
            found = np.atleast_1d(
                minimize_scalar(
                    lambda x: self.residual_sum(np.array([x])),
                    bounds=bracket,
                    method="bounded",
                    options={"xatol": _TOLERANCE},
                ).x
            )
        else:
            found = least_squares(
                self.residuals,
                start,
                bounds=(self.low, self.high),
                method="dogbox",
                xtol=_TOLERANCE,
                ftol=_TOLERANCE,
                gtol=_TOLERANCE,
            ).x
        # scipy keeps off the bounds; where one is at least as good, it is the optimum.
        snapped = np.where(found - self.low < 1e-4, self.low, found)
        snapped = np.where(self.high - found < 1e-4, self.high, snapped)
        # Where only the first point is above 0, scipy stops before the bound, for the sum is flat.
        fastest = np.append(self.high[0], found[1:])
        return np.asarray(min((fastest, snapped, found, start), key=self.residual_sum))

    def tia_sd_h(self, x: Float[np.ndarray, " p"]) -> tuple[float | None, float]:
        """SD by the delta method, and degrees of freedom; a rate at its bound counts as known."""
        points, amplitude = self.points, self.amplitude(x)
        inner = np.flatnonzero((x - self.low > 1e-6) & (self.high - x > 1e-6))
        columns, gradient = [self.curve(x)], [unit_tia_h(self.rates(x))]
        for index in inner:
            step = np.zeros(len(x))
            step[index] = _STEP
            up, down = x + step, x - step
            columns.append(amplitude * (self.curve(up) - self.curve(down)) / (2.0 * _STEP))
            difference = unit_tia_h(self.rates(up)) - unit_tia_h(self.rates(down))
            gradient.append(amplitude * difference / (2.0 * _STEP))
        freedom = np.inf if points.sd_known else float(len(points.time_h) - len(columns))
        if freedom < 1:
            return None, freedom
        scale = 1.0 if points.sd_known else self.residual_sum(x) / freedom
        design, slope = np.stack(columns, axis=1), np.array(gradient)
        # With J = QR the variance gᵀ(JᵀJ)⁻¹g is |R⁻ᵀg|².
        solved = np.linalg.lstsq(np.linalg.qr(design)[1].T, slope, rcond=None)[0]
        return float(np.sqrt(scale * (solved @ solved))), freedom
