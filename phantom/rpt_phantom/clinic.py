"""A cohort's cycle as the DICOM of a clinic: made again from the seed, then written."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32
from pydantic import ValidationError
from rpt_cohort import BadInput, CohortInfo, Volume, read_cohort, read_cycle
from rpt_cohort.command import part_of_work, tell_done
from rpt_cohort.reading import read_json
from rpt_dosimetry.ingest.cycle_files import FINGERPRINT

from rpt_phantom.anatomy import OwnAnatomy, ct_image
from rpt_phantom.case_files import Task
from rpt_phantom.coverage import patient_number
from rpt_phantom.dicom import (
    ClinicCycle,
    PetCt,
    PetTiming,
    SpectCt,
    SpectTiming,
    VirtualPatient,
    WholeBody,
    write_cycle,
)
from rpt_phantom.grid import SLICES_MOST, SPACING_MM
from rpt_phantom.imaging import AIR_HU, CPS_PER_MBQ
from rpt_phantom.measured import CALIBRATION_LOG_STD, ENGINE
from rpt_phantom.patient import VirtualCycle, make_cycle
from rpt_phantom.person import Purpose, generator
from rpt_phantom.settings import CohortSettings
from rpt_phantom.spect import LU177_ME, mu_per_cm, scan_planar
from rpt_phantom.truth import virtual_truth

PET_DURATION_S = 180.0
"""Of one bed position; ours."""
PLANAR_H = 0.2
"""Whole-body views are taken so long after the start of the infusion, before the patient voids and
before the first SPECT, as Halty 2018 calibrates by them; ours."""
_BQ_PER_MBQ = 1e6


def read_settings(cohort: Path, *, anatomy: OwnAnatomy | None = None) -> CohortSettings:
    """Read which settings made a cohort.

    Args:
        anatomy: In which its patients were drawn; ``None`` for what is shipped.

    Raises:
        BadInput: The folder is no cohort that ``rpt_phantom cohort`` made, or it was made in
            another anatomy.
    """
    told = read_json(cohort / "cohort.json", CohortInfo).provenance
    held = told.get("parameters")
    parameters: dict[str, Any] = {"seed": told.get("seed")}
    parameters |= held if isinstance(held, dict) else {}
    names = set(CohortSettings.model_fields) - {"anatomy"}
    unread = BadInput(
        f"'{cohort}' must be a cohort of rpt_phantom, and its cohort.json tells no seed "
        "and settings that can be read. Make it anew."
    )
    if told.get("package") != "rpt-phantom" or not names <= set(parameters):
        raise unread
    told_anatomy = parameters.get("anatomy")
    if told_anatomy != (anatomy.sha256() if anatomy else None):
        how = "the shipped anatomy. Leave --anatomy out"
        if told_anatomy:
            how = "files of its own, known by their SHA-256. Give the same two by --anatomy"
        raise BadInput(f"'{cohort}' must be made again in its anatomy, and that is {how}.")
    try:
        return CohortSettings(**{name: parameters[name] for name in names}, anatomy=anatomy)
    except ValidationError as error:
        raise unread from error


def check_remade(cohort: Path, settings: CohortSettings, cases: Sequence[str]) -> None:
    """Refuse cycles that are not in a cohort, or that would now be made otherwise.

    Args:
        cases: Patient and cycle of each, ``P001/C1``.

    Raises:
        BadInput: There is one.
    """
    there = [one.name for one in read_cohort(cohort).cases]
    for case in cases:
        if case not in there:
            raise BadInput(
                f"case must be one of the cohort '{cohort}', such as {there[0]}, and {case!r} is "
                "not."
            )
        info = read_cycle(cohort / case)
        told = info.provenance.get("parameters")
        task = Task(settings, info.patient, info.cycle)
        if not isinstance(told, dict) or told.get(FINGERPRINT) != task.fingerprint():
            raise BadInput(
                f"{case} must have been made by this version of rpt_phantom with the settings of "
                "cohort.json, and it was not. Make the cohort anew."
            )


def write_dicom(cohort: Path, case: str, out: Path, *, anatomy: OwnAnatomy | None = None) -> Path:
    """Make a cycle of a cohort again and write its DICOM.

    Args:
        case: Patient and cycle, ``P001/C1``.
        out: New or empty.
        anatomy: That of the cohort, where it has one of its own.

    Returns:
        The path of STUDY.yaml.

    Raises:
        BadInput: The case is not in the cohort, or the folder is not new or empty.
    """
    settings = read_settings(cohort, anatomy=anatomy)
    check_remade(cohort, settings, [case])
    name, _, number = case.partition("/C")
    patient, cycle = patient_number(name), int(number)
    with part_of_work(0.0, 0.4):
        made = make_cycle(settings, patient=patient, cycle=cycle)
    with part_of_work(0.4, 0.9):
        views = whole_body(settings, made, patient=patient, cycle=cycle)
    held = clinic_cycle(made, patient=patient, cycle=cycle, planar=views)
    with part_of_work(0.9, 1.0):
        return write_cycle(out, held, seed=str(settings.seed), engine=ENGINE)


def clinic_cycle(
    made: VirtualCycle, *, patient: int, cycle: int, planar: WholeBody | None
) -> ClinicCycle:
    """Return what a clinic would hold of a cycle.

    Args:
        planar: Whole-body views; ``None`` for none.
    """
    person, record = made.person, made.record
    ct = Volume(made.ct_hu, made.grid.affine)
    name = f"P{patient:03d}"
    rng_ct = generator(made.settings.seed, patient, Purpose.CLINIC_CT, cycle=cycle)
    timing = PetTiming(
        made.settings.tracer, record.pet_activity_mbq, record.pet_time_min, PET_DURATION_S
    )
    return ClinicCycle(
        patient=VirtualPatient(name, person.weight_kg, person.height_cm, person.age_y),
        cycle=cycle,
        therapy=made.settings.therapy,
        administered_mbq=record.administered_activity_mbq,
        pet=PetCt(Volume(made.pet_suv, made.grid.affine), ct, timing),
        spects=_spects(made, rng_ct),
        cps_per_mbq=CPS_PER_MBQ,
        organs=made.organs,
        lesions=made.lesions if made.lesions.any() else None,
        planar=planar,
        laboratory=record.laboratory,
        calibration_sd_pct=100.0 * CALIBRATION_LOG_STD,
    )


def whole_body(
    settings: CohortSettings, made: VirtualCycle, *, patient: int, cycle: int
) -> WholeBody:
    """Scan the patient from front and back before the first SPECT.

    The whole body is made again, on a longer grid than the cycle's: anatomy and organs' uptake are
    the same, the heterogeneity within organs is drawn anew.

    Raises:
        BadInput: PyTomography is not installed.
    """
    whole = virtual_truth(
        settings.model_copy(update={"slices": SLICES_MOST}), patient=patient, cycle=cycle
    )
    activity = whole.activity_bq_per_ml(
        time_h=PLANAR_H, administered_mbq=made.record.administered_activity_mbq
    )
    tell_done(0.5)
    hu = whole.box.square(whole.anatomy.hu.astype(np.float32), outside=AIR_HU)
    scan = scan_planar(
        whole.box.square(activity),
        mu_per_cm(hu),
        generator(settings.seed, patient, Purpose.PLANAR, cycle=cycle),
        spacing_mm=whole.box.fine.spacing_mm[0],
    )
    return WholeBody(
        anterior=scan.counts[:, 0],
        posterior=scan.counts[:, 1],
        pixel_mm=(scan.pixel_mm, scan.pixel_mm),
        time_h=PLANAR_H,
        duration_s=round(scan.duration_s, 3),
        velocity_mm_per_s=scan.velocity_mm_per_s,
    )


def _spects(made: VirtualCycle, rng_ct: np.random.Generator) -> tuple[SpectCt, ...]:
    """Return the SPECTs in counts; in the fast mode nothing moved, and a CT has new noise only."""
    affine, cts = made.grid.affine, list(made.series.ct_hu)
    while len(cts) < len(made.series.scanned):
        cts.append(ct_image(made.truth.anatomy, rng_ct, grid=made.grid))
    return tuple(
        SpectCt(Volume(_counts(image), affine), _timing(time_h), Volume(ct, affine))
        for image, time_h, ct in zip(
            made.series.scanned, made.record.spect_times_h, cts, strict=True
        )
    )


def _timing(time_h: float) -> SpectTiming:
    camera = LU177_ME
    return SpectTiming(time_h, camera.duration_s, camera.heads, camera.views // camera.heads)


def _counts(bq_per_ml: Float32[np.ndarray, "x y z"]) -> Float32[np.ndarray, "x y z"]:
    """Return the counts that the camera would have had of an image."""
    mbq_per_bq_ml = SPACING_MM**3 / 1000.0 / _BQ_PER_MBQ
    scale = CPS_PER_MBQ * LU177_ME.duration_s * mbq_per_bq_ml
    return np.asarray(bq_per_ml * np.float32(scale), dtype=np.float32)
