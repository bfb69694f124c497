"""What the study measures of a preset: r and what it rests on, over ranges and other choices."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, get_args, get_type_hints

import numpy as np

from rpt_kinetics.curves import Floats
from rpt_kinetics.imaging import Images, blurred_images, imaged, rim_restored
from rpt_kinetics.parameters import PerRate, Preset, StudyParameters, Surroundings, in_words
from rpt_kinetics.simulation import Simulation, correlations, simulate, suv_at

SUV_TIMES_MIN = (5.0, 10.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 180.0, 240.0)
SPECT_FWHM_MM = (0.0, 4.0, 8.0, 12.0, 16.0, 20.0)
# PET 6 mm goes with SPECT 12 mm.
PET_OVER_SPECT_FWHM = 0.5
CORRELATION_LENGTHS_MM = (0.0, 5.0, 10.0, 20.0, 30.0)
SURROUNDINGS: tuple[Surroundings, ...] = ("cold", "alike")

MOVES = (0.8, 1.2)
# Tables whose five numbers are also moved together: they are one choice.
MOVED_TOGETHER = ("gradient_amplitude", "voxel_cv", "ratio_cv")
# The true SUV and dose know nothing of these; the images' r is reported instead.
OF_IMAGES = ("pet_fwhm_mm", "spect_fwhm_mm", "pet_noise_cv", "spect_noise_cv", "surroundings")


def r_at_suv_times(simulation: Simulation) -> Floats:
    """Return r of the dose and the SUV at other times.

    Returns:
        Overall, in sub-tissue 1 and in sub-tissue 2; shape (times, 3).
    """
    return np.array(
        [
            correlations(
                suv_at(simulation.parameters, simulation.pet, time_min=time_min),
                simulation.dose_gy,
                simulation.organ.subtissue,
            )
            for time_min in SUV_TIMES_MIN
        ]
    )


def r_at_resolutions(parameters: StudyParameters, *, seed: int) -> Floats:
    """Return the overall r of blurred images without noise.

    Returns:
        Shape (correlation lengths, resolutions, surroundings).
    """
    result = np.empty((len(CORRELATION_LENGTHS_MM), len(SPECT_FWHM_MM), len(SURROUNDINGS)))
    for i, length_mm in enumerate(CORRELATION_LENGTHS_MM):
        simulation = simulate(replace(parameters, correlation_length_mm=length_mm), seed=seed)
        for j, spect_fwhm_mm in enumerate(SPECT_FWHM_MM):
            fwhm = {
                "pet_fwhm_mm": PET_OVER_SPECT_FWHM * spect_fwhm_mm,
                "spect_fwhm_mm": spect_fwhm_mm,
            }
            cold = blurred_images(simulation, surroundings="cold", **fwhm)
            alike = rim_restored(simulation.organ, cold, **fwhm)
            result[i, j] = cold.pearson_r(), alike.pearson_r()
    return result


def movable(parameters: StudyParameters) -> list[str]:
    """Return the names of all numbers that are not 0, and of the tables moved together."""
    numbers = [
        name
        for name, value in in_words(parameters).items()
        if not isinstance(value, str) and value != 0
    ]
    together = [name for name in MOVED_TOGETHER if np.any(getattr(parameters, name).row() != 0)]
    return [*numbers, *together]


def moved(parameters: StudyParameters, name: str, factor: float) -> StudyParameters:
    """Return the parameters with one number, or one table of them, times ``factor``."""
    return _with(
        parameters, name, lambda old: round(factor * old) if isinstance(old, int) else factor * old
    )


def _with(
    parameters: StudyParameters, name: str, change: Callable[[float], float]
) -> StudyParameters:
    """Change one number, ``weight_kg`` or ``voxel_cv.k1``, or all five: ``voxel_cv``."""
    table, _, rate = name.partition(".")
    old = getattr(parameters, table)
    new: Any
    if is_dataclass(old) and not isinstance(old, type):
        chosen = [rate] if rate else list(vars(old))
        new = replace(old, **{key: change(getattr(old, key)) for key in chosen})
    else:
        new = change(old)
    return replace(parameters, **{table: new})


def r_of_moved(parameters: StudyParameters, *, seed: int) -> Floats:
    """Return r with each movable number at 80 % and at 120 %.

    Of the true SUV and dose; of the images for the scanners' own parameters.

    Returns:
        Overall, in sub-tissue 1 and in sub-tissue 2; shape (movable, 2, 3).
    """
    return np.array(
        [
            [r_of(simulate(moved(parameters, name, factor), seed=seed), name) for factor in MOVES]
            for name in movable(parameters)
        ]
    )


def r_of(simulation: Simulation, name: str) -> Floats:
    """Return r of what a change of the parameter ``name`` shows in: truth, or the images.

    Returns:
        Overall, in sub-tissue 1 and in sub-tissue 2; shape (3,).
    """
    shown: Simulation | Images = imaged(simulation)[0] if name in OF_IMAGES else simulation
    return correlations(shown.suv_g_per_ml, shown.dose_gy, simulation.organ.subtissue)


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
        found += [Choice(name, value, _set(parameters, name, value)) for name in zeros]
    return found


def _set_to_0(parameters: StudyParameters) -> list[Choice]:
    numbers = in_words(parameters)
    return [
        Choice(name, 0.0, _set(parameters, name, 0.0)) for name in SET_TO_0 if numbers[name] != 0
    ]


def _set(parameters: StudyParameters, name: str, value: float) -> StudyParameters:
    return _with(parameters, name, lambda _: value)


@dataclass(frozen=True, eq=False, kw_only=True)
class Measures:
    """One seed's results, or those of several with the seeds as first axis.

    Attributes:
        r: Of the true SUV and dose: overall, sub-tissue 1, sub-tissue 2; shape (3,).
        r_of_images: Overall r of the images; shape ().
        parts: Kinetics, resolution and noise, adding up to 1 − r² of the images; shape (3,).
        means: Mean SUV, g/mL, and mean dose, Gy; shape (2,).
        at_suv_times: See ``r_at_suv_times``.
        at_resolutions: See ``r_at_resolutions``.
        of_moved: See ``r_of_moved``.
        of_other_choices: See ``r_of_other_choices``.
    """

    r: Floats
    r_of_images: Floats
    parts: Floats
    means: Floats
    at_suv_times: Floats
    at_resolutions: Floats
    of_moved: Floats
    of_other_choices: Floats


def measure(preset: Preset, seed: int) -> Measures:
    """Simulate a preset with one seed and measure all of it."""
    simulation = simulate(preset.parameters, seed=seed)
    images, parts = imaged(simulation)
    return Measures(
        r=np.array([simulation.pearson_r(), *simulation.pearson_r_per_cluster()]),
        r_of_images=np.array(images.pearson_r()),
        parts=np.array([parts.kinetics, parts.resolution, parts.noise]),
        means=np.array([simulation.suv_g_per_ml.mean(), simulation.dose_gy.mean()]),
        at_suv_times=r_at_suv_times(simulation),
        at_resolutions=r_at_resolutions(preset.parameters, seed=seed),
        of_moved=r_of_moved(preset.parameters, seed=seed),
        of_other_choices=r_of_other_choices(preset.parameters, seed=seed),
    )


def stacked(measures: Sequence[Measures]) -> Measures:
    """Join the measures of several seeds, the seeds as first axis."""
    names = [field.name for field in fields(Measures)]
    return Measures(**{name: np.stack([getattr(one, name) for one in measures]) for name in names})
