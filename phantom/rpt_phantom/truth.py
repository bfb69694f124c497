"""One cycle of one virtual patient before any scanner: anatomy, kinetics, decays and dose."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float32, UInt8, UInt16
from rpt_cohort import BadInput

from rpt_phantom.agents import (
    Biology,
    VoxelKinetics,
    draw_biology,
    draw_heterogeneity,
    voxel_kinetics,
)
from rpt_phantom.anatomy import (
    Anatomy,
    AxisGrid,
    Body,
    Lesion,
    at_cycle,
    draw_body,
    draw_lesions,
    voxelise,
)
from rpt_phantom.box import Box, averaged_by_volume, case_axes, patient_box
from rpt_phantom.person import Person, draw_person
from rpt_phantom.seeds import Purpose, generator
from rpt_phantom.settings import Settings
from rpt_phantom.true_dose import TrueDose, lu177, true_dose

SETUP_STD_MM = (2.0, 2.0, 4.0)
"""Of the patient on the couch from cycle to cycle; ours."""
CYCLES_MOST = 99
SETUP_CLIP = 2.5
"""Largest deviate, SD, so that the body stays in its box; ours."""
_PER_GBQ = 1000.0
_BQ_PER_MBQ = 1e6
_G_PER_KG = 1000.0


@dataclass(frozen=True)
class VirtualTruth:
    """What is true of one cycle; maps are on ``box.fine`` or ``box.coarse``.

    Attributes:
        box: The grids.
        person: The patient.
        body: His, without any grid.
        anatomy: On voxels of 2.4 mm.
        organs: Organ numbers on the case's grid, by the middles of its voxels.
        lesions: Lesion numbers there.
        biology: What was drawn of the patient's uptake.
        pet: Of the tracer.
        therapy: Of the therapy.
        tia_mbq_h_per_ml: Time-integrated activity on voxels of 4.8 mm, MBq·h/mL per GBq.
        dose: Absorbed dose.
    """

    box: Box
    person: Person
    body: Body
    anatomy: Anatomy
    organs: UInt8[np.ndarray, "x y z"]
    lesions: UInt16[np.ndarray, "x y z"]
    biology: Biology
    pet: VoxelKinetics
    therapy: VoxelKinetics
    tia_mbq_h_per_ml: Float32[np.ndarray, "a b c"]
    dose: TrueDose

    def suv(self, *, time_min: float) -> Float32[np.ndarray, "a b c"]:
        """Return the true SUV of the PET on voxels of 2.4 mm, g/mL.

        Args:
            time_min: From injection, min.
        """
        per_fraction = np.float32(self.person.weight_kg * _G_PER_KG)
        return self.pet.fraction_per_ml(time_min / 60.0) * per_fraction

    def activity_bq_per_ml(
        self, *, time_h: float, administered_mbq: float
    ) -> Float32[np.ndarray, "a b c"]:
        """Return the activity of the therapy on voxels of 2.4 mm, Bq/mL at that time.

        Args:
            time_h: From the start of the infusion, h.
            administered_mbq: At the start of the infusion, MBq.
        """
        left = np.exp(-lu177().decay_per_h * time_h)
        scale = np.float32(administered_mbq * _BQ_PER_MBQ * left)
        return self.therapy.fraction_per_ml(time_h) * scale

    def kinetics_mbq_per_ml(self, *, times_h: Sequence[float]) -> Float32[np.ndarray, "a b c t"]:
        """Return the activity of the therapy on voxels of 4.8 mm, MBq/mL per GBq, at some times.

        Args:
            times_h: From the start of the infusion, h.
        """
        gbq = [self.activity_bq_per_ml(time_h=at, administered_mbq=_PER_GBQ) for at in times_h]
        return np.stack([averaged_by_volume(one) for one in gbq], axis=-1) / np.float32(_BQ_PER_MBQ)

    def tia_fine(self) -> Float32[np.ndarray, "a b c"]:
        """Return the time-integrated activity on voxels of 2.4 mm, MBq·h/mL per GBq."""
        return _tia(self.therapy)


def virtual_person(*, seed: int, patient: int) -> Person:
    """Return the person who is patient ``patient`` of seed ``seed``.

    Raises:
        BadInput: ``seed`` is below 0, or ``patient`` below 1.
    """
    return draw_person(generator(seed, patient, Purpose.PERSON))


@dataclass(frozen=True)
class Place:
    """A patient on the couch at one cycle: all but the kinetics.

    Attributes:
        box: The grids.
        body: The patient.
        lesions: At this cycle.
    """

    box: Box
    body: Body
    lesions: tuple[Lesion, ...]

    def voxels(self, grid: AxisGrid) -> Anatomy:
        """Put the patient on a grid."""
        return voxelise(self.body, self.lesions, grid)


def virtual_place(settings: Settings, person: Person, *, patient: int, cycle: int) -> Place:
    """Draw a patient's body and lesions at a cycle.

    Args:
        settings: Of the cohort.
        person: Who it is.
        patient: Number of the patient, from 1.
        cycle: Number of the cycle, from 1.

    Raises:
        BadInput: A number is out of its range.
    """
    if not 1 <= cycle <= CYCLES_MOST:
        raise BadInput(f"cycle must be 1 to {CYCLES_MOST}, got {cycle}.")
    seed = settings.seed
    usual = draw_body(
        generator(seed, patient, Purpose.ANATOMY),
        weight_kg=person.weight_kg,
        height_cm=person.height_cm,
        atlases=settings.atlases(),
    )
    drawn = draw_lesions(generator(seed, patient, Purpose.LESIONS), usual)
    deviates = generator(seed, patient, Purpose.SETUP, cycle=cycle).standard_normal(3)
    setup = usual.setup_mm + np.clip(deviates, -SETUP_CLIP, SETUP_CLIP) * SETUP_STD_MM
    body = replace(usual, setup_mm=(float(setup[0]), float(setup[1]), float(setup[2])))
    return Place(patient_box(usual, slices=settings.slices), body, at_cycle(drawn, cycle))


def virtual_truth(settings: Settings, *, patient: int, cycle: int) -> VirtualTruth:
    """Draw a patient at a cycle, and compute its dose.

    Args:
        settings: Of the cohort.
        patient: Number of the patient, from 1.
        cycle: Number of the cycle, from 1.

    Raises:
        BadInput: A number is out of its range.
    """
    seed = settings.seed
    person = virtual_person(seed=seed, patient=patient)
    place = virtual_place(settings, person, patient=patient, cycle=cycle)
    box = place.box
    anatomy, of_case = place.voxels(box.fine), place.voxels(case_axes(box.case))
    biology = draw_biology(
        generator(seed, patient, Purpose.UPTAKE),
        generator(seed, patient, Purpose.UPTAKE, cycle=cycle),
        tracer=settings.tracer,
        therapy=settings.therapy,
        cycle=cycle,
    )
    pet, therapy = _kinetics(settings, anatomy, biology, person, patient=patient, cycle=cycle)
    tia = _tia(therapy)
    return VirtualTruth(
        box=box,
        person=person,
        body=place.body,
        anatomy=anatomy,
        organs=of_case.organs,
        lesions=of_case.lesions,
        biology=biology,
        pet=pet,
        therapy=therapy,
        tia_mbq_h_per_ml=averaged_by_volume(tia),
        dose=true_dose(tia, anatomy.density_g_per_ml, reach=box.case.shape),
    )


def _kinetics(
    settings: Settings,
    anatomy: Anatomy,
    biology: Biology,
    person: Person,
    *,
    patient: int,
    cycle: int,
) -> tuple[VoxelKinetics, VoxelKinetics]:
    """Return tracer and therapy; the shared field stays with the patient over the cycles."""
    seed = settings.seed
    fields = draw_heterogeneity(
        anatomy,
        generator(seed, patient, Purpose.SHARED_FIELD),
        generator(seed, patient, Purpose.PET_FIELD, cycle=cycle),
        generator(seed, patient, Purpose.DOSE_FIELD, cycle=cycle),
    )
    pet, therapy = (
        voxel_kinetics(
            anatomy,
            biology,
            agent,
            weight_kg=person.weight_kg,
            fields=fields,
            heterogeneity=settings.heterogeneity,
        )
        for agent in ("pet", "therapy")
    )
    return pet, therapy


def _tia(therapy: VoxelKinetics) -> Float32[np.ndarray, "a b c"]:
    """Return MBq·h/mL per GBq on voxels of 2.4 mm."""
    return therapy.residence_h_per_ml(lu177().half_life_h) * np.float32(_PER_GBQ)
