"""What a series says of its radiopharmaceutical: tracer, nuclide and half-life."""

from dataclasses import dataclass
from typing import Any

from rpt_cohort import BadInput
from rpt_cohort.schema import Tracer

from rpt_dosimetry.activity import half_life_s
from rpt_dosimetry.attributes import (
    CODE_MEANING,
    CODE_VALUE,
    PHARMACEUTICAL_CODE,
    RADIONUCLIDE_CODE,
    RADIOPHARMACEUTICAL,
    RADIOPHARMACEUTICAL_INFORMATION,
    Tag,
)
from rpt_dosimetry.nuclides import check_half_life, nuclide_in_text, nuclide_of_code
from rpt_dosimetry.reading import DICOM_ERRORS, quiet
from rpt_dosimetry.tags import Tags, if_readable
from rpt_dosimetry.tracers import name_tracer


@dataclass(frozen=True)
class Radiopharmaceutical:
    """What was labelled with what.

    Attributes:
        tracer: The contract's name, or ``unknown``.
        nuclide: Such as ``F-18``; ``None`` where nothing tells it.
        half_life_s: As the series gives it, s.
    """

    tracer: Tracer
    nuclide: str | None
    half_life_s: float | None


def coded_nuclide(tags: Tags) -> str | None:
    """Read the nuclide from Radionuclide Code Sequence (0054,0300).

    Returns:
        Such as ``F-18``; ``None`` where it is missing or not known here.

    Raises:
        BadInput: The slices name different nuclides.
    """
    codes = {code for header in tags.headers for code in _codes(header, RADIONUCLIDE_CODE)}
    found = {nuclide_of_code(value=value, meaning=meaning) for value, meaning in codes}
    if len(found) > 1:
        raise BadInput(
            f"{RADIONUCLIDE_CODE} must name one nuclide in all slices, and it names several."
        )
    tags.remember_texts(RADIONUCLIDE_CODE, sorted(value for value, _ in codes))
    return found.pop() if found else None


def read_radiopharmaceutical(tags: Tags, warnings: list[str]) -> Radiopharmaceutical:
    """Name tracer and nuclide.

    Args:
        tags: The series.
        warnings: Takes what does not fit together.

    Returns:
        Tracer, nuclide and half-life. The nuclide is the coded one, else the one whose
        half-life fits.

    Raises:
        BadInput: The codes are malformed, or differ between slices.
    """
    nuclide = coded_nuclide(tags)
    life_s = if_readable(lambda: half_life_s(tags), warnings)
    if life_s is not None:
        check = check_half_life(half_life_s=life_s, coded=nuclide)
        nuclide = check.nuclide
        if check.fault:
            warnings.append(f"The half-life was not needed and cannot be right: {check.fault}")
        elif nuclide is None:
            warnings.append(f"The half-life, {life_s:g} s, is of no nuclide known here.")
    return Radiopharmaceutical(_tracer(tags, nuclide, warnings), nuclide, life_s)


def _tracer(tags: Tags, nuclide: str | None, warnings: list[str]) -> Tracer:
    text = if_readable(lambda: tags.text(RADIOPHARMACEUTICAL), warnings) or ""
    codes = _codes(tags.headers[0], PHARMACEUTICAL_CODE)
    values = [value for value, _ in codes]
    tags.remember_texts(PHARMACEUTICAL_CODE, values)
    texts = [text, *(meaning for _, meaning in codes)]
    tracer = name_tracer(texts=texts, codes=values, nuclide=nuclide)
    named = nuclide_in_text(text)
    if named is not None and named != nuclide:
        warnings.append(f"{RADIOPHARMACEUTICAL} names {named}, the series is of {nuclide}.")
        tracer = "unknown"
    if tracer == "unknown":
        warnings.append("The tracer is unknown: no ligand is written out that fits the nuclide.")
    return tracer


def _codes(header: Any, sequence: Tag) -> list[tuple[str, str]]:
    """Return values and meanings of a code sequence of the radiopharmaceutical."""
    try:
        with quiet():
            items = [
                code
                for item in _items(header, RADIOPHARMACEUTICAL_INFORMATION)
                for code in _items(item, sequence)
            ]
            return [(_text(code, CODE_VALUE), _text(code, CODE_MEANING)) for code in items]
    except DICOM_ERRORS as error:
        raise BadInput(f"{sequence} must be readable, and it is malformed.") from error


def _items(holder: Any, sequence: Tag) -> list[Any]:
    element = holder.get((sequence.group, sequence.element))
    return [] if element is None or element.value is None else list(element.value)


def _text(code: Any, tag: Tag) -> str:
    element = code.get((tag.group, tag.element))
    return "" if element is None else str(element.value).strip()
