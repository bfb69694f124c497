"""Weighted least squares of the exponential models, their shapes, and the trapezoid beside them.

For given rates the best amplitude is Σwyf / Σwf² (f the unit curve, w the inverse variance),
never negative where activities are not. Only rates are searched: on a grid, which sees every
valley, then from its best nodes on by scipy: one rate by bounded minimisation between the
neighbouring nodes, two by bounded least squares.

A bolus that gives a·e^(−kt) becomes, when the same activity is infused at a constant rate for T
from time 0 on, after the end of the infusion a · (e^(kT) − 1)/(kT) · e^(−kt): the mean of
a·e^(−k(t−s)) over the starts s from 0 to T. The time integral from 0 to ∞ stays a/k, since every
part of the activity decays as if it had been a bolus of its own.

Source: variable projection, Golub & Pereyra, SIAM J Numer Anal 10 (1973) 413.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float
from rpt_cohort import BadInput
from scipy.optimize import least_squares, minimize_scalar


def check_times(time_h: Sequence[float], *, infusion_h: float = 0.0) -> Float[np.ndarray, " t"]:
    """Check the times of a series of scans, start of infusion to mid-scan.

    Raises:
        BadInput: There is none, one is not finite or not above 0 h, they are repeated or out of
            order, or one is before the end of the infusion, where the curve is not modelled.
    """
    if not (np.isfinite(infusion_h) and infusion_h >= 0):
        raise BadInput(f"infusion_h must be a finite number of at least 0 h, got {infusion_h!r} h.")
    times = np.asarray(time_h, dtype=np.float64)
    if times.ndim != 1 or times.size == 0:
        raise BadInput("time_h must hold at least one scan time in h, got none. Give one a scan.")
    for time in times:
        if not (np.isfinite(time) and time > 0):
            raise BadInput(
                f"time_h must be finite and above 0 h, got {time:g} h. Count from the start of "
                "infusion to mid-scan."
            )
    for earlier, later in pairwise(times.tolist()):
        if earlier == later:
            raise BadInput(
                f"time_h must be distinct, and {later:g} h is repeated. Give each scan its own "
                "time."
            )
        if later < earlier:
            raise BadInput(
                f"time_h must ascend, and {later:g} h comes after {earlier:g} h. Put the scans in "
                "order of time."
            )
    if times[0] < infusion_h:
        raise BadInput(
            f"time_h must not be before the end of the infusion at {infusion_h:g} h, got "
            f"{times[0]:g} h. Leave that scan out, or count from the start of infusion."
        )
    return times


def check_half_life(half_life_h: float) -> float:
    """Return the physical decay rate, 1/h.

    Raises:
        BadInput: The half-life is not a finite number above 0 h.
    """
    if not (np.isfinite(half_life_h) and half_life_h > 0):
        raise BadInput(
            f"half_life_h must be a finite number above 0 h, got {half_life_h!r} h. 6.647 d is "
            "159.528 h."
        )
    return float(np.log(2.0)) / half_life_h


def infusion_factor(*, rate_per_h: float, infusion_h: float) -> float:
    """Return (e^(kT) − 1)/(kT), the amplitude of e^(−kt) after an infusion over that of a bolus."""
    x = rate_per_h * infusion_h
    return float(np.expm1(x) / x) if x > 0 else 1.0


SHORTEST_OF_FIRST_TIME = 0.25
SHORTEST_OF_HALF_LIFE = 0.1
"""No effective half-life is fitted below the smaller of a quarter of the first scan's time and a
tenth of the physical half-life. Ours: where only the first point is above 0, least squares drives
the rate to infinity, and the activity before that point, which nobody measured, with it. A fit
that ends here is not used: straight lines and physical decay after the last point are."""


def highest_rate_per_h(*, first_time_h: float, half_life_h: float) -> float:
    """Return the fastest washout that is fitted, 1/h, above the physical rate."""
    shortest_h = min(SHORTEST_OF_FIRST_TIME * first_time_h, SHORTEST_OF_HALF_LIFE * half_life_h)
    return float(np.log(2.0)) / shortest_h


def unit_curve(
    time_h: Float[np.ndarray, " t"], rates_per_h: tuple[float, ...], *, infusion_h: float
) -> Float[np.ndarray, " t"]:
    """Return e^(−k₁t), or e^(−k₁t) − e^(−k₂t) with an uptake, both after an infusion.

    Args:
        rates_per_h: Washout k₁, and uptake k₂ above it if there is one.
    """
    curves = [after_infusion(time_h, rate, infusion_h=infusion_h) for rate in rates_per_h]
    return curves[0] if len(curves) == 1 else curves[0] - curves[1]


def unit_tia_h(rates_per_h: tuple[float, ...]) -> float:
    """Return the time integral of :func:`unit_curve` from 0 to ∞, h; the infusion has no effect."""
    washout, *uptake = rates_per_h
    return 1.0 / washout - sum(1.0 / rate for rate in uptake)


def terms(
    amplitude_mbq: float, rates_per_h: tuple[float, ...], *, infusion_h: float
) -> tuple[tuple[float, float], ...]:
    """Return the curve as (amplitude in MBq, rate in 1/h), whose sum holds after the infusion.

    Args:
        amplitude_mbq: That of the bolus.
        rates_per_h: Washout and, if there is one, uptake.
    """
    signs = (1.0, -1.0)
    return tuple(
        (sign * amplitude_mbq * infusion_factor(rate_per_h=rate, infusion_h=infusion_h), rate)
        for sign, rate in zip(signs, rates_per_h, strict=False)
    )


def after_infusion(
    time_h: Float[np.ndarray, "..."] | float,
    rate_per_h: Float[np.ndarray, "..."] | float,
    *,
    infusion_h: float,
) -> Float[np.ndarray, "..."]:
    """Return (e^(kT) − 1)/(kT) · e^(−kt), counted from the end of infusion: no overflow."""
    x = np.asarray(rate_per_h * infusion_h)
    mean = -np.expm1(-x) / x if infusion_h > 0 else 1.0
    return np.asarray(mean * np.exp(-rate_per_h * (time_h - infusion_h)))


FALLS = 1e-6
"""Relative, ours: by which a point must be below the one before it to be on an exponential."""


def trapezoid_tia(
    time_h: Float[np.ndarray, " t"], activity: Float[np.ndarray, "t ..."]
) -> Float[np.ndarray, "..."]:
    """Integrate from 0 h to the last point along straight lines, the first from 0 at 0 h.

    Args:
        activity: Of a region or of many voxels, any unit.
    """
    rise = 0.5 * activity[0] * time_h[0]
    return np.asarray(rise + np.trapezoid(activity, time_h, axis=0))


def log_trapezoid_tia(
    time_h: Float[np.ndarray, " t"], activity_mbq: Float[np.ndarray, " t"]
) -> float:
    """Integrate from 0 h to the last point: rises along straight lines, falls exponentially, MBq·h.

    Source: the linear-up, logarithmic-down trapezoid of pharmacokinetics; exact for exponentials
    between scans that lie far apart, where straight lines are tens of percent too high.
    """
    before, after = activity_mbq[:-1], activity_mbq[1:]
    mean = 0.5 * (before + after)
    falls = _falls(activity_mbq)
    mean[falls] = (before[falls] - after[falls]) / np.log(before[falls] / after[falls])
    return float(0.5 * activity_mbq[0] * time_h[0] + mean @ np.diff(time_h))


def _falls(activity_mbq: Float[np.ndarray, " t"]) -> Bool[np.ndarray, " s"]:
    """Tell of each step whether it is an exponential."""
    before, after = activity_mbq[:-1], activity_mbq[1:]
    return np.asarray((after > 0) & (after < before * (1.0 - FALLS)))


def physical_tail_tia(
    time_h: Float[np.ndarray, " t"], activity: Float[np.ndarray, "t ..."], *, decay_per_h: float
) -> Float[np.ndarray, "..."]:
    """Add to the trapezoid only physical decay after the last point: the largest tail there is."""
    return np.asarray(trapezoid_tia(time_h, activity) + activity[-1] / decay_per_h)


def tail_rate_per_h(
    time_h: Float[np.ndarray, " t"], activity_mbq: Float[np.ndarray, " t"], *, decay_per_h: float
) -> float:
    """Return the rate of the exponential through the last two points, at least the physical one.

    Two points and not more are ours: an earlier one still belongs to a faster phase. Where the
    last activity is 0 there is no tail, and the rate is the physical one.
    """
    before, last = float(activity_mbq[-2]), float(activity_mbq[-1])
    if not 0 < last < before:
        return decay_per_h
    return max(float(np.log(before / last) / (time_h[-1] - time_h[-2])), decay_per_h)


def trapezoid_activity_mbq(
    at_h: Float[np.ndarray, " n"],
    time_h: Float[np.ndarray, " t"],
    activity_mbq: Float[np.ndarray, " t"],
    *,
    rate_per_h: float,
    exponentials: bool,
) -> Float[np.ndarray, " n"]:
    """Return the curve that a trapezoid and its tail integrate, MBq.

    Args:
        rate_per_h: Of the tail.
        exponentials: Whether it falls along exponentials, as :func:`log_trapezoid_tia`, or lines.
    """
    inside = np.interp(at_h, np.append(0.0, time_h), np.append(0.0, activity_mbq))
    if exponentials and len(time_h) > 1:
        step = np.clip(np.searchsorted(time_h, at_h, side="right") - 1, 0, len(time_h) - 2)
        between = (at_h >= time_h[0]) & (at_h < time_h[-1]) & _falls(activity_mbq)[step]
        logs = np.log(np.maximum(activity_mbq, np.finfo(np.float64).tiny))
        inside = np.where(between, np.exp(np.interp(at_h, time_h, logs)), inside)
    late_h = np.maximum(at_h - time_h[-1], 0.0)
    return np.asarray(inside * np.exp(-rate_per_h * late_h))


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
        sd_mbq: Standard deviations, or in proportion to them where ``sd_known`` is False.
        noise_floor_mbq: What noise alone may make of each, 1 SD; 0 where it is not known.
        half_life_h: Physical half-life.
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
        amplitude_mbq: Of the bolus that the infusion stands for.
        rates_per_h: Washout and, in the bi-exponential models, uptake.
        residual_sum: Σ((activity − curve)/SD)².
        tia_sd_mbq_h: None where nothing tells the scatter.
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
