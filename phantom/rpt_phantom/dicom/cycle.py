"""One virtual therapy cycle as the folders of DICOM that a clinic would hold.

``write_cycle`` writes::

    pet_ct/pet  pet_ct/ct                      in a frame of reference of their own
    spect_ct_1/spect.dcm  spect_ct_1/ct  …     one a time point, each in a frame of its own
    planar/whole_body.dcm
    organs.dcm  lesions.dcm                    drawn on the CT of the first SPECT
    camera.json  STUDY.yaml                    for ``python -m rpt_dosimetry ingest``
"""

from datetime import timedelta
from pathlib import Path

import numpy as np
from rpt_cohort import Volume, new_folder
from rpt_cohort.command import tell_done

from rpt_phantom.dicom.clinic import ClinicCycle, Vector
from rpt_phantom.dicom.ct import ct_series
from rpt_phantom.dicom.header import save, save_series
from rpt_phantom.dicom.nm_planar import whole_body
from rpt_phantom.dicom.nm_tomogram import tomogram
from rpt_phantom.dicom.pet import pet_series
from rpt_phantom.dicom.rtstruct import Drawing, lesion_names, organ_names, structure_set
from rpt_phantom.dicom.study import (
    CALIBRATION,
    LESIONS,
    ORGANS,
    STUDY,
    calibration_bytes,
    cycle_entry,
    write_study,
)
from rpt_phantom.dicom.visit import Visit, pet_injection

CT_BEFORE = timedelta(minutes=3)
"""CT before its emission scan; ours."""
DRAWN_AFTER = timedelta(hours=2)
"""Structures after the CT that they were drawn on; ours."""


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
