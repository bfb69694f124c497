"""Values of DICOM headers, asked for by tag and remembered.

A series is asked through ``Tags``: what was asked is kept, so that a result can say which
tags it rests on, and a value that is missing, malformed or at odds between slices is
refused by the name of its tag.
"""

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, TypeVar

from rpt_cohort import BadInput

from rpt_dosimetry.attributes import CLOCKS, NUMBERS, RADIOPHARMACEUTICAL, Tag
from rpt_dosimetry.clock import parse_date, parse_time
from rpt_dosimetry.decimals import read_decimal
from rpt_dosimetry.elements import components

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

    Args:
        read: Asks for the value.
        warnings: Takes the fault.

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
    """Parse a clock value, refusing by the name of its tag; the value itself is not shown.

    Raises:
        BadInput: Malformed.
    """
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
