"""When was scanned? Moments stay inside: a date names a patient."""

from datetime import datetime, timedelta

from rpt_cohort import BadInput

from rpt_dosimetry.attributes import (
    ACQUISITION_DATE,
    ACQUISITION_TIME,
    FRAME_DURATION,
    FRAME_REFERENCE_TIME,
    TIMEZONE,
    Tag,
)
from rpt_dosimetry.clock import parse_offset
from rpt_dosimetry.tags import Tags, missing, read_clock


def acquisition_times(tags: Tags) -> list[datetime | None]:
    """Return when the acquisition of each slice began, ``None`` where it is not told."""
    return tags.moments(ACQUISITION_DATE, ACQUISITION_TIME)


def series_offset(tags: Tags) -> timedelta | None:
    """Return the series' Timezone Offset From UTC, ``None`` where it is not told.

    Raises:
        BadInput: It is malformed.
    """
    text = tags.text(TIMEZONE)
    offset: timedelta | None = read_clock(parse_offset, text, TIMEZONE) if text else None
    return offset


def refuse_zone_jump(tags: Tags) -> None:
    """Refuse a series whose clock changed its time zone on the way.

    Raises:
        BadInput: It tells several offsets from UTC.
    """
    zones = set(tags.texts(TIMEZONE)) - {""}
    if len(zones) > 1:
        raise BadInput(
            f"{TIMEZONE} must be one for all slices, and the series tells {len(zones)}: its clock "
            "jumped during the scan. Export the series anew with one time zone."
        )


def mid_scan(tags: Tags) -> datetime | None:
    """Return the middle between the first frame's begin and the last frame's end, if told."""
    acquired = [moment for moment in acquisition_times(tags) if moment is not None]
    if len(acquired) < len(tags) or not all(tags.texts(FRAME_DURATION)):
        return None
    durations = [timedelta(milliseconds=ms) for ms in tags.numbers(FRAME_DURATION) or []]
    references_ms = []
    if len(set(acquired)) == 1 and all(tags.texts(FRAME_REFERENCE_TIME)):
        references_ms = tags.numbers(FRAME_REFERENCE_TIME) or []
    begins = frame_begins(acquired, references_ms)
    ends = [begin + duration for begin, duration in zip(begins, durations, strict=True)]
    return min(begins) + (max(ends) - min(begins)) / 2


def frame_begins(acquired: list[datetime], references_ms: list[float]) -> list[datetime]:
    """Return when each slice's frame began.

    Args:
        acquired: Acquisition date and time, one a slice.
        references_ms: Frame Reference Time, ms, one a slice; empty where it is not told.

    Returns:
        The acquisition times; but where a scan of several beds has one and the same in every
        slice (GE), its beds are told apart by Frame Reference Time, which counts from it.
    """
    if len(set(acquired)) > 1 or not references_ms:
        return acquired
    first_ms = min(references_ms)
    return [
        moment + timedelta(milliseconds=one_ms - first_ms)
        for moment, one_ms in zip(acquired, references_ms, strict=True)
    ]


def need_all(tags: Tags, date: Tag, time: Tag) -> list[datetime]:
    """Return date and time of every slice, refusing a series where one lacks them.

    Raises:
        BadInput: One is missing or malformed.
    """
    for tag in (date, time):
        if not all(tags.texts(tag)):
            raise missing(tag, "in every slice to correct for decay")
    return [moment for moment in tags.moments(date, time) if moment is not None]
