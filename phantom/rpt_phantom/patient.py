"""One cycle of one virtual patient, from seed to arrays: person → anatomy → truth → images.

Nothing here touches a disk. Physics that comes later replaces ``uptake`` and ``imaging``.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float32, Int16, UInt8, UInt16

from rpt_phantom.anatomy import Body, draw_body, voxelise
from rpt_phantom.fields import gaussian_field
from rpt_phantom.grid import Grid, torso_grid
from rpt_phantom.imaging import ct_image, dose_image, field_of_view, pet_image
from rpt_phantom.lesions import draw_lesions
from rpt_phantom.person import Person, Record, draw_person, draw_record
from rpt_phantom.populations import CORRELATION_LENGTH_MM, TissueUptake, draw_uptake
from rpt_phantom.seeds import Purpose, generator
from rpt_phantom.uptake import Fields, paint, time_integrated_activity

SETUP_STD_MM = (2.0, 2.0, 4.0)  # of the patient on the couch from cycle to cycle; ours


@dataclass(frozen=True)
class VirtualCycle:
    """All that is known of one therapy cycle, on one grid.

    Attributes:
        grid: The grid of every array.
        person: The patient.
        record: What was noted at this cycle.
        uptake: The tissues' true means.
        pet_suv: PET, SUV, g/mL.
        ct_hu: CT, HU.
        organs: TotalSegmentator ids; 199 remaining body, 0 air.
        lesions: Number of the lesion, 0 elsewhere.
        fov: 1 where the reference dose is known.
        dose_gy_per_gbq: Absorbed dose as measured, Gy/GBq.
        true_dose_gy_per_gbq: Absorbed dose, sharp and free of noise, Gy/GBq.
        true_tia_mbq_h_per_ml: Time-integrated activity, MBq·h/mL per GBq.
    """

    grid: Grid
    person: Person
    record: Record
    uptake: dict[str, TissueUptake]
    pet_suv: Float32[np.ndarray, "x y z"]
    ct_hu: Int16[np.ndarray, "x y z"]
    organs: UInt8[np.ndarray, "x y z"]
    lesions: UInt16[np.ndarray, "x y z"]
    fov: UInt8[np.ndarray, "x y z"]
    dose_gy_per_gbq: Float32[np.ndarray, "x y z"]
    true_dose_gy_per_gbq: Float32[np.ndarray, "x y z"]
    true_tia_mbq_h_per_ml: Float32[np.ndarray, "x y z"]


def virtual_person(*, seed: int, patient: int) -> Person:
    """Return the person who is patient ``patient`` of seed ``seed``.

    Raises:
        BadInput: ``seed`` is below 0, or ``patient`` below 1.
    """
    return draw_person(generator(seed, patient, Purpose.PERSON))


def virtual_cycle(*, seed: int, patient: int, cycle: int = 1, slices: int = 64) -> VirtualCycle:
    """Make one cycle of one virtual patient.

    Args:
        seed: The cohort's seed, 0 or above.
        patient: Number of the patient, from 1.
        cycle: Number of the cycle, from 1; also beyond those the patient has in a cohort.
        slices: Slices of 4.8 mm, 16 to 140.

    Returns:
        Arrays that depend on these four numbers alone.

    Raises:
        BadInput: A number is out of its range.

    Example:
        >>> made = virtual_cycle(seed=0, patient=1, slices=16)
        >>> made.pet_suv.shape
        (128, 128, 16)
    """
    grid = torso_grid(slices)
    person = virtual_person(seed=seed, patient=patient)
    record = draw_record(generator(seed, patient, Purpose.RECORD, cycle=cycle), person, cycle=cycle)
    uptake = draw_uptake(
        generator(seed, patient, Purpose.UPTAKE),
        generator(seed, patient, Purpose.UPTAKE, cycle=cycle),
    )
    lesions = draw_lesions(generator(seed, patient, Purpose.LESIONS))
    anatomy = voxelise(_body_on_couch(person, seed, patient, cycle), lesions, grid)
    truth = paint(anatomy, uptake, lesions, _fields(grid, seed, patient, cycle), cycle=cycle)
    pet_rng, dose_rng, ct_rng = (
        generator(seed, patient, purpose, cycle=cycle)
        for purpose in (Purpose.PET_IMAGE, Purpose.DOSE_IMAGE, Purpose.CT_IMAGE)
    )
    return VirtualCycle(
        grid=grid,
        person=person,
        record=record,
        uptake=uptake,
        pet_suv=pet_image(truth.suv_g_per_ml, grid, pet_rng, activity_mbq=record.pet_activity_mbq),
        ct_hu=ct_image(anatomy, grid, ct_rng),
        organs=anatomy.organs,
        lesions=anatomy.lesions,
        fov=field_of_view(grid),
        dose_gy_per_gbq=dose_image(truth.dose_gy_per_gbq, grid, dose_rng),
        true_dose_gy_per_gbq=truth.dose_gy_per_gbq,
        true_tia_mbq_h_per_ml=time_integrated_activity(truth.dose_gy_per_gbq),
    )


def _body_on_couch(person: Person, seed: int, patient: int, cycle: int) -> Body:
    body = draw_body(
        generator(seed, patient, Purpose.ANATOMY),
        weight_kg=person.weight_kg,
        height_cm=person.height_cm,
    )
    shift = generator(seed, patient, Purpose.ANATOMY, cycle=cycle).normal(0, SETUP_STD_MM)
    return replace(body, setup_mm=body.setup_mm + shift)


def _fields(grid: Grid, seed: int, patient: int, cycle: int) -> Fields:
    """Draw the heterogeneity: the shared part stays with the patient over the cycles."""

    def field(purpose: Purpose, cycle: int) -> Float32[np.ndarray, "x y z"]:
        rng = generator(seed, patient, purpose, cycle=cycle)
        return gaussian_field(grid, rng, correlation_length_mm=CORRELATION_LENGTH_MM)

    return Fields(
        shared=field(Purpose.SHARED_FIELD, 0),
        pet=field(Purpose.PET_FIELD, cycle),
        dose=field(Purpose.DOSE_FIELD, cycle),
    )
