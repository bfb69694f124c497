"""Read DICOM files that are not trusted: quietly, and only the attributes asked for.

Attributes that tell who the patient is are never loaded, so that no message can show them.

Source of decimal numbers' form: DICOM PS3.5, 6.2, value representations DS and IS. The bounds are
ours: wide enough for every patient, phantom and scanner met, and narrow enough that a damaged or
invented number is refused by its tag instead of spoiling the arithmetic that follows.
"""

import hashlib
import io
import logging
import os
import re
import struct
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pydicom
from pydicom import config
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.uid import UID
from rpt_cohort import BadInput

from rpt_dosimetry.dicom import attributes as dcm

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

_MAGIC_AT = 128
_HEADER = dcm.header_numbers()
_PIXELS = [*_HEADER, 0x7FE00010]


def is_dicom(path: Path) -> bool:
    """Tell whether a file has the mark of DICOM's file format.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as stream:
        stream.seek(_MAGIC_AT)
        return stream.read(4) == b"DICM"


def read_header(path: Path) -> Any:
    """Read the attributes that a conversion may need, without pixels.

    Raises:
        Exception: One of ``DICOM_ERRORS`` where the file is damaged.
    """
    with quiet():
        return pydicom.dcmread(path, stop_before_pixels=True, specific_tags=_HEADER)


def read_whole(path: Path) -> tuple[Any, str]:
    """Read a file once, with its pixels.

    Returns:
        A pydicom dataset, and the SHA-256 of the file in hex.

    Raises:
        Exception: One of ``DICOM_ERRORS`` where the file is damaged.
    """
    content = path.read_bytes()
    with quiet():
        return (
            pydicom.dcmread(io.BytesIO(content), specific_tags=_PIXELS),
            hashlib.sha256(content).hexdigest(),
        )


def read_object(
    path: Path, tags: Sequence[Any], *, sop_class: str, noun: str, name: str
) -> tuple[Any, str]:
    """Read a file of one class with the attributes asked for.

    Args:
        noun: What a refusal calls it, such as ``a segmentation``.
        name: What its files are called, such as ``SEG``.

    Returns:
        A pydicom dataset, and the SHA-256 of the file in hex.

    Raises:
        BadInput: It is damaged, or of another class; the file's name may hold the patient's and is
            not told.
    """
    try:
        content = path.read_bytes()
        with quiet():
            dataset = pydicom.dcmread(io.BytesIO(content), specific_tags=list(tags))
    except DICOM_ERRORS as error:
        raise BadInput(
            f"The {noun.split(' ', 1)[1]} must be a whole DICOM file that can be read, and it is "
            "not. Copy or export it anew."
        ) from error
    if components(dataset, dcm.SOP_CLASS) != [sop_class]:
        raise BadInput(
            f"{dcm.SOP_CLASS} must be that of {noun}, got {object_kind(dataset)}. Name the {name} "
            "file."
        )
    return dataset, hashlib.sha256(content).hexdigest()


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


@dataclass(frozen=True)
class Bounds:
    """What a value may be.

    Attributes:
        unit: Of both; empty for a pure number.
    """

    low: float
    high: float
    unit: str


BOUNDS: dict[dcm.Tag, Bounds] = {
    dcm.HALF_LIFE: Bounds(1.0, 1e10, "s"),
    dcm.FRAME_DURATION: Bounds(0.0, _DAY_MS, "ms"),
    dcm.FRAME_REFERENCE_TIME: Bounds(-10 * _DAY_MS, 10 * _DAY_MS, "ms"),
    dcm.DECAY_FACTOR: Bounds(1e-6, 1e6, ""),
    dcm.PIXEL_SPACING: Bounds(0.1, 50.0, "mm"),
    dcm.POSITION: Bounds(-1e5, 1e5, "mm"),
    dcm.ORIENTATION: Bounds(-2.0, 2.0, ""),
}
"""Of tags whose unit is never guessed; those of weight, height and dose stand where they are
read."""


def parse_decimal(text: str) -> float:
    """Read one DS or IS value.

    Raises:
        ValueError: Not a decimal number, or beyond what a float holds.
    """
    if _DECIMAL.fullmatch(text) is None or abs(value := float(text)) == float("inf"):
        raise ValueError("a decimal number is written 12.5 or -1.25e+2")
    return value


def read_decimal(text: str, tag: dcm.Tag) -> float:
    """Read one value of ``tag``, refusing by its name; the text itself is not shown.

    Raises:
        BadInput: Not one finite decimal number, or out of the bounds of ``tag``.
    """
    try:
        value = parse_decimal(text)
    except ValueError as error:
        raise BadInput(
            f"{tag} must be one finite number, and it is not. Correct the header."
        ) from error
    if tag in BOUNDS:
        check_bounds(value, tag, BOUNDS[tag])
    return value


def number_of(holder: Any, tag: dcm.Tag) -> float | None:
    """Return the one number of a tag in a dataset; ``None`` where it is missing.

    Raises:
        BadInput: Not one finite decimal number, or out of the bounds of ``tag``.
    """
    texts = components(holder, tag)
    return read_decimal("\\".join(texts), tag) if texts else None


def check_bounds(value: float, tag: dcm.Tag, bounds: Bounds) -> None:
    """Refuse a value that is not plausible."""
    if not bounds.low <= value <= bounds.high:
        unit = f" {bounds.unit}" if bounds.unit else ""
        raise BadInput(
            f"{tag} must be {bounds.low:g} to {bounds.high:g}{unit}, got {value:g}{unit}. "
            "Correct the header."
        )


def components(header: Any, tag: dcm.Tag) -> list[str]:
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


def object_kind(dataset: Any) -> str:
    """Tell what an object is, for an error: modality and SOP class."""
    return kind_told("".join(components(dataset, dcm.MODALITY)), components(dataset, dcm.SOP_CLASS))


def kind_told(modality: str, sop_classes: Sequence[str]) -> str:
    """Tell modality and SOP classes, ``CT (Enhanced CT Image Storage)``.

    Both in the letters that codes have, and a class by its name or the standard's number: an
    element that was filled wrongly may hold a name.
    """
    known = [one for one in sop_classes if re.fullmatch(r"1\.2\.840\.10008(\.\d{1,6}){1,12}", one)]
    classes = " and ".join(UID(one).name for one in known) or "no SOP class of the standard"
    return f"{re.sub('[^A-Z0-9_ ]', '?', modality)[:16] or 'no modality'} ({classes})"


def _radiopharmaceutical(header: Any) -> Any:
    tag = dcm.RADIOPHARMACEUTICAL_INFORMATION
    sequence = header.get((tag.group, tag.element))
    if sequence is None or not sequence.value:
        return None
    if len(sequence.value) > 1:
        raise BadInput(
            f"{tag} must hold one item, got {len(sequence.value)}. A scan of several tracers has "
            "no one SUV."
        )
    return sequence.value[0]


def _private_number(holder: Any, tag: dcm.Tag) -> tuple[int, int] | None:
    """Find a private element by its creator, or at its usual place where no creator is told."""
    for block in dcm.PRIVATE_BLOCKS:
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


Progress = Callable[[Sequence[Path], str], Iterable[Path]]

DIRECTORY_STORAGE = "1.2.840.10008.1.3.10"
_MOST_ORDINALS = 10


def no_progress(paths: Sequence[Path], description: str) -> Iterable[Path]:
    """Yield ``paths`` without telling anybody."""
    return paths


@dataclass(frozen=True)
class DicomFile:
    """One file, its Series Instance UID and its header, which does not name the patient."""

    path: Path
    series_uid: str
    header: Any


@dataclass(frozen=True)
class FolderContent:
    """What a folder holds.

    Attributes:
        images: The DICOM files, in the order of their paths.
        count: Number of files of any kind.
        damaged: Which of them cannot be read, counted from 1 in the order of their paths.
        others: How many are no DICOM file; a DICOMDIR does not count.
        without_series: How many are of no series, and by their class no images, such as a
            segmentation of a writer that left its series out.
    """

    images: list[DicomFile]
    count: int
    damaged: list[int]
    others: int
    without_series: int

    @property
    def damage(self) -> str:
        """What is damaged, a sentence without names; empty where all is whole."""
        if not self.damaged:
            return ""
        told = ", ".join(map(str, self.damaged[:_MOST_ORDINALS]))
        more = ", …" if len(self.damaged) > _MOST_ORDINALS else ""
        return (
            f"Every DICOM file must be whole, and {len(self.damaged)} of {self.count} files are "
            "damaged, empty or, for all their suffix .dcm, no DICOM: in order of path "
            f"{'file' if len(self.damaged) == 1 else 'files'} {told}{more} of {self.count}. Copy "
            "or export the series anew."
        )


def read_folder(folder: Path, *, progress: Progress = no_progress) -> FolderContent:
    """Read the header of every DICOM file below a folder.

    Args:
        folder: The folder; its subfolders are searched too, links to folders are not.

    Returns:
        What it holds. Damaged are files that cannot be opened or parsed, every file
        without content, and files named ``.dcm`` without DICOM's mark: each may have
        been a slice.

    Raises:
        BadInput: No such folder, or a part of it cannot be searched.
    """
    paths = _files_below(folder)
    images: list[DicomFile] = []
    damaged: list[int] = []
    others = without_series = 0
    for ordinal, path in enumerate(progress(paths, "Reading headers"), start=1):
        try:
            if not _should_be_dicom(path):
                others += 1
                continue
            header = read_header(path)
            uid = "".join(components(header, dcm.SERIES_UID))
            if uid:
                images.append(DicomFile(path, uid, header))
            elif _is_no_image(header):
                without_series += 1
            elif not _is_directory(header):
                raise BadInput(f"{dcm.SERIES_UID} must be there, and it is missing.")
        except DICOM_ERRORS:
            damaged.append(ordinal)
    return FolderContent(images, len(paths), damaged, others, without_series)


def _files_below(folder: Path) -> list[Path]:
    """List the files, sorted as ``LC_ALL=C sort`` does, so that an ordinal can be found."""

    def refuse(error: OSError) -> None:
        raise error

    try:
        if folder.is_dir():
            walk = os.walk(folder, onerror=refuse)
            paths = [Path(above, name) for above, _, names in walk for name in names]
            # A pipe would block; a link that leads nowhere may stand for a lost slice.
            kept = [path for path in paths if path.is_file() or not path.exists()]
            return sorted(kept, key=os.fsencode)
    except OSError as error:  # its own message would repeat a file's name
        raise BadInput(
            "The folder must be readable with all its subfolders, and a part of it is not. Check "
            "the permissions."
        ) from error
    what = "it is a file. Name its folder." if folder.is_file() else "there is none. Check it."
    raise BadInput(f"The path must be a folder of DICOM files, and {what}")


def _should_be_dicom(path: Path) -> bool:
    """Tell DICOM from other files, and raise for a file that can only be a lost slice."""
    if is_dicom(path):
        return True
    # "._1.dcm" is what macOS leaves beside "1.dcm" on foreign disks.
    if path.suffix.lower() == ".dcm" and not path.name.startswith("._"):
        raise BadInput("A file named .dcm must have the mark of DICOM.")
    if path.stat().st_size == 0:
        raise BadInput("A file must not be empty.")
    return False


def _is_directory(header: Any) -> bool:
    with quiet():
        return bool(header.file_meta.get("MediaStorageSOPClassUID") == DIRECTORY_STORAGE)


def _is_no_image(header: Any) -> bool:
    """Tell by a class of the standard, such as Segmentation Storage, that it can be no slice."""
    with quiet():
        name = UID("".join(components(header, dcm.SOP_CLASS))).name
    return name.endswith("Storage") and "Image Storage" not in name


def items(holder: Any, sequence: dcm.Tag) -> list[Any]:
    """Return the items of a sequence; none where it is missing or empty.

    Raises:
        BadInput: It is no sequence.
    """
    try:
        with quiet():
            element = holder.get((sequence.group, sequence.element))
            found = [] if element is None or element.value is None else list(element.value)
            if all(isinstance(item, pydicom.Dataset) for item in found):
                return found
    except DICOM_ERRORS:
        pass
    raise BadInput(f"{sequence} must be readable, and it is malformed.")


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
