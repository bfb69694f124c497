"""What the headers of a series tell: values asked for by tag, read in one place and remembered.

A series is asked through ``Tags``: what was asked is kept, so that a result can say which tags
it rests on, and a value that is missing, malformed or at odds between slices is refused by the
name of its tag. Moments, of injection and scan, stay inside: a date names a patient.
"""

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, TypeVar

from rpt_cohort import BadInput

from rpt_dosimetry.dicom import attributes as dcm
from rpt_dosimetry.dicom.reading import (
    Bounds,
    Moment,
    check_bounds,
    components,
    parse_date,
    parse_datetime,
    parse_offset,
    parse_time,
    read_decimal,
)

T = TypeVar("T")
_CODES = re.compile(r"[A-Z0-9_ +.\\-]{1,256}")
DAY = timedelta(days=1)
_LATE_STARTS = 60.0  # s by which the two forms of the injection's time may differ unremarked
_LONG_HALF_LIFE_S = 12 * 3600.0
_LARGEST_WEIGHT_KG = 1000.0  # above it the value is taken as grams
_LEAST_KG, _MOST_KG = 20.0, 400.0  # the bounds of cycle.json
_LARGEST_HEIGHT_M = 3.0  # above it the value is taken as centimetres
# Ours. A small phantom weighs 1 kg; no scanner's table bears 500 kg.
_WEIGHT_BOUNDS = Bounds(1.0, 500.0, "kg")
_HEIGHT_BOUNDS = Bounds(0.3, 2.5, "m")
Sex = Literal["M", "F", "O"]
_SEXES: dict[str, Sex] = {"M": "M", "F": "F", "O": "O"}
_LARGEST_GUESS_MBQ = 3_000.0  # ours: of a PET tracer; more is likely kBq or µCi
_SMALLEST_DOSE_BQ = 1e5  # below it the value is taken as MBq
_DOSE_BOUNDS = Bounds(1e3, 1e12, "Bq")  # ours: from less than a phantom holds to 1 TBq


class Tags:
    """The headers of one series' slices, asked tag by tag."""

    def __init__(self, headers: Sequence[Any]) -> None:
        """Take the pydicom datasets of the slices, in their order along the normal."""
        self.headers = headers
        self._used: dict[dcm.Tag, list[str]] = {}
        self._moments: dict[dcm.Tag, list[datetime]] = {}

    def __len__(self) -> int:
        """Return the number of slices."""
        return len(self.headers)

    def texts(self, tag: dcm.Tag) -> list[str]:
        """Return the text of ``tag`` in each slice, ``""`` where it is missing."""
        found = ["\\".join(components(header, tag)) for header in self.headers]
        if any(found):
            self._used[tag] = found
        return found

    def text(self, tag: dcm.Tag) -> str:
        """Return the one text of ``tag``, ``""`` where it is missing.

        Raises:
            BadInput: It differs between slices.
        """
        found = set(self.texts(tag))
        if len(found) > 1:
            raise _differs(tag, len(self), len(found))
        return found.pop()

    def numbers(self, tag: dcm.Tag) -> list[float] | None:
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

    def number(self, tag: dcm.Tag) -> float | None:
        """Return the one number of ``tag``, ``None`` where it is missing.

        Raises:
            BadInput: It differs between slices, or is not one plausible number.
        """
        found = set(self.numbers(tag) or [])
        if len(found) > 1:
            raise _differs(tag, len(self), len(found))
        return found.pop() if found else None

    def need_numbers(self, tag: dcm.Tag, why: str) -> list[float]:
        """Return the number in each slice, refusing a series that lacks it.

        Raises:
            BadInput: Missing, or not one plausible number.
        """
        found = self.numbers(tag)
        if found is None:
            raise missing(tag, why)
        return found

    def moments(self, date: dcm.Tag, time: dcm.Tag) -> list[datetime | None]:
        """Return date and time of each slice; ``None`` where one of the two is missing."""
        found: list[datetime | None] = []
        for day, clock in zip(self.texts(date), self.texts(time), strict=True):
            if not day or not clock:
                found.append(None)
                continue
            found.append(read_clock(parse_date, day, date) + read_clock(parse_time, clock, time))
        self.remember_moments((date, time), [moment for moment in found if moment is not None])
        return found

    def remember_texts(self, tag: dcm.Tag, texts: list[str]) -> None:
        """Keep the texts of a tag that was read elsewhere."""
        if any(texts):
            self._used[tag] = texts

    def remember_moments(self, tags: Sequence[dcm.Tag], moments: list[datetime]) -> None:
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
            if tag in dcm.CLOCKS:
                moments = self._moments.get(tag, [])
                if injection is not None and moments:
                    seconds = [(moment - injection).total_seconds() for moment in moments]
                    entry["seconds_after_injection"] = _one_or_range(seconds)
            elif tag in dcm.NUMBERS:
                with suppress(BadInput):  # one that was not needed may be malformed
                    entry["value"] = _one_or_range([read_decimal(text, tag) for text in texts])
            elif tag != dcm.RADIOPHARMACEUTICAL and _CODES.fullmatch(texts[0]):
                entry["value"] = texts[0]
            entries.append(entry)
        return entries


