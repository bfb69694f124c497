"""What the correlation rests on: each function gives r for one seed, over one range of choices."""

from dataclasses import is_dataclass, replace
from typing import Any

import numpy as np

from rpt_kinetics.correlation import correlations
from rpt_kinetics.exponentials import Floats
from rpt_kinetics.imaging import Images, blurred_images, imaged, rim_restored
from rpt_kinetics.presets import in_words
from rpt_kinetics.simulation import Simulation, simulate, suv_at
from rpt_kinetics.study_parameters import StudyParameters, Surroundings

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
    """Return the parameters with one number, or one table of them, times ``factor``.

    Args:
        parameters: The study's.
        name: Such as ``weight_kg``, ``voxel_cv.k1`` or, for all five, ``voxel_cv``.
        factor: No unit; a number of voxels is rounded.
    """
    table, _, rate = name.partition(".")
    value = getattr(parameters, table)
    new: Any
    if is_dataclass(value) and not isinstance(value, type):
        chosen = [rate] if rate else list(vars(value))
        new = replace(value, **{key: factor * getattr(value, key) for key in chosen})
    else:
        new = round(factor * value) if isinstance(value, int) else factor * value
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
