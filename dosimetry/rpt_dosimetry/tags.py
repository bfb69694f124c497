"""Values of DICOM headers, asked for by tag and remembered.

A series is asked through ``Tags``: what was asked is kept, so that a result can say which
tags it rests on, and a value that is missing, malformed or at odds between slices is
refused by the name of its tag.
"""

import math
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from rpt_cohort import BadInput

from rpt_dosimetry.attributes import (
    CLOCKS,
    NUMBERS,
    PRIVATE_BLOCKS,
    RADIOPHARMACEUTICAL,
    RADIOPHARMACEUTICAL_INFORMATION,
    Tag,
)
from rpt_dosimetry.clock import parse_date, parse_time
from rpt_dosimetry.reading import DICOM_ERRORS, quiet

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
            BadInput: Some slices lack it, or a value is not one finite number.
        """
        found = self.texts(tag)
        if not any(found):
            return None
        if not all(found):
            raise BadInput(
                f"{tag} must be in all {len(self)} slices, and it is missing in "
                f"{found.count('')} of them."
            )
        return [_number(text, tag) for text in found]

    def number(self, tag: Tag) -> float | None:
        """Return the one number of ``tag``, ``None`` where it is missing.

        Raises:
            BadInput: It differs between slices, or is not one finite number.
        """
        found = set(self.numbers(tag) or [])
        if len(found) > 1:
            raise _differs(tag, len(self), len(found))
        return found.pop() if found else None

    def need_numbers(self, tag: Tag, why: str) -> list[float]:
        """Return the number in each slice, refusing a series that lacks it.

        Raises:
            BadInput: Missing, or not one finite number.
        """
        found = self.numbers(tag)
        if found is None:
            raise missing(tag, why)
        return found

    def moments(self, date: Tag, time: Tag) -> list[datetime | None]:
        """Return date and time of each slice; ``None`` where one of the two is missing.

        Raises:
            BadInput: A date or time is malformed.
        """
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

        Args:
            injection: When the radiopharmaceutical was administered.

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
                if all(texts):
                    entry["value"] = _one_or_range([_number(text, tag) for text in texts])
            elif tag != RADIOPHARMACEUTICAL and _CODES.fullmatch(texts[0]):
                entry["value"] = texts[0]
            entries.append(entry)
        return entries


def components(header: Any, tag: Tag) -> list[str]:
    """Return the values of one tag in one header as stripped text; none where it is missing.

    Raises:
        BadInput: Its bytes cannot be read, or two radiopharmaceuticals are told.
    """
    try:
        holder = _radiopharmaceutical(header) if tag.in_radiopharmaceutical else header
        number = _private_number(holder, tag) if tag.creator else (tag.group, tag.element)
        if holder is None or number is None or number not in holder:
            return []
        with quiet():
            value = holder[number].value
        if isinstance(value, bytes):
            value = value.decode("latin-1")
        if value is None:
            return []
        parts = value.split("\\") if isinstance(value, str) else _as_list(value)
        stripped = [str(part).strip(" \0\t\r\n") for part in parts]
    except DICOM_ERRORS as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(f"{tag} must be readable, and it is malformed.") from error
    return stripped if any(stripped) else []


def missing(tag: Tag, why: str) -> BadInput:
    """Make the refusal of a series that lacks ``tag``."""
    return BadInput(f"{tag} must be there {why}, and it is missing. Export the series anew.")


def _differs(tag: Tag, slices: int, values: int) -> BadInput:
    return BadInput(
        f"{tag} must be the same in all {slices} slices, got {values} different values. Give one "
        "series as the scanner wrote it."
    )


def read_clock(parse: Any, text: str, tag: Tag) -> Any:
    """Parse a clock value, refusing by the name of its tag; the value itself is not shown.

    Raises:
        BadInput: Malformed.
    """
    try:
        return parse(text)
    except (ValueError, OverflowError) as error:
        raise BadInput(f"{tag} must be a DICOM date or time, and it is malformed.") from error


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


def _radiopharmaceutical(header: Any) -> Any:
    tag = RADIOPHARMACEUTICAL_INFORMATION
    sequence = header.get((tag.group, tag.element))
    if sequence is None or not sequence.value:
        return None
    if len(sequence.value) > 1:
        raise BadInput(
            f"{tag} must hold one item, got {len(sequence.value)}. A scan of several tracers has "
            "no one SUV."
        )
    return sequence.value[0]


def _private_number(holder: Any, tag: Tag) -> tuple[int, int] | None:
    """Find a private element by its creator, or at its usual place where no creator is told."""
    for block in PRIVATE_BLOCKS:
        creator = holder.get((tag.group, block))
        if creator is not None and str(creator.value).strip(" \0") == tag.creator:
            return tag.group, tag.element_in(block)
    # Gateways and de-identifiers drop creators and keep the element; 0x10 is where both
    # vendors put it. A block that another creator has reserved is not ours to read.
    return None if (tag.group, 0x10) in holder else (tag.group, tag.element)


def _as_list(value: Any) -> list[Any]:
    return (
        [value] if isinstance(value, int | float) or not hasattr(value, "__iter__") else list(value)
    )


def _number(text: str, tag: Tag) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise BadInput(f"{tag} must be one finite number, and it is not. Correct the header.")
    return value


def _one_or_range(values: list[float]) -> float | dict[str, float]:
    if min(values) == max(values):
        return values[0]
    return {"min": min(values), "max": max(values)}
