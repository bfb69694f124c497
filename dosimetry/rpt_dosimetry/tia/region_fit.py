"""The time-activity curve and TIA of a region from its few points, checked."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float
from rpt_cohort import BadInput
from scipy.stats import t as student

from rpt_dosimetry.tia.exponential_fit import (
    FREE,
    ExponentialFit,
    Points,
    check_half_life,
    check_times,
    fit_exponential,
    log_trapezoid_tia,
    physical_tail_tia,
    relative_sd_mbq,
    tail_rate_per_h,
    terms,
    trapezoid_activity_mbq,
    trapezoid_tia,
    unit_curve,
)

NEEDED = {"physical": 1, "mono": 2, "bi_population": 2, "bi": 3, "trapezoid": 2}
"""Model → the points it needs."""

LONGEST_UPTAKE = 0.45
"""Of the physical half-life: washout is slower than uptake and needs room above physical, also at
twice the uptake half-life, which tells the uncertainty. Ours."""


def region_points(
    time_h: Sequence[float],
    activity_mbq: Sequence[float] | Float[np.ndarray, " t"],
    *,
    half_life_h: float,
    infusion_h: float,
    name: str,
    activity_sd_mbq: Sequence[float] | None,
    noise_floor_mbq: Sequence[float] | None = None,
) -> Points:
    """Check a region's points; the arguments are those of :func:`fit_region`.

    Raises:
        BadInput: Times or half-life are impossible, an activity is negative or not finite, a
            standard deviation is not above 0, a noise floor below 0, or the numbers of them differ.
    """
    times = check_times(time_h, infusion_h=infusion_h)
    check_half_life(half_life_h)
    activities = _as_many(activity_mbq, times, what=f"The activities of {name}")
    for activity in activities:
        if not (np.isfinite(activity) and activity >= 0):
            raise BadInput(
                f"The activities of {name} must be finite and at least 0 MBq, got {activity:g} "
                "MBq. Check the reconstruction and the region's mask."
            )
    floor = np.zeros(len(times))
    if noise_floor_mbq is not None:
        floor = _as_many(noise_floor_mbq, times, what=f"The noise floors of {name}")
        if not (np.isfinite(floor) & (floor >= 0)).all():
            raise BadInput(
                f"The noise floors of {name} must be finite and at least 0 MBq, got "
                f"{floor.tolist()} MBq. Leave them out if they are not known."
            )
    if activity_sd_mbq is None:
        deviations = relative_sd_mbq(activities, noise_floor_mbq=floor)
    else:
        deviations = _as_many(activity_sd_mbq, times, what=f"The activity SDs of {name}")
        if not (np.isfinite(deviations) & (deviations > 0)).all():
            raise BadInput(
                f"The activity SDs of {name} must be finite and above 0 MBq, got "
                f"{deviations.tolist()} MBq. Leave them out if they are not known."
            )
    return Points(
        times, activities, deviations, activity_sd_mbq is not None, floor, half_life_h, infusion_h
    )


def check_model(model: str, *, points: int, name: str) -> None:
    """Check that a model is known and has the points it needs.

    Raises:
        BadInput: It is not, or one point is to be fitted by ``auto``.
    """
    if model != "auto" and model not in NEEDED:
        raise BadInput(f"model must be auto or one of {', '.join(NEEDED)}, got '{model}'.")
    if model == "auto" and points == 1:
        raise BadInput(
            f"One time point of {name} tells no washout: name the model that is to stand for it, "
            "physical, an upper bound that may be two to three times too high, or, in dose, "
            "haenscheid or madsen (a population's)."
        )
    if points < NEEDED.get(model, 1):
        raise BadInput(
            f"The {model} fit of {name} needs at least {NEEDED[model]} time points, got {points}. "
            "Add a scan or take a model with fewer parameters."
        )


def check_uptake(uptake_half_life_h: float, *, half_life_h: float, name: str) -> None:
    """Check the population's uptake half-life.

    Raises:
        BadInput: It is not above 0 h and well below the physical half-life.
    """
    if not 0 < uptake_half_life_h <= LONGEST_UPTAKE * half_life_h:
        raise BadInput(
            f"uptake_half_life_h of {name} must be above 0 h and at most {LONGEST_UPTAKE:g} of the "
            f"physical half-life of {half_life_h:g} h, got {uptake_half_life_h:g} h."
        )


def _as_many(
    values: Sequence[float] | Float[np.ndarray, " t"], times: Float[np.ndarray, " t"], *, what: str
) -> Float[np.ndarray, " t"]:
    found = np.asarray(values, dtype=np.float64)
    if found.shape != times.shape:
        raise BadInput(f"{what} must be as many as the {len(times)} times, got {found.size}.")
    return found


POPULATION_UPTAKE_HALF_LIFE_H = 0.8
"""Uptake half-life where the points cannot tell it, h. Ours: no published population value for
the organs of 177Lu-PSMA or 177Lu-DOTATATE was found. It is the round value next to 0.82 h of the
one published kidney curve at hand (the SNMMI Lu-177 challenge: ln 2/0.845429 per h). That
kidney, first scanned at 3.7 h, is moved by less than 1 % in TIA up to 1.2 h, by 1.7 % at 1.5 h
and by 2.9 % at 2 h; its half-life stays within 1 % for 0.70 to 0.95 h only. An earlier first
scan is moved by other amounts."""

MISSES = 0.08
"""Root mean square, relative, beyond which a curve misses its points. Ours: an organ's activity
scatters by about 5 % from scan to scan, so three or four points rarely pass it by chance."""

EARLY_H = 6.0
"""A first scan by then may see an uptake, and three parameters are fitted where the points ask for
them; later they are open to noise. Ours, as `benchmarks/curves.py` measures."""

IN_UPTAKE = 4.0
"""Population uptake half-lives: a first scan before them lies in the uptake itself. Ours."""

SLOWEST_UPTAKE = 4.0
"""Times the population's uptake half-life, the slowest that counts as possible where no scan saw
the uptake: 3.2 h, as lesions have. Ours."""

INSIDE_NOISE = 2.0
"""Standard deviations of a difference, up to which it is noise. Ours."""

RESOLVED = 1e-6
"""Relative: residuals below this are the arithmetic's. It keeps exact data from −∞. Ours."""

