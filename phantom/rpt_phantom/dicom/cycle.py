"""One virtual therapy cycle: what a clinic holds of it, as arrays and as folders of DICOM.

``write_cycle`` writes::

    pet_ct/pet  pet_ct/ct                      in a frame of reference of their own
    spect_ct_1/spect.dcm  spect_ct_1/ct  …     one a time point, each in a frame of its own
    planar/whole_body.dcm
    organs.dcm  lesions.dcm                    drawn on the CT of the first SPECT
    camera.json  STUDY.yaml                    for ``python -m rpt_dosimetry ingest``

"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from jaxtyping import Shaped
from rpt_cohort import BadInput, Volume, json_bytes, new_folder, provenance
from rpt_cohort.command import tell_done
from rpt_cohort.schema import Laboratory, Therapy
from rpt_dosimetry.calibration.factor import QUANTITY, CalibrationFactor, factor_story
from rpt_dosimetry.ingest.study import read_study

from rpt_phantom.dicom.header import (
    Administered,
    VirtualPatient,
    Visit,
    infusion_begin,
    pet_injection,
    save,
    save_series,
)
from rpt_phantom.dicom.images import PetTiming, ct_series, pet_series
from rpt_phantom.dicom.nm import SpectTiming, WholeBody, tomogram, whole_body
from rpt_phantom.dicom.rtstruct import Drawing, lesion_names, organ_names, structure_set
from rpt_phantom.grid import Vector

PET_SHIFT_MM = (12.0, -8.0, 20.0)
"""Of the PET scanner's world against the camera's, RAS; ours."""
STUDY, CALIBRATION, ORGANS, LESIONS = "STUDY.yaml", "camera.json", "organs.dcm", "lesions.dcm"
CT_BEFORE = timedelta(minutes=3)
"""CT before its emission scan; ours."""
DRAWN_AFTER = timedelta(hours=2)
"""Structures after the CT that they were drawn on; ours."""


@dataclass(frozen=True)
class PetCt:
    """The PET/CT before the therapy.

    Attributes:
        suv: Body-weight SUV, g/mL.
        ct_hu: HU, whole numbers, in the world of ``suv``, on any grid.
        timing: What was injected and when was scanned.
        shift_mm: Added to every position when it is written, RAS: another scanner's world.
    """

    suv: Volume
    ct_hu: Volume
    timing: PetTiming
    shift_mm: Vector = PET_SHIFT_MM


@dataclass(frozen=True)
class SpectCt:
    """One SPECT/CT.

    Attributes:
        timing: When and how it was acquired.
        ct_hu: HU, whole numbers, in the world of ``counts``; the first SPECT must have it.
        shift_mm: Added to every position when it is written, RAS.
    """

    counts: Volume
    timing: SpectTiming
    ct_hu: Volume | None = None
    shift_mm: Vector = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class ClinicCycle:
    """All that a clinic holds of one therapy cycle.

    Attributes:
        therapy: The contract's name.
        administered_mbq: At the begin of the infusion, no residual subtracted, MBq.
        spects: SPECT/CTs, in the order of time.
        cps_per_mbq: Counts of the reconstructed SPECT per second and MBq.
        organs: Organ numbers of the contract on the grid of the first SPECT's CT.
        lesions: Lesion numbers from 1 on that grid; ``None`` for none.
        planar: Whole-body views; ``None`` for none.
        residual_mbq: Not given, MBq.
        infusion_h: Duration of the infusion, h.
        laboratory: Name → value and unit.
        calibration_sd_pct: Standard uncertainty of ``cps_per_mbq``, %.
    """

    patient: VirtualPatient
    cycle: int
    therapy: Therapy
    administered_mbq: float
    pet: PetCt
    spects: tuple[SpectCt, ...]
    cps_per_mbq: float
    organs: Shaped[np.ndarray, "x y z"]
    lesions: Shaped[np.ndarray, "x y z"] | None = None
    planar: WholeBody | None = None
    residual_mbq: float = 0.0
    infusion_h: float = 0.0
    laboratory: Mapping[str, Laboratory] = field(default_factory=dict)
    calibration_sd_pct: float = 0.0

    def __post_init__(self) -> None:
        """Refuse a cycle without a SPECT/CT to draw on."""
        if not self.spects or self.spects[0].ct_hu is None:
            raise BadInput("spects must begin with a SPECT/CT, on whose CT the organs are drawn.")

    @property
    def administered(self) -> Administered:
        """The therapy, on the fictitious calendar."""
        begin = infusion_begin(self.cycle)
        return Administered(self.therapy, "Lu-177", self.administered_mbq, begin)

    @property
    def has_lesions(self) -> bool:
        """Whether there is a lesion to draw."""
        return self.lesions is not None and bool(np.any(self.lesions))


def cycle_entry(cycle: ClinicCycle, *, folder: str = "") -> dict[str, Any]:
    """Return a cycle's entry under ``cycles`` of a study.

    Args:
        cycle: As it was written.
        folder: Where it was written, relative to the study, with a slash at its end; empty for
            beside it.
    """
    entry: dict[str, Any] = {
        "patient": cycle.patient.name,
        "cycle": cycle.cycle,
        "therapy": cycle.therapy,
        "administered_mbq": float(cycle.administered_mbq),
        "residual_mbq": float(cycle.residual_mbq),
        "infusion_h": float(cycle.infusion_h),
        "laboratory": {name: one.model_dump() for name, one in cycle.laboratory.items()},
        "pet": {"folder": f"{folder}pet_ct"},
        "spect": [
            _spect(one, f"{folder}spect_ct_{number}", f"{folder}{CALIBRATION}")
            for number, one in enumerate(cycle.spects, start=1)
        ],
        "organs": {"file": f"{folder}{ORGANS}", "drawn_on": "spect_ct"},
    }
    if cycle.patient.age_y is not None:
        entry["age_y"] = float(cycle.patient.age_y)
    if cycle.has_lesions:
        entry["lesions"] = {"file": f"{folder}{LESIONS}", "drawn_on": "spect_ct"}
    return entry


def write_study(
    path: Path,
    entries: Sequence[dict[str, Any]],
    *,
    name: str,
    engine: str,
    slice_voxels: int,
    calibration_sd_pct: float,
) -> None:
    """Write a STUDY.yaml of cycles.

    Args:
        entries: Of :func:`cycle_entry`.
        slice_voxels: Voxels along a slice of the cohort.
        calibration_sd_pct: Standard uncertainty of the calibration, %.

    Raises:
        BadInput: ``ingest`` would refuse it; the file is there nevertheless.
    """
    content = {
        "name": name,
        "origin": "virtual",
        "engine": engine,
        "slice_voxels": slice_voxels,
        "calibration_sd_pct": float(calibration_sd_pct),
        "cycles": list(entries),
    }
    path.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")
    read_study(path)


def calibration_bytes(cycle: ClinicCycle) -> bytes:
    """Encode the camera's factor as ``rpt_dosimetry.calibration.factor.read_factor`` reads it.

    Raises:
        BadInput: The factor or its uncertainty cannot be.
    """
    parts = {"virtual": cycle.calibration_sd_pct / 100.0}
    factor = CalibrationFactor(cycle.cps_per_mbq, parts)
    return json_bytes(
        {
            "quantity": QUANTITY,
            **factor_story(factor),
            "method": "virtual: the factor that made the counts, of no camera",
            "provenance": provenance(
                package="rpt-phantom",
                command="dicom",
                parameters={"cps_per_mbq": factor.cps_per_mbq},
            ),
        }
    )


def _spect(spect: SpectCt, folder: str, calibration: str) -> dict[str, Any]:
    return {"folder": folder, "calibration": calibration, "heads": spect.timing.heads}


def write_cycle(
    folder: Path,
    cycle: ClinicCycle,
    *,
    seed: str,
    engine: str = "vsv",
    slice_voxels: int | None = None,
) -> Path:
    """Write a cycle's DICOM and its STUDY.yaml, whole or not at all.

    Args:
        folder: Where; new or empty.
        cycle: What the clinic holds.
        seed: Makes the UIDs: the same seed and cycle give the same bytes. Give another seed for
            other images.
        engine: Dose engine that the study asks for.
        slice_voxels: Voxels along a slice of the cohort; by default the longer side of the first
            SPECT's slices, so that it is not resampled.

    Returns:
        The path of STUDY.yaml.

    Raises:
        BadInput: Something cannot be written or ingested, or ``folder`` is not new or empty.
    """
    with new_folder(folder) as root:
        _write_pet_ct(root / "pet_ct", cycle, seed)
        for number in range(1, len(cycle.spects) + 1):
            _write_spect_ct(root / f"spect_ct_{number}", cycle, number, seed)
            tell_done(number / (len(cycle.spects) + 1))
        if cycle.planar is not None:
            begin = cycle.planar.begin(cycle.administered.begin)
            visit = Visit(cycle.patient, seed, f"C{cycle.cycle}/planar", begin, "whole body")
            (root / "planar").mkdir()
            views = whole_body(cycle.planar, visit, administered=cycle.administered)
            save(views, root / "planar" / "whole_body.dcm")
        (root / CALIBRATION).write_bytes(calibration_bytes(cycle))
        write_study(
            root / STUDY,
            [cycle_entry(cycle)],
            name=f"virtual patient {cycle.patient.name}, cycle {cycle.cycle}",
            engine=engine,
            slice_voxels=slice_voxels or max(cycle.spects[0].counts.data.shape[:2]),
            calibration_sd_pct=cycle.calibration_sd_pct,
        )
    return folder / STUDY


def _write_pet_ct(folder: Path, cycle: ClinicCycle, seed: str) -> None:
    pet, injection = cycle.pet, pet_injection(cycle.cycle)
    begin = pet.timing.begin(injection) - CT_BEFORE
    visit = Visit(cycle.patient, seed, f"C{cycle.cycle}/pet_ct", begin, "PET/CT")
    suv, ct_hu = _shifted(pet.suv, pet.shift_mm), _shifted(pet.ct_hu, pet.shift_mm)
    save_series(pet_series(suv, pet.timing, visit, injection=injection), folder / "pet")
    save_series(ct_series(ct_hu, visit, begin=begin), folder / "ct")


def _write_spect_ct(folder: Path, cycle: ClinicCycle, number: int, seed: str) -> None:
    """Write a SPECT/CT, and beside the folder of the first what was drawn on it."""
    spect, administered = cycle.spects[number - 1], cycle.administered
    begin = spect.timing.begin(administered.begin) - CT_BEFORE
    name = f"C{cycle.cycle}/spect_ct_{number}"
    visit = Visit(cycle.patient, seed, name, begin, f"SPECT/CT {number}")
    folder.mkdir()
    counts = _shifted(spect.counts, spect.shift_mm)
    made = tomogram(counts, spect.timing, visit, administered=administered)
    save(made, folder / "spect.dcm")
    if spect.ct_hu is None:
        return
    ct_hu = _shifted(spect.ct_hu, spect.shift_mm)
    ct = ct_series(ct_hu, visit, begin=begin)
    save_series(ct, folder / "ct")
    if number == 1:
        _write_structures(folder.parent, cycle, Drawing(ct_hu, tuple(ct), visit))


def _write_structures(root: Path, cycle: ClinicCycle, on: Drawing) -> None:
    begin = on.visit.begin + DRAWN_AFTER
    drawn = [(ORGANS, cycle.organs, organ_names(cycle.organs), "ORGAN")]
    if cycle.lesions is not None and cycle.has_lesions:
        drawn.append((LESIONS, cycle.lesions, lesion_names(cycle.lesions), "GTV"))
    for file, labels, names, kind in drawn:
        volume = Volume(labels, on.ct_hu.affine)
        label = file.removesuffix(".dcm").upper()
        made = structure_set(volume, names, on, label=label, kind=kind, begin=begin)
        save(made, root / file)


def _shifted(volume: Volume, shift_mm: Vector) -> Volume:
    affine = volume.affine.copy()
    affine[:3, 3] += np.array(shift_mm)
    return Volume(volume.data, affine)
