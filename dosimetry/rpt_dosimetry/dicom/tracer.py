"""What a series says of its radiopharmaceutical: tracer, nuclide and half-life.

A tracer has one of the contract's names, or is ``unknown``. A wrong name lets a model predict
from a tracer it was not trained on; ``unknown`` only makes a person look. So the ligand must be
written out and must fit the nuclide.

Source of the half-lives: ICRP Publication 107 (2008).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from rpt_cohort import BadInput
from rpt_cohort.schema import Tracer

from rpt_dosimetry.dicom import attributes as dcm
from rpt_dosimetry.dicom.header import (
    Tags,
    if_readable,
    missing,
)
from rpt_dosimetry.dicom.reading import components, items

_MIN, _H, _D = 60.0, 3600.0, 86400.0

HALF_LIFE_S: dict[str, float] = {
    "C-11": 20.39 * _MIN,
    "N-13": 9.965 * _MIN,
    "O-15": 122.24,
    "F-18": 109.77 * _MIN,
    "Sc-44": 3.97 * _H,
    "Cu-64": 12.700 * _H,
    "Ga-68": 67.71 * _MIN,
    "Rb-82": 1.273 * _MIN,
    "Zr-89": 78.41 * _H,
    "Y-90": 64.10 * _H,
    "I-124": 4.1760 * _D,
    "I-131": 8.02070 * _D,
    "Tb-161": 6.906 * _D,
    "Lu-177": 6.647 * _D,
}
"""Nuclide → physical half-life, s."""

LARGEST_DEVIATION = 0.05
"""Relative; values in use for one nuclide differ by less than 2 %, and Tb-161 and Lu-177 by 4 %:
where a half-life is all that is told, the nearest nuclide is meant."""

_ELEMENTS = {
    "carbon": "C",
    "nitrogen": "N",
    "oxygen": "O",
    "fluorine": "F",
    "fluor": "F",
    "scandium": "Sc",
    "copper": "Cu",
    "gallium": "Ga",
    "rubidium": "Rb",
    "yttrium": "Y",
    "zirconium": "Zr",
    "iodine": "I",
    "terbium": "Tb",
    "lutetium": "Lu",
}
_CODES = {
    "C-111A1": "F-18",  # SNOMED RT
    "77004003": "F-18",  # SNOMED CT
    "C-131A3": "Ga-68",
    "80751004": "Ga-68",
}
_SYMBOLS = {symbol.lower(): symbol for symbol in _ELEMENTS.values()}
_MASS_FIRST = re.compile(r"(?<![0-9])(\d{2,3})[^a-z0-9]*([a-z]+)")
_MASS_LAST = re.compile(r"(?<![a-z])([a-z]+)[^a-z0-9]*(\d{2,3})(?![0-9]|m(?![a-z]))")


@dataclass(frozen=True)
class HalfLifeCheck:
    """What the half-life of a series says about its nuclide.

    Attributes:
        nuclide: The nuclide, such as ``F-18``; ``None`` where nothing tells it.
        fault: Why the half-life cannot be right, a sentence; empty where it can.
    """

    nuclide: str | None
    fault: str


def nuclide_in_text(text: str) -> str | None:
    """Find the one nuclide that a text names, such as ``^18^Fluorine`` or ``Ga68-PSMA``.

    Returns:
        A key of ``HALF_LIFE_S``, or ``None`` where none or several are named. A metastable one,
        such as ``Lu-177m``, is another nuclide, and none of them.
    """
    text = text.lower()
    pairs = [(word, mass) for mass, word in _MASS_FIRST.findall(text)]
    pairs += _MASS_LAST.findall(text)
    found = set()
    for word, mass in pairs:
        symbol = _ELEMENTS.get(word) or _SYMBOLS.get(word)
        if f"{symbol}-{mass}" in HALF_LIFE_S:
            found.add(f"{symbol}-{mass}")
    return found.pop() if len(found) == 1 else None


def nuclide_of_code(*, value: str, meaning: str) -> str | None:
    """Read a Radionuclide Code; its meaning goes before its value, which vendors mistake."""
    return nuclide_in_text(meaning) or _CODES.get(value)


def check_half_life(*, half_life_s: float, coded: str | None) -> HalfLifeCheck:
    """Hold a half-life against the table.

    Returns:
        The nuclide, by name or else by half-life, and the fault found.
    """
    if coded is not None:
        if _near(half_life_s, coded):
            return HalfLifeCheck(coded, "")
        expected_s = HALF_LIFE_S[coded]
        return HalfLifeCheck(
            coded,
            f"got {half_life_s:g} s where {coded} has {expected_s:g} s.{_hint(half_life_s, coded)}",
        )
    nearest = min(HALF_LIFE_S, key=lambda name: abs(half_life_s / HALF_LIFE_S[name] - 1.0))
    if _near(half_life_s, nearest):
        return HalfLifeCheck(nearest, "")
    for nuclide in HALF_LIFE_S:
        hint = _hint(half_life_s, nuclide)
        if hint:
            return HalfLifeCheck(None, f"got {half_life_s:g} s, of no nuclide known here.{hint}")
    return HalfLifeCheck(None, "")


def _near(half_life_s: float, nuclide: str) -> bool:
    return abs(half_life_s / HALF_LIFE_S[nuclide] - 1.0) <= LARGEST_DEVIATION


def _hint(half_life_s: float, nuclide: str) -> str:
    for factor, unit in ((_MIN, "minutes"), (_H, "hours"), (_D, "days"), (1e-3, "milliseconds")):
        if _near(half_life_s * factor, nuclide):
            return f" It looks like {unit} ({nuclide})."
    return ""


_FDG_CODES = frozenset({"C-B1031", "35321007"})  # SNOMED RT and CT
_LIGANDS: dict[str, re.Pattern[str]] = {
    "FDG": re.compile(r"FDG|FLUORODEOXYGLUCOSE|FLUDEOXYGLUCOSE"),
    "PSMA-1007": re.compile(r"PSMA1007(?!\d)"),
    "PSMA-11": re.compile(r"PSMA11(?!\d)|PSMAHBEDCC|GOZETOTIDE"),
    "DCFPyL": re.compile(r"DCFPYL|PIFLUFOLASTAT"),
    # Not in the contract; but a header that names one of them names another tracer.
    "PSMA-617": re.compile(r"PSMA617(?!\d)"),
    "PSMA-I&T": re.compile(r"PSMAIT(?![A-Z])"),
    "rhPSMA": re.compile(r"RHPSMA|FLOTUFOLASTAT"),
    "DOTATATE": re.compile(r"DOTATATE|OXODOTREOTIDE"),
    "DOTATOC": re.compile(r"DOTATOC|EDOTREOTIDE"),
    "DOTANOC": re.compile(r"DOTANOC"),
    "FAPI": re.compile(r"FAPI"),
    "choline": re.compile(r"CHOLINE"),
    "fluciclovine": re.compile(r"FLUCICLOVINE|FACBC"),
    "fluoride": re.compile(r"SODIUMFLUORIDE"),
}
_NAMES: dict[tuple[str, str], Tracer] = {
    ("Ga-68", "PSMA-11"): "68Ga-PSMA-11",
    ("F-18", "PSMA-1007"): "18F-PSMA-1007",
    ("F-18", "PSMA-11"): "18F-PSMA-11",
    ("F-18", "DCFPyL"): "18F-DCFPyL",
    ("F-18", "FDG"): "18F-FDG",
}

KNOWN_TRACERS = tuple(_NAMES.values())
NUCLIDE_OF: dict[Tracer, str] = {tracer: nuclide for (nuclide, _), tracer in _NAMES.items()}
LIGAND_OF: dict[Tracer, str] = {tracer: ligand for (_, ligand), tracer in _NAMES.items()}


def known_tracer(name: str | None) -> Tracer | None:
    """Check a tracer that a user names."""
    if name is None:
        return None
    for tracer in KNOWN_TRACERS:
        if name == tracer:
            return tracer
    raise BadInput(f"The tracer must be one of {', '.join(KNOWN_TRACERS)}, got '{name}'.")


def named_ligands(*, texts: Iterable[str], codes: Iterable[str]) -> set[str]:
    """Return the ligands that the texts and codes of a header write out.

    Args:
        texts: Radiopharmaceutical (0018,0031) and the meanings of its codes.
        codes: The values of the Radiopharmaceutical Code Sequence.
    """
    ligands = {"FDG"} if _FDG_CODES & set(codes) else set()
    for text in texts:
        plain = re.sub(r"[^A-Z0-9]", "", text.upper())
        ligands |= {name for name, pattern in _LIGANDS.items() if pattern.search(plain)}
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
    return _NAMES.get((nuclide, ligands.pop()), "unknown")


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
    codes = {code for header in tags.headers for code in _codes(header, dcm.RADIONUCLIDE_CODE)}
    found = {nuclide_of_code(value=value, meaning=meaning) for value, meaning in codes}
    if len(found) > 1:
        raise BadInput(
            f"{dcm.RADIONUCLIDE_CODE} must name one nuclide in all slices, and it names several."
        )
    tags.remember_texts(dcm.RADIONUCLIDE_CODE, sorted(value for value, _ in codes))
    return found.pop() if found else None


def read_radiopharmaceutical(
    tags: Tags, warnings: list[str], *, tracer: Tracer | None = None
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
    nuclide = coded_nuclide(tags)
    life_s = if_readable(lambda: tags.number(dcm.HALF_LIFE), warnings)
    if life_s is not None:
        check = check_half_life(half_life_s=life_s, coded=nuclide)
        nuclide = check.nuclide
        if check.fault:
            warnings.append(f"The half-life was not needed and cannot be right: {check.fault}")
        elif nuclide is None:
            warnings.append(f"The half-life, {life_s:g} s, is of no nuclide known here.")
    text = if_readable(lambda: tags.text(dcm.RADIOPHARMACEUTICAL), warnings) or ""
    codes = _codes(tags.headers[0], dcm.PHARMACEUTICAL_CODE)
    values = [value for value, _ in codes]
    tags.remember_texts(dcm.PHARMACEUTICAL_CODE, values)
    texts = [text, *(meaning for _, meaning in codes)]
    named = name_tracer(texts=texts, codes=values, nuclide=nuclide)
    in_text = nuclide_in_text(text)
    if in_text is not None and in_text != nuclide:
        warnings.append(f"{dcm.RADIOPHARMACEUTICAL} names {in_text}, the series is of {nuclide}.")
        named = "unknown"
    ligands = named_ligands(texts=texts, codes=values)
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
            raise BadInput(f"{dcm.HALF_LIFE} must be that of the tracer, {tracer}, {fault}")
    if ligands and LIGAND_OF[tracer] not in ligands:
        raise BadInput(
            f"The tracer must be what the header names, {' or '.join(sorted(ligands))}, got "
            f"{tracer}. Name the tracer that was injected, or correct the header."
        )


def _codes(header: Any, sequence: dcm.Tag) -> list[tuple[str, str]]:
    """Return values and meanings of a code sequence of the radiopharmaceutical."""
    return [
        ("".join(components(code, dcm.CODE_VALUE)), "".join(components(code, dcm.CODE_MEANING)))
        for item in items(header, dcm.RADIOPHARMACEUTICAL_INFORMATION)
        for code in items(item, sequence)
    ]


def need_half_life_s(tags: Tags, coded_nuclide: str | None) -> float:
    """Read the half-life that a correction for decay needs, s.

    Raises:
        BadInput: Missing, not plausible, or not that of the nuclide.
    """
    life_s = tags.number(dcm.HALF_LIFE)
    if life_s is None:
        raise missing(dcm.HALF_LIFE, "to correct for decay")
    fault = check_half_life(half_life_s=life_s, coded=coded_nuclide).fault
    if fault:
        raise BadInput(f"{dcm.HALF_LIFE} must be that of the nuclide in seconds, {fault}")
    return life_s
