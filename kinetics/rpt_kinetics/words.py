"""Numbers and sentences of the JSON that ``simulate`` and ``study`` write."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rpt_kinetics.curves import Floats
from rpt_kinetics.imaging import Decomposition
from rpt_kinetics.inputs import NAMED_INPUTS
from rpt_kinetics.measures import (
    CORRELATION_LENGTHS_MM,
    INSTEAD_OF_0,
    OF_IMAGES,
    PET_OVER_SPECT_FWHM,
    SET_TO_0,
    SPECT_FWHM_MM,
    SURROUNDINGS,
    SUV_TIMES_MIN,
    Measures,
    movable,
    other_choices,
)
from rpt_kinetics.parameters import Preset, StudyParameters, in_words
from rpt_kinetics.simulation import fisher_interval

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


Rows = list[dict[str, Any]]
NOTE = (
    "Virtual organs, not patients. Each r is the mean over the seeds, with the standard deviation "
    "between them. The presets are tuned to the paper's r and are not the only parameters that "
    "reach them: see pearson_r_moved and pearson_r_of_other_choices."
)

DIP = (
    "Where r is high it dips at 4 mm: there the PET's blur of 2 mm stays within a voxel of 2.2 mm, "
    "the SPECT's does not, so draws and rim are averaged in one image and not in the other. With "
    "equal blur there is no dip; a wider blur leaves in both what many voxels share."
)


def study_content(
    presets: Sequence[Preset], found: Mapping[str, Measures], *, seeds: int
) -> dict[str, Any]:
    """Return all measures, JSON-ready.

    Args:
        found: Preset's name → measures with the seeds as first axis.
    """
    return {
        "virtual": True,
        "note": NOTE,
        "seeds": list(range(seeds)),
        "s_value": S_VALUE_NOTE,
        "one_minus_r_squared": MEANING,
        "presets": {preset.name: _preset_words(preset, found[preset.name]) for preset in presets},
        "pearson_r_against_resolution": {
            "meaning": "overall r of the images without noise; surroundings 'cold': nothing "
            "around the organ, 'alike': the blurred image over the blurred mask. " + DIP,
            "rows": [row for preset in presets for row in _resolution_rows(preset, found)],
        },
        "pearson_r_at_suv_times": [row for preset in presets for row in _time_rows(preset, found)],
        "pearson_r_moved": {
            "meaning": "r with one number at 80 % and at 120 %; a table's name alone means its "
            "five numbers together; numbers that are 0 stay so (see "
            "pearson_r_of_other_choices). For the scanners' parameters it "
            "is the images' r, else that of the true SUV and dose. Another number of voxels "
            "takes other chance.",
            "rows": [row for preset in presets for row in _moved_rows(preset, found)],
        },
        "pearson_r_of_other_choices": {
            "meaning": "r with one choice made otherwise: each other word, a stated value (ours) "
            "instead of each 0, and 0 where it means another model. A table's name alone means "
            "its five numbers together. change: of the mean r. Of surroundings it is the images' "
            "r, else that of the true SUV and dose.",
            "instead_of_0": INSTEAD_OF_0,
            "set_to_0": list(SET_TO_0),
            "rows": [row for preset in presets for row in _choice_rows(preset, found)],
        },
    }


def _preset_words(preset: Preset, found: Measures) -> dict[str, Any]:
    overall, *clusters = found.r.T
    activity_gbq = preset.parameters.administered_activity_mbq / 1000.0
    suv, dose_gy = found.means.mean(axis=0).tolist()
    kinetics, resolution, noise = found.parts.mean(axis=0).tolist()
    return {
        "description": preset.description,
        "why_not_unique": preset.why_not_unique,
        "target_pearson_r": preset.target_pearson_r,
        "target_of": preset.target_of if preset.target_pearson_r is not None else None,
        "pearson_r": _spread(overall) | {"of_each_seed": overall.tolist()},
        "pearson_r_per_cluster": [_spread(cluster) for cluster in clusters],
        "pearson_r_of_images": _spread(found.r_of_images),
        "one_minus_r_squared_of_images": {
            "kinetics": kinetics,
            "resolution": resolution,
            "noise": noise,
            "total": kinetics + resolution + noise,
        },
        "mean_suv_g_per_ml": suv,
        "mean_dose_gy": dose_gy,
        "mean_dose_gy_per_gbq": dose_gy / activity_gbq,
        "assumed_inputs": assumed_inputs(preset.parameters),
        "parameters": in_words(preset.parameters),
    }


def _spread(values: Floats) -> dict[str, float | None]:
    """Return mean and SD over the seeds; no SD of a single one."""
    several = len(values) > 1
    return {
        "mean": finite_or_none(values.mean()),
        "sd": finite_or_none(values.std(ddof=1)) if several else None,
    }


def _resolution_rows(preset: Preset, found: Mapping[str, Measures]) -> Rows:
    r = found[preset.name].at_resolutions
    return [
        {
            "preset": preset.name,
            "correlation_length_mm": length_mm,
            "pet_fwhm_mm": PET_OVER_SPECT_FWHM * spect_fwhm_mm,
            "spect_fwhm_mm": spect_fwhm_mm,
            "surroundings": surroundings,
            "pearson_r": _spread(r[:, i, j, k]),
        }
        for i, length_mm in enumerate(CORRELATION_LENGTHS_MM)
        for j, spect_fwhm_mm in enumerate(SPECT_FWHM_MM)
        for k, surroundings in enumerate(SURROUNDINGS)
    ]


def _time_rows(preset: Preset, found: Mapping[str, Measures]) -> Rows:
    r = found[preset.name].at_suv_times
    return [
        {
            "preset": preset.name,
            "suv_time_min": time_min,
            "pearson_r": _spread(r[:, i, 0]),
            "pearson_r_per_cluster": [_spread(r[:, i, j]) for j in (1, 2)],
        }
        for i, time_min in enumerate(SUV_TIMES_MIN)
    ]


def _moved_rows(preset: Preset, found: Mapping[str, Measures]) -> Rows:
    r = found[preset.name].of_moved.mean(axis=0)
    return [
        {
            "preset": preset.name,
            "parameter": name,
            "of": "images" if name in OF_IMAGES else "true SUV and dose",
            **{
                f"pearson_r_{side}": finite_or_none(r[i, j, 0])
                for j, side in enumerate(("at_80_percent", "at_120_percent"))
            },
            **{
                f"pearson_r_per_cluster_{side}": [finite_or_none(one) for one in r[i, j, 1:]]
                for j, side in enumerate(("at_80_percent", "at_120_percent"))
            },
        }
        for i, name in enumerate(movable(preset.parameters))
    ]


def _choice_rows(preset: Preset, found: Mapping[str, Measures]) -> Rows:
    here = found[preset.name]
    rows: Rows = []
    for i, choice in enumerate(other_choices(preset.parameters)):
        r = here.of_other_choices[:, i]
        images = choice.name in OF_IMAGES
        before = (here.r_of_images if images else here.r[:, 0]).mean()
        rows.append(
            {
                "preset": preset.name,
                "parameter": choice.name,
                "value": choice.value,
                "of": "images" if images else "true SUV and dose",
                "pearson_r": _spread(r[:, 0]),
                "change": finite_or_none(r[:, 0].mean() - before),
                "pearson_r_per_cluster": [_spread(r[:, j]) for j in (1, 2)],
            }
        )
    return rows