def missing(tag: dcm.Tag, why: str) -> BadInput:
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


def _differs(tag: dcm.Tag, slices: int, values: int) -> BadInput:
    return BadInput(
        f"{tag} must be the same in all {slices} slices, got {values} different values. Give one "
        "series as the scanner wrote it."
    )


def read_clock(parse: Any, text: str, tag: dcm.Tag) -> Any:
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


def refuse_zone_jump(tags: Tags) -> None:
    """Refuse a series whose clock changed its time zone on the way."""
    zones = set(tags.texts(dcm.TIMEZONE)) - {""}
    if len(zones) > 1:
        raise BadInput(
            f"{dcm.TIMEZONE} must be one for all slices, and the series tells {len(zones)}: its "
            "clock jumped during the scan. Export the series anew with one time zone."
        )


def series_offset(tags: Tags) -> timedelta | None:
    """Return the series' Timezone Offset From UTC, ``None`` where it is not told."""
    text = tags.text(dcm.TIMEZONE)
    offset: timedelta | None = read_clock(parse_offset, text, dcm.TIMEZONE) if text else None
    return offset


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


def seconds_after(injection: datetime | None, moment: datetime | None) -> float | None:
    """Return the time from injection to a moment, s; ``None`` where one is not told."""
    if injection is None or moment is None:
        return None
    return (moment - injection).total_seconds()


def acquisition_times(tags: Tags) -> list[datetime | None]:
    """Return when the acquisition of each slice began, ``None`` where it is not told."""
    return tags.moments(dcm.ACQUISITION_DATE, dcm.ACQUISITION_TIME)


def need_all(tags: Tags, date: dcm.Tag, time: dcm.Tag) -> list[datetime]:
    """Return date and time of every slice, refusing a series where one lacks them.

    Raises:
        BadInput: One is missing or malformed.
    """
    for tag in (date, time):
        if not all(tags.texts(tag)):
            raise missing(tag, "in every slice to correct for decay")
    return [moment for moment in tags.moments(date, time) if moment is not None]


def mid_scan(tags: Tags) -> datetime | None:
    """Return the middle between the first frame's begin and the last frame's end, if told."""
    acquired = [moment for moment in acquisition_times(tags) if moment is not None]
    if len(acquired) < len(tags) or not all(tags.texts(dcm.FRAME_DURATION)):
        return None
    durations = [timedelta(milliseconds=ms) for ms in tags.numbers(dcm.FRAME_DURATION) or []]
    references_ms = []
    if len(set(acquired)) == 1 and all(tags.texts(dcm.FRAME_REFERENCE_TIME)):
        references_ms = tags.numbers(dcm.FRAME_REFERENCE_TIME) or []
    begins = frame_begins(acquired, references_ms)
    ends = [begin + duration for begin, duration in zip(begins, durations, strict=True)]
    return min(begins) + (max(ends) - min(begins)) / 2


def scan_times(tags: Tags, warnings: list[str]) -> tuple[datetime | None, datetime | None]:
    """Return begin and middle of the scan, for information only."""
    acquired = if_readable(lambda: acquisition_times(tags), warnings)
    if acquired is None:
        return None, None
    begin = min((moment for moment in acquired if moment is not None), default=None)
    return begin, if_readable(lambda: mid_scan(tags), warnings)


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


@dataclass(frozen=True)
class FrameFacts:
    """When the slices were measured, and what two tags tell of their reference time.

    Attributes:
        begins: Of the frames.
        duration_s: Of the frames, s.
        factors: Decay Factor, one a slice; empty where it is not told.
        frame_reference_s: Frame Reference Time, s, one a slice; empty where it is not told.
    """

    begins: list[datetime]
    duration_s: list[float]
    factors: list[float]
    frame_reference_s: list[float]


