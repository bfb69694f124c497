"""Name a radiopharmaceutical in the contract's words, or say ``unknown``.

A wrong name lets a model predict from a tracer it was not trained on; ``unknown`` only
makes a person look. So the ligand must be written out and must fit the nuclide.
"""

import re
from collections.abc import Iterable

from rpt_cohort import BadInput
from rpt_cohort.schema import Tracer

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
    """Check a tracer that a user names.

    Raises:
        BadInput: It is none of ``KNOWN_TRACERS``.
    """
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

    Args:
        texts: Radiopharmaceutical (0018,0031) and the meanings of its codes.
        codes: The values of the Radiopharmaceutical Code Sequence.
        nuclide: The radionuclide, such as ``F-18``.

    Returns:
        One of the contract's names. ``unknown`` where no ligand or more than one is
        named, where it does not fit the nuclide, or where only "PSMA" is written:
        Ga-68 also labels PSMA-617 and PSMA-I&T, F-18 several more.
    """
    ligands = named_ligands(texts=texts, codes=codes)
    if len(ligands) != 1 or nuclide is None:
        return "unknown"
    return _NAMES.get((nuclide, ligands.pop()), "unknown")
