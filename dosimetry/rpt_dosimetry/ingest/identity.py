"""Whose files are they: told apart by hashes that never leave the process."""

import re
from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path

import pydicom
from rpt_cohort import BadInput

from rpt_dosimetry.dicom.reading import DICOM_ERRORS, quiet

SHORTEST_TELLING = 3
"""Ours: letters; shorter words tell nobody."""
_TAGS = ["PatientID", "PatientName", "PatientBirthDate"]


def patient_keys(paths: Iterable[Path]) -> frozenset[str]:
    """Return one hash a patient whom DICOM files name.

    Args:
        paths: DICOM files.

    Returns:
        Hashes of Patient ID; of name and date of birth where that is empty. Files that name
        nobody, as de-identified ones may, add nothing.

    Raises:
        BadInput: A file is damaged.
    """
    return frozenset(key for key in (_key(path) for path in paths) if key)


def refuse_several(keys: frozenset[str]) -> None:
    """Refuse a folder with several patients.

    Raises:
        BadInput: It has.
    """
    if len(keys) > 1:
        raise BadInput(
            f"The folder must hold one patient, and by Patient ID (0010,0020) it holds {len(keys)}."
            " Give each patient a folder."
        )


def refuse_telling(pseudonym: str, paths: Sequence[Path]) -> None:
    """Refuse a pseudonym that holds the patient's name.

    Args:
        pseudonym: As the study has it.
        paths: DICOM files of that patient; the first tells.

    Raises:
        BadInput: It does; or the file is damaged.
    """
    if not paths:
        return
    # Letters alone: de-identified files have pseudonyms such as P001 for names.
    parts = [
        word
        for word in re.findall(r"[^\W\d_]+", _told(paths[0])[1].casefold())
        if len(word) >= SHORTEST_TELLING
    ]
    letters = "".join(re.findall(r"[^\W\d_]+", pseudonym.casefold()))
    held = [word for word in parts if word in letters]
    if len(held) > 1 or parts[:1] == held[:1] != []:
        raise BadInput(
            "A pseudonym must not hold the family name, or two words, of Patient's Name "
            "(0010,0010), and it does. Give another one."
        )


def shared_patients(patients: Sequence[tuple[str, frozenset[str]]]) -> dict[str, list[str]]:
    """Find persons who go by several pseudonyms: they would be in training and in testing.

    Args:
        patients: Pseudonym and hashes of each cycle.

    Returns:
        Pseudonym → what is wrong, a sentence each.
    """
    of_key: dict[str, set[str]] = {}
    for pseudonym, keys in patients:
        for key in keys:
            of_key.setdefault(key, set()).add(pseudonym)
    groups = sorted({tuple(sorted(names)) for names in of_key.values() if len(names) > 1})
    faults: dict[str, list[str]] = {}
    for names in groups:
        for name in names:
            faults.setdefault(name, []).append(
                f"{' and '.join(names)} must be different persons, and by Patient ID (0010,0020) "
                "they are one. Give one person one pseudonym."
            )
    return faults


def other_patients(patients: Sequence[tuple[str, frozenset[str]]]) -> dict[str, str]:
    """Find pseudonyms whose cycles are of several persons.

    Args:
        patients: Pseudonym and hashes of each cycle, those left out where IDs may differ.

    Returns:
        Pseudonym → what is wrong.
    """
    of_name: dict[str, set[str]] = {}
    for pseudonym, keys in patients:
        if len(keys) <= 1:  # a cycle of several persons is told by itself
            of_name.setdefault(pseudonym, set()).update(keys)
    return {
        name: f"All cycles of {name} must be of one person, and by Patient ID (0010,0020) they are "
        "not. Check the folders; where another hospital gave its own number, set ids_differ."
        for name, keys in of_name.items()
        if len(keys) > 1
    }


def _key(path: Path) -> str:
    told = _told(path)
    who = told[0] or "".join(told[1:])
    return sha256(who.encode()).hexdigest() if who else ""


def _told(path: Path) -> list[str]:
    """Return ID, name and date of birth; empty where they are missing."""
    try:
        with quiet():
            dataset = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=_TAGS)
            return [str(dataset.get(tag, "") or "").strip() for tag in _TAGS]
    except DICOM_ERRORS as error:
        raise BadInput("Every DICOM file must be whole, and one is not. Export it anew.") from error
