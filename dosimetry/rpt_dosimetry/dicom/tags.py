"""Values of DICOM headers, asked for by tag and remembered.

A series is asked through ``Tags``: what was asked is kept, so that a result can say which
tags it rests on, and a value that is missing, malformed or at odds between slices is
refused by the name of its tag. Legacy dates and times of ACR-NEMA (``2025.01.31``, ``10:00:00``)
are still met and are read too. Moments, of injection and scan, stay inside: a date names a patient.

Source: DICOM PS3.5, 6.2, value representations DA, TM and DT.
"""

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from rpt_cohort import BadInput

from rpt_dosimetry.dicom.attributes import (
    ACQUISITION_DATE,
    ACQUISITION_TIME,
    CLOCKS,
    FRAME_DURATION,
    FRAME_REFERENCE_TIME,
    NUMBERS,
    RADIOPHARMACEUTICAL,
    SERIES_DATE,
    SERIES_TIME,
    START_DATETIME,
    START_TIME,
    TIMEZONE,
    Tag,
)
from rpt_dosimetry.dicom.reading import components, read_decimal

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
    """A date and time on the clock of a series."""

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
        offset: The offset from UTC written with it, if any.
        series_offset: Timezone Offset From UTC of the series, if any.

    Returns:
        The moment on the series' clock; as written where one of the offsets is not known.
    """
    if offset is None or series_offset is None:
        return moment
    return moment - offset + series_offset


T = TypeVar("T")

_CODES = re.compile(r"[A-Z0-9_ +.\\-]{1,256}")


class Tags:
    """The headers of one series' slices, asked tag by tag."""

    def __init__(self, headers: Sequence[Any]) -> None:
        """Take the pydicom datasets of the slices, in their order along the normal."""
        self.headers = headers
        self._used: dict[Tag, list[str]] = {}
        self._moments: dict[Tag, list[datetime]] = {}

    def __len__(self) -> int:
        """Return the number of slices."""
        return len(self.headers)

    def texts(self, tag: Tag) -> list[str]:
        """Return the text of ``tag`` in each slice, ``""`` where it is missing."""
        found = ["\\".join(components(header, tag)) for header in self.headers]
        if any(found):
            self._used[tag] = found
        return found

    def text(self, tag: Tag) -> str:
        """Return the one text of ``tag``, ``""`` where it is missing.

        Raises:
            BadInput: It differs between slices.
        """
        found = set(self.texts(tag))
        if len(found) > 1:
            raise _differs(tag, len(self), len(found))
        return found.pop()

    def numbers(self, tag: Tag) -> list[float] | None:
        """Return the number in each slice, ``None`` where every slice lacks it.

        Raises:
            BadInput: Some slices lack it, or a value is not one plausible number.
        """
        found = self.texts(tag)
        if not any(found):
            return None
        if not all(found):
            raise BadInput(
                f"{tag} must be in all {len(self)} slices, and it is missing in "
                f"{found.count('')} of them."
            )
        return [read_decimal(text, tag) for text in found]

    def number(self, tag: Tag) -> float | None:
        """Return the one number of ``tag``, ``None`` where it is missing.

        Raises:
            BadInput: It differs between slices, or is not one plausible number.
        """
        found = set(self.numbers(tag) or [])
        if len(found) > 1:
            raise _differs(tag, len(self), len(found))
        return found.pop() if found else None

    def need_numbers(self, tag: Tag, why: str) -> list[float]:
        """Return the number in each slice, refusing a series that lacks it.

        Raises:
            BadInput: Missing, or not one plausible number.
        """
        found = self.numbers(tag)
        if found is None:
            raise missing(tag, why)
        return found

    def moments(self, date: Tag, time: Tag) -> list[datetime | None]:
        """Return date and time of each slice; ``None`` where one of the two is missing."""
        found: list[datetime | None] = []
        for day, clock in zip(self.texts(date), self.texts(time), strict=True):
            if not day or not clock:
                found.append(None)
                continue
            found.append(read_clock(parse_date, day, date) + read_clock(parse_time, clock, time))
        self.remember_moments((date, time), [moment for moment in found if moment is not None])
        return found

    def remember_texts(self, tag: Tag, texts: list[str]) -> None:
        """Keep the texts of a tag that was read elsewhere."""
        if any(texts):
            self._used[tag] = texts

    def remember_moments(self, tags: Sequence[Tag], moments: list[datetime]) -> None:
        """Keep the moment that clock tags stand for, to tell it relative to the injection."""
        for tag in tags:
            if moments:
                self._moments[tag] = moments

    def record(self, injection: datetime | None) -> list[dict[str, Any]]:
        """List every tag asked for and found.

        Dates and times tell who the patient is; they are given in seconds after the
        injection only, and not at all where the injection's time is not known. Free text
        is not repeated, for the same reason.

        Returns:
            One mapping a tag: ``tag``, ``name``, and ``value`` or ``seconds_after_injection``.
        """
        entries: list[dict[str, Any]] = []
        for tag, texts in self._used.items():
            entry: dict[str, Any] = {"tag": tag.number, "name": tag.name}
            if tag in CLOCKS:
                moments = self._moments.get(tag, [])
                if injection is not None and moments:
                    seconds = [(moment - injection).total_seconds() for moment in moments]
                    entry["seconds_after_injection"] = _one_or_range(seconds)
            elif tag in NUMBERS:
                with suppress(BadInput):  # one that was not needed may be malformed
                    entry["value"] = _one_or_range([read_decimal(text, tag) for text in texts])
            elif tag != RADIOPHARMACEUTICAL and _CODES.fullmatch(texts[0]):
                entry["value"] = texts[0]
            entries.append(entry)
        return entries


