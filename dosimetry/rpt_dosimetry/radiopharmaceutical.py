"""What a series says of its radiopharmaceutical: tracer, nuclide and half-life."""

from dataclasses import dataclass
from typing import Any, Literal

from rpt_cohort import BadInput
from rpt_cohort.schema import Tracer

from rpt_dosimetry.activity import half_life_s
from rpt_dosimetry.attributes import (
    CODE_MEANING,
    CODE_VALUE,
    HALF_LIFE,
    PHARMACEUTICAL_CODE,
    RADIONUCLIDE_CODE,
    RADIOPHARMACEUTICAL,
    RADIOPHARMACEUTICAL_INFORMATION,
    Tag,
)
from rpt_dosimetry.nuclides import check_half_life, nuclide_in_text, nuclide_of_code
from rpt_dosimetry.reading import DICOM_ERRORS, quiet
from rpt_dosimetry.tags import Tags, if_readable
from rpt_dosimetry.tracers import LIGAND_OF, NUCLIDE_OF, name_tracer, named_ligands


@dataclass(frozen=True)
class Radiopharmaceutical:
    """What was labelled with what.

    Attributes:
        tracer: The contract's name, or ``unknown``.
        tracer_told_by: Who named it; ``None`` where it is unknown.
        nuclide: Such as ``F-18``; ``None`` where nothing tells it.
        half_life_s: As the series gives it, s.
    """

    tracer: Tracer
    tracer_told_by: Literal["header", "user"] | None
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


def read_radiopharmaceutical(
    tags: Tags, warnings: list[str], *, tracer: Tracer | None = None
) -> Radiopharmaceutical:
    """Name tracer and nuclide.

    Args:
        tags: The series.
        warnings: Takes what does not fit together.
        tracer: As the user tells it; it counts where the header does not name one clearly.

    Returns:
        Tracer, nuclide and half-life. The nuclide is the coded one, else the one whose
        half-life fits.

    Raises:
        BadInput: The codes are malformed, or differ between slices; or the header names
            another tracer, ligand or nuclide than ``tracer``.
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
    named, ligands = _named(tags, nuclide, warnings)
    if tracer is None or tracer == "unknown":
        if named == "unknown":
            warnings.append(
                "The tracer is unknown: no ligand is written out that fits the nuclide."
            )
        return Radiopharmaceutical(named, None if named == "unknown" else "header", nuclide, life_s)
    _check_told(tracer, named, ligands, nuclide, life_s)
    if named == "unknown":
        warnings.append(f"The tracer is {tracer} as told; the header names none clearly.")
    return Radiopharmaceutical(tracer, "header" if named == tracer else "user", nuclide, life_s)


def _check_told(
    tracer: Tracer, named: Tracer, ligands: set[str], nuclide: str | None, life_s: float | None
) -> None:
    """Refuse a tracer that is not what the header tells, as far as it does."""
    if named not in ("unknown", tracer):
        raise BadInput(
            f"The tracer must be what the header names, {named}, got {tracer}. Leave it out."
        )
    expected = NUCLIDE_OF[tracer]
    if nuclide is not None and nuclide != expected:
        raise BadInput(
            f"The tracer must be of the header's nuclide, {nuclide}, got {tracer}. Name the "
            "tracer that was injected, or correct the header."
        )
    if nuclide is None and life_s is not None:
        fault = check_half_life(half_life_s=life_s, coded=expected).fault
        if fault:
            raise BadInput(f"{HALF_LIFE} must be that of the tracer, {tracer}, {fault}")
    if ligands and LIGAND_OF[tracer] not in ligands:
        raise BadInput(
            f"The tracer must be what the header names, {' or '.join(sorted(ligands))}, got "
            f"{tracer}. Name the tracer that was injected, or correct the header."
        )


def _named(tags: Tags, nuclide: str | None, warnings: list[str]) -> tuple[Tracer, set[str]]:
    """Return the tracer that the header names, or ``unknown``, and the ligands in it."""
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
    return tracer, named_ligands(texts=texts, codes=values)


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
