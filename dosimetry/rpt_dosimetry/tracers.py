"""Name a radiopharmaceutical in the contract's words, or say ``unknown``.

A wrong name lets a model predict from a tracer it was not trained on; ``unknown`` only
makes a person look. So the ligand must be written out and must fit the nuclide.
"""

import re
from collections.abc import Iterable

from rpt_cohort.schema import Tracer

_FDG_CODES = frozenset({"C-B1031", "35321007"})  # SNOMED RT and CT
_LIGANDS: dict[str, re.Pattern[str]] = {
    "FDG": re.compile(r"FDG|FLUORODEOXYGLUCOSE|FLUDEOXYGLUCOSE"),
    "PSMA-1007": re.compile(r"PSMA1007(?!\d)"),
    "PSMA-11": re.compile(r"PSMA11(?!\d)|PSMAHBEDCC|GOZETOTIDE"),
    "DCFPyL": re.compile(r"DCFPYL|PIFLUFOLASTAT"),
}
_NAMES: dict[tuple[str, str], Tracer] = {
    ("Ga-68", "PSMA-11"): "68Ga-PSMA-11",
    ("F-18", "PSMA-1007"): "18F-PSMA-1007",
    ("F-18", "PSMA-11"): "18F-PSMA-11",
    ("F-18", "DCFPyL"): "18F-DCFPyL",
    ("F-18", "FDG"): "18F-FDG",
}


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
    ligands = {"FDG"} if _FDG_CODES & set(codes) else set()
    for text in texts:
        plain = re.sub(r"[^A-Z0-9]", "", text.upper())
        ligands |= {name for name, pattern in _LIGANDS.items() if pattern.search(plain)}
    if len(ligands) != 1 or nuclide is None:
        return "unknown"
    return _NAMES.get((nuclide, ligands.pop()), "unknown")
