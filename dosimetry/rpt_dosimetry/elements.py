"""The text of one attribute in one header, wherever it stands."""

import re
from collections.abc import Sequence
from typing import Any

from pydicom.uid import UID
from rpt_cohort import BadInput

from rpt_dosimetry.attributes import (
    MODALITY,
    PRIVATE_BLOCKS,
    RADIOPHARMACEUTICAL_INFORMATION,
    SOP_CLASS,
    Tag,
)
from rpt_dosimetry.reading import DICOM_ERRORS, quiet


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


def object_kind(dataset: Any) -> str:
    """Tell what an object is, for an error: modality and SOP class."""
    return kind_told("".join(components(dataset, MODALITY)), components(dataset, SOP_CLASS))


def kind_told(modality: str, sop_classes: Sequence[str]) -> str:
    """Tell modality and SOP classes, ``CT (Enhanced CT Image Storage)``.

    Both in the letters that codes have, and a class by its name or the standard's number: an
    element that was filled wrongly may hold a name.
    """
    known = [one for one in sop_classes if re.fullmatch(r"1\.2\.840\.10008(\.\d{1,6}){1,12}", one)]
    classes = " and ".join(UID(one).name for one in known) or "no SOP class of the standard"
    return f"{re.sub('[^A-Z0-9_ ]', '?', modality)[:16] or 'no modality'} ({classes})"


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
