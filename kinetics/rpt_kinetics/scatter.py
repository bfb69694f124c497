"""Scatter of PET against dose, as counts and by sub-tissue; functions take and return ``ax``."""

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray
from rpt_cohort.figures import heat_scatter

from rpt_kinetics.correlation import correlations
from rpt_kinetics.exponentials import Floats
from rpt_kinetics.study_text import r_in_words

SUV_LABEL = "PET (SUV, g/mL)"
DOSE_LABEL = "Absorbed dose (Gy)"
MOST_CELLS = 80
"""Of the heat map, along each axis; fewer for fewer voxels than its square (ours)."""
COLOURS = ("#0072B2", "#D55E00")
"""Blue and vermilion of Okabe and Ito's palette, apart for the colour-blind."""
MARKERS = ("o", "^")
ROOM = 0.04
"""Between the outermost values and the axes, as a share of their range (ours)."""
MOST_POINTS = 5000
"""Of each sub-tissue; more would only cover each other (ours)."""


def organ_scatter(
    ax: Axes, suv: Floats, dose: Floats, subtissue: NDArray[np.uint8], *, title: str
) -> Axes:
    """Draw how many voxels have which SUV and dose, in colours by the logarithm.

    Args:
        ax: Where to draw.
        suv: g/mL, shape (n,).
        dose: Gy, shape (n,).
        subtissue: 1 or 2, shape (n,).
        title: Above the plot; n and r with its 95 % interval are added.
    """
    heat_scatter(ax, suv, dose, most_cells=MOST_CELLS)
    ax.set_xlim(_with_room(*ax.get_xlim()))
    ax.set_ylim(_with_room(*ax.get_ylim()))
    return _labelled(ax, suv, dose, subtissue, title=title)


def subtissue_scatter(
    ax: Axes, suv: Floats, dose: Floats, subtissue: NDArray[np.uint8], *, title: str
) -> Axes:
    """Draw the same voxels as points, coloured by sub-tissue; arguments as above."""
    for number, colour, marker in zip((1, 2), COLOURS, MARKERS, strict=True):
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
