"""From the time that a series' values refer to, to the injection or to the middle of its scan.

SUV wants the injected activity at the time of the values. A time–activity fit needs what was there
when it was measured, so the vendor's correction for decay is undone, with the half-life that it was
made with: the series' own tag, not a table's.

Source: DICOM PS3.3, C.8.9.1.1.5 (Decay Correction) and C.8.9.4.1.6 (Actual Frame Duration).
The middle of the scan as the one moment of a volume is ours.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from rpt_cohort import BadInput

from rpt_dosimetry.dicom.attributes import (
    ACQUISITION_DATE,
    ACQUISITION_TIME,
    CORRECTED_IMAGE,
    DECAY_CORRECTION,
    DOSE,
    FRAME_DURATION,
    HALF_LIFE,
    START_DATETIME,
    START_TIME,
)
from rpt_dosimetry.dicom.reading import Bounds, check_bounds
from rpt_dosimetry.dicom.reference_time import (
    Reference,
    Verdict,
    reference_of_admin,
    reference_of_none,
    reference_of_start,
)
from rpt_dosimetry.dicom.tags import Tags, if_readable, missing
from rpt_dosimetry.dicom.times import decayed_activity_bq, injection_time, mid_scan
from rpt_dosimetry.dicom.tracer import check_half_life

IMPOSSIBLE_EXCESS = 1.5
"""Ours: of the decayed net activity; no calibration is that wrong, an hour or a unit is."""
SUSPECT_SHARE = 2e-3
"""Ours: of the decayed net activity; a trunk holds some percent after a week, a head some percent
of a PET's tracer; kBq/mL would be a thousandth."""
SMALLEST_FIELD_ML = 1000.0
"""Ours: a series of a smaller field of view is a cut-out, which may hold next to nothing."""
LARGEST_HALF_LIVES = 10.0
"""Between injection and reference; then 0.1 % is left, and a clock or date is wrong."""

_LARGEST_SPREAD_S = 60.0
_LONG_HALF_LIFE_S = 12 * 3600.0
_SMALLEST_DOSE_BQ = 1e5  # below it the value is taken as MBq
_DOSE_BOUNDS = Bounds(1e3, 1e12, "Bq")  # ours: from less than a phantom holds to 1 TBq
EARLIEST_REFERENCE_S = -60.0
"""Of the reference time after the injection, for clocks that are not quite together; ours."""


@dataclass(frozen=True)
class Injection:
    """What was injected.

    Attributes:
        fault: Why ``moment`` could not be read, a sentence; empty where it could or where
            no tag tells it.
    """

    activity_bq: float
    moment: datetime | None
    coded_nuclide: str | None
    fault: str = ""


@dataclass(frozen=True)
class ActivityAtReference:
    """The activity that the voxel values refer to.

    Attributes:
        decay_branch: Decay Correction, and where the reference time came from.
        activity_bq: Injected activity decayed to the reference time, Bq, one a slice.
        elapsed_s: Injection to reference time, s, one a slice; all 0 for ADMIN.
        verdict: What Decay Factor says of the reference time.
        implied_after_s: From the reference time to the one that Decay Factor implies, s.
    """

    decay_branch: str
    activity_bq: list[float]
    elapsed_s: list[float]
    verdict: Verdict
    implied_after_s: float | None


def injected_activity_bq(tags: Tags, warnings: list[str], *, largest_guess_mbq: float) -> float:
    """Read the injected activity; DICOM gives it with no syringe residual subtracted.

    Args:
        largest_guess_mbq: A value too small for Bq is taken as MBq up to this, MBq.

    Returns:
        Injected activity, Bq.

    Raises:
        BadInput: Missing, not above 0, not plausible, or too small for Bq and too large for MBq.
    """
    dose = tags.number(DOSE)
    if dose is None:
        raise missing(DOSE, "to normalise")
    if dose <= 0:
        raise BadInput(f"{DOSE} must be above 0 Bq, got {dose:g}. Correct the header.")
    if dose < _SMALLEST_DOSE_BQ:
        if dose > largest_guess_mbq:
            raise BadInput(
                f"{DOSE} must be in Bq, got {dose:g}: too small for Bq, and as MBq above "
                f"{largest_guess_mbq:g} MBq. It is likely in kBq or µCi. Multiply kBq by 1000, or "
                "µCi by 37000, and write the result in Bq."
            )
        warnings.append(f"{DOSE} is {dose:g}, too small for Bq; it was taken as MBq.")
        dose *= 1e6
    check_bounds(dose, DOSE, _DOSE_BOUNDS)
    return dose


