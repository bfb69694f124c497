"""One cycle has one infusion: headers that tell another moment or activity are refused."""

from rpt_cohort import BadInput

from rpt_dosimetry.dicom.attributes import DOSE, START_DATETIME, START_TIME, TIMEZONE
from rpt_dosimetry.dicom.tags import Moment

ONE_INFUSION_H = 0.25
"""Ours: by which headers may tell the start of infusion unlike: it is noted by hand."""
LARGEST_RATIO = 2.0
"""Ours: of the administered activities that a header and the study tell."""


def refuse_other_infusion(role: str, begin: Moment, first_role: str, first: Moment) -> None:
    """Refuse a scan whose header puts the start of infusion elsewhere than another's.

    Raises:
        BadInput: It does: a date, a clock or a time zone changed between the scans.
    """
    apart_h = begin.hours_after(first)
    if abs(apart_h) > ONE_INFUSION_H:
        raise BadInput(
            f"{role}: All SPECTs of a cycle, and its planar scan, must tell one start of infusion, "
            f"and by {START_DATETIME} (or {START_TIME}) it is {apart_h:+.2f} h from that of "
            f"{first_role}: a date, a clock or a time zone ({TIMEZONE}) changed. Correct it, or "
            "give the right time_h of each scan."
        )


def refuse_other_activity(role: str, told_mbq: float | None, administered_mbq: float) -> None:
    """Refuse a scan whose header tells another activity than the study.

    Raises:
        BadInput: It tells less than half or more than twice of it.
    """
    if told_mbq is None or 1 / LARGEST_RATIO <= told_mbq / administered_mbq <= LARGEST_RATIO:
        return
    raise BadInput(
        f"{role}: administered_mbq must be that of {DOSE}, {told_mbq:.5g} MBq, at least within a "
        f"factor of {LARGEST_RATIO:g}, got {administered_mbq:.5g} MBq. Correct it, or set "
        "activities_differ where you made sure of it."
    )
