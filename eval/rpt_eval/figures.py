"""Pictures of dose maps; functions take and return ``ax`` and never show a window."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float32
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from rpt_cohort import Volume
from rpt_cohort.figures import cut_plane, draw_plane, fullest_plane

from rpt_eval.cycles import CycleMaps

DOSE_LABEL = "Absorbed dose (Gy/GBq)"
DIFFERENCE_LABEL = "Difference (Gy/GBq)"


def draw_map(
    ax: Axes, volume: Volume, *, at: int, title: str, label: str, limits: tuple[float, float]
) -> Axes:
    """Draw a coronal plane of one map with its colour bar.

    Args:
        ax: Where to draw.
        volume: The map; NaN is left blank.
        at: Voxel index of the plane.
        title: Above the map.
        label: Of the colour bar, with unit.
        limits: Values at the ends of the colour bar; from below 0, the colours are those
            of a difference and centred at 0.
    """
    low, high = limits
    diverging = low < 0
    image = draw_plane(
        ax,
        volume,
        "coronal",
        at=at,
        cmap="PuOr_r" if diverging else "inferno",
        norm=TwoSlopeNorm(0.0, low, high) if diverging else None,
        vmin=None if diverging else low,
        vmax=None if diverging else high,
        interpolation="nearest",
    )
    ax.set_title(title)
    bar = ax.inset_axes((1.02, 0.0, 0.03, 1.0))
    ends = "both" if diverging else "max"
    ax.figure.colorbar(image, cax=bar, label=label, extend=ends, extendrect=True)
    return ax


def side_by_side(
    axes: Sequence[Axes],
    maps: CycleMaps,
    predictions: Mapping[str, Float32[np.ndarray, "x y z"]],
    *,
    reference_name: str,
) -> Sequence[Axes]:
    """Draw PET, reference, and each prediction with its difference, in one coronal plane.

    The plane is the one with the highest dose sum. All doses share one colour bar, up
    to the 99.8th percentile of the reference in the plane; where the reference is not
    known, reference and difference are blank.

    Args:
        axes: Two, and two for each prediction.
        maps: The cycle.
        predictions: Title → predicted dose, Gy/GBq, on its grid.
        reference_name: Title of the reference, such as "Reference dose (virtual)".
    """
    suv = Volume(maps.suv, maps.affine)
    dose = Volume(np.where(maps.known, maps.dose, np.nan).astype(np.float64), maps.affine)
    at = fullest_plane(dose, "coronal")
    shown_suv, shown_dose = (cut_plane(one, "coronal", at)[0] for one in (suv, dose))
    top_suv = float(np.percentile(shown_suv, 99.8)) or 1.0
    top_dose = float(np.nanpercentile(shown_dose, 99.8)) or 1.0
    panels = [
        (suv, "PET", "SUV (g/mL)", (0.0, top_suv)),
        (dose, reference_name, DOSE_LABEL, (0.0, top_dose)),
    ]
    half = top_dose / 2
    for title, prediction in predictions.items():
        predicted = Volume(prediction.astype(np.float64), maps.affine)
        difference = Volume(predicted.data - dose.data, maps.affine)
        panels.append((predicted, title, DOSE_LABEL, (0.0, top_dose)))
        panels.append((difference, f"{title} − reference", DIFFERENCE_LABEL, (-half, half)))
    for ax, (volume, title, label, limits) in zip(axes, panels, strict=True):
        draw_map(ax, volume, at=at, title=title, label=label, limits=limits)
    return axes
