"""Figures of a fit; functions take and return ``ax``."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from rpt_kinetics.curves import RegionCurve
from rpt_kinetics.fitting import Fit

# Okabe and Ito's palette, readable for the colour-blind; black are the data.
STYLES = {
    "1tcm": ("1TCM", "#0072B2", "--"),
    "2tcm_irreversible": ("2TCM, irreversible", "#D55E00", "-"),
    "2tcm": ("2TCM", "#009E73", "-."),
}


def curve_plot(ax: Axes, curve: RegionCurve, fits: Sequence[Fit]) -> Axes:
    """Draw the measured frames with their deviations, and the fits' means over the frames.

    Args:
        ax: Where to draw.
        curve: What was fitted.
        fits: Of that curve.
    """
    frames = curve.frames
    middle = 0.5 * (frames.start_min + frames.end_min)
    ax.errorbar(
        middle,
        curve.activity,
        yerr=curve.standard_deviation,
        fmt="o",
        color="black",
        markersize=3,
        linewidth=0.8,
        label="measured, ± 1 standard deviation",
    )
    for fit in fits:
        name, colour, line = STYLES[fit.model]
        ax.plot(middle, fit.fitted, color=colour, linestyle=line, label=name)
    ax.set_xlim(0.0, 1.02 * frames.end_min[-1])
    ax.set_ylabel(f"Activity ({curve.unit})")
    ax.legend(frameon=False, fontsize="small")
    return ax


def residual_plot(ax: Axes, curve: RegionCurve, fit: Fit) -> Axes:
    """Draw the weighted residuals of one fit; the band holds 95 % if the deviations are right.

    Args:
        ax: Where to draw.
        curve: What was fitted.
        fit: Of that curve.
    """
    frames = curve.frames
    middle = 0.5 * (frames.start_min + frames.end_min)
    _, colour, _ = STYLES[fit.model]
    ax.axhspan(-1.96, 1.96, color="0.92")
    ax.axhline(0.0, color="black", linewidth=0.8)
    ax.plot(middle, fit.weighted_residual, "o", color=colour, markersize=3)
    top = 1.1 * max(3.0, float(np.abs(fit.weighted_residual).max()))
    ax.set(xlim=(0.0, 1.02 * frames.end_min[-1]), ylim=(-top, top))
    ax.set_xlabel("Time on the scan's clock (min)")
    ax.set_ylabel("Residual\n(standard deviations)")
    return ax
