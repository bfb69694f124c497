"""The choices of the study that a factor cannot move: words, and numbers that are 0."""

from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, get_args, get_type_hints

import numpy as np

from rpt_kinetics.exponentials import Floats
from rpt_kinetics.presets import in_words
from rpt_kinetics.simulation import simulate
from rpt_kinetics.study_parameters import PerRate, StudyParameters
from rpt_kinetics.sweep import r_of

INSTEAD_OF_0 = {
    "gradient_amplitude": 0.5,
    "voxel_cv": 0.1,
    "patient_cv": 0.3,
    "ratio_cv": 0.1,
    "correlation_length_mm": 15.0,
    "pet_frame_min": 20.0,
}
"""Ours: what a number that is 0 becomes; of a table, each of its zeros alone, or all five."""
SET_TO_0 = ("pet_rates.k4_per_min", "pet_rates.vb", "correlation_length_mm")
"""Numbers whose 0 is another model: irreversible binding, no blood, voxels drawn alone."""
BOTH_INPUTS = "pet_input and therapy_input"


@dataclass(frozen=True)
class Choice:
    """Another choice of one parameter.

    Attributes:
        name: Such as ``draws``, ``ratio_cv.k1`` or, for all five, ``ratio_cv``.
        value: What it becomes, in the parameter's unit.
        parameters: The study's, with that choice.
    """

    name: str
    value: float | str
    parameters: StudyParameters


def other_choices(parameters: StudyParameters) -> list[Choice]:
    """Return every other word, a value for every number that is 0, and 0 where it has a meaning."""
    return [*_words(parameters), *_instead_of_0(parameters), *_set_to_0(parameters)]


def r_of_other_choices(parameters: StudyParameters, *, seed: int) -> Floats:
    """Return r with each of the other choices; of the images where they alone change.

    Returns:
        Overall, in sub-tissue 1 and in sub-tissue 2; shape (choices, 3).
    """
    return np.array(
        [
            r_of(simulate(choice.parameters, seed=seed), choice.name)
            for choice in other_choices(parameters)
        ]
    )


def _words(parameters: StudyParameters) -> list[Choice]:
    found = []
    for name, kind in get_type_hints(StudyParameters).items():
        for value in get_args(kind):
            if value != getattr(parameters, name):
                changed: dict[str, Any] = {name: value}
                found.append(Choice(name, value, replace(parameters, **changed)))
    used = {parameters.pet_input, parameters.therapy_input}
    for blood in get_args(get_type_hints(StudyParameters)["pet_input"]):
        if blood not in used:
            both = replace(parameters, pet_input=blood, therapy_input=blood)
            found.append(Choice(BOTH_INPUTS, blood, both))
    return found


def _instead_of_0(parameters: StudyParameters) -> list[Choice]:
    found = []
    for table, value in INSTEAD_OF_0.items():
        zeros = [
            name
            for name, number in in_words(parameters).items()
            if name.split(".")[0] == table and number == 0
        ]
        if len(zeros) == len(fields(PerRate)):
            zeros.append(table)
        found += [Choice(name, value, _with(parameters, name, value)) for name in zeros]
    return found


def _set_to_0(parameters: StudyParameters) -> list[Choice]:
    numbers = in_words(parameters)
    return [
        Choice(name, 0.0, _with(parameters, name, 0.0)) for name in SET_TO_0 if numbers[name] != 0
    ]


def _with(parameters: StudyParameters, name: str, value: float) -> StudyParameters:
    """Return the parameters with one number, or one whole table, at ``value``."""
    table, _, rate = name.partition(".")
    old = getattr(parameters, table)
    new: Any = value
    if is_dataclass(old) and not isinstance(old, type):
        new = replace(old, **dict.fromkeys([rate] if rate else vars(old), value))
    return replace(parameters, **{table: new})
