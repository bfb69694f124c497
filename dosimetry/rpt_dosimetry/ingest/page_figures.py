"""The pictures of a cycle's page: time–activity curves, and the dose over the CT."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from rpt_cohort import Volume
from rpt_cohort.figures import Plane, draw_plane, fullest_plane

from rpt_dosimetry.dose.rows import Row

MOST_CURVES = 8
COLOURS = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7"),
    *("#56B4E9", "#E69F00", "#000000", "#F0E442"),
)
"""Okabe and Ito's, told apart by the colour-blind."""
HU_LOW, HU_HIGH = -160.0, 240.0
LEAST_SHARE = 0.05
"""Ours: of the scale's top; fainter dose leaves the CT free."""
TOP_PERCENTILE = 99.9
"""Ours: of the body's voxels; a few hotter ones are shown as this hot."""


def curves_png(rows: Sequence[Row]) -> bytes:
    """Draw the points and curves of organs and lesions, those of most activity."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.0, 4.5), layout="constrained")
    ax = figure.subplots()
    drawn = (row for row in rows if row.region.kind in ("organ", "lesion"))
    active = (row for row in drawn if row.fit.tia_mbq_h > 0)
    shown = sorted(active, key=lambda row: -row.fit.tia_mbq_h)[:MOST_CURVES]
    for row, colour in zip(shown, COLOURS, strict=False):
        times_h, activities_mbq = np.array(row.fit.points).T
        dense_h = np.linspace(times_h[0] / 4.0, 1.5 * times_h[-1], 200)
        label = f"{row.region.name}, {row.fit.model}"
        ax.plot(dense_h, row.fit.activity_mbq(dense_h), color=colour, label=label)
        ax.plot(times_h, activities_mbq, "o", color=colour)
    ax.set_xlabel("Time after start of infusion (h)")
    ax.set_ylabel("Activity (MBq)")
    ax.set_ylim(bottom=0.0)
    if shown:
        ax.legend()
    return png(figure)


def dose_png(
    ct_hu: Float[np.ndarray, "x y z"],
    dose_gy: Float[np.ndarray, "x y z"],
    *,
    body: Bool[np.ndarray, "x y z"],
    affine: Float[np.ndarray, "4 4"],
) -> bytes:
    """Draw the dose over the CT in the planes of most dose, coronal, sagittal and axial."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12.0, 4.5), layout="constrained")
    axes = figure.subplots(1, 3)
    top = max(float(np.percentile(dose_gy[body], TOP_PERCENTILE)), 1e-30)
    under = Volume(ct_hu, affine)
    over = Volume(np.where(dose_gy < LEAST_SHARE * top, np.nan, dose_gy), affine)
    planes: tuple[Plane, ...] = ("coronal", "sagittal", "axial")
    image: Any = None
    for ax, plane in zip(axes, planes, strict=True):
        at = fullest_plane(Volume(np.maximum(dose_gy, 0.0), affine), plane)
        draw_plane(ax, under, plane, at=at, cmap="gray", vmin=HU_LOW, vmax=HU_HIGH)
        image = draw_plane(ax, over, plane, at=at, cmap="inferno", vmin=0.0, vmax=top, alpha=0.7)
        ax.set_title(plane)
    figure.colorbar(image, ax=list(axes), label="Absorbed dose (Gy)")
    return png(figure)


def png(figure: Any) -> bytes:
    """Encode a figure; the same figure gives the same bytes."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=80, metadata={"Software": None})
    return stream.getvalue()


def finite_or_dash(value: float | None, digits: int = 4) -> str:
    """Write a number for people; a dash where there is none."""
    return "–" if value is None or not np.isfinite(value) else f"{value:.{digits}g}"