def half_life_s(tags: Tags) -> float | None:
    """Read the half-life, s.

    Raises:
        BadInput: It is there and not plausible.
    """
    return tags.number(HALF_LIFE)


def need_half_life_s(tags: Tags, coded_nuclide: str | None) -> float:
    """Read the half-life that a correction for decay needs, s.

    Returns:
        Half-life as the series gives it, s.

    Raises:
        BadInput: Missing, not plausible, or not that of the nuclide.
    """
    life_s = half_life_s(tags)
    if life_s is None:
        raise missing(HALF_LIFE, "to correct for decay")
    fault = check_half_life(half_life_s=life_s, coded=coded_nuclide).fault
    if fault:
        raise BadInput(f"{HALF_LIFE} must be that of the nuclide in seconds, {fault}")
    return life_s


def decay_correction(tags: Tags, warnings: list[str]) -> str:
    """Read to what the values were corrected for decay.

    Returns:
        ``ADMIN``, ``START`` or ``NONE``.

    Raises:
        BadInput: Missing, or none of the three.
    """
    correction = tags.text(DECAY_CORRECTION).upper()
    if not correction:
        raise missing(DECAY_CORRECTION, "to know what the values were corrected to")
    if correction not in ("ADMIN", "START", "NONE"):
        raise BadInput(f"{DECAY_CORRECTION} must be ADMIN, START or NONE, and it is none of them.")
    _compare_with_corrected_image(tags, correction, warnings)
    return correction


def check_total(share: float, told: str, warnings: list[str], *, field_ml: float) -> None:
    """Refuse a field of view that holds far more activity than was injected; warn of doubts.

    Decay-corrected activity in the field of view is at most what was injected, whatever its
    unit: as SUV, the sum of SUV times volume is at most the body weight.

    Args:
        share: Of the injected activity in the field of view, both at one time.
        told: A sentence with both, with units.
        field_ml: Volume of the field of view, mL.

    Raises:
        BadInput: It is more than ``IMPOSSIBLE_EXCESS`` times what was injected.
    """
    if share > IMPOSSIBLE_EXCESS:
        raise BadInput(
            f"The field of view must hold no more than was injected, got {share:.3g} times as "
            f"much. {told}. Check {DOSE}, in Bq, the weight, in kg, Units, the calibration and the "
            "times."
        )
    if share > 1:
        warnings.append(
            f"{told}: {share:.3g} times what was injected. The calibration, the dose, the weight "
            "or a time may be wrong."
        )
    if field_ml >= SMALLEST_FIELD_ML:
        warn_of_too_little(share, told, warnings)


def warn_of_too_little(share: float, told: str, warnings: list[str]) -> None:
    """Warn of images that hold next to none of what was given; empty ones are told elsewhere.

    Args:
        share: Of the activity that decay leaves, in the field of view.
        told: A sentence with both, with units.
    """
    if 0 < share < SUSPECT_SHARE:
        warnings.append(
            f"{told}: a share of {share:.2g}, which is next to nothing. Were the values in kBq/mL "
            "and not in Bq/mL, all that is made of them would be a thousandfold."
        )


def warn_of_unknown_day(tags: Tags, life_s: float, warnings: list[str]) -> None:
    """Warn where only a time of day is told and the nuclide lives for days."""
    if not tags.text(START_DATETIME) and life_s > _LONG_HALF_LIFE_S:
        warnings.append(
            f"{START_DATETIME} is missing and the half-life is long: an injection on an earlier "
            "day cannot be told from one on the day of the scan."
        )


def refuse_before_injection(reference: Reference, injected: datetime) -> None:
    """Refuse values that refer to a time before the injection.

    Raises:
        BadInput: One slice's moment is more than 60 s before it.
    """
    earliest_s = (min(reference.moments) - injected).total_seconds()
    if earliest_s < EARLIEST_REFERENCE_S:
        raise BadInput(
            f"{reference.tag} must not be before the injection, and by the rule "
            f"'{reference.branch}' the values refer to {-earliest_s:.0f} s before it. Check "
            f"{START_DATETIME}, {START_TIME} and the clocks."
        )


