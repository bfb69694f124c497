"""One independent random generator per patient, cycle and purpose.

What one purpose draws never shifts what another draws, and a patient's data depend on
(seed, patient) alone, not on how many patients there are or in which process they are made.
"""

from collections.abc import Callable
from enum import IntEnum
from functools import partial

import numpy as np
from rpt_cohort import BadInput


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
        seed: The cohort's seed, 0 or above.
        patient: Number of the patient, from 1.
        purpose: What is drawn.
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