_ONE_SD, _TWO_SD = 0.841344746, 0.975  # quantiles of a normal distribution at 1 and 1.96 SD


@dataclass(frozen=True)
class RegionFit:
    """The curve of a region and its integral.

    Attributes:
        model: ``physical``, ``mono``, ``bi``, ``bi_population``, ``trapezoid``, ``log_trapezoid``
            (rises along straight lines, falls along exponentials) or ``zero``.
        terms: (amplitude in MBq, rate in 1/h): their sum is the activity after the end of
            infusion; empty for a curve of straight lines. With an infusion Σ amplitude/rate is
            not the TIA, since it starts before the activity is all in.
        tia_sd_mbq_h: Half of its 68 % interval: the scatter of the points about the curve
            (delta method, Student's t at the points left over) and half the range of all
            admissible models. None where no point is left over and no SD tells the scatter.
        tia_95_mbq_h: Half of its 95 % interval; with one point left over far more than twice
            the other.
        effective_half_life_h: Of the last phase, never above the physical one; NaN if ``zero``.
        measured_tia_mbq_h: From 0 h to the last point along the points themselves, rising along
            straight lines and falling along exponentials.
        physical_tail_tia_mbq_h: Straight lines from 0 MBq at 0 h through all points, then
            physical decay. The tail cannot be larger.
        why: Why this model, a sentence.
        points: (time in h, activity in MBq) as measured.
        candidates: Fitted model → AICc, None where it is undefined; empty where one was asked for.
        fallback: What could not be fitted and what was done instead, a sentence, or None.
        misfit: How far the points lie from the curve, RMS, relative.
        uptake_unseen: From − to + relative, how far the TIA goes where the uptake takes no time, or
            :data:`SLOWEST_UPTAKE` times the population's; None where three points or more have one
            by :data:`EARLY_H`.
    """

    model: str
    terms: tuple[tuple[float, float], ...]
    tia_mbq_h: float
    effective_half_life_h: float
    measured_tia_mbq_h: float
    physical_tail_tia_mbq_h: float
    why: str
    points: tuple[tuple[float, float], ...]
    candidates: Mapping[str, float | None] = field(default_factory=dict)
    fallback: str | None = None
    misfit: float = 0.0
    tia_sd_mbq_h: float | None = None
    tia_95_mbq_h: float | None = None
    uptake_unseen: tuple[float, float] | None = None

    def activity_mbq(self, time_h: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Return the curve, MBq; exponentials hold after the end of infusion."""
        if self.model == "zero":
            return np.zeros_like(time_h, dtype=np.float64)
        if self.terms:
            parts = [amplitude * np.exp(-rate * time_h) for amplitude, rate in self.terms]
            return np.asarray(np.sum(parts, axis=0))
        times, activities = np.array(self.points).T
        rate = float(np.log(2.0)) / self.effective_half_life_h
        return trapezoid_activity_mbq(
            time_h,
            times,
            activities,
            rate_per_h=rate,
            exponentials=self.model == "log_trapezoid",
        )

    def tail_mbq_h(self, time_h: float) -> float:
        """Integrate the curve from a time at or after the last point on, MBq·h."""
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


def fit_region(
    time_h: Sequence[float],
    activity_mbq: Sequence[float],
    *,
    half_life_h: float,
    infusion_h: float = 0.0,
    uptake_half_life_h: float = POPULATION_UPTAKE_HALF_LIFE_H,
    name: str = "region",
    activity_sd_mbq: Sequence[float] | None = None,
    noise_floor_mbq: Sequence[float] | None = None,
    model: str = "auto",
) -> RegionFit:
    """Fit the time-activity curve of a region.

    ``auto`` takes ``mono`` for two points, which tell no uptake, and else the exponential model
    that :func:`_choose` finds best. Where activity rises at the end by more than noise, or falls
    too fast for an exponential (whose activity before the first point would be anything), straight
    lines and physical decay after the last point stand in for exponentials; where the best fit
    misses its points and lies below them, the points joined, up by lines and down by exponentials.

    Args:
        time_h: Start of infusion to mid-scan.
        activity_mbq: At that time, not decay-corrected.
        half_life_h: Physical half-life.
        uptake_half_life_h: Of ``bi_population``, below the physical one.
        name: The region's, for messages.
        activity_sd_mbq: Standard deviation of each activity; without it they are taken as
            proportional to the activity, see :func:`relative_sd_mbq`.
        noise_floor_mbq: What noise alone may make of each activity, 1 SD; the fit goes
            through points that lie within it.
        model: ``auto`` or a key of :data:`NEEDED`.

    Returns:
        The fit; all activities 0 give the model ``zero`` and a TIA of 0.

    Raises:
        BadInput: Times or half-lives are impossible, an activity is negative or not finite,
            numbers differ, the model is unknown or needs more points; or ``auto`` has one.
    """
    points = region_points(
        time_h,
        activity_mbq,
        half_life_h=half_life_h,
        infusion_h=infusion_h,
        name=name,
        activity_sd_mbq=activity_sd_mbq,
        noise_floor_mbq=noise_floor_mbq,
    )
    count = len(points.time_h)
    check_model(model, points=count, name=name)
    check_uptake(uptake_half_life_h, half_life_h=half_life_h, name=name)
    if not points.activity_mbq.any():
        return _by_lines(points, "zero", f"All activities of {name} are 0.")
    why = f"{model} was asked for."
    if model != "auto" and model not in FREE:
        return _by_lines(points, model, why)
    if _rises(points):
        before, last = points.activity_mbq[-2:]
        fault = f"rises at the end, from {before:g} to {last:g} MBq, so no washout can be fitted"
        return _without_washout(points, name, "The activity rises at the end.", fault)
    candidates: Mapping[str, float | None] = {}
    two = {
        one: fit_exponential(points, model=one, uptake_half_life_h=uptake_half_life_h)
        for one in ("mono", "bi_population")
    }
    if model == "auto":
        fit, why, candidates = _choose(points, two, uptake_half_life_h)
    elif model in two:
        fit = two[model]
    else:
        fit = fit_exponential(points, model=model, uptake_half_life_h=uptake_half_life_h)
    if fit.at_fastest:
        fault = (
            f"falls too fast for a {fit.model} fit, which would need a half-life below "
            f"{math.log(2.0) / fit.rates_per_h[0]:.3g} h and an unknown activity before the first "
            "point"
        )
        return _without_washout(points, name, "The activity falls too fast.", fault)
    falls = bool(points.activity_mbq[-1] < points.activity_mbq[-2:][0])  # and so tells a tail
    if model == "auto" and falls and fit.misfit > MISSES and fit.tia_mbq_h < _measured(points):
        return _missed(fit, points, name)
    found = _of_exponential(fit, points, why, candidates)
    return _with_intervals(found, fit, points, two, uptake_half_life_h)


def _rises(points: Points) -> bool:
    """Tell whether the last activity is above the one before it by more than the noise."""
    last = points.sd_mbq if points.sd_known else points.noise_floor_mbq
    noise_mbq = INSIDE_NOISE * math.hypot(*last[-2:])
    rise_mbq = float(points.activity_mbq[-1] - points.activity_mbq[-2:][0])
    return rise_mbq > noise_mbq


def _choose(
    points: Points, two: Mapping[str, ExponentialFit], uptake_half_life_h: float
) -> tuple[ExponentialFit, str, Mapping[str, float | None]]:
    """Choose the model that the points support; return its fit, why, and AICc of all.

    ``mono`` for two points (with them ``bi_population`` would be chosen wherever ``mono`` is held
    at the physical rate, and the TIA jump). By AICc where it is defined. Else, ours: ``mono`` and
    ``bi_population`` have the same number of free parameters, so whatever AICc's penalty were, it
    would be the same for both, and the smaller residual decides; where both pass through the
    points, ``mono``, which assumes less. With a scan by :data:`EARLY_H`, ``bi`` takes their place
    where they miss the points or the first scan lies in the uptake, whose half-life decides the
    TIA then and is the organ's own.
    """
    count = len(points.time_h)
    fits = dict(two) if count > 2 else {"mono": two["mono"]}
    if count >= FREE["bi"] + 3:
        fits["bi"] = fit_exponential(points, model="bi", uptake_half_life_h=uptake_half_life_h)
    criteria = {
        model: aicc(residual_sum=fit.residual_sum, points=count, free=FREE[model])
        for model, fit in fits.items()
    }
    best, why = _best(fits, criteria, points=count)
    first_h = float(points.time_h[0])
    in_uptake = first_h < IN_UPTAKE * uptake_half_life_h
    missed = fits[best].misfit > MISSES
    if count > 2 and best != "bi" and first_h <= EARLY_H and (in_uptake or missed):
        free = fits.get("bi") or fit_exponential(
            points, model="bi", uptake_half_life_h=uptake_half_life_h
        )
        floor = count * RESOLVED**2
        if not free.at_fastest and free.residual_sum < fits[best].residual_sum - floor:
            reason = "the first scan lies in the uptake"
            if missed:
                reason = f"{best} misses the points by {fits[best].misfit:.0%}"
            return free, f"bi, since {reason}.", {"bi": None, **criteria}
    if best == "bi_population":
        why += f" Its uptake half-life is the population's, {uptake_half_life_h:g} h."
    return fits[best], why, criteria


def _best(
    fits: Mapping[str, ExponentialFit], criteria: Mapping[str, float | None], *, points: int
) -> tuple[str, str]:
    if len(fits) == 1:
        return "mono", f"{points} points tell a washout and no uptake, so mono was taken."
    defined = {model: value for model, value in criteria.items() if value is not None}
    if defined:
        best = min(defined, key=lambda model: (round(defined[model], 9), FREE[model]))
        told = ", ".join(f"{model} {value:.2f}" for model, value in defined.items())
        return best, f"{best} has the lowest AICc ({told})."
    mono, bi = fits["mono"], fits["bi_population"]
    floor = points * RESOLVED**2
    best = "bi_population" if bi.residual_sum < max(mono.residual_sum, floor) - floor else "mono"
    reason = (
        "passes through the points and assumes less than bi_population"
        if best == "mono" and mono.residual_sum <= floor
        else "has the smaller residual of mono and bi_population, whose parameters are as many"
    )
    return best, f"{points} points leave AICc undefined (it needs 5); {best} {reason}."


def aicc(*, residual_sum: float, points: int, free: int) -> float | None:
    """Return Akaike's criterion, corrected for small samples, of a least-squares fit.

    n·ln(RSS/n) + 2k + 2k(k + 1)/(n − k − 1), where k counts the free parameters of the curve and
    σ; None where n < k + 2 leaves it undefined.

    Args:
        residual_sum: RSS of residuals over SD, dimensionless.

    Source: Burnham & Anderson, Model Selection and Multimodel Inference, 2nd ed. (2002),
    section 2.4.
    """
    k = free + 1
    if points < k + 2:
        return None
    mean_square = max(residual_sum / points, RESOLVED**2)
    return points * math.log(mean_square) + 2.0 * k + 2.0 * k * (k + 1) / (points - k - 1)


def _with_intervals(
    found: RegionFit,
    fit: ExponentialFit,
    points: Points,
    two: Mapping[str, ExponentialFit],
    uptake_half_life_h: float,
) -> RegionFit:
    """Add the intervals of the TIA, and what an unseen uptake may do to it.

    Admissible are ``mono`` and ``bi_population`` with uptakes up to :data:`SLOWEST_UPTAKE` times
    the population's, as far as they pass within :data:`MISSES` of the points.
    """
    slowest_h = min(SLOWEST_UPTAKE * uptake_half_life_h, 0.9 * points.half_life_h)
    slowest = fit_exponential(points, model="bi_population", uptake_half_life_h=slowest_h)
    others = [*two.values(), slowest]
    admissible = [one.tia_mbq_h for one in others if one.misfit <= MISSES and not one.at_fastest]
    low, high = (extreme([fit.tia_mbq_h, *admissible]) for extreme in (min, max))
    unseen = None
    count = len(points.time_h)
    if count == 2 or (count > 2 and points.time_h[0] > EARLY_H):
        # Also where none passes through the points, and even less is known.
        all_mbq_h = [one.tia_mbq_h for one in (fit, *others) if not one.at_fastest]
        unseen = (min(all_mbq_h) / fit.tia_mbq_h - 1.0, max(all_mbq_h) / fit.tia_mbq_h - 1.0)
    if fit.tia_sd_mbq_h is None:
        return replace(found, uptake_unseen=unseen)
    spread = 0.5 * (high - low)
    one_sd, two_sd = (
        fit.tia_sd_mbq_h * float(student.ppf(quantile, fit.freedom))
        for quantile in (_ONE_SD, _TWO_SD)
    )
    return replace(
        found,
        tia_sd_mbq_h=math.hypot(one_sd, spread),
        tia_95_mbq_h=math.hypot(two_sd, 1.96 * spread),
        uptake_unseen=unseen,
    )


def _without_washout(points: Points, name: str, why: str, fault: str) -> RegionFit:
    fallback = (
        f"The activity of {name} {fault}; straight lines and physical decay after the last point "
        "were taken"
    )
    return _by_lines(points, "physical", why, fallback)


def _missed(fit: ExponentialFit, points: Points, name: str) -> RegionFit:
    below = 1.0 - fit.tia_mbq_h / _measured(points)
    fallback = (
        f"No exponential model passes through the points of {name}: {fit.model} misses them by "
        f"{fit.misfit:.0%} (RMS) and its TIA is {below:.0%} below what was measured up to the last "
        "one; the points themselves were joined, up by straight lines and down by exponentials, "
        "and the last two points' exponential goes on"
    )
    why = "No exponential passes through the points."
    return _by_lines(points, "log_trapezoid", why, fallback)


def _of_exponential(
    fit: ExponentialFit, points: Points, why: str, candidates: Mapping[str, float | None]
) -> RegionFit:
    if fit.at_physical:
        why += " Its washout is held at the physical half-life."
    return RegionFit(
        model=fit.model,
        terms=terms(fit.amplitude_mbq, fit.rates_per_h, infusion_h=points.infusion_h),
        tia_mbq_h=fit.tia_mbq_h,
        effective_half_life_h=float(np.log(2.0)) / fit.rates_per_h[0],
        measured_tia_mbq_h=_measured(points),
        physical_tail_tia_mbq_h=_physical_tail(points),
        why=why,
        points=_pairs(points),
        candidates=candidates,
        misfit=fit.misfit,
    )


def _measured(points: Points) -> float:
    return log_trapezoid_tia(points.time_h, points.activity_mbq)


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
    elif model in ("trapezoid", "log_trapezoid"):
        rate = tail_rate_per_h(times, activities, decay_per_h=decay)
        joined = trapezoid_tia if model == "trapezoid" else log_trapezoid_tia
        tia = float(joined(times, activities) + activities[-1] / rate)
    if fallback is not None:
        fallback += f"; {activities[-1] / rate / tia:.0%} of the TIA is after the last point."
    return RegionFit(
        model=model,
        terms=curve,
        tia_mbq_h=tia,
        effective_half_life_h=math.nan if model == "zero" else float(np.log(2.0)) / rate,
        measured_tia_mbq_h=_measured(points),
        physical_tail_tia_mbq_h=tail_tia,
        why=why,
        points=_pairs(points),
        fallback=fallback,
    )