def activity_at_reference(
    tags: Tags, injection: Injection, warnings: list[str]
) -> ActivityAtReference:
    """Decay the injected activity to the time that the voxel values refer to.

    Returns:
        The activity, and the branch of the rule that was taken.

    Raises:
        BadInput: Decay Correction is missing or unknown, a time or the half-life that it
            needs is missing, or the half-life or the elapsed time cannot be right.
    """
    correction = decay_correction(tags, warnings)
    if correction == "ADMIN":
        return _as_administered(tags, injection, warnings)
    return _decayed(tags, injection, correction, warnings)


def _as_administered(tags: Tags, injection: Injection, warnings: list[str]) -> ActivityAtReference:
    """Take the injected activity as it is; the times serve to hold Decay Factor against it."""
    reference = Reference("administration", START_DATETIME, [])
    if injection.moment is not None:
        life_s = if_readable(lambda: half_life_s(tags), warnings)
        reference = reference_of_admin(tags, life_s, injection.moment, warnings)
    return ActivityAtReference(
        "ADMIN",
        [injection.activity_bq] * len(tags),
        [0.0] * len(tags),
        reference.verdict,
        reference.implied_after_s,
    )


def _decayed(
    tags: Tags, injection: Injection, correction: str, warnings: list[str]
) -> ActivityAtReference:
    life_s = need_half_life_s(tags, injection.coded_nuclide)
    if injection.fault:
        raise BadInput(injection.fault)
    if injection.moment is None:
        raise missing(START_DATETIME, f"(or {START_TIME}) with {DECAY_CORRECTION} {correction}")
    if correction == "START":
        earliest = injection.moment + timedelta(seconds=EARLIEST_REFERENCE_S)
        reference = reference_of_start(tags, life_s, earliest, warnings)
    else:
        reference = reference_of_none(tags, life_s, warnings)
    elapsed_s = [(moment - injection.moment).total_seconds() for moment in reference.moments]
    refuse_before_injection(reference, injection.moment)
    _check_elapsed(elapsed_s, life_s)
    _warn_of_times(tags, elapsed_s, life_s, correction, warnings)
    injected_bq = injection.activity_bq
    left_bq = [
        decayed_activity_bq(activity_bq=injected_bq, elapsed_s=one_s, half_life_s=life_s)
        for one_s in elapsed_s
    ]
    return ActivityAtReference(
        f"{correction}: {reference.branch}",
        left_bq,
        elapsed_s,
        reference.verdict,
        reference.implied_after_s,
    )


def _check_elapsed(elapsed_s: list[float], life_s: float) -> None:
    worst_s = max(elapsed_s, key=abs)
    if abs(worst_s) > LARGEST_HALF_LIVES * life_s:
        raise BadInput(
            f"The reference time must be within {LARGEST_HALF_LIVES:g} half-lives of the "
            f"injection, and it is {worst_s / 3600.0:.1f} h away at a half-life of "
            f"{life_s / 3600.0:.2f} h. Check {START_DATETIME}, {START_TIME} and the dates."
        )


def _warn_of_times(
    tags: Tags, elapsed_s: list[float], life_s: float, correction: str, warnings: list[str]
) -> None:
    spread_s = max(elapsed_s) - min(elapsed_s)
    if correction == "START" and spread_s > _LARGEST_SPREAD_S:
        warnings.append(
            f"The reference times of the slices differ by {spread_s:.0f} s, and a series has one."
        )
    warn_of_unknown_day(tags, life_s, warnings)


def _compare_with_corrected_image(tags: Tags, correction: str, warnings: list[str]) -> None:
    decayed = "DECY" in tags.text(CORRECTED_IMAGE).split("\\")
    if decayed == (correction == "NONE"):
        told = "names DECY" if decayed else "lacks DECY"
        warnings.append(f"{CORRECTED_IMAGE} {told} and {DECAY_CORRECTION} is {correction}.")


@dataclass(frozen=True)
class DecayToMidScan:
    """What turns a concentration as stored into that at mid-scan.

    Attributes:
        decay_branch: Decay Correction, and where the reference time came from.
        half_life_s: As the series gives it, s.
        elapsed_s: Reference time to mid-scan, s, one a slice; below 0 where a slice was
            measured later and not corrected.
        factor: 2^(−elapsed / half-life), one a slice.
        mid_scan: The middle of the scan, on the series' clock.
        implied_after_s: From the reference time to the one that Decay Factor implies, s.
    """

    decay_branch: str
    half_life_s: float
    elapsed_s: list[float]
    factor: list[float]
    mid_scan: datetime
    administered: datetime | None
    verdict: Verdict
    implied_after_s: float | None


