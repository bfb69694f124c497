"""A cohort's cycle as the DICOM of a clinic: made again from the seed, then written."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float32
from rpt_cohort import BadInput, CohortInfo, Volume
from rpt_cohort.reading import read_json

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
from rpt_phantom.full_spect import AIR_HU, CPS_PER_MBQ
from rpt_phantom.grid import SLICES_MOST, SPACING_MM
from rpt_phantom.measured import CALIBRATION_LOG_STD, ENGINE
from rpt_phantom.patient import VirtualCycle, make_cycle
from rpt_phantom.presets import patient_number
from rpt_phantom.seeds import Purpose, generator
from rpt_phantom.settings import Settings
from rpt_phantom.spect import LU177_ME, mu_per_cm, scan_planar
from rpt_phantom.truth import virtual_truth

PET_DURATION_S = 180.0
"""Of one bed position; ours."""
PLANAR_H = 0.2
"""Whole-body views are taken so long after the start of the infusion, before the patient voids and
before the first SPECT, as Halty 2018 calibrates by them; ours."""
_BQ_PER_MBQ = 1e6


def read_settings(cohort: Path) -> Settings:
    """Read which settings made a cohort.

    Raises:
        BadInput: The folder is no cohort that ``rpt_phantom cohort`` made.
    """
    told = read_json(cohort / "cohort.json", CohortInfo).provenance
    parameters = told.get("parameters", {})
    names = [one.name for one in fields(Settings) if one.name != "seed"]
    if told.get("package") != "rpt-phantom" or not all(name in parameters for name in names):
        raise BadInput(
            f"'{cohort.name}' must be a cohort of rpt_phantom, and its cohort.json tells no seed "
            "and settings. Make it anew."
        )
    return Settings(seed=told["seed"], **{name: parameters[name] for name in names})


def write_dicom(settings: Settings, case: str, out: Path) -> Path:
    """Make a cycle again and write its DICOM.

    Args:
        settings: Of its cohort.
        case: Patient and cycle, ``P001/C1``.
        out: New or empty.

    Returns:
        The path of STUDY.yaml.

    Raises:
        BadInput: The case is not named so, or the folder is not new or empty.
    """
    name, _, number = case.partition("/C")
    if not number.isdecimal() or int(number) < 1:
        raise BadInput(f"case must be named like P001/C1, got {case!r}.")
    patient, cycle = patient_number(name), int(number)
    made = make_cycle(settings, patient=patient, cycle=cycle)
    views = whole_body(settings, made, patient=patient, cycle=cycle)
    held = clinic_cycle(made, name=name, cycle=cycle, planar=views)
    return write_cycle(out, held, seed=str(settings.seed), engine=ENGINE)


def clinic_cycle(
    made: VirtualCycle, *, name: str, cycle: int, planar: WholeBody | None
) -> ClinicCycle:
    """Return what a clinic would hold of a cycle.

    Args:
        made: The cycle.
        name: Of the patient.
        cycle: Number.
        planar: Whole-body views; ``None`` for none.
    """
    person, record = made.person, made.record
    ct = Volume(made.ct_hu, made.grid.affine)
    timing = PetTiming(
        made.settings.tracer, record.pet_activity_mbq, record.pet_time_min, PET_DURATION_S
    )
    return ClinicCycle(
        patient=VirtualPatient(name, person.weight_kg, person.height_cm, person.age_y),
        cycle=cycle,
        therapy=made.settings.therapy,
        administered_mbq=record.administered_activity_mbq,
        pet=PetCt(Volume(made.pet_suv, made.grid.affine), ct, timing),
        spects=_spects(made),
        cps_per_mbq=CPS_PER_MBQ,
        organs=made.organs,
        lesions=made.lesions if made.lesions.any() else None,
        planar=planar,
        laboratory=record.laboratory,
        calibration_sd_pct=100.0 * CALIBRATION_LOG_STD,
    )


def whole_body(settings: Settings, made: VirtualCycle, *, patient: int, cycle: int) -> WholeBody:
    """Scan the patient from front and back before the first SPECT.

    The whole body is made again, on a longer grid than the cycle's: anatomy and organs' uptake are
    the same, the heterogeneity within organs is drawn anew.

    Args:
        settings: Of the cohort.
        made: The cycle.
        patient: Number of the patient.
        cycle: Number of the cycle.

    Raises:
        BadInput: PyTomography is not installed.
    """
    whole = virtual_truth(replace(settings, slices=SLICES_MOST), patient=patient, cycle=cycle)
    activity = whole.activity_bq_per_ml(
        time_h=PLANAR_H, administered_mbq=made.record.administered_activity_mbq
    )
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


def _spects(made: VirtualCycle) -> tuple[SpectCt, ...]:
    """Return the SPECTs in counts; in the fast mode the first alone has a CT of its own."""
    affine = made.grid.affine
    cts = [Volume(ct, affine) for ct in made.series.ct_hu]
    spects = []
    for number, (image, time_h) in enumerate(
        zip(made.series.scanned, made.record.spect_times_h, strict=True)
    ):
        # What did not move has the first one's CT.
        ct = cts[min(number, len(cts) - 1)]
        spects.append(SpectCt(Volume(_counts(image), affine), _timing(time_h), ct))
    return tuple(spects)


def _timing(time_h: float) -> SpectTiming:
    camera = LU177_ME
    return SpectTiming(time_h, camera.duration_s, camera.heads, camera.views // camera.heads)


def _counts(bq_per_ml: Float32[np.ndarray, "x y z"]) -> Float32[np.ndarray, "x y z"]:
    """Return the counts that the camera would have had of an image."""
    mbq_per_bq_ml = SPACING_MM**3 / 1000.0 / _BQ_PER_MBQ
    scale = CPS_PER_MBQ * LU177_ME.duration_s * mbq_per_bq_ml
    return np.asarray(bq_per_ml * np.float32(scale), dtype=np.float32)