def missing(tag: Tag, why: str) -> BadInput:
    """Make the refusal of a series that lacks ``tag``."""
    return BadInput(f"{tag} must be there {why}, and it is missing. Export the series anew.")


def if_readable(read: Callable[[], T], warnings: list[str]) -> T | None:
    """Read what the conversion can do without: a fault becomes a warning.

    Returns:
        The value; ``None`` where it cannot be read.
    """
    try:
        return read()
    except BadInput as error:
        sentence = f"Not needed and passed over: {error}"
        if sentence not in warnings:
            warnings.append(sentence)
        return None


def _differs(tag: Tag, slices: int, values: int) -> BadInput:
    return BadInput(
        f"{tag} must be the same in all {slices} slices, got {values} different values. Give one "
        "series as the scanner wrote it."
    )


def read_clock(parse: Any, text: str, tag: Tag) -> Any:
    """Parse a clock value, refusing by the name of its tag; the value itself is not shown."""
    try:
        return parse(text)
    except ValueError as error:
        raise BadInput(
            f"{tag} must be a DICOM date or time, and it is malformed or "
            "beyond the years 2 to 9998."
        ) from error


def _one_or_range(values: list[float]) -> float | dict[str, float]:
    if min(values) == max(values):
        return values[0]
    return {"min": min(values), "max": max(values)}


def acquisition_times(tags: Tags) -> list[datetime | None]:
    """Return when the acquisition of each slice began, ``None`` where it is not told."""
    return tags.moments(ACQUISITION_DATE, ACQUISITION_TIME)


def series_offset(tags: Tags) -> timedelta | None:
    """Return the series' Timezone Offset From UTC, ``None`` where it is not told."""
    text = tags.text(TIMEZONE)
    offset: timedelta | None = read_clock(parse_offset, text, TIMEZONE) if text else None
    return offset


def refuse_zone_jump(tags: Tags) -> None:
    """Refuse a series whose clock changed its time zone on the way."""
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
    """Put a moment of :func:`injection_time` with the offset of the series' clock."""
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
