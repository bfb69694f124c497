"""Read DICOM files and headers that are not trusted: quietly, and only the attributes asked for.

Attributes that tell who the patient is are never loaded, so that no message can show them. An
attribute goes by its keyword in pydicom's dictionary, a private one by its row of ``vendors``.
A series is asked through ``Header``: what was asked is kept, so that a result can say which
attributes it rests on. Moments, of injection and scan, stay inside: a date names a patient.

Source of decimal numbers' form: DICOM PS3.5, 6.2, value representations DS and IS. The bounds are
ours: wide enough for every patient, phantom and scanner met, and narrow enough that a damaged or
invented number is refused by its tag instead of spoiling the arithmetic that follows.
"""

import hashlib
import io
import logging
import re
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pydicom
from pydicom import config
from pydicom.datadict import dictionary_description, dictionary_VR, tag_for_keyword
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.tag import Tag
from pydicom.uid import UID
from rpt_cohort import BadInput

T = TypeVar("T")

DICOM_ERRORS: tuple[type[Exception], ...] = (
    InvalidDicomError,
    BytesLengthException,
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
"""What pydicom and its decoders raise for damaged files; they have no common base."""


@dataclass(frozen=True)
class Private:
    """A vendor's private attribute.

    Attributes:
        element: Its element number in the first block, 0x10ee.
        creator: The private creator.
        neutral: Of a scaling, the value at which it changes nothing.
    """

    name: str
    group: int
    element: int
    creator: str
    vr: str = "DS"
    neutral: float | None = None

    def key_in(self, holder: Any) -> tuple[int, int] | None:
        """Find it by its creator, or at its usual place where no creator is told."""
        for block in _PRIVATE_BLOCKS:
            creator = holder.get((self.group, block))
            if creator is not None and str(creator.value).strip(" \0") == self.creator:
                return self.group, (block << 8) | (self.element & 0xFF)
        # Gateways and de-identifiers drop creators and keep the element; 0x10 is where both
        # vendors put it. A block that another creator has reserved is not ours to read.
        return None if (self.group, 0x10) in holder else (self.group, self.element)

    def to_load(self) -> list[int]:
        """Return the numbers of all places where it, and its creator, may stand."""
        blocks = [(block << 8) | (self.element & 0xFF) for block in _PRIVATE_BLOCKS]
        return [(self.group << 16) | element for element in (*_PRIVATE_BLOCKS, *blocks)]


Attribute = str | Private
_PRIVATE_BLOCKS = range(0x10, 0x20)  # where a creator may stand; vendors use the first few only
_OF_RADIOPHARMACEUTICAL = frozenset(
    {
        *("RadionuclideTotalDose", "RadionuclideHalfLife", "Radiopharmaceutical"),
        *("RadiopharmaceuticalStartTime", "RadiopharmaceuticalStartDateTime"),
    }
)
"""These stand in the one item of the Radiopharmaceutical Information Sequence."""


def shown(attribute: Attribute) -> str:
    """Name an attribute in a sentence: ``Patient's Weight (0010,1030)``."""
    if isinstance(attribute, Private):
        return f"{attribute.name} {number_of_tag(attribute)}"
    return f"{dictionary_description(attribute)} {number_of_tag(attribute)}"


def number_of_tag(attribute: Attribute) -> str:
    """Return group and element, ``(0054,1001)``."""
    if isinstance(attribute, Private):
        return f"({attribute.group:04X},{attribute.element:04X})"
    return str(Tag(tag_for_keyword(attribute) or 0)).upper().replace(", ", ",")


def is_dicom(path: Path) -> bool:
    """Tell whether a file has the mark of DICOM's file format.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as stream:
        stream.seek(128)
        return stream.read(4) == b"DICM"


def read_whole(path: Path, to_load: Sequence[int | str]) -> tuple[Any, str]:
    """Read a file once, with the attributes asked for and no other.

    Returns:
        A pydicom dataset, and the SHA-256 of the file in hex.

    Raises:
        Exception: One of ``DICOM_ERRORS`` where the file is damaged.
    """
    content = path.read_bytes()
    with quiet():
        dataset = pydicom.dcmread(io.BytesIO(content), specific_tags=list(to_load))
    return dataset, hashlib.sha256(content).hexdigest()


def read_object(
    path: Path, sop_class: str, noun: str, *, to_load: Sequence[int | str], remedy: str = ""
) -> tuple[Any, str]:
    """Read a single object of one class.

    Args:
        noun: What a refusal calls it, such as ``a segmentation``.
        to_load: The attributes to load, besides class and modality.
        remedy: What to do about an object of another class.

    Returns:
        A pydicom dataset, and the SHA-256 of the file in hex.

    Raises:
        BadInput: It is damaged, or of another class; the file's name may hold the patient's and is
            not told.
    """
    what = noun.split(" ", 1)[1]
    try:
        if path.is_dir() or not path.exists():
            told = "it is a folder" if path.is_dir() else "there is no such file"
            raise BadInput(f"The {what} must be a whole DICOM file, and {told}. Check the path.")
        dataset, sha256 = read_whole(path, ["SOPClassUID", "Modality", *to_load])
        cut_off = "PixelData" in to_load and "PixelData" not in dataset
        if cut_off and not text_of(dataset, "Modality"):
            raise EOFError("cut off in the header, which pydicom passes over")
    except DICOM_ERRORS as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(
            f"The {what} must be a whole DICOM file that can be read, and it is "
            "not. Copy or export it anew."
        ) from error
    if components(dataset, "SOPClassUID") != [sop_class]:
        raise BadInput(
            f"{shown('SOPClassUID')} must be that of {noun}, got {object_kind(dataset)}. {remedy}"
        )
    return dataset, sha256


@contextmanager
def quiet() -> Iterator[None]:
    """Hold pydicom's warnings back: they quote values, and a value may be a name."""
    logger = logging.getLogger("pydicom")
    before = logger.disabled, config.settings.reading_validation_mode
    logger.disabled, config.settings.reading_validation_mode = True, config.IGNORE
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled, config.settings.reading_validation_mode = before


# Python's float() takes more: "1_000", "inf" and other scripts' digits.
_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_DAY_MS = 86_400_000.0
BOUNDS: dict[Attribute, tuple[float, float, str]] = {
    "RadionuclideHalfLife": (1.0, 1e10, "s"),
    "ActualFrameDuration": (0.0, _DAY_MS, "ms"),
    "FrameReferenceTime": (-10 * _DAY_MS, 10 * _DAY_MS, "ms"),
    "DecayFactor": (1e-6, 1e6, ""),
    "PixelSpacing": (0.1, 50.0, "mm"),
    "ImagePositionPatient": (-1e5, 1e5, "mm"),
    "ImageOrientationPatient": (-2.0, 2.0, ""),
}
"""From, to and unit, of attributes whose unit is never guessed; those of weight, height and dose
stand where they are read."""


def parse_decimal(text: str) -> float:
    """Read one DS or IS value.

    Raises:
        ValueError: Not a decimal number, or beyond what a float holds.
    """
    if _DECIMAL.fullmatch(text) is None or abs(value := float(text)) == float("inf"):
        raise ValueError("a decimal number is written 12.5 or -1.25e+2")
    return value


def read_decimal(text: str, attribute: Attribute) -> float:
    """Read one value, refusing by the attribute's name; the text itself is not shown.

    Raises:
        BadInput: Not one finite decimal number, or out of its bounds.
    """
    try:
        value = parse_decimal(text)
    except ValueError as error:
        raise BadInput(
            f"{shown(attribute)} must be one finite number, and it is not. Correct the header."
        ) from error
    if attribute in BOUNDS:
        check_bounds(value, attribute, BOUNDS[attribute])
    return value


def check_bounds(value: float, attribute: Attribute, bounds: tuple[float, float, str]) -> None:
    """Refuse a value that is not plausible."""
    low, high, unit = bounds
    if not low <= value <= high:
        unit = f" {unit}" if unit else ""
        raise BadInput(
            f"{shown(attribute)} must be {low:g} to {high:g}{unit}, got {value:g}{unit}. "
            "Correct the header."
        )


def number_of(holder: Any, attribute: Attribute) -> float | None:
    """Return the one number in a dataset; ``None`` where it is missing.

    Raises:
        BadInput: Not one finite decimal number, or out of its bounds.
    """
    texts = components(holder, attribute)
    return read_decimal("\\".join(texts), attribute) if texts else None


def numbers_of(holder: Any, attribute: Attribute, count: int) -> list[float] | None:
    """Return so many numbers of a dataset; ``None`` where they are missing.

    Raises:
        BadInput: Of another count, or one is no finite decimal number or out of its bounds.
    """
    texts = components(holder, attribute)
    if texts and len(texts) != count:
        raise BadInput(
            f"{shown(attribute)} must be {count} numbers, got {len(texts)}. Correct the header."
        )
    return [read_decimal(text, attribute) for text in texts] or None


def components(holder: Any, attribute: Attribute) -> list[str]:
    """Return the values of one attribute in one header as stripped text; none where it is missing.

    Raises:
        BadInput: Its bytes cannot be read, or two radiopharmaceuticals are told.
    """
    try:
        if attribute in _OF_RADIOPHARMACEUTICAL:
            holder = _radiopharmaceutical(holder)
        key = attribute.key_in(holder) if isinstance(attribute, Private) else attribute
        if holder is None or key is None or key not in holder:
            return []
        with quiet():
            value = holder[key].value
        if isinstance(value, bytes):
            value = value.decode("latin-1")
        if value is None:
            return []
        parts = value.split("\\") if isinstance(value, str) else _as_list(value)
        stripped = [str(part).strip(" \0\t\r\n") for part in parts]
    except DICOM_ERRORS as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(f"{shown(attribute)} must be readable, and it is malformed.") from error
    return stripped if any(stripped) else []


def text_of(holder: Any, attribute: Attribute) -> str:
    """Return the values of one attribute in one header as one text."""
    return "".join(components(holder, attribute))


def items(holder: Any, sequence: str) -> list[Any]:
    """Return the items of a sequence; none where it is missing or empty.

    Raises:
        BadInput: It is no sequence.
    """
    try:
        with quiet():
            found = list(holder.get(sequence) or [])
            if all(isinstance(item, pydicom.Dataset) for item in found):
                return found
    except DICOM_ERRORS:
        pass
    raise BadInput(f"{shown(sequence)} must be readable, and it is malformed.")


def object_kind(dataset: Any) -> str:
    """Tell what an object is, for an error: modality and SOP class."""
    return kind_told(text_of(dataset, "Modality"), components(dataset, "SOPClassUID"))


def kind_told(modality: str, sop_classes: Sequence[str]) -> str:
    """Tell modality and SOP classes, ``CT (Enhanced CT Image Storage)``.

    Both in the letters that codes have, and a class by its name or the standard's number: an
    element that was filled wrongly may hold a name.
    """
    known = [one for one in sop_classes if re.fullmatch(r"1\.2\.840\.10008(\.\d{1,6}){1,12}", one)]
    classes = " and ".join(UID(one).name for one in known) or "no SOP class of the standard"
    return f"{re.sub('[^A-Z0-9_ ]', '?', modality)[:16] or 'no modality'} ({classes})"


def _radiopharmaceutical(header: Any) -> Any:
    told = header.get("RadiopharmaceuticalInformationSequence")
    if told and len(told) > 1:
        raise BadInput(
            f"{shown('RadiopharmaceuticalInformationSequence')} must hold one item, got "
            f"{len(told)}. A scan of several tracers has no one SUV."
        )
    return told[0] if told else None


def _as_list(value: Any) -> list[Any]:
    return (
        [value] if isinstance(value, int | float) or not hasattr(value, "__iter__") else list(value)
    )


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


class Header:
    """The headers of one series' slices, asked attribute by attribute.

    Attributes:
        slices: pydicom datasets, in their order along the normal.
        warnings: What is to be told of them.
    """

    def __init__(self, slices: Sequence[Any], warnings: list[str] | None = None) -> None:
        self.slices = slices
        self.warnings: list[str] = [] if warnings is None else warnings
        self._used: dict[Attribute, list[str]] = {}
        self._moments: dict[Attribute, list[datetime]] = {}

    def __len__(self) -> int:
        """Return the number of slices."""
        return len(self.slices)

    def texts(self, attribute: Attribute) -> list[str]:
        """Return the text in each slice, ``""`` where it is missing."""
        return self.remember(
            attribute, ["\\".join(components(one, attribute)) for one in self.slices]
        )

    def remember(self, attribute: Attribute, texts: list[str]) -> list[str]:
        """Keep the texts of an attribute, also of one that was read elsewhere."""
        if any(texts):
            self._used[attribute] = texts
        return texts

    def text(self, attribute: Attribute) -> str:
        """Return the one text of all slices, ``""`` where it is missing.

        Raises:
            BadInput: It differs between slices.
        """
        return self._one(attribute, set(self.texts(attribute)))

    def numbers(self, attribute: Attribute, why: str = "") -> list[float]:
        """Return the number in each slice, none where every slice lacks it.

        Args:
            why: What it is needed for; a series that lacks it is then refused.

        Raises:
            BadInput: Some slices lack it, or a value is not one plausible number.
        """
        found = self.texts(attribute)
        if not any(found):
            if why:
                raise missing(attribute, why)
            return []
        if not all(found):
            raise BadInput(
                f"{shown(attribute)} must be in all {len(self)} slices, and it is missing in "
                f"{found.count('')} of them."
            )
        return [read_decimal(text, attribute) for text in found]

    def number(self, attribute: Attribute) -> float | None:
        """Return the one number of all slices, ``None`` where it is missing.

        Raises:
            BadInput: It differs between slices, or is not one plausible number.
        """
        found = set(self.numbers(attribute))
        return self._one(attribute, found) if found else None

    def _one(self, attribute: Attribute, values: set[T]) -> T:
        if len(values) > 1:
            raise BadInput(
                f"{shown(attribute)} must be the same in all {len(self)} slices, got "
                f"{len(values)} different values. Give one series as the scanner wrote it."
            )
        return values.pop()

    def moments(self, kind: str) -> list[datetime | None]:
        """Return date and time of each slice; ``None`` where one of the two is missing.

        Args:
            kind: ``Series`` or ``Acquisition``.
        """
        pair = (f"{kind}Date", f"{kind}Time")
        found = [
            read_clock(parse_date, day, pair[0]) + read_clock(parse_time, clock, pair[1])
            if day and clock
            else None
            for day, clock in zip(*map(self.texts, pair), strict=True)
        ]
        self.remember_moments(pair, [moment for moment in found if moment is not None])
        return found

    def remember_moments(self, attributes: Sequence[Attribute], moments: list[datetime]) -> None:
        """Keep the moment that clocks stand for, to tell it relative to the injection."""
        if moments:
            self._moments.update(dict.fromkeys(attributes, moments))

    @property
    def zone(self) -> timedelta | None:
        """Timezone Offset From UTC, ``None`` where it is not told."""
        text = self.text("TimezoneOffsetFromUTC")
        return read_clock(parse_offset, text, "TimezoneOffsetFromUTC") if text else None

    def if_readable(self, read: Callable[[], T]) -> T | None:
        """Read what the conversion can do without: a fault becomes a warning.

        Returns:
            The value; ``None`` where it cannot be read.
        """
        try:
            return read()
        except BadInput as error:
            sentence = f"Not needed and passed over: {error}"
            if sentence not in self.warnings:
                self.warnings.append(sentence)
            return None

    def record(self, injection: datetime | None) -> list[dict[str, Any]]:
        """List every attribute asked for and found.

        Dates and times tell who the patient is; they are given in seconds after the
        injection only, and not at all where the injection's time is not known. Free text
        is not repeated, for the same reason.

        Returns:
            One mapping an attribute: ``tag``, ``name``, and ``value`` or
            ``seconds_after_injection``.
        """
        entries: list[dict[str, Any]] = []
        for attribute, texts in self._used.items():
            entry: dict[str, Any] = {"tag": number_of_tag(attribute)}
            entry["name"] = shown(attribute).removesuffix(f" {entry['tag']}")
            vr = attribute.vr if isinstance(attribute, Private) else dictionary_VR(attribute)
            if vr in ("DA", "TM", "DT"):
                moments = self._moments.get(attribute, [])
                if injection is not None and moments:
                    seconds = [(moment - injection).total_seconds() for moment in moments]
                    entry["seconds_after_injection"] = _one_or_range(seconds)
            elif vr in ("DS", "IS", "US"):
                with suppress(BadInput):  # one that was not needed may be malformed
                    entry["value"] = _one_or_range([read_decimal(one, attribute) for one in texts])
            elif attribute != "Radiopharmaceutical" and _CODES.fullmatch(texts[0]):
                entry["value"] = texts[0]
            entries.append(entry)
        return entries


_CODES = re.compile(r"[A-Z0-9_ +.\\-]{1,256}")


def missing(attribute: Attribute, why: str) -> BadInput:
    """Make the refusal of a series that lacks an attribute."""
    return BadInput(
        f"{shown(attribute)} must be there {why}, and it is missing. Export the series anew."
    )


def read_clock(parse: Callable[[str], T], text: str, attribute: Attribute) -> T:
    """Parse a clock value, refusing by its name; the value itself is not shown."""
    try:
        return parse(text)
    except ValueError as error:
        raise BadInput(
            f"{shown(attribute)} must be a DICOM date or time, and it is malformed or "
            "beyond the years 2 to 9998."
        ) from error


def _one_or_range(values: list[float]) -> float | dict[str, float]:
    if min(values) == max(values):
        return values[0]
    return {"min": min(values), "max": max(values)}
