"""Pictures of dose maps; functions take and return ``ax`` and never show a window."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Float32, Shaped
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm

from rpt_eval.cycles import CycleMaps

DOSE_LABEL = "Absorbed dose (Gy/GBq)"
DIFFERENCE_LABEL = "Difference (Gy/GBq)"


def coronal_slice(
    volume: Shaped[np.ndarray, "x y z"], *, index: int
) -> Shaped[np.ndarray, "height width"]:
    """Cut a RAS+ volume at ``y = index``: head up, the patient's right on the left."""
    return volume[::-1, index, ::-1].T


def draw_map(
    ax: Axes,
    picture: Float[np.ndarray, "height width"],
    *,
    pixel_mm: tuple[float, float],
    title: str,
    label: str,
    limits: tuple[float, float],
) -> Axes:
    """Draw one map with its colour bar.

    Args:
        ax: Where to draw.
        picture: Head up, the patient's right on the left; NaN is left blank.
        pixel_mm: Height and width of a pixel, mm.
        title: Above the map.
        label: Of the colour bar, with unit.
        limits: Values at the ends of the colour bar; from below 0, the colours are those
            of a difference and centred at 0.
    """
    height, width = picture.shape
    extent = (0.0, width * pixel_mm[1], height * pixel_mm[0], 0.0)
    low, high = limits
    diverging = low < 0
    norm = TwoSlopeNorm(0.0, low, high) if diverging else None
    image = ax.imshow(
        picture,
        extent=extent,
        cmap="PuOr_r" if diverging else "inferno",
        norm=norm,
        vmin=None if diverging else low,
        vmax=None if diverging else high,
        interpolation="nearest",
    )
    ax.set_title(title)
    ax.set_xlabel("right to left (mm)")
    ax.set_ylabel("head to foot (mm)")
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
        maps: The cycle, RAS+.
        predictions: Title → predicted dose, Gy/GBq, on its grid.
        reference_name: Title of the reference, such as "Reference dose (virtual)".
    """
    reference = np.where(maps.known, maps.dose, np.nan).astype(np.float64)
    index = int(np.nansum(reference, axis=(0, 2)).argmax())
    suv, dose = (
        coronal_slice(data.astype(np.float64), index=index) for data in (maps.suv, reference)
    )
    top_suv = float(np.percentile(suv, 99.8)) or 1.0
    top_dose = float(np.nanpercentile(dose, 99.8)) or 1.0
    panels = [
        (suv, "PET", "SUV (g/mL)", (0.0, top_suv)),
        (dose, reference_name, DOSE_LABEL, (0.0, top_dose)),
    ]
    for title, prediction in predictions.items():
        predicted = coronal_slice(prediction.astype(np.float64), index=index)
        half = top_dose / 2
        panels.append((predicted, title, DOSE_LABEL, (0.0, top_dose)))
        panels.append((predicted - dose, f"{title} − reference", DIFFERENCE_LABEL, (-half, half)))
    pixel_mm = (maps.spacing_mm[2], maps.spacing_mm[0])
    for ax, (picture, title, label, limits) in zip(axes, panels, strict=True):
        draw_map(ax, picture, pixel_mm=pixel_mm, title=title, label=label, limits=limits)
    return axes
