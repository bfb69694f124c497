"""All that the study measures of a preset, for each of its seeds."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from rpt_kinetics.choices import r_of_other_choices
from rpt_kinetics.exponentials import Floats
from rpt_kinetics.imaging import imaged
from rpt_kinetics.presets import Preset
from rpt_kinetics.simulation import simulate
from rpt_kinetics.sweep import r_at_resolutions, r_at_suv_times, r_of_moved


@dataclass(frozen=True, eq=False, kw_only=True)
class Measures:
    """One seed's results, or those of several with the seeds as first axis.

    Attributes:
        r: Of the true SUV and dose: overall, sub-tissue 1, sub-tissue 2; shape (3,).
        r_of_images: Overall r of the images; shape ().
        parts: Kinetics, resolution and noise, adding up to 1 − r² of the images; shape (3,).
        means: Mean SUV, g/mL, and mean dose, Gy; shape (2,).
        at_suv_times: See :func:`rpt_kinetics.sweep.r_at_suv_times`.
        at_resolutions: See :func:`rpt_kinetics.sweep.r_at_resolutions`.
        of_moved: See :func:`rpt_kinetics.sweep.r_of_moved`.
        of_other_choices: See :func:`rpt_kinetics.choices.r_of_other_choices`.
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
