"""Look at what a study names, without converting anything: found, missing, whose, and its hash.

Patients are told apart by hashes that never leave the process.
"""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from rpt_cohort import BadInput, file_sha256, read_volume

from rpt_dosimetry.dicom.nm import WHOLE_BODY, read_nm
from rpt_dosimetry.dicom.planar import read_planar
from rpt_dosimetry.dicom.reading import DICOM_ERRORS, quiet
from rpt_dosimetry.dicom.slices import find_grid, to_ras
from rpt_dosimetry.ingest.scans import calibration_sha256, read_nm_spect
from rpt_dosimetry.ingest.sources import ScanFiles, find_scan
from rpt_dosimetry.ingest.study import (
    CycleSource,
    MaskSource,
    OrganSource,
    PetSource,
    SpectSource,
    Study,
)
from rpt_dosimetry.masks.labels import dicom_below, find_totalsegmentator, region_file
from rpt_dosimetry.masks.names import OWN_TABLE, read_organ_table
from rpt_dosimetry.nifti import ACTIVITY, COUNTS, SUV, Nifti
from rpt_dosimetry.options import DoseOptions
from rpt_dosimetry.registration.transform import GridMm, one_grid

SHORTEST_TELLING = 3
"""Ours: letters; shorter words tell nobody."""
_TAGS = ["PatientID", "PatientName", "PatientBirthDate"]


def patient_keys(paths: Iterable[Path]) -> frozenset[str]:
    """Return one hash a patient whom DICOM files name: of the ID, else of name and date of birth.

    Files that name nobody, as de-identified ones may, add nothing.

    Raises:
        BadInput: A file is damaged.
    """
    return frozenset(key for key in (_key(path) for path in paths) if key)


def refuse_several(keys: frozenset[str]) -> None:
    """Refuse a folder with several patients."""
    if len(keys) > 1:
        raise BadInput(
            f"The folder must hold one patient, and by Patient ID (0010,0020) it holds {len(keys)}."
            " Give each patient a folder."
        )


def refuse_telling(pseudonym: str, paths: Sequence[Path]) -> None:
    """Refuse a pseudonym that holds the patient's name, as the first DICOM file has it."""
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
    """Find pseudonyms whose cycles are of several persons, by the hashes of each cycle."""
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


PLACES = {"folder", "series", "ct", "ct_series", "calibration", "file"}
"""Of a study: where something is, which changes no result."""


@dataclass
class Inspection:
    """What a cycle's folders hold; a fault does not end the search.

    Attributes:
        name: The cycle's folder, ``P001/C1``.
        lines: What is there and what is wrong, a line a role.
        faults: What is wrong, a sentence each.
        inputs: Role → SHA-256 over its files.
        images: Role → SHA-256 of the image alone, of what a cycle has for itself.
        patients: Hashes of whom the files name.
        grid: Of the first SPECT, at the cohort's size of slices; ``None`` where it is not there.
    """

    name: str
    lines: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    inputs: dict[str, str] = field(default_factory=dict)
    images: dict[str, str] = field(default_factory=dict)
    patients: frozenset[str] = frozenset()
    grid: GridMm | None = None

    def add_fault(self, sentence: str) -> None:
        """Take up what is wrong, a sentence that begins with a role."""
        self.faults.append(sentence)
        self.lines.append(f"{self.name} {sentence}")

    def at(self, role: str, look: Callable[[], str]) -> None:
        """Look for one role and say what is there."""
        try:
            self.lines.append(f"{self.name} {role}: {look()}")
        except BadInput as error:
            self.add_fault(f"{role}: {error}")


def inspect(cycle: CycleSource, study: Study, root: Path) -> Inspection:
    """Look at one cycle's folders below ``root``; faults are gathered, not raised."""
    inspection, scans = Inspection(cycle.name), dict[str, ScanFiles]()
    at = inspection.at
    at("pet", partial(_scan, inspection, scans, "pet", cycle.pet, root))
    for number, source in enumerate(cycle.spect, start=1):
        role = f"spect {number}"
        at(role, partial(_scan, inspection, scans, role, source, root))
    if "spect 1" in scans:
        at("grid", partial(_grid, inspection, scans["spect 1"], cycle.spect[0], study))
    if cycle.planar is not None:
        at("planar", partial(_planar, inspection, root / cycle.planar.folder))
    if cycle.organs is not None and cycle.organs.totalsegmentator is not None:
        at("organs", partial(_segmented, cycle.organs))
    else:
        drawn = None if cycle.organs is None else cycle.organs.drawn
        at("organs", partial(_mask, inspection, "organs", drawn, root))
    at("lesions", partial(_mask, inspection, "lesions", cycle.lesions, root))
    at("organ table", partial(_organ_table, inspection, organ_table_path(study, root)))
    if len(inspection.patients) > 1 and not cycle.ids_differ:
        inspection.add_fault(
            "patient: All scans of a cycle must be of one patient, and by Patient ID (0010,0020) "
            "they are of several. Check the folders; where another hospital gave its own number, "
            "set ids_differ."
        )
    first: dict[str, str] = {}
    for role, image in inspection.images.items():
        other = first.setdefault(image, role)
        if other != role:
            inspection.add_fault(
                f"{role}: Every scan must be named once, and {other} is the same. Name its folder."
            )
    if not study.ids_tell_patients:
        inspection.patients = frozenset()
    return inspection


