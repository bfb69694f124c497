"""One cycle of one virtual patient before any scanner: anatomy, kinetics, decays and dose.

It is computed on voxels of 2.4 mm in a box around the body. The box is longer than the case's field
of view, so that blur, scatter and photons come in from beyond its ends, and hardly wider than the
body. It is the same for all cycles of a patient. Two voxels of the box along each axis make one of
the case's.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float32, Shaped, UInt8, UInt16
from rpt_cohort import BadInput
from rpt_dosimetry.dose.anatomy import LOWEST_G_PER_ML
from rpt_dosimetry.dose.engines import GY_G_PER_MBQ_H_KEV, convolve_octant
from rpt_dosimetry.radiation.kernel import compute_kernel
from rpt_dosimetry.radiation.nuclide import Nuclide, find_nuclide
from scipy.ndimage import map_coordinates

from rpt_phantom.agents import (
    Biology,
    VoxelKinetics,
    draw_biology,
    draw_heterogeneity,
    voxel_kinetics,
)
from rpt_phantom.anatomy import (
    Anatomy,
    Body,
    Lesion,
    at_cycle,
    draw_body,
    draw_lesions,
    voxelise,
    world_box_mm,
)
from rpt_phantom.grid import IN_PLANE, SPACING_MM, Grid, torso_grid
from rpt_phantom.person import Person, Purpose, draw_person, generator
from rpt_phantom.settings import CohortSettings
from rpt_phantom.spect.projection import coarser

FINER = 2
"""Voxels of the truth along an edge of the case's."""
END_SLICES = 5
"""Of the case's, beyond each end of it: 24 mm, 4 SD of SPECT's blur; ours."""
AROUND_MM = 30.0
"""From the body, at its drawn setup, to the sides of the box: blur and shifts; ours."""
Fine = Float32[np.ndarray, "a b c"]
Coarse = Float32[np.ndarray, "x y z"]
SETUP_STD_MM = (2.0, 2.0, 4.0)
"""Of the patient on the couch from cycle to cycle; ours."""
CYCLES_MOST = 99
SETUP_CLIP = 2.5
"""Largest deviate, SD, so that the body stays in its box; ours."""
_PER_GBQ = 1000.0
_BQ_PER_MBQ = 1e6
_G_PER_KG = 1000.0


