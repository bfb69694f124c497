"""What the study found, as JSON: one entry for each preset, one row for each choice moved."""

from collections.abc import Mapping, Sequence
from typing import Any

from rpt_kinetics.choices import INSTEAD_OF_0, SET_TO_0, other_choices
from rpt_kinetics.exponentials import Floats
from rpt_kinetics.presets import Preset, in_words
from rpt_kinetics.study_measures import Measures
from rpt_kinetics.study_text import MEANING, S_VALUE_NOTE, assumed_inputs, finite_or_none
from rpt_kinetics.sweep import (
    CORRELATION_LENGTHS_MM,
    OF_IMAGES,
    PET_OVER_SPECT_FWHM,
    SPECT_FWHM_MM,
    SURROUNDINGS,
    SUV_TIMES_MIN,
    movable,
)

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
        presets: What was measured.
        found: Preset's name → measures with the seeds as first axis.
        seeds: Their number.
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