def fingerprint(inspection: Inspection, parameters: dict[str, Any]) -> str:
    """Return the hash by which a finished cycle is known: of inputs, parameters and version."""
    content = {
        "inputs": inspection.inputs,
        "parameters": parameters,
        "version": version("rpt-dosimetry"),
    }
    return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def parameters_of(cycle: CycleSource, study: Study) -> dict[str, Any]:
    """Return what a cycle's result depends on beside its files, without places."""
    of_study = study.model_dump(mode="json", include=set(DoseOptions.model_fields))
    told: dict[str, Any] = {
        name: value for name, value in of_study.items() if value not in (None, {})
    }
    told |= _without_places(cycle.model_dump(mode="json"))
    return told


def organ_table_path(study: Study, root: Path) -> Path:
    """Return the table of organs' names."""
    return OWN_TABLE if study.organ_table is None else root / study.organ_table


def _without_places(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {k: _without_places(v) for k, v in value.items() if k not in PLACES}
        if kept.get("regions") is not None:  # free text, in which a patient's name may stand
            text = json.dumps(kept["regions"]).encode()
            kept["regions"] = f"SHA-256 {sha256(text).hexdigest()}"
        return kept
    return [_without_places(one) for one in value] if isinstance(value, list) else value


def _scan(
    inspection: Inspection,
    scans: dict[str, ScanFiles],
    role: str,
    source: PetSource | SpectSource,
    root: Path,
) -> str:
    files = find_scan(source, root, need_ct=role in ("pet", "spect 1"))
    keys = patient_keys(files.everything)
    refuse_several(keys)
    refuse_telling(inspection.name.split("/")[0], files.everything)
    scans[role] = files
    inspection.patients |= keys
    inspection.inputs[role] = _hash_of(files.emission_paths)
    if role != "pet":  # one PET may go before several cycles
        alone = files.emission_paths[:1] if isinstance(files.emission, Nifti) else None
        inspection.images[role] = inspection.inputs[role] if alone is None else _hash_of(alone)
    if files.ct is not None:
        inspection.inputs[f"{role} ct"] = _hash_of(files.ct_paths)
    if isinstance(source, SpectSource) and (calibration := calibration_sha256(source, root)):
        inspection.inputs[f"{role} calibration"] = calibration
    return _scan_line(files)


def _scan_line(files: ScanFiles) -> str:
    emission = files.emission
    with_ct = "no CT" if files.ct is None else f"CT, {len(files.ct_paths)} files"
    more = "".join(f"; {sentence}" for sentence in files.warnings)
    if isinstance(emission, Nifti):
        return f"NIfTI, {emission.quantity(SUV, ACTIVITY, COUNTS)}; {with_ct}{more}"
    units = f" in {emission.units}" if emission.units else ""
    return f"{emission.modality}{units}, {len(emission.files)} files; {with_ct}{more}"


def _planar(inspection: Inspection, folder: Path) -> str:
    warnings: list[str] = []
    planar = read_planar(read_nm(folder, kind=WHOLE_BODY, warnings=warnings))
    keys = patient_keys(dicom_below(folder))
    refuse_several(keys)
    inspection.patients |= keys
    inspection.inputs["planar"] = sha256("".join(sorted(planar.sha256)).encode()).hexdigest()
    inspection.images["planar"] = inspection.inputs["planar"]
    more = "".join(f"; {sentence}" for sentence in (*warnings, *planar.warnings))
    return f"NM whole body, {len(planar.planes)} planes{more}"


def _segmented(source: OrganSource) -> str:
    find_totalsegmentator()
    return f"TotalSegmentator, {source.totalsegmentator}, of {source.drawn_on}"


def _mask(inspection: Inspection, role: str, source: MaskSource | None, root: Path) -> str:
    if source is None:
        return "the body alone, from the CT" if role == "organs" else "none"
    path = region_file(root / source.file)
    inspection.inputs[role] = _sha256(path)
    if not path.name.endswith((".nii", ".nii.gz")):
        inspection.patients |= patient_keys([path])
    return f"one file, drawn on {source.drawn_on}"


def _sha256(path: Path) -> str:
    """Return the SHA-256 of a file whose name, which may hold a patient's, is not to be told."""
    try:
        return file_sha256(path)
    except BadInput as error:
        raise BadInput("Every file must be readable, and one is not.") from error


def _grid(inspection: Inspection, files: ScanFiles, source: SpectSource, study: Study) -> str:
    if isinstance(files.emission, Nifti):
        volume = read_volume(files.emission.path, name="The NIfTI file")
    elif files.is_nm:
        volume = read_nm_spect(files, source).volume
    else:
        grid = find_grid([file.header for file in files.emission.files])
        nothing = np.broadcast_to(np.float32(0), grid.shape)
        volume, slice_axis, _ = to_ras(nothing, grid)
        if slice_axis != 2:
            raise BadInput("Slices of the SPECT must be transverse, and they are not.")
    inspection.grid = one_grid(volume, slice_voxels=study.slice_voxels)
    size = " × ".join(str(n) for n in volume.data.shape)
    return f"{size} voxels of {' × '.join(f'{mm:.4g}' for mm in volume.spacing_mm)} mm"


def _organ_table(inspection: Inspection, path: Path) -> str:
    table = read_organ_table(path)
    inspection.inputs["organ table"] = _sha256(path)
    return f"{len(table.names)} organs"


def _hash_of(paths: Iterable[Path]) -> str:
    """Hash a series: the hashes of its files, sorted, so that no file's name matters."""
    return sha256("".join(sorted(map(_sha256, paths))).encode()).hexdigest()