@dataclass(frozen=True)
class Box:
    """The grids of one patient, with one middle.

    Attributes:
        case: Grid of the case's files.
        fine: Voxels of 2.4 mm around the body.
        coarse: Voxels of 4.8 mm around the body, which are voxels of ``case`` where both are.
    """

    case: Grid
    fine: Grid
    coarse: Grid

    def on_case(
        self, values: Shaped[np.ndarray, "a b c"], *, outside: float = 0.0
    ) -> Shaped[np.ndarray, "x y z"]:
        """Put values on the case's grid.

        Args:
            values: One for each voxel of ``coarse``.
            outside: The value beside the box.
        """
        inside = values[:, :, END_SLICES:-END_SLICES]
        ends = [((n - m) // 2,) * 2 for n, m in zip(self.case.shape, inside.shape, strict=True)]
        return np.pad(inside, ends, constant_values=np.asarray(outside, values.dtype))

    def square(
        self, values: Float32[np.ndarray, "a b c"], *, outside: float = 0.0
    ) -> Float32[np.ndarray, "n n c"]:
        """Widen values of ``fine`` to whole slices, as a turning camera needs them."""
        wide = IN_PLANE * FINER
        ends = [((wide - n) // 2,) * 2 for n in values.shape[:2]]
        return np.pad(values, [*ends, (0, 0)], constant_values=np.float32(outside))


def patient_box(body: Body, *, slices: int) -> Box:
    """Choose a patient's grids.

    Args:
        body: The patient, without what changes from cycle to cycle.

    Raises:
        BadInput: ``slices`` is out of its range.
    """
    case = torso_grid(slices)
    low_mm, high_mm = world_box_mm(body, *body.atlas.body_mm)
    shape = []
    for axis in (0, 1):
        reach_mm = max(-low_mm[axis], high_mm[axis]) + AROUND_MM
        # Even, as the case's slices are, so that the middles are one.
        shape.append(min(2 * int(np.ceil(reach_mm / SPACING_MM)), IN_PLANE))
    coarse = (shape[0], shape[1], slices + 2 * END_SLICES)
    fine = (coarse[0] * FINER, coarse[1] * FINER, coarse[2] * FINER)
    return Box(
        case,
        Grid.centred(fine, SPACING_MM / FINER),
        Grid.centred(coarse, SPACING_MM),
    )


def averaged_by_volume(values: Float32[np.ndarray, "a b c"]) -> Float32[np.ndarray, "x y z"]:
    """Average values of ``fine`` over the voxels of ``coarse``."""
    return coarser(values, FINER)


def averaged_by_mass(
    values: Float32[np.ndarray, "a b c"], density_g_per_ml: Float32[np.ndarray, "a b c"]
) -> Float32[np.ndarray, "x y z"]:
    """Average what counts per mass, such as dose, over the voxels of ``coarse``."""
    mass = coarser(density_g_per_ml, FINER)
    return np.asarray(coarser(values * density_g_per_ml, FINER) / mass, dtype=np.float32)


@dataclass(frozen=True)
class TrueDose:
    """Absorbed dose of electrons and photons, on the grids on which they are known.

    Attributes:
        electron_fine: On voxels of 2.4 mm, Gy/GBq.
        electron: Averaged by mass over voxels of 4.8 mm, Gy/GBq.
        photon: On voxels of 4.8 mm, Gy/GBq.
    """

    electron_fine: Fine
    electron: Coarse
    photon: Coarse

    @property
    def total(self) -> Coarse:
        """On voxels of 4.8 mm, Gy/GBq."""
        total: Coarse = self.electron + self.photon
        return total

    def total_fine(self) -> Fine:
        """On voxels of 2.4 mm, Gy/GBq; photons by linear interpolation."""
        axes = [(np.arange(n) - (FINER - 1) / 2) / FINER for n in self.electron_fine.shape]
        at = np.stack(np.meshgrid(*axes, indexing="ij"))
        photon = map_coordinates(self.photon, at, order=1, mode="nearest")
        return np.asarray(self.electron_fine + photon, dtype=np.float32)


def lu177() -> Nuclide:
    """Return the nuclide of the therapy."""
    return find_nuclide("Lu-177")


def true_dose(
    tia_mbq_h_per_ml: Fine, density_g_per_ml: Fine, *, reach: tuple[int, int, int]
) -> TrueDose:
    """Compute the dose of a known time-integrated activity.

    Electrons stop in the voxel of 2.4 mm in which they start (their mean range is a tenth of it)
    and meet its own mass. Photons come by the voxel kernel of soft tissue on voxels of 4.8 mm:
    at their range, that is as good as finer ones.

    Args:
        tia_mbq_h_per_ml: Per administered activity, MBq·h/mL per GBq.
        reach: Offsets of the photons' kernel along each axis; those of the case's grid let the
            engine that measures use the same kernel.

    Returns:
        Gy/GBq; photons outside the body too.
    """
    dense = np.maximum(density_g_per_ml, LOWEST_G_PER_ML).astype(np.float32)
    electron = tia_mbq_h_per_ml * (GY_G_PER_MBQ_H_KEV * lu177().electron_kev / dense)
    electron = electron.astype(np.float32)
    kernel = compute_kernel("Lu-177", spacing_mm=(SPACING_MM,) * 3, largest=reach)
    gy_per_kev = GY_G_PER_MBQ_H_KEV / kernel.density_g_per_cm3
    photon = convolve_octant(averaged_by_volume(tia_mbq_h_per_ml), kernel.photon_kev * gy_per_kev)
    return TrueDose(electron, averaged_by_mass(electron, dense), photon)


@dataclass(frozen=True)
class VirtualTruth:
    """What is true of one cycle; maps are on ``box.fine`` or ``box.coarse``.

    Attributes:
        body: His, without any grid.
        anatomy: On voxels of 2.4 mm.
        organs: Organ numbers on the case's grid, by the middles of its voxels.
        biology: What was drawn of the patient's uptake.
        tia_mbq_h_per_ml: Time-integrated activity on voxels of 4.8 mm, MBq·h/mL per GBq.
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
    """A patient on the couch at one cycle: all but the kinetics."""

    box: Box
    body: Body
    lesions: tuple[Lesion, ...]

    def voxels(self, grid: Grid) -> Anatomy:
        """Put the patient on a grid."""
        return voxelise(self.body, self.lesions, grid)


def virtual_place(settings: CohortSettings, person: Person, *, patient: int, cycle: int) -> Place:
    """Draw a patient's body and lesions at a cycle.

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


def virtual_truth(settings: CohortSettings, *, patient: int, cycle: int) -> VirtualTruth:
    """Draw a patient at a cycle, and compute its dose.

    Raises:
        BadInput: A number is out of its range.
    """
    seed = settings.seed
    person = virtual_person(seed=seed, patient=patient)
    place = virtual_place(settings, person, patient=patient, cycle=cycle)
    box = place.box
    anatomy, of_case = place.voxels(box.fine), place.voxels(box.case)
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
    settings: CohortSettings,
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
