"""When was scanned, and to when are the voxel values decay-corrected?

Moments stay inside: results tell differences only, since a date names a patient.

Source: Vácha et al., Comprehensive manual for SUV computation (IBSI-SUV, 2026); QIBA
FDG-PET/CT profile, vendor-neutral pseudo-code for SUV.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from rpt_cohort import BadInput

from rpt_dosimetry.attributes import (
    ACQUISITION_DATE,
    ACQUISITION_TIME,
    FRAME_DURATION,
    FRAME_REFERENCE_TIME,
    GE_SCAN_DATETIME,
    SERIES_DATE,
    SERIES_TIME,
    TIMEZONE,
    Tag,
)
from rpt_dosimetry.clock import as_local, parse_datetime, parse_offset
from rpt_dosimetry.decay import average_activity_time_s
from rpt_dosimetry.tags import Tags, if_readable, missing, read_clock


@dataclass(frozen=True)
class Reference:
    """To when the voxel values are decay-corrected.

    Attributes:
        branch: Which rule gave it.
        tag: The tag that the rule rests on.
        moments: One a slice.
    """

    branch: str
    tag: Tag
    moments: list[datetime]


def acquisition_times(tags: Tags) -> list[datetime | None]:
    """Return when the acquisition of each slice began, ``None`` where it is not told."""
    return tags.moments(ACQUISITION_DATE, ACQUISITION_TIME)


def reference_of_start(
    tags: Tags, half_life_s: float, earliest: datetime, warnings: list[str]
) -> Reference:
    """Find the reference time of a series decay-corrected to its START.

    Args:
        tags: The series.
        half_life_s: Physical half-life, s.
        earliest: The injection; GE's private tag is not used where it lies before.
        warnings: Takes why GE's private tag was not used.

    Returns:
        In this order: GE's private scan date and time; the series' date and time where it
        is not later than any acquisition; else, a slice at a time, acquisition time +
        T_average − Frame Reference Time. Decay Factor (0054,1321) is not asked: the voxel
        values have been multiplied by it already.

    Raises:
        BadInput: A time that the rule needs is missing or malformed.
    """
    private = if_readable(lambda: _ge_scan_times(tags), warnings)
    if private and min(private) >= earliest:
        tags.remember_moments((GE_SCAN_DATETIME,), private)
        return Reference("GE private scan date and time", GE_SCAN_DATETIME, private)
    if private:
        warnings.append(f"{GE_SCAN_DATETIME} is before the injection; it was not used.")
    series = _need_all(tags, SERIES_DATE, SERIES_TIME)
    acquired = _need_all(tags, ACQUISITION_DATE, ACQUISITION_TIME)
    # Below a second: some scanners cut the fraction off one of the two.
    if max(series) - min(acquired) < timedelta(seconds=1):
        if len(set(series)) > 1:
            raise BadInput(f"{SERIES_TIME} must be the same in all slices, and it differs.")
        return Reference("series date and time", SERIES_TIME, series)
    why = f"where {SERIES_TIME} is after an acquisition"
    frame_reference_ms = tags.need_numbers(FRAME_REFERENCE_TIME, why)
    average_s = _average_times_s(tags, half_life_s, why)
    return Reference(
        "acquisition time + T_average - frame reference time",
        FRAME_REFERENCE_TIME,
        [
            moment + timedelta(seconds=late_s - reference_ms / 1000.0)
            for moment, late_s, reference_ms in zip(
                acquired, average_s, frame_reference_ms, strict=True
            )
        ],
    )


def reference_of_none(tags: Tags, half_life_s: float) -> Reference:
    """Find the reference times of a series without decay correction, a slice at a time.

    Args:
        tags: The series.
        half_life_s: Physical half-life, s.

    Returns:
        Acquisition time + T_average.

    Raises:
        BadInput: Acquisition time or frame duration is missing or malformed.
    """
    acquired = _need_all(tags, ACQUISITION_DATE, ACQUISITION_TIME)
    average_s = _average_times_s(tags, half_life_s, "without decay correction")
    return Reference(
        "acquisition time + T_average",
        ACQUISITION_TIME,
        [
            moment + timedelta(seconds=late_s)
            for moment, late_s in zip(acquired, average_s, strict=True)
        ],
    )


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
    """Return the middle between the first frame's begin and the last frame's end, if told.

    Where every slice of a scan of several beds has one and the same acquisition time (GE),
    the beds are told apart by Frame Reference Time, counted from it.
    """
    acquired = [moment for moment in acquisition_times(tags) if moment is not None]
    if len(acquired) < len(tags) or not all(tags.texts(FRAME_DURATION)):
        return None
    durations = [timedelta(milliseconds=ms) for ms in tags.numbers(FRAME_DURATION) or []]
    if len(set(acquired)) == 1 and all(tags.texts(FRAME_REFERENCE_TIME)):
        references_ms = tags.numbers(FRAME_REFERENCE_TIME) or []
        late_ms = [reference_ms - min(references_ms) for reference_ms in references_ms]
        acquired = [
            moment + timedelta(milliseconds=ms)
            for moment, ms in zip(acquired, late_ms, strict=True)
        ]
    ends = [moment + duration for moment, duration in zip(acquired, durations, strict=True)]
    return min(acquired) + (max(ends) - min(acquired)) / 2


def _ge_scan_times(tags: Tags) -> list[datetime]:
    """Return GE's private scan times; none where a slice lacks it."""
    texts = tags.texts(GE_SCAN_DATETIME)
    if not all(texts):
        return []
    read = [read_clock(parse_datetime, text, GE_SCAN_DATETIME) for text in texts]
    offsets = [offset for _, offset in read if offset is not None]
    zone = series_offset(tags) if offsets else None
    return [as_local(written, offset, zone) for written, offset in read]


def _average_times_s(tags: Tags, half_life_s: float, why: str) -> list[float]:
    durations_ms = tags.need_numbers(FRAME_DURATION, why)
    if min(durations_ms) <= 0:
        raise BadInput(f"{FRAME_DURATION} must be above 0 ms, got {min(durations_ms):g} ms.")
    return [
        average_activity_time_s(frame_duration_s=duration_ms / 1000.0, half_life_s=half_life_s)
        for duration_ms in durations_ms
    ]


def _need_all(tags: Tags, date: Tag, time: Tag) -> list[datetime]:
    for tag in (date, time):
        if not all(tags.texts(tag)):
            raise missing(tag, "in every slice to correct for decay")
    return [moment for moment in tags.moments(date, time) if moment is not None]
