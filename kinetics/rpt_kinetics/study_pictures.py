"""The study's figures, put together from plots."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from rpt_kinetics.presets import PAPER_PRESETS, Preset
from rpt_kinetics.scatter import organ_scatter, subtissue_scatter
from rpt_kinetics.simulation import simulate
from rpt_kinetics.study_figures import (
    decomposition_plot,
    moved_plot,
    resolution_handles,
    resolution_plot,
    times_plot,
)
from rpt_kinetics.study_measures import Measures
from rpt_kinetics.sweep import OF_IMAGES, movable

FIGURES = {
    "fig_s3.png": "the paper's three cases (its Fig. 1 and S3): true SUV against true dose",
    "beyond.png": "the other presets, likewise",
    "resolution.png": "r against resolution and correlation length, without noise; the dip at 4 mm "
    "comes from the unequal blur of PET and SPECT",
    "moved.png": "r with each parameter moved by 20 %",
    "suv_times.png": "r against the time of the PET",
    "decomposition.png": "1 - r² of the images, by cause",
}


def study_figures(presets: Sequence[Preset], found: Mapping[str, Measures]) -> dict[str, Figure]:
    """Draw every figure of the study.

    Args:
        presets: What was measured.
        found: Preset's name → measures with the seeds as first axis.

    Returns:
        File name, as in :data:`FIGURES` → figure.
    """
    paper = [preset for preset in presets if preset.name in PAPER_PRESETS]
    others = [preset for preset in presets if preset.name not in PAPER_PRESETS]
    drawn = (
        _scatters(paper),
        _scatters(others),
        _resolutions(paper, found),
        _moves(paper, found),
        _times(presets, found),
        _decompositions(found),
    )
    return dict(zip(FIGURES, drawn, strict=True))


def _scatters(presets: Sequence[Preset]) -> Figure:
    figure, axes = _panels(2, len(presets), width=5.4, height=5.0, title="Virtual organs, seed 0")
    for column, preset in zip(axes.T, presets, strict=True):
        simulation = simulate(preset.parameters, seed=0)
        voxels = (simulation.suv_g_per_ml, simulation.dose_gy, simulation.organ.subtissue)
        organ_scatter(column[0], *voxels, title=preset.name)
        subtissue_scatter(column[1], *voxels, title=preset.name)
        column[1].set_xlim(column[0].get_xlim())
        column[1].set_ylim(column[0].get_ylim())
    return figure


def _resolutions(presets: Sequence[Preset], found: Mapping[str, Measures]) -> Figure:
    title = (
        "Virtual organs: r of blurred PET and dose, without noise\n"
        "(dip at 4 mm: the PET's blur of 2 mm stays within a voxel, the SPECT's does not)"
    )
    figure, axes = _panels(1, len(presets), width=5.0, height=4.8, title=title)
    for ax, preset in zip(axes[0], presets, strict=True):
        resolution_plot(ax, found[preset.name].at_resolutions.mean(axis=0), title=preset.name)
    lowest = min(ax.get_ylim()[0] for ax in axes[0])
    for ax in axes[0]:
        ax.set_ylim(lowest, 1.01)
    handles = resolution_handles(axes[0, 0])
    figure.legend(
        handles=handles,
        title="Correlation length",
        loc="outside right center",
        fontsize="small",
    )
    return figure


def _moves(presets: Sequence[Preset], found: Mapping[str, Measures]) -> Figure:
    title = "Virtual organs: r of true PET and dose with one parameter moved by 20 %"
    figure, axes = _panels(len(presets), 2, width=6.6, height=4.4, title=title)
    for row, preset in zip(axes, presets, strict=True):
        names = movable(preset.parameters)
        true = [i for i, name in enumerate(names) if name not in OF_IMAGES]
        r = found[preset.name].r.mean(axis=0)
        of_moved = found[preset.name].of_moved.mean(axis=0)[true]
        shown = [names[i] for i in true]
        overall = f"{preset.name}, overall"
        moved_plot(row[0], shown, of_moved[..., 0], base=r[0], title=overall)
        clusters = f"{preset.name}, mean of the two sub-tissues"
        per_cluster = of_moved[..., 1:].mean(axis=-1)
        moved_plot(row[1], shown, per_cluster, base=r[1:].mean(), title=clusters)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2)
    return figure


def _times(presets: Sequence[Preset], found: Mapping[str, Measures]) -> Figure:
    title = "Virtual organs: r of true PET at a time and dose"
    figure, axes = _panels(1, 2, width=5.6, height=4.8, title=title)
    mean = {preset.name: found[preset.name].at_suv_times.mean(axis=0) for preset in presets}
    times_plot(axes[0, 0], {n: r[:, 0] for n, r in mean.items()}, title="overall")
    clusters = {n: r[:, 1:].mean(axis=1) for n, r in mean.items()}
    times_plot(axes[0, 1], clusters, title="mean of the two sub-tissues")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", fontsize="small")
    return figure


def _decompositions(found: Mapping[str, Measures]) -> Figure:
    title = "Virtual organs: where 1 − r² of PET and SPECT images comes from"
    figure, axes = _panels(1, 1, width=8.5, height=5.0, title="")
    parts = {name: here.parts.mean(axis=0) for name, here in found.items()}
    decomposition_plot(axes[0, 0], parts, title=title)
    return figure


def _panels(
    rows: int, columns: int, *, width: float, height: float, title: str
) -> tuple[Figure, np.ndarray[Any, np.dtype[np.object_]]]:
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    figure.suptitle(title)
    axes: np.ndarray[Any, np.dtype[np.object_]] = figure.subplots(rows, columns, squeeze=False)
    return figure, axes