def read_frames(tags: Tags, acquired: list[datetime], warnings: list[str]) -> FrameFacts:
    """Read the frames of slices whose acquisition times are known.

    Raises:
        BadInput: A frame duration is missing, malformed or not above 0 ms.
    """
    durations_ms = tags.need_numbers(dcm.FRAME_DURATION, "to know when a slice was measured")
    if min(durations_ms) <= 0:
        raise BadInput(f"{dcm.FRAME_DURATION} must be above 0 ms, got {min(durations_ms):g} ms.")
    references_ms = if_readable(lambda: tags.numbers(dcm.FRAME_REFERENCE_TIME), warnings) or []
    factors = if_readable(lambda: tags.numbers(dcm.DECAY_FACTOR), warnings) or []
    return FrameFacts(
        begins=frame_begins(acquired, references_ms),
        duration_s=[one_ms / 1000.0 for one_ms in durations_ms],
        factors=factors,
        frame_reference_s=[one_ms / 1000.0 for one_ms in references_ms],
    )


def frames_if_told(tags: Tags, warnings: list[str]) -> FrameFacts | None:
    """Read the frames for what can do without; ``None`` where no Decay Factor can be judged."""
    for tag in (dcm.ACQUISITION_DATE, dcm.ACQUISITION_TIME, dcm.FRAME_DURATION):
        if not all(tags.texts(tag)):
            return None

    def read() -> FrameFacts:
        return read_frames(
            tags, need_all(tags, dcm.ACQUISITION_DATE, dcm.ACQUISITION_TIME), warnings
        )

    return if_readable(read, warnings)


def ge_scan_times(tags: Tags) -> list[datetime]:
    """Return GE's private scan times; none where a slice lacks it."""
    texts = tags.texts(dcm.GE_SCAN_DATETIME)
    if not all(texts):
        return []
    read = [read_clock(parse_datetime, text, dcm.GE_SCAN_DATETIME) for text in texts]
    offsets = [offset for _, offset in read if offset is not None]
    zone = series_offset(tags) if offsets else None
    return [as_local(written, offset, zone) for written, offset in read]


def injection_time(tags: Tags, warnings: list[str]) -> datetime | None:
    """Find when the radiopharmaceutical was administered.

    Radiopharmaceutical Start DateTime, else Start Time on the series' date; one day
    earlier where that would be after the scan began (an injection before midnight).

    Returns:
        The moment; ``None`` where no tag tells it.

    Raises:
        BadInput: It is malformed, or more than a day after the scan's begin.
    """
    tag, moment = dcm.START_DATETIME, _from_datetime(tags, warnings)
    if moment is None:
        tag, moment = dcm.START_TIME, _from_time(tags)
    if moment is None:
        return None
    moment = _before_scan(moment, tag, tags, warnings)
    tags.remember_moments((dcm.START_DATETIME, dcm.START_TIME), [moment])
    return moment


def administration_moment(tags: Tags, moment: datetime | None) -> Moment | None:
    """Put a moment of :func:`injection_time` with the offset of the series' clock."""
    return None if moment is None else Moment(moment, series_offset(tags))


def _from_datetime(tags: Tags, warnings: list[str]) -> datetime | None:
    start = tags.text(dcm.START_DATETIME)
    if not start:
        return None
    try:
        written, offset = parse_datetime(start)
    except ValueError:
        if not tags.text(dcm.START_TIME):
            read_clock(parse_datetime, start, dcm.START_DATETIME)
        warnings.append(f"{dcm.START_DATETIME} is malformed; {dcm.START_TIME} was used instead.")
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
    date = tags.text(dcm.SERIES_DATE)
    if not date:
        raise missing(dcm.SERIES_DATE, f"to give {dcm.START_TIME} its day")
    midnight: datetime = read_clock(parse_date, date, dcm.SERIES_DATE)
    return midnight + time_of_day


def _time_of_day(tags: Tags) -> timedelta | None:
    clock = tags.text(dcm.START_TIME)
    time_of_day: timedelta | None = read_clock(parse_time, clock, dcm.START_TIME) if clock else None
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
        warnings.append(
            f"{dcm.TIMEZONE} is not told; {dcm.START_DATETIME} was taken as local time."
        )
        return written
    # Start Time is on the local clock: it tells what the offset alone cannot.
    near = [_midnight(written) + time_of_day + days * DAY for days in (-1, 0, 1)]
    return min(near, key=lambda moment: abs(moment - written))


