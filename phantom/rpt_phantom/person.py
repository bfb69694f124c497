"""The virtual person, the record of each cycle, and the chance that draws them.

One independent generator per patient, cycle and purpose: what one purpose draws never shifts what
another draws, and a patient's data depend on (seed, patient) alone, not on how many patients there
are or in which process they are made.

Source: the paper's cohort (69 ± 7 y, 78.7 ± 9.9 kg, PET 118.4 ± 25.1 MBq, therapy 7.3 ± 0.3
GBq; SPECT at 30–150 min, 24 h, 6–8 d; 23 patients with 48 cycles). Height, laboratory and
the jitter of times are ours.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from functools import partial

import numpy as np
from rpt_cohort import BadInput
from rpt_cohort.schema import Laboratory, Tracer

CYCLES_PROBABILITY = (0.30, 0.35, 0.35)  # of 1, 2, 3 cycles; mean 2.05 as 48 / 23
WEIGHT_KG, HEIGHT_CM = (78.7, 9.9), (176.0, 7.0)
"""Mean and SD of the population."""
PET_MBQ = {"68Ga": (118.4, 25.1), "18F": (250.0, 40.0)}
"""Mean and SD by nuclide, MBq; of 18F ours."""


class Purpose(IntEnum):
    """What a generator is for. The values are part of what a seed means: only append."""

    PERSON = 0
    ANATOMY = 1
    UPTAKE = 2
    LESIONS = 3
    SHARED_FIELD = 4
    PET_FIELD = 5
    DOSE_FIELD = 6
    PET_IMAGE = 7
    CT_IMAGE = 9
    RECORD = 10
    SETUP = 11
    MOTION = 12
    CALIBRATION = 13
    SPECT_IMAGE = 14
    SPECT_AGAIN = 15
    ALIGNMENT = 16
    PLANAR = 17
    PRESET = 18
    CLINIC_CT = 19
    BREATHING = 20


def generator(seed: int, patient: int, purpose: Purpose, *, cycle: int = 0) -> np.random.Generator:
    """Return the generator of one purpose.

    Args:
        cycle: Number of the cycle, from 1; 0 for what a patient keeps over all cycles.

    Returns:
        A generator in its first state: called twice, it gives the same numbers twice.

    Raises:
        BadInput: ``seed`` is below 0, or ``patient`` below 1.
    """
    if seed < 0:
        raise BadInput(f"seed must be 0 or above, got {seed}.")
    if patient < 1 or cycle < 0:
        raise BadInput(f"patient and cycle count from 1, got patient {patient}, cycle {cycle}.")
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(patient, cycle, purpose)))


Generators = Callable[[Purpose], np.random.Generator]
"""Purpose → the generator of one patient at one cycle."""


def of_cycle(seed: int, patient: int, cycle: int) -> Generators:
    """Return the generators of one patient at one cycle."""
    return partial(generator, seed, patient, cycle=cycle)


@dataclass(frozen=True)
class Person:
    """What a patient keeps over all cycles."""

    age_y: float
    weight_kg: float
    height_cm: float
    creatinine_mg_per_dl: float
    haemoglobin_g_per_dl: float
    psa_ng_per_ml: float
    cycles: int


@dataclass(frozen=True)
class Record:
    """What is noted at one cycle.

    Attributes:
        pet_activity_mbq: Injected for the PET, MBq.
        administered_activity_mbq: Given as therapy, MBq.
        pet_time_min: Injection to mid-scan, min.
        spect_times_h: Start of infusion to mid-scan, h.
        laboratory: Name → value and unit.
    """

    pet_activity_mbq: float
    administered_activity_mbq: float
    pet_time_min: float
    spect_times_h: list[float]
    laboratory: dict[str, Laboratory]


def draw_person(rng: np.random.Generator) -> Person:
    """Draw a patient; values beyond ± 2.5 SD are moved there."""
    return Person(
        age_y=_normal(rng, 69, 7, digits=0),
        weight_kg=_normal(rng, *WEIGHT_KG, digits=1),
        height_cm=_normal(rng, *HEIGHT_CM, digits=0),
        creatinine_mg_per_dl=_normal(rng, 1.0, 0.2, digits=2),
        haemoglobin_g_per_dl=_normal(rng, 12.5, 1.5, digits=1),
        psa_ng_per_ml=round(float(np.exp(_normal(rng, 4.0, 1.2, digits=3))), 1),
        cycles=1 + int(rng.choice(len(CYCLES_PROBABILITY), p=CYCLES_PROBABILITY)),
    )


def draw_record(
    rng: np.random.Generator, person: Person, *, cycle: int, tracer: Tracer = "68Ga-PSMA-11"
) -> Record:
    """Draw what is noted at a cycle; PSA halves from cycle to cycle, give or take."""
    mean_mbq, std_mbq = PET_MBQ[tracer.partition("-")[0]]
    psa = person.psa_ng_per_ml * 0.5 ** (cycle - 1) * np.exp(_normal(rng, 0, 0.2, digits=3))
    creatinine = person.creatinine_mg_per_dl * np.exp(_normal(rng, 0, 0.05, digits=3))
    haemoglobin = person.haemoglobin_g_per_dl + _normal(rng, 0, 0.4, digits=2)
    return Record(
        pet_activity_mbq=_normal(rng, mean_mbq, std_mbq, digits=1),
        administered_activity_mbq=_normal(rng, 7300, 300, digits=0),
        pet_time_min=_normal(rng, 60, 4, digits=0),
        spect_times_h=[
            round(float(rng.uniform(0.5, 2.5)), 2),
            _normal(rng, 24, 1.5, digits=2),
            round(float(rng.uniform(144, 192)), 2),
        ],
        laboratory={
            "creatinine": Laboratory(value=round(float(creatinine), 2), unit="mg/dL"),
            "haemoglobin": Laboratory(value=round(haemoglobin, 1), unit="g/dL"),
            "PSA": Laboratory(value=round(float(psa), 2), unit="ng/mL"),
        },
    )


def _normal(rng: np.random.Generator, mean: float, std: float, *, digits: int) -> float:
    deviate = float(np.clip(rng.standard_normal(), -2.5, 2.5))
    return round(mean + std * deviate, digits)
