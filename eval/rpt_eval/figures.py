"""Pictures of dose maps; functions take and return ``ax`` and never show a window."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Shaped
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from rpt_cohort import Volume

DOSE_LABEL = "Absorbed dose (Gy/GBq)"


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
    diverging: bool = False,
) -> Axes:
    """Draw one map with its colour bar.

    Args:
        ax: Where to draw.
        picture: Head up, the patient's right on the left; NaN is left blank.
        pixel_mm: Height and width of a pixel, mm.
        title: Above the map.
        label: Of the colour bar, with unit.
        limits: Values at the ends of the colour bar.
        diverging: Centre the colours at 0, for differences.
    """
    height, width = picture.shape
    extent = (0.0, width * pixel_mm[1], height * pixel_mm[0], 0.0)
    low, high = limits
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
    *,
    pet: Volume,
    truth: Volume,
    prediction: Volume,
    known: Shaped[np.ndarray, "x y z"],
    truth_name: str,
) -> Sequence[Axes]:
    """Draw PET, truth, prediction and their difference in one coronal plane.

    The plane is the one with the highest dose sum. Both doses share one colour bar, up
    to the 99.8th percentile of the truth in the plane; where the truth is not known,
    truth and difference are blank.

    Args:
        axes: Four.
        pet: SUV, g/mL, RAS+.
        truth: Reference dose, Gy/GBq, same grid.
        prediction: Predicted dose, Gy/GBq, same grid.
        known: Above 0 where the reference dose is known.
        truth_name: Title of the reference, such as "measured (virtual)".
    """
    reference = np.where(known > 0, truth.data, np.nan).astype(np.float64)
    index = int(np.nansum(reference, axis=(0, 2)).argmax())
    pixel_mm = (pet.spacing_mm[2], pet.spacing_mm[0])
    suv, dose, predicted = (
        coronal_slice(np.asarray(data, dtype=np.float64), index=index)
        for data in (pet.data, reference, prediction.data)
    )
    top_suv = float(np.percentile(suv, 99.8)) or 1.0
    top_dose = float(np.nanpercentile(dose, 99.8)) or 1.0
    panels = [
        (suv, "PET", "SUV (g/mL)", (0.0, top_suv)),
        (dose, truth_name, DOSE_LABEL, (0.0, top_dose)),
        (predicted, "Predicted dose", DOSE_LABEL, (0.0, top_dose)),
    ]
    for ax, (picture, title, label, limits) in zip(axes[:3], panels, strict=True):
        draw_map(ax, picture, pixel_mm=pixel_mm, title=title, label=label, limits=limits)
    draw_map(
        axes[3],
        predicted - dose,
        pixel_mm=pixel_mm,
        title="Predicted − reference",
        label="Difference (Gy/GBq)",
        limits=(-top_dose / 2, top_dose / 2),
        diverging=True,
    )
    return axes