def _compare_forms(moment: datetime, time_of_day: timedelta, warnings: list[str]) -> None:
    apart_s = abs((moment - _midnight(moment) - time_of_day).total_seconds())
    if min(apart_s, DAY.total_seconds() - apart_s) > _LATE_STARTS:
        warnings.append(
            f"{dcm.START_DATETIME} and {dcm.START_TIME} differ by {apart_s:.0f} s; the former was "
            "used."
        )


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def _before_scan(moment: datetime, tag: dcm.Tag, tags: Tags, warnings: list[str]) -> datetime:
    """Move an injection that would follow the scan's begin to the day before."""
    told = _told(tags, dcm.ACQUISITION_DATE, dcm.ACQUISITION_TIME) or _told(
        tags, dcm.SERIES_DATE, dcm.SERIES_TIME
    )
    if not told or moment <= min(told):
        return moment
    if moment - DAY > min(told):
        raise BadInput(
            f"{tag} must be before the scan, and it is {(moment - min(told)).days} days after. "
            "Dates were changed unevenly; export the series anew."
        )
    warnings.append(f"{tag} is after the scan began; the injection was put one day earlier.")
    return moment - DAY


def _told(tags: Tags, date: dcm.Tag, time: dcm.Tag) -> list[datetime]:
    """Return the moments that can be read; whoever needs them all refuses later."""
    moments = if_readable(lambda: tags.moments(date, time), [])
    return [moment for moment in moments or [] if moment is not None]


@dataclass(frozen=True)
class Injection:
    """What was injected.

    Attributes:
        fault: Why ``moment`` could not be read, a sentence; empty where it could or where
            no tag tells it.
    """

    activity_bq: float
    moment: datetime | None
    coded_nuclide: str | None
    fault: str = ""


def read_injection(tags: Tags, warnings: list[str], *, nuclide: str | None) -> Injection:
    """Read what was injected into a PET's patient, and when.

    A time that cannot be read is a fault only where the branch needs it.
    """
    activity_bq = injected_activity_bq(tags, warnings, largest_guess_mbq=_LARGEST_GUESS_MBQ)
    try:
        return Injection(activity_bq, injection_time(tags, warnings), nuclide)
    except BadInput as error:
        return Injection(activity_bq, None, nuclide, fault=str(error))


def injected_activity_bq(tags: Tags, warnings: list[str], *, largest_guess_mbq: float) -> float:
    """Read the injected activity; DICOM gives it with no syringe residual subtracted.

    Args:
        largest_guess_mbq: A value too small for Bq is taken as MBq up to this, MBq.

    Raises:
        BadInput: Missing, not above 0, not plausible, or too small for Bq and too large for MBq.
    """
    dose = tags.number(dcm.DOSE)
    if dose is None:
        raise missing(dcm.DOSE, "to normalise")
    if dose <= 0:
        raise BadInput(f"{dcm.DOSE} must be above 0 Bq, got {dose:g}. Correct the header.")
    if dose < _SMALLEST_DOSE_BQ:
        if dose > largest_guess_mbq:
            raise BadInput(
                f"{dcm.DOSE} must be in Bq, got {dose:g}: too small for Bq, and as MBq above "
                f"{largest_guess_mbq:g} MBq. It is likely in kBq or µCi. Multiply kBq by 1000, or "
                "µCi by 37000, and write the result in Bq."
            )
        warnings.append(f"{dcm.DOSE} is {dose:g}, too small for Bq; it was taken as MBq.")
        dose *= 1e6
    check_bounds(dose, dcm.DOSE, _DOSE_BOUNDS)
    return dose


def warn_of_unknown_day(tags: Tags, life_s: float, warnings: list[str]) -> None:
    """Warn where only a time of day is told and the nuclide lives for days."""
    if not tags.text(dcm.START_DATETIME) and life_s > _LONG_HALF_LIFE_S:
        warnings.append(
            f"{dcm.START_DATETIME} is missing and the half-life is long: an injection on an "
            "earlier day cannot be told from one on the day of the scan."
        )


@dataclass(frozen=True)
class Patient:
    """Body measures."""

    weight_kg: float
    height_cm: float | None
    sex: Sex | None


