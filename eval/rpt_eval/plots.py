"""Identity plot, DVH and Bland-Altman plot; functions take and return ``ax``."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm

from rpt_eval.agreement import bland_altman, identity_lines
from rpt_eval.dvh import Dvh
from rpt_eval.figures import DOSE_LABEL

Values = Float[np.ndarray, " n"]
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442")
"""Okabe and Ito's palette, readable for the colour-blind; black is the reference's."""
FIT = "#D55E00"
STYLES = ("-", "--", "-.", ":")


def identity_plot(ax: Axes, prediction: Values, reference: Values, *, title: str) -> Axes:
    """Draw predicted against reference dose as a heat map, with identity (dotted) and fit.

    The line drawn is the orthogonal fit; both least-squares slopes stand in the title.

    Args:
        ax: Where to draw.
        prediction: Gy/GBq, the voxels of one region.
        reference: Gy/GBq, the same voxels.
        title: Above the plot.
    """
    top = 1.02 * float(max(prediction.max(), reference.max())) or 1.0
    cells = ax.hist2d(
        reference,
        prediction,
        bins=60,
        range=[[0.0, top], [0.0, top]],
        cmap="viridis",
        norm=LogNorm(),
        rasterized=True,
    )[-1]
    ax.figure.colorbar(cells, ax=ax, label="Voxels", shrink=0.7)
    ends = np.array([0.0, top])
    ax.plot(ends, ends, color="black", linestyle=":", linewidth=1)
    lines = identity_lines(prediction, reference)
    below = "constant: no slope"
    if np.isfinite(lines.orthogonal):
        ax.plot(ends, prediction.mean() + lines.orthogonal * (ends - reference.mean()), color=FIT)
        below = (
            f"r {lines.pearson_r:.2f}, orthogonal slope {lines.orthogonal:.2f}\n"
            f"slope of prediction on truth {lines.prediction_on_truth:.2f},\n"
            f"of truth on prediction {lines.truth_on_prediction:.2f}"
        )
    ax.set(xlim=(0, top), ylim=(0, top), aspect="equal")
    ax.set_title(f"{title}\n{below}", fontsize="medium")
    ax.set_xlabel("Reference dose (Gy/GBq)")
    ax.set_ylabel("Predicted dose (Gy/GBq)")
    return ax


def dvh_plot(ax: Axes, reference: Dvh, predictions: Mapping[str, Dvh], *, title: str) -> Axes:
    """Draw cumulative dose-volume histograms of one region.

    Args:
        ax: Where to draw.
        reference: Of the reference dose, Gy/GBq; black.
        predictions: Method → of the predicted dose.
        title: Above the plot.
    """
    top = 1.02 * max(dvh.maximum for dvh in (reference, *predictions.values())) or 1.0
    levels = np.linspace(0.0, top, 400)
    ax.plot(levels, reference.volume_pct_at(levels), color="black", linewidth=2, label="reference")
    for number, (name, dvh) in enumerate(predictions.items()):
        colour, style = COLOURS[number % len(COLOURS)], STYLES[number % len(STYLES)]
        ax.plot(levels, dvh.volume_pct_at(levels), color=colour, linestyle=style, label=name)
    ax.set(xlim=(0, top), ylim=(0, 102), title=title, ylabel="Volume (%)")
    ax.set_xlabel(DOSE_LABEL)
    ax.legend(fontsize="small")
    return ax


def bland_altman_plot(ax: Axes, prediction: Values, reference: Values, *, title: str) -> Axes:
    """Draw the difference of mean doses against their average, one point for each patient.

    Args:
        ax: Where to draw.
        prediction: Mean predicted dose of each patient, Gy/GBq.
        reference: Mean reference dose of each patient, Gy/GBq.
        title: Above the plot.
    """
    ax.scatter((prediction + reference) / 2, prediction - reference, s=14, color=COLOURS[0])
    limits = bland_altman(prediction, reference)
    ax.axhline(0.0, color="black", linewidth=0.8, linestyle=":")
    ax.axhline(limits.bias, color=FIT)
    for limit in (limits.lower, limits.upper):
        ax.axhline(limit, color=FIT, linestyle="--")
    # Rounding of equal doses must not look like a spread.
    span = max(0.05 * float(reference.mean()), *np.abs(ax.get_ylim()))
    ax.set_ylim(-span, span)
    ax.set_title(
        f"{title}\nbias {limits.bias:+.2g}, ±1.96 SD {limits.upper - limits.bias:.2g} Gy/GBq",
        fontsize="medium",
    )
    ax.set_xlabel("Mean of both (Gy/GBq)")
    ax.set_ylabel("Predicted − reference (Gy/GBq)")
    return ax
