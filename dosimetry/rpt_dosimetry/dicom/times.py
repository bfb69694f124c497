"""When was injected, when was scanned, and how much decays between? Moments stay inside: a date
names a patient.
"""

import math
from datetime import datetime, timedelta

from rpt_cohort import BadInput

from rpt_dosimetry.dicom.attributes import (
    ACQUISITION_DATE,
    ACQUISITION_TIME,
    FRAME_DURATION,
    FRAME_REFERENCE_TIME,
    SERIES_DATE,
    SERIES_TIME,
    START_DATETIME,
    START_TIME,
    TIMEZONE,
    Tag,
)
from rpt_dosimetry.dicom.tags import (
    Moment,
    Tags,
    as_local,
    if_readable,
    missing,
    parse_date,
    parse_datetime,
    parse_offset,
    parse_time,
    read_clock,
)


def average_activity_time_s(*, frame_duration_s: float, half_life_s: float) -> float:
    """Return when, within a frame, the activity equals the frame's mean activity.

    T_average = ln(λT / (1 − e^(−λT))) / λ, a little before the middle of the frame.

    Args:
        frame_duration_s: T, s.
        half_life_s: ln 2 / λ, s.

    Returns:
        Time since the start of the frame, s.

    Raises:
        ValueError: A value is not above 0 s.

    Source: Vácha et al., Comprehensive manual for SUV computation (IBSI-SUV, 2026).
    """
    _need_positive("frame_duration_s", frame_duration_s)
    _need_positive("half_life_s", half_life_s)
    x = math.log(2.0) * frame_duration_s / half_life_s
    if x < 1e-5:  # ln(x / (1 − e^(−x))) = x/2 − x²/24 …, which loses all digits below
        return frame_duration_s / 2.0
    # ln(1 − e^(−x)) by expm1, so that a long frame does not overflow
    return frame_duration_s * (math.log(x) - math.log(-math.expm1(-x))) / x


def decayed_activity_bq(*, activity_bq: float, elapsed_s: float, half_life_s: float) -> float:
    """Return the activity after some time.

    Args:
        elapsed_s: Time since, s; below 0 for an earlier moment.

    Returns:
        Activity, Bq.

    Raises:
        ValueError: ``half_life_s`` is not above 0 s.
    """
    _need_positive("half_life_s", half_life_s)
    return activity_bq * math.pow(2.0, -elapsed_s / half_life_s)


def _need_positive(name: str, value_s: float) -> None:
    if not (value_s > 0 and math.isfinite(value_s)):
        raise ValueError(f"{name} must be a finite number above 0 s, got {value_s!r} s.")


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


DAY = timedelta(days=1)
_LATE_STARTS = 60.0  # s by which the two forms of the injection's time may differ unremarked


def injection_time(tags: Tags, warnings: list[str]) -> datetime | None:
    """Find when the radiopharmaceutical was administered.

    Radiopharmaceutical Start DateTime, else Start Time on the series' date; one day
    earlier where that would be after the scan began (an injection before midnight).

    Returns:
        The moment; ``None`` where no tag tells it.

    Raises:
        BadInput: It is malformed, or more than a day after the scan's begin.
    """
    tag, moment = START_DATETIME, _from_datetime(tags, warnings)
    if moment is None:
        tag, moment = START_TIME, _from_time(tags)
    if moment is None:
        return None
    moment = _before_scan(moment, tag, tags, warnings)
    tags.remember_moments((START_DATETIME, START_TIME), [moment])
    return moment


def administration_moment(tags: Tags, moment: datetime | None) -> Moment | None:
    """Put a moment of :func:`injection_time` with the offset of the series' clock.

    Raises:
        BadInput: The offset is malformed.
    """
    return None if moment is None else Moment(moment, series_offset(tags))


def _from_datetime(tags: Tags, warnings: list[str]) -> datetime | None:
    start = tags.text(START_DATETIME)
    if not start:
        return None
    try:
        written, offset = parse_datetime(start)
    except ValueError:
        if not tags.text(START_TIME):
            read_clock(parse_datetime, start, START_DATETIME)
        warnings.append(f"{START_DATETIME} is malformed; {START_TIME} was used instead.")
        return None
    time_of_day = if_readable(lambda: _time_of_day(tags), warnings)
    moment = _on_series_clock(written, offset, time_of_day, tags, warnings)
    if time_of_day is not None:
        _compare_forms(moment, time_of_day, warnings)
    return moment


def _from_time(tags: Tags) -> datetime | None:
    """Put Start Time on the series' date."""
    time_of_day = _time_of_day(tags)
    if time_of_day is None:
        return None
    date = tags.text(SERIES_DATE)
    if not date:
        raise missing(SERIES_DATE, f"to give {START_TIME} its day")
    midnight: datetime = read_clock(parse_date, date, SERIES_DATE)
    return midnight + time_of_day


def _time_of_day(tags: Tags) -> timedelta | None:
    clock = tags.text(START_TIME)
    time_of_day: timedelta | None = read_clock(parse_time, clock, START_TIME) if clock else None
    return time_of_day


def _on_series_clock(
    written: datetime,
    offset: timedelta | None,
    time_of_day: timedelta | None,
    tags: Tags,
    warnings: list[str],
) -> datetime:
    """Express the injection's date-time on the clock of the series' dates and times."""
    if offset is None:
        return written
    zone = if_readable(lambda: series_offset(tags), warnings)
    if zone is not None:
        return as_local(written, offset, zone)
    if time_of_day is None:
        warnings.append(f"{TIMEZONE} is not told; {START_DATETIME} was taken as local time.")
        return written
    # Start Time is on the local clock: it tells what the offset alone cannot.
    near = [_midnight(written) + time_of_day + days * DAY for days in (-1, 0, 1)]
    return min(near, key=lambda moment: abs(moment - written))


def _compare_forms(moment: datetime, time_of_day: timedelta, warnings: list[str]) -> None:
    apart_s = abs((moment - _midnight(moment) - time_of_day).total_seconds())
    if min(apart_s, DAY.total_seconds() - apart_s) > _LATE_STARTS:
        warnings.append(
            f"{START_DATETIME} and {START_TIME} differ by {apart_s:.0f} s; the former was used."
        )


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def _before_scan(moment: datetime, tag: Tag, tags: Tags, warnings: list[str]) -> datetime:
    """Move an injection that would follow the scan's begin to the day before."""
    told = _told(tags, ACQUISITION_DATE, ACQUISITION_TIME) or _told(tags, SERIES_DATE, SERIES_TIME)
    if not told or moment <= min(told):
        return moment
    if moment - DAY > min(told):
        raise BadInput(
            f"{tag} must be before the scan, and it is {(moment - min(told)).days} days after. "
            "Dates were changed unevenly; export the series anew."
        )
    warnings.append(f"{tag} is after the scan began; the injection was put one day earlier.")
    return moment - DAY


def _told(tags: Tags, date: Tag, time: Tag) -> list[datetime]:
    """Return the moments that can be read; whoever needs them all refuses later."""
    moments = if_readable(lambda: tags.moments(date, time), [])
    return [moment for moment in moments or [] if moment is not None]
