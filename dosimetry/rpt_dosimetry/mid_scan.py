"""From the time that a series' values refer to, to the middle of its scan.

A time–activity fit needs what was there when it was measured, so the vendor's correction for
decay is undone, with the half-life that it was made with: the series' own tag, not a table's.

Source: DICOM PS3.3, C.8.9.1.1.5 (Decay Correction) and C.8.9.4.1.6 (Actual Frame Duration).
The middle of the scan as the one moment of a volume is ours.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from rpt_cohort import BadInput

from rpt_dosimetry.activity import (
    EARLIEST_REFERENCE_S,
    LARGEST_HALF_LIVES,
    decay_correction,
    need_half_life_s,
    refuse_before_injection,
    warn_of_unknown_day,
)
from rpt_dosimetry.attributes import (
    ACQUISITION_DATE,
    ACQUISITION_TIME,
    DECAY_CORRECTION,
    FRAME_DURATION,
    START_DATETIME,
    START_TIME,
)
from rpt_dosimetry.decay import decayed_activity_bq
from rpt_dosimetry.injection_time import injection_time
from rpt_dosimetry.reference_time import (
    Reference,
    Verdict,
    reference_of_admin,
    reference_of_none,
    reference_of_start,
)
from rpt_dosimetry.scan_times import mid_scan
from rpt_dosimetry.tags import Tags, if_readable, missing


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
        administered: The begin of the administration, if told.
        verdict: What Decay Factor says of the reference time.
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

    Args:
        tags: The series.
        coded_nuclide: The nuclide that the series names, if any.
        warnings: Takes what the user should know.

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
    _check_elapsed(elapsed_s, life_s, correction, reference)
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


def _check_elapsed(
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
