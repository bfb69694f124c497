"""The time-activity curve and TIA of a region from its few points."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from rpt_dosimetry.tia.exponential import terms, unit_curve
from rpt_dosimetry.tia.exponential_fit import (
    FREE,
    ExponentialFit,
    Points,
    fit_exponential,
)
from rpt_dosimetry.tia.population_uptake import with_uptake_sd
from rpt_dosimetry.tia.region_points import check_model, check_uptake, region_points
from rpt_dosimetry.tia.selection import choose, criterion_of
from rpt_dosimetry.tia.trapezoid import (
    physical_tail_tia,
    tail_rate_per_h,
    trapezoid_activity_mbq,
    trapezoid_tia,
)

POPULATION_UPTAKE_HALF_LIFE_H = 0.8
"""Uptake half-life where the points cannot tell it, h. Ours: no published population value for
the organs of 177Lu-PSMA or 177Lu-DOTATATE was found. It is the round value next to 0.82 h of the
one published kidney curve at hand (the SNMMI Lu-177 challenge: ln 2/0.845429 per h). That
kidney, first scanned at 3.7 h, is moved by less than 1 % in TIA up to 1.2 h, by 1.7 % at 1.5 h
and by 2.9 % at 2 h; its half-life stays within 1 % for 0.70 to 0.95 h only. An earlier first
scan is moved by other amounts."""


@dataclass(frozen=True)
class RegionFit:
    """The curve of a region and its integral.

    Attributes:
        model: ``physical``, ``mono``, ``bi``, ``bi_population``, ``trapezoid`` or ``zero``.
        terms: (amplitude in MBq, rate in 1/h): their sum is the activity after the end of
            infusion; empty for a curve of straight lines. With an infusion Σ amplitude/rate is
            not the TIA, since it starts before the activity is all in.
        tia_mbq_h: Time integral from 0 to ∞, MBq·h.
        tia_sd_mbq_h: Its standard deviation from the fit's covariance (delta method), MBq·h: the
            scatter of the points about the curve, not the model's own error; with a population
            uptake also that of :mod:`population_uptake`. None where no degree of freedom and no
            SD tells it.
        effective_half_life_h: Of the last phase, h, never above the physical one; NaN if ``zero``.
        physical_tail_tia_mbq_h: Straight lines from 0 MBq at 0 h through all points, then
            physical decay: MBq·h. The tail cannot be larger.
        why: Why this model, a sentence.
        candidates: Fitted model → AICc, None where it is undefined; empty where one was asked for.
        fallback: What could not be fitted and what was done instead, a sentence, or None.
        points: (time in h, activity in MBq) as measured.
        point_sd_mbq: Their standard deviations, or in proportion to them, as the fit used them.
    """

    model: str
    terms: tuple[tuple[float, float], ...]
    tia_mbq_h: float
    tia_sd_mbq_h: float | None
    effective_half_life_h: float
    physical_tail_tia_mbq_h: float
    why: str
    points: tuple[tuple[float, float], ...]
    point_sd_mbq: tuple[float, ...]
    candidates: Mapping[str, float | None] = field(default_factory=dict)
    fallback: str | None = None

    def activity_mbq(self, time_h: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Return the curve, MBq.

        Args:
            time_h: Times, h; exponentials hold after the end of infusion.
        """
        if self.model == "zero":
            return np.zeros_like(time_h, dtype=np.float64)
        if self.terms:
            parts = [amplitude * np.exp(-rate * time_h) for amplitude, rate in self.terms]
            return np.asarray(np.sum(parts, axis=0))
        times, activities = np.array(self.points).T
        rate = float(np.log(2.0)) / self.effective_half_life_h
        return trapezoid_activity_mbq(time_h, times, activities, rate_per_h=rate)

    def tail_mbq_h(self, time_h: float) -> float:
        """Integrate the curve from a time at or after the last point on, MBq·h.

        Args:
            time_h: Time, h.
        """
        if self.terms:
            return sum(
                amplitude / rate * math.exp(-rate * time_h) for amplitude, rate in self.terms
            )
        left_mbq = float(self.activity_mbq(np.array([time_h]))[0])
        return left_mbq * self.effective_half_life_h / math.log(2.0)

    @property
    def before_first_mbq_h(self) -> float:
        """The part of the TIA before the first point, which nobody measured, MBq·h."""
        first_time_h, first_mbq = self.points[0]
        if not self.terms:
            return 0.5 * first_mbq * first_time_h
        # Not integrated from 0 h: the terms do not hold during the infusion.
        after = sum(a * math.exp(-rate * first_time_h) / rate for a, rate in self.terms)
        return max(self.tia_mbq_h - after, 0.0)


