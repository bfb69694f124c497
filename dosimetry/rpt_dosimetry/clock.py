"""Read DICOM dates, times and date-times.

Legacy forms of ACR-NEMA (``2025.01.31``, ``10:00:00``) are still met and are read too.

Source: DICOM PS3.5, 6.2, value representations DA, TM and DT.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

_YEARS = range(2, 9999)
"""One year short of what ``datetime`` holds, so that sums of a few days cannot leave it."""

_DATE = re.compile(r"(\d{4})[.]?(\d{2})[.]?(\d{2})", re.ASCII)
_TIME = re.compile(
    r"(?P<hour>\d{2})(?::?(?P<minute>\d{2})(?::?(?P<second>\d{2})(?:\.(?P<fraction>\d+))?)?)?",
    re.ASCII,
)
_OFFSET = re.compile(r"(?P<sign>[+-])(?P<hour>\d{2})(?P<minute>\d{2})", re.ASCII)


def parse_date(text: str) -> datetime:
    """Read a DA value, ``YYYYMMDD``, as that day's midnight.

    Raises:
        ValueError: Not a date, or not of the years 2 to 9998.
    """
    match = _DATE.fullmatch(text)
    if match is None:
        raise ValueError("a date is written YYYYMMDD")
    year, month, day = map(int, match.groups())
    if year not in _YEARS:
        raise ValueError("a date lies in the years 2 to 9998")
    return datetime(year, month, day)


def parse_time(text: str) -> timedelta:
    """Read a TM value, ``HH[MM[SS[.ffffff]]]``, as the time since midnight.

    Raises:
        ValueError: Not a time of day.
    """
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError("a time is written HHMMSS.ffffff")
    hour, minute, second = (int(match[name] or 0) for name in ("hour", "minute", "second"))
    if hour > 23 or minute > 59 or second > 60:  # 60: a leap second is allowed
        raise ValueError("a time is written HHMMSS.ffffff, below 24 h")
    fraction_s = float(f"0.{match['fraction'] or 0}")
    return timedelta(hours=hour, minutes=minute, seconds=second + fraction_s)


def parse_offset(text: str) -> timedelta:
    """Read an offset from UTC, ``+HHMM`` or ``-HHMM``.

    Raises:
        ValueError: Not an offset between −12 h and +14 h.
    """
    match = _OFFSET.fullmatch(text)
    if match is None:
        raise ValueError("an offset from UTC is written +HHMM or -HHMM")
    size = timedelta(hours=int(match["hour"]), minutes=int(match["minute"]))
    offset = size if match["sign"] == "+" else -size
    if int(match["minute"]) > 59 or not timedelta(hours=-12) <= offset <= timedelta(hours=14):
        raise ValueError("an offset from UTC lies between -1200 and +1400")
    return offset


def parse_datetime(text: str) -> tuple[datetime, timedelta | None]:
    """Read a DT value, ``YYYYMMDDHH[MM[SS[.ffffff]]][±HHMM]``.

    Returns:
        The date and time as written, and the offset from UTC where one is written.

    Raises:
        ValueError: Not a date with a time of day; DT allows a bare year, SUV does not.
    """
    offset: timedelta | None = None
    if text[-5:-4] in ("+", "-"):
        text, offset = text[:-5], parse_offset(text[-5:])
    if len(text) < 10:
        raise ValueError("a date-time is written YYYYMMDDHHMMSS.ffffff, at least to the hour")
    return parse_date(text[:8]) + parse_time(text[8:]), offset


@dataclass(frozen=True)
class Moment:
    """A date and time on the clock of a series.

    Attributes:
        clock: As that clock shows it.
        utc_offset: Of that clock, if told.
    """

    clock: datetime
    utc_offset: timedelta | None

    def hours_after(self, other: "Moment") -> float:
        """Return the hours since another moment: by UTC where both tell it, else by the clocks."""
        ours, theirs = self.utc_offset, other.utc_offset
        apart = self.clock - other.clock
        if ours is not None and theirs is not None:
            apart -= ours - theirs
        return apart.total_seconds() / 3600.0


def as_local(
    moment: datetime, offset: timedelta | None, series_offset: timedelta | None
) -> datetime:
    """Express a date-time in the time zone of the series' dates and times.

    Args:
        moment: As written.
        offset: The offset from UTC written with it, if any.
        series_offset: Timezone Offset From UTC of the series, if any.

    Returns:
        The moment on the series' clock; as written where one of the offsets is not known.
    """
    if offset is None or series_offset is None:
        return moment
    return moment - offset + series_offset
