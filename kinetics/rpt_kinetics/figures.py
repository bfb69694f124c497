"""The study's figures: plots, which take and return ``ax``, and the pages that they make."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from rpt_cohort.figures import heat_scatter

from rpt_kinetics.curves import Floats
from rpt_kinetics.measures import (
    CORRELATION_LENGTHS_MM,
    MOVED_TOGETHER,
    OF_IMAGES,
    PET_OVER_SPECT_FWHM,
    SPECT_FWHM_MM,
    SUV_TIMES_MIN,
    Measures,
    movable,
)
from rpt_kinetics.parameters import PAPER_PRESETS, Preset
from rpt_kinetics.simulation import correlations, simulate
from rpt_kinetics.words import r_in_words

SUV_LABEL = "PET (SUV, g/mL)"
DOSE_LABEL = "Absorbed dose (Gy)"
MOST_CELLS = 80
"""Of the heat map, along each axis; fewer for fewer voxels than its square (ours)."""
ROOM = 0.04
"""Between the outermost values and the axes, as a share of their range (ours)."""
MOST_POINTS = 5000
"""Of each sub-tissue; more would only cover each other (ours)."""
R_LABEL = "Pearson's r of PET and dose"
LONGEST_BARS = 12
"""Of the parameters moved, those drawn (ours); the JSON has all."""
OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
"""The palette of Okabe and Ito, apart for the colour-blind."""
LOWER, HIGHER = OKABE_ITO[:2]
MARKERS = "o^svDP*X"
HATCHES = ("", "//", "..")
FIGURES = {
    "fig_s3.png": "the paper's three cases (its Fig. 1 and S3): true SUV against true dose",
    "beyond.png": "the other presets, likewise",
    "resolution.png": "r against resolution and correlation length, without noise; the dip at 4 mm "
    "comes from the unequal blur of PET and SPECT",
    "moved.png": "r with each parameter moved by 20 %",
    "suv_times.png": "r against the time of the PET",
    "decomposition.png": "1 - r² of the images, by cause",
}


def organ_scatter(
    ax: Axes, suv: Floats, dose: Floats, subtissue: NDArray[np.uint8], *, title: str
) -> Axes:
    """Draw how many voxels have which SUV (g/mL) and dose (Gy); sub-tissue is 1 or 2.

    To the title n and r with its 95 % interval are added.
    """
    heat_scatter(ax, suv, dose, most_cells=MOST_CELLS)
    ax.set_xlim(_with_room(*ax.get_xlim()))
    ax.set_ylim(_with_room(*ax.get_ylim()))
    return _labelled(ax, suv, dose, subtissue, title=title)


def subtissue_scatter(
    ax: Axes, suv: Floats, dose: Floats, subtissue: NDArray[np.uint8], *, title: str
) -> Axes:
    """Draw the same voxels as points, coloured by sub-tissue; arguments as above."""
    for number, colour, marker in zip((1, 2), OKABE_ITO, MARKERS, strict=False):
        here = np.flatnonzero(subtissue == number)
        # Evenly through the sub-tissue, whose voxels stand in the order of the grid.
        shown = here[:: max(1, -(-len(here) // MOST_POINTS))]
        ax.scatter(
            suv[shown],
            dose[shown],
            s=5,
            alpha=0.35,
            linewidths=0,
            color=colour,
            marker=marker,
            label=f"sub-tissue {number}",
            rasterized=True,
        )
    legend = ax.legend(fontsize="small", loc="upper left", markerscale=2.5)
    for handle in legend.legend_handles:
        if handle is not None:
            handle.set_alpha(1.0)
    return _labelled(ax, suv, dose, subtissue, title=title)


def _with_room(low: float, high: float) -> tuple[float, float]:
    """Return limits with room, so that the outermost points are not cut in half."""
    return low - ROOM * (high - low), high + ROOM * (high - low)


def _labelled(
    ax: Axes, suv: Floats, dose: Floats, subtissue: NDArray[np.uint8], *, title: str
) -> Axes:
    counts = [len(suv), *(int(np.sum(subtissue == number)) for number in (1, 2))]
    overall, *clusters = map(r_in_words, correlations(suv, dose, subtissue).tolist(), counts)
    ax.set_xlabel(SUV_LABEL)
    ax.set_ylabel(DOSE_LABEL)
    ax.set_title(
        f"{title}, n = {len(suv)}\nr [95 %]: {overall}\nin the sub-tissues: {', '.join(clusters)}",
        fontsize="medium",
    )
    return ax


def resolution_plot(ax: Axes, r: Floats, *, title: str) -> Axes:
    """Draw r against resolution, a line for each correlation length.

    Args:
        r: Overall, shape (correlation lengths, resolutions, surroundings).
    """
    shades = _viridis(len(CORRELATION_LENGTHS_MM))
    for shade, marker, length_mm, lines in zip(
        shades, MARKERS, CORRELATION_LENGTHS_MM, r, strict=False
    ):
        name = f"{length_mm:g} mm" if length_mm else "each voxel alone"
        ax.plot(SPECT_FWHM_MM, lines[:, 0], color=shade, marker=marker, markersize=4, label=name)
        ax.plot(SPECT_FWHM_MM, lines[:, 1], color=shade, linestyle="--", linewidth=1)
    ax.set_xlabel(f"FWHM of the SPECT (mm); PET × {PET_OVER_SPECT_FWHM:g}")
    ax.set_ylabel(R_LABEL)
    ax.set_title(title)
    return ax


def resolution_handles(ax: Axes) -> list[Artist]:
    """Return a legend's handles: which line is which correlation length and surroundings."""
    return [
        *ax.get_legend_handles_labels()[0],
        Line2D([], [], color="grey", label="cold surroundings"),
        Line2D([], [], color="grey", linestyle="--", linewidth=1, label="no rim (organ goes on)"),
    ]


