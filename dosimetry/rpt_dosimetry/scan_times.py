"""When was injected, scanned, and to when are the voxel values decay-corrected?

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
    START_DATETIME,
    START_TIME,
    TIMEZONE,
    Tag,
)
from rpt_dosimetry.clock import parse_date, parse_datetime, parse_offset, parse_time
from rpt_dosimetry.decay import average_activity_time_s
from rpt_dosimetry.tags import Tags, as_local, missing, read_clock

DAY = timedelta(days=1)
_LATE_STARTS = 60.0  # s by which the two forms of the injection's time may differ unremarked


@dataclass(frozen=True)
class Reference:
    """To when the voxel values are decay-corrected.

    Attributes:
        branch: Which rule gave it.
        moments: One a slice.
    """

    branch: str
    moments: list[datetime]


def injection_time(tags: Tags, warnings: list[str]) -> datetime | None:
    """Find when the radiopharmaceutical was administered.

    Radiopharmaceutical Start DateTime, else Start Time on the series' date; one day
    earlier where that would be after the scan began (an injection before midnight).

    Args:
        tags: The series.
        warnings: Takes what the user should know.

    Returns:
        The moment; ``None`` where no tag tells it.

    Raises:
        BadInput: It is malformed, or more than a day after the scan's begin.
    """
    start = tags.text(START_DATETIME)
    moment = None
    if start:
        try:
            written, offset = parse_datetime(start)
            moment = _on_series_clock(written, offset, tags, warnings)
        except (ValueError, OverflowError):
            if not tags.text(START_TIME):
                read_clock(parse_datetime, start, START_DATETIME)
            warnings.append(f"{START_DATETIME} is malformed; {START_TIME} was used instead.")
    clock = tags.text(START_TIME)
    tag = START_DATETIME
    if moment is None:
        if not clock:
            return None
        moment, tag = _on_series_date(tags, clock), START_TIME
        if moment is None:
            return None
    elif clock:
        _compare_forms(moment, clock, warnings)
    moment = _before_scan(moment, tag, tags, warnings)
    tags.remember_moments((START_DATETIME, START_TIME), [moment])
    return moment


def acquisition_times(tags: Tags) -> list[datetime | None]:
    """Return when the acquisition of each slice began, ``None`` where it is not told."""
    return tags.moments(ACQUISITION_DATE, ACQUISITION_TIME)


def reference_of_start(tags: Tags, half_life_s: float) -> Reference:
    """Find the reference time of a series decay-corrected to its START.

    Args:
        tags: The series.
        half_life_s: Physical half-life, s.

    Returns:
        In this order: GE's private scan date and time; the series' date and time where it
        is not later than any acquisition; else, a slice at a time, acquisition time +
        T_average − Frame Reference Time. Decay Factor (0054,1321) is not asked: the voxel
        values have been multiplied by it already.

    Raises:
        BadInput: A time that the rule needs is missing or malformed.
    """
    private = tags.texts(GE_SCAN_DATETIME)
    if all(private):
        zone = _series_offset(tags)
        read = [read_clock(parse_datetime, text, GE_SCAN_DATETIME) for text in private]
        moments = [as_local(written, offset, zone) for written, offset in read]
        tags.remember_moments((GE_SCAN_DATETIME,), moments)
        return Reference("GE private scan date and time", moments)
    series = _need_all(tags, SERIES_DATE, SERIES_TIME)
    acquired = _need_all(tags, ACQUISITION_DATE, ACQUISITION_TIME)
    # Below a second: some scanners cut the fraction off one of the two.
    if max(series) - min(acquired) < timedelta(seconds=1):
        if len(set(series)) > 1:
            raise BadInput(f"{SERIES_TIME} must be the same in all slices, and it differs.")
        return Reference("series date and time", series)
    why = f"where {SERIES_TIME} is after an acquisition"
    frame_reference_ms = tags.need_numbers(FRAME_REFERENCE_TIME, why)
    average_s = _average_times_s(tags, half_life_s, why)
    return Reference(
        "acquisition time + T_average - frame reference time",
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
        [
            moment + timedelta(seconds=late_s)
            for moment, late_s in zip(acquired, average_s, strict=True)
        ],
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


def _series_offset(tags: Tags) -> timedelta | None:
    text = tags.text(TIMEZONE)
    offset: timedelta | None = read_clock(parse_offset, text, TIMEZONE) if text else None
    return offset


def _on_series_clock(
    written: datetime, offset: timedelta | None, tags: Tags, warnings: list[str]
) -> datetime:
    """Express the injection's date-time on the clock of the series' dates and times."""
    zone = _series_offset(tags)
    if offset is None or zone is not None:
        return as_local(written, offset, zone)
    clock = tags.text(START_TIME)
    if not clock:
        warnings.append(f"{TIMEZONE} is missing; {START_DATETIME} was taken as local time.")
        return written
    # Start Time is on the local clock: it tells what the offset alone cannot.
    midnight = written.replace(hour=0, minute=0, second=0, microsecond=0)
    time_of_day: timedelta = read_clock(parse_time, clock, START_TIME)
    near = [midnight + time_of_day + days * DAY for days in (-1, 0, 1)]
    return min(near, key=lambda moment: abs(moment - written))


def _on_series_date(tags: Tags, clock: str) -> datetime | None:
    time_of_day: timedelta = read_clock(parse_time, clock, START_TIME)
    date = tags.text(SERIES_DATE)
    if not date:
        raise missing(SERIES_DATE, f"to give {START_TIME} its day")
    midnight: datetime = read_clock(parse_date, date, SERIES_DATE)
    return midnight + time_of_day


def _compare_forms(moment: datetime, clock: str, warnings: list[str]) -> None:
    time_of_day: timedelta = read_clock(parse_time, clock, START_TIME)
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    apart_s = abs((moment - midnight - time_of_day).total_seconds())
    if min(apart_s, DAY.total_seconds() - apart_s) > _LATE_STARTS:
        warnings.append(
            f"{START_DATETIME} and {START_TIME} differ by {apart_s:.0f} s; the former was used."
        )


def _before_scan(moment: datetime, tag: Tag, tags: Tags, warnings: list[str]) -> datetime:
    """Move an injection that would follow the scan's begin to the day before."""
    told = [one for one in acquisition_times(tags) if one is not None]
    told = told or [one for one in tags.moments(SERIES_DATE, SERIES_TIME) if one is not None]
    if not told or moment <= min(told):
        return moment
    if moment - DAY > min(told):
        raise BadInput(
            f"{tag} must be before the scan, and it is {(moment - min(told)).days} days after. "
            "Dates were changed unevenly; export the series anew."
        )
    warnings.append(f"{tag} is after the scan began; the injection was put one day earlier.")
    return moment - DAY
