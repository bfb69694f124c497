"""When was injected?"""

from datetime import datetime, timedelta

from rpt_cohort import BadInput

from rpt_dosimetry.attributes import (
    ACQUISITION_DATE,
    ACQUISITION_TIME,
    SERIES_DATE,
    SERIES_TIME,
    START_DATETIME,
    START_TIME,
    TIMEZONE,
    Tag,
)
from rpt_dosimetry.clock import Moment, as_local, parse_date, parse_datetime, parse_time
from rpt_dosimetry.scan_times import series_offset
from rpt_dosimetry.tags import Tags, if_readable, missing, read_clock

DAY = timedelta(days=1)
_LATE_STARTS = 60.0  # s by which the two forms of the injection's time may differ unremarked


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