def read_patient(tags: Tags, warnings: list[str]) -> Patient:
    """Read the body measures.

    Raises:
        BadInput: The weight is missing or not plausible. A height or sex that cannot be
            read counts as not told: no branch needs them.
    """
    height_m = if_readable(lambda: _height_m(tags, warnings), warnings)
    return Patient(
        weight_kg=_weight_kg(tags, warnings),
        height_cm=None if height_m is None else round(height_m * 100.0, 6),
        sex=_SEXES.get((if_readable(lambda: tags.text(dcm.SEX), warnings) or "").upper()),
    )


def _weight_kg(tags: Tags, warnings: list[str]) -> float:
    weight = tags.number(dcm.WEIGHT)
    if weight is None:
        raise missing(dcm.WEIGHT, "to normalise to body weight")
    if weight <= 0:
        raise BadInput(f"{dcm.WEIGHT} must be above 0 kg, got {weight:g}. Correct the header.")
    if weight > _LARGEST_WEIGHT_KG:
        warnings.append(f"{dcm.WEIGHT} is {weight:g}, too large for kg; it was taken as g.")
        weight /= 1000.0
    check_bounds(weight, dcm.WEIGHT, _WEIGHT_BOUNDS)
    if not _LEAST_KG <= weight <= _MOST_KG:
        warnings.append(f"{dcm.WEIGHT} is {weight:g} kg, which is not plausible for an adult.")
    return weight


def _height_m(tags: Tags, warnings: list[str]) -> float | None:
    height = tags.number(dcm.HEIGHT)
    if not height:
        return None
    if height > _LARGEST_HEIGHT_M:
        warnings.append(f"{dcm.HEIGHT} is {height:g}, too large for m; it was taken as cm.")
        height /= 100.0
    check_bounds(height, dcm.HEIGHT, _HEIGHT_BOUNDS)
    return height


def check_corrections(tags: Tags, warnings: list[str]) -> None:
    """Refuse a series without the corrections that make its values quantitative.

    Args:
        warnings: Takes that NORM is not told: some vendors, and SPECT in the PET object,
            leave it out of a normalised series.

    Raises:
        BadInput: Corrected Image lacks ATTN.
    """
    corrections = tags.text(dcm.CORRECTED_IMAGE).upper().split("\\")
    if "ATTN" not in corrections:
        raise BadInput(
            f"{dcm.CORRECTED_IMAGE} must contain ATTN, and it does not: without correction for "
            "attenuation a value is no SUV. Give the corrected series."
        )
    if "NORM" not in corrections:
        warnings.append(
            f"{dcm.CORRECTED_IMAGE} does not contain NORM: make sure that the series is corrected "
            "for detector normalisation, for without it a value is no SUV."
        )


def philips_factor(tags: Tags, tag: dcm.Tag, warnings: list[str]) -> list[float] | None:
    """Return a private factor of Philips, one a slice; ``None`` where it is missing or 0.

    A private tag need not be what it seems; one that is no number leaves the next rule.
    """
    factor = if_readable(lambda: tags.numbers(tag), warnings)
    if factor is None or not any(factor):
        return None
    if min(factor) <= 0:
        raise BadInput(f"{tag} must be above 0 in every slice, got {min(factor):g}.")
    return factor


def decay_correction(tags: Tags, warnings: list[str]) -> str:
    """Read to what the values were corrected for decay.

    Returns:
        ``ADMIN``, ``START`` or ``NONE``.

    Raises:
        BadInput: Missing, or none of the three.
    """
    correction = tags.text(dcm.DECAY_CORRECTION).upper()
    if not correction:
        raise missing(dcm.DECAY_CORRECTION, "to know what the values were corrected to")
    if correction not in ("ADMIN", "START", "NONE"):
        raise BadInput(
            f"{dcm.DECAY_CORRECTION} must be ADMIN, START or NONE, and it is none of them."
        )
    _compare_with_corrected_image(tags, correction, warnings)
    return correction


def _compare_with_corrected_image(tags: Tags, correction: str, warnings: list[str]) -> None:
    decayed = "DECY" in tags.text(dcm.CORRECTED_IMAGE).split("\\")
    if decayed == (correction == "NONE"):
        told = "names DECY" if decayed else "lacks DECY"
        warnings.append(f"{dcm.CORRECTED_IMAGE} {told} and {dcm.DECAY_CORRECTION} is {correction}.")