def rises_at_the_end(activity: Sequence[float] | Float[np.ndarray, " t"]) -> bool:
    """Tell whether the last activity is above the one before it, so that no washout is seen."""
    return len(activity) > 1 and bool(activity[-1] > activity[-2])


def fit_region(
    time_h: Sequence[float],
    activity_mbq: Sequence[float],
    *,
    half_life_h: float,
    infusion_h: float = 0.0,
    uptake_half_life_h: float = POPULATION_UPTAKE_HALF_LIFE_H,
    name: str = "region",
    activity_sd_mbq: Sequence[float] | None = None,
    model: str = "auto",
) -> RegionFit:
    """Fit the time-activity curve of a region.

    ``auto`` takes physical decay for one point, ``mono`` for two, which tell no uptake, and else
    the exponential model that :func:`selection.choose` finds best. Where activity rises at the
    end, or falls too fast for an exponential (whose activity before the first point would be
    anything), straight lines and physical decay after the last point stand in for exponentials.

    Args:
        time_h: Start of infusion to mid-scan, h.
        activity_mbq: Activity in the region at that time, MBq, not decay-corrected.
        half_life_h: Physical half-life, h.
        infusion_h: Duration of the infusion, h.
        uptake_half_life_h: Uptake half-life of ``bi_population``, h, below the physical one.
        name: The region's, for messages.
        activity_sd_mbq: Standard deviation of each activity, MBq; without it they are taken as
            proportional to the activity, see :func:`exponential_fit.relative_sd_mbq`.
        model: ``auto`` or a key of :data:`region_points.NEEDED`.

    Returns:
        The fit; all activities 0 give the model ``zero`` and a TIA of 0.

    Raises:
        BadInput: Times or half-lives are impossible, an activity is negative or not finite,
            numbers differ, the model is unknown or needs more points.
    """
    points = region_points(
        time_h,
        activity_mbq,
        half_life_h=half_life_h,
        infusion_h=infusion_h,
        name=name,
        activity_sd_mbq=activity_sd_mbq,
    )
    check_model(model, points=len(points.time_h), name=name)
    check_uptake(uptake_half_life_h, half_life_h=half_life_h, name=name)
    if not points.activity_mbq.any():
        return _by_lines(points, "zero", f"All activities of {name} are 0.")
    if model == "auto":
        return _automatic(points, uptake_half_life_h, name)
    if model in FREE and rises_at_the_end(points.activity_mbq):
        return _risen(points, name)
    why = f"{model} was asked for."
    if model not in FREE:
        return _by_lines(points, model, why)
    fit = fit_exponential(points, model=model, uptake_half_life_h=uptake_half_life_h)
    if fit.at_fastest:
        return _too_fast(fit, points, name)
    fit = with_uptake_sd(fit, points, uptake_half_life_h=uptake_half_life_h)
    return _of_exponential(fit, points, why, {})


