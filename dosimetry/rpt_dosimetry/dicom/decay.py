"""The injected activity at the time of the values, and held against what the field of view holds.

Source: DICOM PS3.3, C.8.9.1.1.5 (Decay Correction).
"""

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rpt_cohort import BadInput

from rpt_dosimetry.dicom.header import PetHeader
from rpt_dosimetry.dicom.reading import missing, shown
from rpt_dosimetry.dicom.reference_time import (
    EARLIEST_REFERENCE_S,
    Reference,
    find_reference,
    need_positive,
    reference_of_admin,
)

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
_LARGEST_GUESS_MBQ = 3_000.0  # ours: of a PET tracer; more is likely kBq or µCi


@dataclass(frozen=True)
class Injection:
    """What was injected.

    Attributes:
        fault: Why ``moment`` could not be read, a sentence; empty where it could or where
            no attribute tells it.
    """

    activity_bq: float
    moment: datetime | None
    fault: str = ""


def read_injection(header: PetHeader) -> Injection:
    """Read what was injected into a PET's patient, and when.

    A time that cannot be read is a fault only where the branch needs it.
    """
    activity_bq = header.injected_bq(largest_guess_mbq=_LARGEST_GUESS_MBQ)
    try:
        return Injection(activity_bq, header.injection)
    except BadInput as error:
        return Injection(activity_bq, None, fault=str(error))


@dataclass(frozen=True)
class ActivityAtReference:
    """The activity that the voxel values refer to.

    Attributes:
        decay_branch: Decay Correction, and where the reference time came from.
        activity_bq: Injected activity decayed to the reference time, Bq, one a slice.
        elapsed_s: Injection to reference time, s, one a slice; all 0 for ADMIN.
        reference: Where the reference time came from.
    """

    decay_branch: str
    activity_bq: list[float]
    elapsed_s: list[float]
    reference: Reference


def activity_at_reference(header: PetHeader, injection: Injection) -> ActivityAtReference:
    """Decay the injected activity to the time that the voxel values refer to.

    Of ADMIN it is taken as it is; the times serve to hold Decay Factor against it.

    Raises:
        BadInput: Decay Correction is missing or unknown, a time or the half-life that it
            needs is missing, or the half-life or the elapsed time cannot be right.
    """
    correction, injected_bq = header.decay_correction, injection.activity_bq
    if correction == "ADMIN":
        reference = Reference("administration", "RadiopharmaceuticalStartDateTime", [])
        if injection.moment is not None:
            told_s = header.if_readable(lambda: header.number("RadionuclideHalfLife"))
            reference = reference_of_admin(header, told_s, injection.moment)
        count = len(header)
        return ActivityAtReference("ADMIN", [injected_bq] * count, [0.0] * count, reference)
    life_s = header.half_life_s
    if injection.fault:
        raise BadInput(injection.fault)
    if injection.moment is None:
        raise no_injection(correction)
    reference = find_reference(header, life_s, injection.moment)
    elapsed_s = [(moment - injection.moment).total_seconds() for moment in reference.moments]
    refuse_before_injection(reference, injection.moment)
    refuse_half_lives(elapsed_s, life_s, what="The reference time", of="injection")
    spread_s = max(elapsed_s) - min(elapsed_s)
    if correction == "START" and spread_s > _LARGEST_SPREAD_S:
        header.warnings.append(
            f"The reference times of the slices differ by {spread_s:.0f} s, and a series has one."
        )
    header.warn_of_unknown_day(life_s)
    left_bq = [
        decayed_activity_bq(activity_bq=injected_bq, elapsed_s=one_s, half_life_s=life_s)
        for one_s in elapsed_s
    ]
    return ActivityAtReference(f"{correction}: {reference.branch}", left_bq, elapsed_s, reference)


def no_injection(correction: str) -> BadInput:
    """Make the refusal of a series that does not tell when was injected."""
    start, of_day = "RadiopharmaceuticalStartDateTime", "RadiopharmaceuticalStartTime"
    return missing(start, f"(or {shown(of_day)}) with {shown('DecayCorrection')} {correction}")


def refuse_half_lives(elapsed_s: list[float], life_s: float, *, what: str, of: str) -> None:
    """Refuse times so many half-lives apart that a clock or date must be wrong."""
    worst_s = max(elapsed_s, key=abs)
    if abs(worst_s) > LARGEST_HALF_LIVES * life_s:
        raise BadInput(
            f"{what} must be within {LARGEST_HALF_LIVES:g} half-lives of the {of}, and it is "
            f"{worst_s / 3600.0:.1f} h away at a half-life of {life_s / 3600.0:.2f} h. Check "
            f"{shown('RadiopharmaceuticalStartDateTime')}, "
            f"{shown('RadiopharmaceuticalStartTime')} and the dates."
        )


def refuse_before_injection(reference: Reference, injected: datetime) -> None:
    """Refuse values that refer to a time before the injection.

    Raises:
        BadInput: One slice's moment is more than 60 s before it.
    """
    earliest_s = (min(reference.moments) - injected).total_seconds()
    if earliest_s < EARLIEST_REFERENCE_S:
        raise BadInput(
            f"{shown(reference.attribute)} must not be before the injection, and by the rule "
            f"'{reference.branch}' the values refer to {-earliest_s:.0f} s before it. Check "
            f"{shown('RadiopharmaceuticalStartDateTime')}, {shown('RadiopharmaceuticalStartTime')} "
            "and the clocks."
        )


def decayed_activity_bq(*, activity_bq: float, elapsed_s: float, half_life_s: float) -> float:
    """Return the activity after some time.

    Args:
        elapsed_s: Time since, s; below 0 for an earlier moment.

    Raises:
        ValueError: ``half_life_s`` is not above 0 s.
    """
    need_positive("half_life_s", half_life_s)
    return activity_bq * math.pow(2.0, -elapsed_s / half_life_s)


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
            f"much. {told}. Check {shown('RadionuclideTotalDose')}, in Bq, the weight, in kg, "
            "Units, the calibration and the times."
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


def decay_factor_told(reference: Reference) -> dict[str, Any]:
    """Tell what Decay Factor (0054,1321) says of the reference time that was taken, s."""
    after_s = reference.implied_after_s
    apart_s = None if after_s is None else round(after_s, 3)
    return {"verdict": reference.verdict, "implied_reference_after_taken_s": apart_s}
