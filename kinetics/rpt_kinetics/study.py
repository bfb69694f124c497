"""The commands ``simulate`` and ``study``: a virtual organ, and all presets over several seeds."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from rpt_cohort import file_sha256, json_bytes, new_folder, nifti_bytes, provenance, table_bytes
from rpt_cohort.command import progress
from rpt_cohort.figures import png_bytes

from rpt_kinetics.curves import Floats
from rpt_kinetics.figures import FIGURES, organ_scatter, study_figures, subtissue_scatter
from rpt_kinetics.imaging import Decomposition, Images, imaged
from rpt_kinetics.measures import Measures, measure, stacked
from rpt_kinetics.parameters import Preset, in_words, preset_names, read_preset, with_voxels
from rpt_kinetics.simulation import Simulation, fisher_interval, simulate
from rpt_kinetics.words import (
    MEANING,
    S_VALUE_NOTE,
    assumed_inputs,
    decomposition_in_words,
    finite_or_none,
    study_content,
)

DOTS_PER_INCH = 120
NOTE = (
    "A virtual organ, not a patient. Where the paper says nothing the parameters are assumed; "
    "others give the same r. The 95 % intervals (Fisher) hold for this number of independent "
    "voxels, not for patients; voxels that are alike because they are near make them too narrow."
)
FILES = {
    "voxels.csv": "each voxel's sub-tissue, position, SUV, dose and rates, units in the names",
    "suv.nii.gz": "true SUV, g/mL",
    "dose_gy.nii.gz": "true absorbed dose, Gy",
    "subtissue.nii.gz": "1 and 2; 0 outside the organ",
    "suv_image.nii.gz": "SUV as the PET shows it, g/mL",
    "dose_gy_image.nii.gz": "dose as the SPECT shows it, Gy",
    "scatter.png": "true SUV against true dose",
}


def write_simulation(preset: str, out: Path, *, seed: int, voxels: int | None) -> Simulation:
    """Simulate one organ and write it to a new folder.

    Args:
        preset: A preset's name, or a parameter file.
        voxels: In both sub-tissues together; None for the preset's.

    Returns:
        What was written.

    Raises:
        ValueError: The preset is unknown or at fault, the seed is negative, there are too few
            voxels, or ``out`` is not new.
    """
    if seed < 0:
        raise ValueError(f"--seed must be at least 0, got {seed}. Any whole number from 0 will do.")
    chosen = read_preset(preset)
    if voxels is not None:
        chosen = with_voxels(chosen, voxels)
    with new_folder(out) as folder:
        simulation = simulate(chosen.parameters, seed=seed)
        images, decomposition = imaged(simulation)
        contents = _contents(chosen, simulation, images)
        for name in progress(list(FILES), "files"):
            (folder / name).write_bytes(contents[name]())
        summary = _summary(chosen, simulation, images, decomposition) | {
            "provenance": provenance(
                package="rpt-kinetics",
                command="simulate",
                parameters={"preset": chosen.name, "voxels": voxels},
                inputs=_files_read(preset),
                seed=seed,
                libraries=("numpy", "scipy", "nibabel", "matplotlib"),
            )
        }
        (folder / "summary.json").write_bytes(json_bytes(summary))
    return simulation


def _contents(
    preset: Preset, simulation: Simulation, images: Images
) -> dict[str, Callable[[], bytes]]:
    organ = simulation.organ

    def volume(values: Floats, dtype: type[np.generic] = np.float32) -> Callable[[], bytes]:
        return lambda: nifti_bytes(organ.volume(values), organ.affine, dtype=dtype)

    return {
        "voxels.csv": lambda: table_bytes(_columns(simulation, images)),
        "suv.nii.gz": volume(simulation.suv_g_per_ml),
        "dose_gy.nii.gz": volume(simulation.dose_gy),
        "subtissue.nii.gz": volume(organ.subtissue.astype(np.float64), np.uint8),
        "suv_image.nii.gz": volume(images.suv_g_per_ml),
        "dose_gy_image.nii.gz": volume(images.dose_gy),
        "scatter.png": lambda: png_bytes(_figure(preset, simulation), dots_per_inch=DOTS_PER_INCH),
    }


def _columns(simulation: Simulation, images: Images) -> dict[str, np.ndarray]:
    organ = simulation.organ
    position = zip(("x_mm", "y_mm", "z_mm"), organ.position_mm(), strict=True)
    return {
        "subtissue": organ.subtissue,
        **dict(position),
        "suv_g_per_ml": simulation.suv_g_per_ml,
        "dose_gy": simulation.dose_gy,
        "suv_image_g_per_ml": images.suv_g_per_ml,
        "dose_image_gy": images.dose_gy,
        **{f"pet_{name}": values for name, values in vars(simulation.pet).items()},
        **{f"therapy_{name}": values for name, values in vars(simulation.therapy).items()},
    }


def _figure(preset: Preset, simulation: Simulation) -> Figure:
    figure = Figure(figsize=(12.0, 5.2), layout="constrained")
    heat, twin = figure.subplots(1, 2, sharex=True, sharey=True)
    voxels = (simulation.suv_g_per_ml, simulation.dose_gy, simulation.organ.subtissue)
    title = f"{preset.name}, virtual organ, seed {simulation.seed}"
    organ_scatter(heat, *voxels, title=title)
    subtissue_scatter(twin, *voxels, title=title)
    return figure


def _summary(
    preset: Preset, simulation: Simulation, images: Images, decomposition: Decomposition
) -> dict[str, Any]:
    parameters, organ = simulation.parameters, simulation.organ
    clusters = simulation.pearson_r_per_cluster()
    counts = [int(np.sum(organ.subtissue == number)) for number in (1, 2)]
    mean_dose_gy = float(simulation.dose_gy.mean())
    return {
        "preset": preset.name,
        "seed": simulation.seed,
        "n_voxels": len(simulation.dose_gy),
        "pearson_r": finite_or_none(simulation.pearson_r()),
        "pearson_r_interval_95": _interval(simulation.pearson_r(), sum(counts)),
        "n_voxels_per_cluster": counts,
        "pearson_r_per_cluster": [finite_or_none(r) for r in clusters],
        "pearson_r_per_cluster_interval_95": [
            _interval(r, count) for r, count in zip(clusters, counts, strict=True)
        ],
        "virtual": True,
        "note": NOTE,
        "description": preset.description,
        "why_not_unique": preset.why_not_unique,
        "mean_suv_g_per_ml": float(simulation.suv_g_per_ml.mean()),
        "mean_dose_gy": mean_dose_gy,
        "mean_dose_gy_per_gbq": mean_dose_gy / (parameters.administered_activity_mbq / 1000.0),
        "images": {
            "pearson_r": finite_or_none(images.pearson_r()),
            "one_minus_r_squared": decomposition_in_words(decomposition),
            "meaning": MEANING,
        },
        "assumed_inputs": assumed_inputs(parameters),
        "s_value": S_VALUE_NOTE,
        "voxel_mm": organ.spacing_mm,
        "parameters": in_words(parameters),
        "files": FILES,
    }


def _interval(r: float, count: int) -> list[float] | None:
    return None if np.isnan(r) else list(fisher_interval(r, count))


def _files_read(preset: str) -> dict[str, str]:
    path = Path(preset)
    return {} if preset in preset_names() else {path.name: file_sha256(path)}


def write_study(out: Path, *, seeds: int) -> None:
    """Measure all presets with the seeds 0 to ``seeds`` − 1 and write them to a new folder.

    Args:
        seeds: At least 1.

    Raises:
        ValueError: ``seeds`` is below 1, or ``out`` is not new.
    """
    if seeds < 1:
        raise ValueError(f"--seeds must be at least 1, got {seeds}. The paper's r want 10 or more.")
    presets = [read_preset(name) for name in preset_names()]
    with new_folder(out) as folder:
        found = _measured(presets, seeds=seeds)
        for name, figure in study_figures(presets, found).items():
            (folder / name).write_bytes(png_bytes(figure, dots_per_inch=DOTS_PER_INCH))
        content = study_content(presets, found, seeds=seeds) | {
            "figures": FIGURES,
            "provenance": provenance(
                package="rpt-kinetics",
                command="study",
                parameters={"seeds": seeds},
                libraries=("numpy", "scipy", "matplotlib"),
            ),
        }
        (folder / "study.json").write_bytes(json_bytes(content))


def _measured(presets: Sequence[Preset], *, seeds: int) -> dict[str, Measures]:
    jobs = [(preset, seed) for preset in presets for seed in range(seeds)]
    by_job = [measure(*job) for job in progress(jobs, "presets and seeds")]
    return {
        preset.name: stacked(by_job[i * seeds : (i + 1) * seeds])
        for i, preset in enumerate(presets)
    }