def moved_plot(ax: Axes, names: Sequence[str], r: Floats, *, base: float, title: str) -> Axes:
    """Draw r with parameters at 80 % and 120 %, the widest bars on top.

    Args:
        r: At 80 % and at 120 %, shape (parameters, 2).
        base: r with nothing moved.
    """
    width = np.abs(r - base).max(axis=1)
    shown = np.argsort(-width, kind="stable")[:LONGEST_BARS][::-1]
    for i, (colour, hatch, label) in enumerate(((LOWER, "", "− 20 %"), (HIGHER, "//", "+ 20 %"))):
        ax.barh(
            np.arange(len(shown)) + (0.2 if i == 0 else -0.2),
            r[shown, i] - base,
            height=0.4,
            left=base,
            color=colour,
            hatch=hatch,
            edgecolor="white",
            linewidth=0,
            label=label,
        )
    ax.axvline(base, color="black", linewidth=1)
    ax.set_yticks(np.arange(len(shown)), [_readable(names[i]) for i in shown], fontsize="small")
    ax.set_xlabel(R_LABEL)
    ax.xaxis.set_major_locator(MaxNLocator(5))
    ax.set_title(title, fontsize="medium")
    return ax


def times_plot(ax: Axes, r: Mapping[str, Floats], *, title: str) -> Axes:
    """Draw r against the time of the PET, a line for each preset."""
    # Lines that coincide: each is narrower than those below it, which stay in sight.
    widths = np.linspace(7.0, 1.0, len(r))
    for i, (name, line) in enumerate(r.items()):
        ax.plot(
            SUV_TIMES_MIN,
            line,
            color=OKABE_ITO[i],
            linewidth=widths[i],
            marker=MARKERS[i],
            markersize=widths[i] + 3,
            label=name,
        )
    ax.set_xscale("log")
    ticks = (5, 10, 20, 30, 60, 120, 240)
    ax.set_xticks(ticks, [f"{tick}" for tick in ticks])
    ax.minorticks_off()
    ax.set_xlabel("Time of the PET after the injection (min)")
    ax.set_ylabel(R_LABEL)
    ax.set_title(title)
    return ax


def decomposition_plot(ax: Axes, parts: Mapping[str, Floats], *, title: str) -> Axes:
    """Draw the parts of 1 − r² of the images, those below 0 to the left.

    Args:
        parts: Preset → kinetics, resolution and noise, shape (3,).
    """
    rows = np.array(list(parts.values()))
    height = np.arange(len(rows))[::-1]
    names = ("kinetics", "resolution", "noise")
    right, left = np.zeros(len(rows)), np.zeros(len(rows))
    for part, name, colour, hatch in zip(rows.T, names, OKABE_ITO, HATCHES, strict=False):
        start = np.where(part >= 0, right, left)
        ax.barh(height, part, left=start, color=colour, hatch=hatch, edgecolor="white", label=name)
        right, left = right + np.maximum(part, 0), left + np.minimum(part, 0)
    ax.plot(rows.sum(axis=1), height, "k|", markersize=18, markeredgewidth=2, label="sum")
    ax.axvline(0.0, color="black", linewidth=1)
    ax.set_yticks(height, list(parts))
    ax.set_xlabel("1 − r² of the images (no unit)")
    ax.legend(fontsize="small", ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.14))
    ax.set_title(title)
    return ax


def _readable(name: str) -> str:
    """Return a parameter's name for an axis, without the unit, which a change of 20 % has not."""
    table, _, rate = name.partition(".")
    words = table.replace("_", " ")
    if table in MOVED_TOGETHER and not rate:
        return f"{words}, all five"
    return f"{words}, {rate.split('_')[0]}" if rate else words


def _viridis(count: int) -> list[tuple[float, ...]]:
    # Not to its end: yellow on white is hard to see.
    return [tuple(colour) for colour in colormaps["viridis"](np.linspace(0.0, 0.85, count))]


def study_figures(presets: Sequence[Preset], found: Mapping[str, Measures]) -> dict[str, Figure]:
    """Draw every figure of the study.

    Args:
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
        handles=handles, title="Correlation length", loc="outside right center", fontsize="small"
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