def decay_to_mid_scan(
    tags: Tags, *, coded_nuclide: str | None, warnings: list[str]
) -> DecayToMidScan:
    """Find the factor that expresses a series' values at the middle of its scan.

    The middle lies between the begin of the first frame and the end of the last, one moment
    for all slices; each slice is taken there from its own reference time. Of a scan in
    several beds this leaves out what moved between a bed and the middle, physical decay
    apart. ADMIN refers to the begin of the administration. How a vendor treats the decay
    within a frame is not told; the whole of it, for 25 min of Lu-177, is 0.2 %.

    Returns:
        The factor, and the branch of the rule that was taken.

    Raises:
        BadInput: Decay Correction is missing or unknown, a time or the half-life is missing
            or cannot be right.
    """
    correction = decay_correction(tags, warnings)
    life_s = need_half_life_s(tags, coded_nuclide)
    middle = _need_mid_scan(tags)
    administered = _administered(tags, correction, warnings)
    reference = _reference(tags, correction, life_s, administered, warnings)
    elapsed_s = [(middle - moment).total_seconds() for moment in reference.moments]
    _check_mid_scan(elapsed_s, life_s, correction, reference)
    if administered is not None:
        refuse_before_injection(reference, administered)
        warn_of_unknown_day(tags, life_s, warnings)
    factor = [
        decayed_activity_bq(activity_bq=1.0, elapsed_s=one_s, half_life_s=life_s)
        for one_s in elapsed_s
    ]
    return DecayToMidScan(
        f"{correction}: {reference.branch}",
        life_s,
        elapsed_s,
        factor,
        middle,
        administered,
        reference.verdict,
        reference.implied_after_s,
    )


def _need_mid_scan(tags: Tags) -> datetime:
    why = "in every slice to know the middle of the scan"
    for tag in (ACQUISITION_DATE, ACQUISITION_TIME, FRAME_DURATION):
        if not all(tags.texts(tag)):
            raise missing(tag, why)
    shortest_ms = min(tags.need_numbers(FRAME_DURATION, why))
    if shortest_ms <= 0:
        raise BadInput(f"{FRAME_DURATION} must be above 0 ms, got {shortest_ms:g} ms.")
    middle = mid_scan(tags)
    if middle is None:
        raise missing(ACQUISITION_TIME, why)
    return middle


def _administered(tags: Tags, correction: str, warnings: list[str]) -> datetime | None:
    """Return the begin of the administration, which only ADMIN cannot do without."""
    if correction != "ADMIN":
        return if_readable(lambda: injection_time(tags, warnings), warnings)
    moment = injection_time(tags, warnings)
    if moment is None:
        raise missing(START_DATETIME, f"(or {START_TIME}) with {DECAY_CORRECTION} ADMIN")
    return moment


def _reference(
    tags: Tags,
    correction: str,
    life_s: float,
    administered: datetime | None,
    warnings: list[str],
) -> Reference:
    if correction == "NONE":
        return reference_of_none(tags, life_s, warnings)
    if correction == "ADMIN" and administered is not None:
        return reference_of_admin(tags, life_s, administered, warnings)
    earliest = datetime.min
    if administered is not None:
        earliest = administered + timedelta(seconds=EARLIEST_REFERENCE_S)
    return reference_of_start(tags, life_s, earliest, warnings)


def _check_mid_scan(
    elapsed_s: list[float], life_s: float, correction: str, reference: Reference
) -> None:
    if correction != "NONE" and min(elapsed_s) < EARLIEST_REFERENCE_S:
        raise BadInput(
            f"{reference.tag} must not be after the scan, and by the rule '{reference.branch}' "
            f"the values refer to {-min(elapsed_s):.0f} s after its middle. Check the dates and "
            "clocks."
        )
    worst_s = max(elapsed_s, key=abs)
    if abs(worst_s) > LARGEST_HALF_LIVES * life_s:
        raise BadInput(
            f"The middle of the scan must be within {LARGEST_HALF_LIVES:g} half-lives of the "
            f"reference time, and it is {worst_s / 3600.0:.1f} h away at a half-life of "
            f"{life_s / 3600.0:.2f} h. Check {START_DATETIME}, {START_TIME} and the dates."
        )
