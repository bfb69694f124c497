"""Sentences and numbers that the JSON of ``simulate`` and of ``study`` share."""

from typing import Any

import numpy as np

from rpt_kinetics.correlation import fisher_interval
from rpt_kinetics.imaging import Decomposition
from rpt_kinetics.inputs import NAMED_INPUTS
from rpt_kinetics.study_parameters import StudyParameters

S_VALUE_NOTE = (
    "The S-value is the organ's: a voxel's dose is S × organ mass × its time-integrated activity "
    "per gram."
)
MEANING = (
    "1 - r² of the images: kinetics is 1 - r² of the true SUV and dose, resolution what blur adds "
    "(below 0 where it averages away differences that PET and dose do not share), noise what "
    "noise adds after that; the three add up to total."
)
NOT_DEFINED = "not defined (a value does not vary)"
DOTS_PER_INCH = 120


def finite_or_none(value: float) -> float | None:
    """Return what JSON can carry: None for a correlation that is not defined."""
    return float(value) if np.isfinite(value) else None


def r_in_words(r: float, count: int) -> str:
    """Return r with its 95 % confidence interval, such as ``0.40 [0.38, 0.42]``."""
    if np.isnan(r):
        return NOT_DEFINED
    low, high = fisher_interval(r, count)
    digits = 2 if r < 0.95 else 3
    return f"{r:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def decomposition_in_words(decomposition: Decomposition) -> dict[str, float | None]:
    """Return the parts of 1 − r² and their total."""
    parts = vars(decomposition) | {"total": decomposition.total}
    return {name: finite_or_none(value) for name, value in parts.items()}


def assumed_inputs(parameters: StudyParameters) -> dict[str, Any]:
    """Return which blood curves stand for the two agents, and that this is an assumption."""
    curves = {"PET": parameters.pet_input, "therapy": parameters.therapy_input}
    shared = parameters.pet_input == parameters.therapy_input
    return {
        agent: {
            "name": name,
            "source": NAMED_INPUTS[name]().source,
            "assumptions": [
                "a curve of [177Lu]Lu-PSMA, taken for "
                + ("both agents" if shared else f"the {agent} alone"),
                *NAMED_INPUTS[name]().assumptions,
            ],
        }
        for agent, name in curves.items()
    }
