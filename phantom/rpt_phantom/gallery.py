"""A cohort's patients side by side on one page: PET, CT, measured and true dose, from its files."""

from contextlib import closing
from importlib import import_module
from pathlib import Path
from textwrap import wrap
from typing import Any

import numpy as np
from rpt_cohort import BadInput, Case, Volume, read_cohort, read_volume, write_together
from rpt_cohort.command import progress
from rpt_cohort.figures import draw_plane, fullest_plane, png_bytes
from rpt_cohort.labels import ORGANS

HU_RANGE = (-200.0, 300.0)
OUTLINED = {"kidney": "tab:orange", "liver": "tab:cyan", "spleen": "tab:pink"}
"""Where the CT's plane, through the kidneys, meets them."""
SCALES: dict[str, tuple[str, float, float]] = {
    "SUV (g/mL)": ("gray_r", 0.0, 20.0),
    "CT (HU)": ("gray", *HU_RANGE),
    "Absorbed dose (Gy/GBq)": ("inferno", 0.0, 1.5),
}
"""Colour bar → map and ends, the same for all patients."""
PANELS = (
    ("PET", "pet.nii.gz", "SUV (g/mL)"),
    ("CT", "ct.nii.gz", "CT (HU)"),
    ("measured\ndose", "dose.nii.gz", "Absorbed dose (Gy/GBq)"),
    ("true\ndose", "truth/dose.nii.gz", "Absorbed dose (Gy/GBq)"),
)
PATIENTS_A_ROW = 3
BESIDE_MM = 15.0
"""Of air, shown on either side of the body."""
_PANEL_INCHES, _BARS_INCHES, _TITLE_INCHES, _DPI = 1.05, 0.7, 0.9, 150


def write_gallery(cohort: Path, out: Path, *, most: int) -> int:
    """Draw a cohort's cycles, three a row; other patients before other cycles of one.

    Args:
        cohort: The folder, as ``rpt_phantom cohort`` writes it.
        out: The picture, ``.png``.
        most: Cycles at most.

    Returns:
        How many were drawn.

    Raises:
        BadInput: The folder is no virtual cohort, or Matplotlib is not installed.
    """
    if out.suffix != ".png":
        raise BadInput(f"--out must end in .png, got '{out}'.")
    found = read_cohort(cohort)
    if found.info.origin != "virtual":
        raise BadInput(
            f"'{cohort}' must be a virtual cohort, with true dose, and its origin is "
            f"{found.info.origin!r}."
        )
    seen = sorted(found.cases, key=lambda case: case.cycle)[:most]
    cases = sorted(seen, key=lambda case: (case.patient, case.cycle))
    side = min(len(cases), PATIENTS_A_ROW) * len(PANELS)
    rows = -(-len(cases) // PATIENTS_A_ROW)
    x, _, z = found.info.shape
    tall = (
        _PANEL_INCHES * z / (0.7 * x)
    )  # a body is some 0.6 of the field wide, and has air beside it
    width = side * _PANEL_INCHES
    size = (max(width, 8.0), rows * tall + _TITLE_INCHES + _BARS_INCHES)
    figure = _figure(size)
    above, below = figure.subfigures(2, 1, height_ratios=(size[1] - _BARS_INCHES, _BARS_INCHES))
    axes = above.subplots(rows, side, squeeze=False)
    for ax in axes.flat[len(cases) * len(PANELS) :]:
        ax.set_axis_off()
    bars: dict[str, Any] = {}
    with closing(progress(cases, "Patients")) as shown:
        for number, case in enumerate(shown):
            start = number * len(PANELS)
            bars |= _draw(axes.flat[start : start + len(PANELS)], cohort, case)
    for bar, (label, image) in zip(below.subplots(1, len(bars)), bars.items(), strict=True):
        figure.colorbar(image, cax=bar, label=label, orientation="horizontal")
    title = (
        f"{found.info.name}; origin: {found.info.origin}. Front views; PET and dose: largest value "
        "along the line of sight; CT: plane through the kidneys (orange; liver blue, spleen "
        "pink). Research only."
    )
    above.suptitle("\n".join(wrap(title, round(13 * size[0]))), fontsize=9)
    write_together({out: png_bytes(figure, dots_per_inch=_DPI)})
    return len(cases)


def _draw(panels: Any, cohort: Path, case: Case) -> dict[str, Any]:
    """Draw one cycle; return an image of each scale for its colour bar."""
    folder, bars = cohort / case.name, {}
    organs = read_volume(folder / "organs.nii.gz")
    masks = {name: Volume(np.isin(organs.data, ORGANS[name]), organs.affine) for name in OUTLINED}
    middle = fullest_plane(masks["kidney"], "coronal")
    (across,) = np.nonzero((organs.data > 0).any(axis=(1, 2)))
    width_mm, edge_mm = organs.data.shape[0] * organs.spacing_mm[0], organs.spacing_mm[0]
    body_mm = (width_mm - (across[-1] + 1) * edge_mm, width_mm - across[0] * edge_mm)
    for ax, (title, file, scale) in zip(panels, PANELS, strict=True):
        colours, low, high = SCALES[scale]
        volume, at = read_volume(folder / file), middle if scale == "CT (HU)" else None
        bars[scale] = draw_plane(ax, volume, "coronal", at=at, cmap=colours, vmin=low, vmax=high)
        ax.set(xticks=[], yticks=[], xlabel="", ylabel="")
        ax.set_xlim(body_mm[0] - BESIDE_MM, body_mm[1] + BESIDE_MM)
        ax.set_title(title, fontsize=8)
        if at is not None:
            for name, colour in OUTLINED.items():
                if masks[name].data.take(at, axis=1).any():
                    line: dict[str, Any] = {"colors": colour, "linewidths": 0.6}
                    draw_plane(ax, masks[name], "coronal", at=at, levels=(0.5,), **line)
    panels[0].set_ylabel(case.name, fontsize=9, fontweight="bold")
    return bars


def _figure(size: tuple[float, float]) -> Any:
    try:
        figure = import_module("matplotlib.figure").Figure
    except ImportError as error:
        raise BadInput(
            "The gallery needs Matplotlib, and it is not installed. Run: pip install matplotlib."
        ) from error
    return figure(figsize=size, layout="constrained")