def _automatic(points: Points, uptake_half_life_h: float, name: str) -> RegionFit:
    count = len(points.time_h)
    if count == 1:
        return _by_lines(points, "physical", "1 point tells no rate; physical decay was taken.")
    if rises_at_the_end(points.activity_mbq):
        return _risen(points, name)
    # With two points bi_population would be chosen wherever mono is held at the physical rate,
    # and the TIA jump.
    models = ["mono"] + ["bi_population"] * (count > 2) + ["bi"] * (count >= FREE["bi"] + 3)
    fits = {
        model: fit_exponential(points, model=model, uptake_half_life_h=uptake_half_life_h)
        for model in models
    }
    best, why = choose(fits, points=count)
    if fits[best].at_fastest:
        return _too_fast(fits[best], points, name)
    if best == "bi_population":
        why += f" Its uptake half-life is the population's, {uptake_half_life_h:g} h."
    fit = with_uptake_sd(fits[best], points, uptake_half_life_h=uptake_half_life_h)
    return _of_exponential(fit, points, why, criterion_of(fits, points=count))


def _risen(points: Points, name: str) -> RegionFit:
    before, last = points.activity_mbq[-2:]
    fallback = (
        f"The activity of {name} rises at the end, from {before:g} to {last:g} MBq, so no washout "
        "can be fitted; straight lines and physical decay after the last point were taken."
    )
    return _by_lines(points, "physical", "The activity rises at the end.", fallback)


def _too_fast(fit: ExponentialFit, points: Points, name: str) -> RegionFit:
    shortest_h = math.log(2.0) / fit.rates_per_h[0]
    fallback = (
        f"The activity of {name} falls too fast for a {fit.model} fit, which would need a "
        f"half-life below {shortest_h:.3g} h and an unknown activity before the first point; "
        "straight lines and physical decay after the last point were taken."
    )
    return _by_lines(points, "physical", "The activity falls too fast.", fallback)


def _of_exponential(
    fit: ExponentialFit, points: Points, why: str, candidates: Mapping[str, float | None]
) -> RegionFit:
    if fit.at_physical:
        why += " Its washout is held at the physical half-life."
    return RegionFit(
        model=fit.model,
        terms=terms(fit.amplitude_mbq, fit.rates_per_h, infusion_h=points.infusion_h),
        tia_mbq_h=fit.tia_mbq_h,
        tia_sd_mbq_h=fit.tia_sd_mbq_h,
        effective_half_life_h=float(np.log(2.0)) / fit.rates_per_h[0],
        physical_tail_tia_mbq_h=_physical_tail(points),
        why=why,
        points=_pairs(points),
        point_sd_mbq=tuple(points.sd_mbq.tolist()),
        candidates=candidates,
    )


def _physical_tail(points: Points) -> float:
    decay = float(np.log(2.0)) / points.half_life_h
    return float(physical_tail_tia(points.time_h, points.activity_mbq, decay_per_h=decay))


def _pairs(points: Points) -> tuple[tuple[float, float], ...]:
    return tuple(zip(points.time_h.tolist(), points.activity_mbq.tolist(), strict=True))


def _by_lines(points: Points, model: str, why: str, fallback: str | None = None) -> RegionFit:
    times, activities = points.time_h, points.activity_mbq
    decay = float(np.log(2.0)) / points.half_life_h
    rate, tail_tia = decay, _physical_tail(points)
    tia = tail_tia
    curve: tuple[tuple[float, float], ...] = ()
    if len(times) == 1:
        unit = unit_curve(times, (decay,), infusion_h=points.infusion_h)
        bolus = float(activities[0] / unit[0])
        tia, curve = bolus / decay, terms(bolus, (decay,), infusion_h=points.infusion_h)
    elif model == "trapezoid":
        rate = tail_rate_per_h(times, activities, decay_per_h=decay)
        tia = float(trapezoid_tia(times, activities) + activities[-1] / rate)
    return RegionFit(
        model=model,
        terms=curve,
        tia_mbq_h=tia,
        tia_sd_mbq_h=None,
        effective_half_life_h=math.nan if model == "zero" else float(np.log(2.0)) / rate,
        physical_tail_tia_mbq_h=tail_tia,
        why=why,
        points=_pairs(points),
        point_sd_mbq=tuple(points.sd_mbq.tolist()),
        fallback=fallback,
    )
