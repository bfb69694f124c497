"""Figures of the study; each takes and returns ``ax``. All r are means over the seeds."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from rpt_kinetics.exponentials import Floats
from rpt_kinetics.sweep import (
    CORRELATION_LENGTHS_MM,
    MOVED_TOGETHER,
    PET_OVER_SPECT_FWHM,
    SPECT_FWHM_MM,
    SUV_TIMES_MIN,
)

R_LABEL = "Pearson's r of PET and dose"
LONGEST_BARS = 12
"""Of the parameters moved, those drawn (ours); the JSON has all."""
LOWER, HIGHER = "#0072B2", "#D55E00"
OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
MARKERS = "o^svDP*X"
HATCHES = ("", "//", "..")


def resolution_plot(ax: Axes, r: Floats, *, title: str) -> Axes:
    """Draw r against resolution, a line for each correlation length.

    Args:
        ax: Where to draw.
        r: Overall, shape (correlation lengths, resolutions, surroundings).
        title: Above the plot.
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
        ax: Where to draw.
        names: Of the parameters.
        r: At 80 % and at 120 %, shape (parameters, 2).
        base: r with nothing moved.
        title: Above the plot.
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
    """Draw r against the time of the PET, a line for each preset.

    Args:
        ax: Where to draw.
        r: Preset → r, shape (times,).
        title: Above the plot.
    """
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
        ax: Where to draw.
        parts: Preset → kinetics, resolution and noise, shape (3,).
        title: Above the plot.
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
