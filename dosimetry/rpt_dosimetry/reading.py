"""Read DICOM files that are not trusted: quietly, and only the attributes asked for.

Attributes that tell who the patient is are never loaded, so that no message can show them.
"""

import hashlib
import io
import logging
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pydicom
from pydicom import config
from pydicom.errors import BytesLengthException, InvalidDicomError

from rpt_dosimetry.attributes import header_numbers

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
_HEADER = header_numbers()
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

    Returns:
        A pydicom dataset.

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
