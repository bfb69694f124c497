"""The figure of global sensitivity; functions take and return ``ax``."""

import numpy as np
from matplotlib.axes import Axes

from rpt_kinetics.sensitivity import SobolIndices

LABELS = {
    "k1_ml_per_min_per_ml": "$K_1$",
    "k2_per_min": "$k_2$",
    "k3_per_min": "$k_3$",
    "k4_per_min": "$k_4$",
    "vb": "$V_b$",
}


def indices_plot(ax: Axes, indices: SobolIndices, *, title: str) -> Axes:
    """Draw first-order and total indices side by side, with their 95 % intervals.

    Args:
        ax: Where to draw.
        indices: Of one result.
        title: Above the plot.
    """
    place = np.arange(len(indices.parameters))
    bars = (
        (-0.2, "first order", "#0072B2", "", indices.first_order, indices.first_order_confidence),
        (0.2, "total", "#E69F00", "//", indices.total, indices.total_confidence),
    )
    for shift, label, colour, hatch, value, half_width in bars:
        ax.bar(
            place + shift,
            value,
            width=0.38,
            yerr=half_width,
            capsize=2,
            color=colour,
            hatch=hatch,
            edgecolor="white",
            ecolor="black",
            label=label,
        )
    ax.set_xticks(place, [LABELS.get(name, name) for name in indices.parameters])
    ax.axhline(0.0, color="black", linewidth=0.8)
    ax.set_ylim(min(0.0, ax.get_ylim()[0]), 1.05)
    ax.set_ylabel("Sobol index (share of variance)")
    ax.set_title(title, fontsize="medium")
    ax.legend(frameon=False)
    return ax
