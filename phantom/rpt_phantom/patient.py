"""One cycle of one virtual patient, from seed to arrays: truth → images → measured dose.

Nothing here touches a disk.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int16, UInt8, UInt16
from rpt_cohort.command import tell_done

from rpt_phantom.coverage import refuse_cut
from rpt_phantom.grid import Grid
from rpt_phantom.imaging import Series, image_again, image_series, misalignment_mm
from rpt_phantom.measured import Drawn, measured_dose
from rpt_phantom.motion import breathed, draw_amplitudes_mm
from rpt_phantom.person import Person, Purpose, Record, draw_record, generator, of_cycle
from rpt_phantom.pet import PET_MISALIGNMENT_STD_MM, pet_image, relative_positrons
from rpt_phantom.settings import CohortSettings
from rpt_phantom.truth import VirtualTruth, virtual_truth

Map = Float32[np.ndarray, "x y z"]


@dataclass(frozen=True)
class VirtualCycle:
    """All that is known of one therapy cycle; its arrays are on one grid.

    Attributes:
        grid: The grid of every array.
        truth: Anatomy, kinetics, decays and dose, on finer voxels.
        pet_breath_mm: How deep the patient breathed in the PET, mm.
        ct_hu: CT of the first SPECT, HU.
        organs: TotalSegmentator ids, 150–155 salivary glands, 199 remaining body, 0 air.
        lesions: Number of the lesion, 0 elsewhere.
        fov: 1 where the reference dose is known.
        dose_gy_per_gbq: Absorbed dose as measured, Gy/GBq.
        true_dose_gy_per_gbq: Absorbed dose, free of blur and noise, Gy/GBq.
        true_tia_mbq_h_per_ml: Time-integrated activity, MBq·h/mL per GBq.
    """

    settings: CohortSettings
    grid: Grid
    person: Person
    record: Record
    truth: VirtualTruth
    series: Series
    pet_suv: Map
    pet_breath_mm: float
    ct_hu: Int16[np.ndarray, "x y z"]
    organs: UInt8[np.ndarray, "x y z"]
    lesions: UInt16[np.ndarray, "x y z"]
    fov: UInt8[np.ndarray, "x y z"]
    dose_gy_per_gbq: Map
    true_dose_gy_per_gbq: Map
    true_tia_mbq_h_per_ml: Map


def make_cycle(
    settings: CohortSettings, *, patient: int, cycle: int = 1, organs: Sequence[str] = ()
) -> VirtualCycle:
    """Make one cycle of one virtual patient.

    Args:
        cycle: Number of the cycle, from 1; also beyond those the patient has in a cohort.
        organs: Names of organs that the field of view must hold whole.

    Returns:
        Arrays that depend on settings and numbers alone.

    Raises:
        BadInput: A number is out of its range, or the field of view cuts an organ.

    Example:
        >>> made = make_cycle(CohortSettings(slices=16), patient=1)
        >>> made.pet_suv.shape
        (128, 128, 16)
    """
    truth = virtual_truth(settings, patient=patient, cycle=cycle)
    refuse_cut(
        truth.anatomy, truth.body, organs, slices=settings.slices, name=f"P{patient:03d}/C{cycle}"
    )
    tell_done(0.4)
    box, generators = truth.box, of_cycle(settings.seed, patient, cycle)
    record = draw_record(
        generators(Purpose.RECORD), truth.person, cycle=cycle, tracer=settings.tracer
    )
    pet_breath_mm, *breaths_mm = draw_amplitudes_mm(
        generator(settings.seed, patient, Purpose.BREATHING),
        generators(Purpose.BREATHING),
        1 + len(record.spect_times_h),
    )
    series = image_series(settings, truth, record, generators, breaths_mm=breaths_mm)
    tell_done(0.8)
    return VirtualCycle(
        settings=settings,
        grid=box.case,
        person=truth.person,
        record=record,
        truth=truth,
        series=series,
        pet_suv=_pet(
            truth, record, settings, generators(Purpose.PET_IMAGE), breath_mm=pet_breath_mm
        ),
        pet_breath_mm=pet_breath_mm,
        ct_hu=series.ct_hu[0],
        organs=truth.organs,
        lesions=truth.lesions,
        fov=series.fov,
        dose_gy_per_gbq=dose_of(series.registered, series, truth, record),
        true_dose_gy_per_gbq=box.on_case(truth.dose.total),
        true_tia_mbq_h_per_ml=box.on_case(truth.tia_mbq_h_per_ml),
    )


def dose_again(made: VirtualCycle, *, patient: int, cycle: int) -> Map:
    """Measure the dose of the same patient once more, Gy/GBq: all chance of imaging anew."""
    rng = generator(made.settings.seed, patient, Purpose.SPECT_AGAIN, cycle=cycle)
    images = image_again(made.series, made.truth, rng)
    return dose_of(images, made.series, made.truth, made.record)


def dose_of(registered: Sequence[Map], series: Series, truth: VirtualTruth, record: Record) -> Map:
    """Return the dose that a clinic would see in registered SPECTs (Bq/mL), Gy/GBq."""
    return measured_dose(
        registered,
        Drawn(series.ct_hu[0], truth.organs, truth.lesions, series.fov),
        truth.box.case,
        times_h=record.spect_times_h,
        administered_mbq=record.administered_activity_mbq,
    )


def _pet(
    truth: VirtualTruth,
    record: Record,
    settings: CohortSettings,
    rng: np.random.Generator,
    *,
    breath_mm: float,
) -> Map:
    relative = relative_positrons(
        settings.tracer,
        activity_mbq=record.pet_activity_mbq,
        weight_kg=truth.person.weight_kg,
        time_min=record.pet_time_min,
    )
    return pet_image(
        breathed(truth.suv(time_min=record.pet_time_min), truth.anatomy, amplitude_mm=breath_mm),
        truth.anatomy.density_g_per_ml,
        truth.box,
        rng,
        relative_counts=relative,
        shift_mm=misalignment_mm(rng, std_mm=PET_MISALIGNMENT_STD_MM),
    )
