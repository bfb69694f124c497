"""What a series says of its radiopharmaceutical: tracer, nuclide and half-life.

A tracer has one of the contract's names, or is ``unknown``. A wrong name lets a model predict
from a tracer it was not trained on; ``unknown`` only makes a person look. So the ligand must be
written out and must fit the nuclide.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from rpt_cohort import BadInput
from rpt_cohort.schema import OTHER_LIGANDS, THERAPIES, TRACERS, Tracer

from rpt_dosimetry.dicom.header import PetHeader
from rpt_dosimetry.dicom.reading import shown
from rpt_dosimetry.radiation.nuclide import check_half_life, nuclide_in_text

_SPELLED = {
    **{one.ligand: re.compile(one.spelled) for one in (*TRACERS.values(), *THERAPIES.values())},
    **{ligand: re.compile(spelled) for ligand, spelled in OTHER_LIGANDS.items()},
}


def known_tracer(name: str | None) -> Tracer | None:
    """Check a tracer that a user names."""
    if name is not None and name not in TRACERS:
        raise BadInput(f"The tracer must be one of {', '.join(TRACERS)}, got '{name}'.")
    return name


def named_ligands(*, texts: Iterable[str], codes: Iterable[str]) -> set[str]:
    """Return the ligands that the texts and codes of a header write out.

    Args:
        texts: Radiopharmaceutical (0018,0031) and the meanings of its codes.
        codes: The values of the Radiopharmaceutical Code Sequence.
    """
    ligands = {one.ligand for one in TRACERS.values() if set(one.codes) & set(codes)}
    for text in texts:
        plain = re.sub(r"[^A-Z0-9]", "", text.upper())
        ligands |= {name for name, pattern in _SPELLED.items() if pattern.search(plain)}
    return ligands


def name_tracer(*, texts: Iterable[str], codes: Iterable[str], nuclide: str | None) -> Tracer:
    """Name the tracer.

    Returns:
        One of the contract's names. ``unknown`` where no ligand or more than one is
        named, where it does not fit the nuclide, or where only "PSMA" is written:
        Ga-68 also labels PSMA-617 and PSMA-I&T, F-18 several more.
    """
    ligands = named_ligands(texts=texts, codes=codes)
    if len(ligands) != 1 or nuclide is None:
        return "unknown"
    told = (nuclide, ligands.pop())
    return next((n for n, one in TRACERS.items() if (one.nuclide, one.ligand) == told), "unknown")


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


def read_radiopharmaceutical(
    header: PetHeader, *, tracer: Tracer | None = None
) -> Radiopharmaceutical:
    """Name tracer and nuclide.

    Args:
        tracer: As the user tells it; it counts where the header does not name one clearly.

    Returns:
        Tracer, nuclide and half-life. The nuclide is the coded one, else the one whose
        half-life fits.

    Raises:
        BadInput: The codes are malformed, or differ between slices; or the header names
            another tracer, ligand or nuclide than ``tracer``.
    """
    nuclide, warnings = header.coded_nuclide, header.warnings
    life_s = header.if_readable(lambda: header.number("RadionuclideHalfLife"))
    if life_s is not None:
        nuclide, fault = check_half_life(life_s, coded=nuclide)
        if fault:
            warnings.append(f"The half-life was not needed and cannot be right: {fault}")
        elif nuclide is None:
            warnings.append(f"The half-life, {life_s:g} s, is of no nuclide known here.")
    text = header.if_readable(lambda: header.text("Radiopharmaceutical")) or ""
    codes = header.codes(header.slices[0], "RadiopharmaceuticalCodeSequence")
    values = header.remember("RadiopharmaceuticalCodeSequence", [value for value, _ in codes])
    texts = [text, *(meaning for _, meaning in codes)]
    named = name_tracer(texts=texts, codes=values, nuclide=nuclide)
    in_text = nuclide_in_text(text)
    if in_text is not None and in_text != nuclide:
        warnings.append(
            f"{shown('Radiopharmaceutical')} names {in_text}, the series is of {nuclide}."
        )
        named = "unknown"
    if tracer is None or tracer == "unknown":
        if named == "unknown":
            warnings.append(
                "The tracer is unknown: no ligand is written out that fits the nuclide."
            )
        return Radiopharmaceutical(named, None if named == "unknown" else "header", nuclide, life_s)
    _check_told(tracer, named, named_ligands(texts=texts, codes=values), nuclide, life_s)
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
    expected = TRACERS[tracer].nuclide
    if nuclide is not None and nuclide != expected:
        raise BadInput(
            f"The tracer must be of the header's nuclide, {nuclide}, got {tracer}. Name the "
            "tracer that was injected, or correct the header."
        )
    if nuclide is None and life_s is not None:
        _, fault = check_half_life(life_s, coded=expected)
        if fault:
            raise BadInput(
                f"{shown('RadionuclideHalfLife')} must be that of the tracer, {tracer}, {fault}"
            )
    if ligands and TRACERS[tracer].ligand not in ligands:
        raise BadInput(
            f"The tracer must be what the header names, {' or '.join(sorted(ligands))}, got "
            f"{tracer}. Name the tracer that was injected, or correct the header."
        )
