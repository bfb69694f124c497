"""One page of pictures of a virtual cohort."""

import io
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped
from rpt_cohort import BadInput, read_cohort, read_volume, write_together

SUV_MOST, DOSE_MOST_GY_PER_GBQ = 20.0, 1.0
HU_RANGE = (-200.0, 300.0)
COLUMNS = ("PET: SUV (g/mL)", "CT: HU", "Measured dose (Gy/GBq)", "True dose (Gy/GBq)")
_ROW_INCHES, _COLUMN_INCHES = 2.6, 3.0


def write_gallery(cohort: Path, out: Path, *, most: int) -> int:
    """Draw a cohort's cycles, a row each.

    Args:
        cohort: The folder.
        out: The picture, ``.png``.
        most: Cycles at most, training first.

    Returns:
        How many were drawn.

    Raises:
        BadInput: The folder is no virtual cohort, or Matplotlib is not installed.
    """
    if out.suffix != ".png":
        raise BadInput(f"--out must end in .png, got '{out.name}'.")
    found = read_cohort(cohort)
    if found.info.origin != "virtual":
        raise BadInput(f"'{cohort.name}' must be a virtual cohort: a clinical one has no truth.")
    cases = found.cases[:most]
    figure = _figure(rows=len(cases))
    axes = figure.subplots(len(cases), len(COLUMNS), squeeze=False)
    for row, case in zip(axes, cases, strict=True):
        folder = found.folder(case)
        names = ("pet", "ct", "dose", "truth/dose")
        pet, ct, dose, true = (read_volume(folder / f"{name}.nii.gz").data for name in names)
        lit = [
            (pet.max(axis=1), "gray_r", (0.0, SUV_MOST)),
            (ct[:, ct.shape[1] // 2], "gray", HU_RANGE),
            (dose.max(axis=1), "inferno", (0.0, DOSE_MOST_GY_PER_GBQ)),
            (true.max(axis=1), "inferno", (0.0, DOSE_MOST_GY_PER_GBQ)),
        ]
        for ax, (picture, colours, limits) in zip(row, lit, strict=True):
            shown = _show(ax, picture, colours, limits)
            figure.colorbar(shown, ax=ax, shrink=0.8)
        row[0].set_ylabel(case.name)
    for ax, title in zip(axes[0], COLUMNS, strict=True):
        ax.set_title(title, fontsize=9)
    figure.suptitle(f"{found.info.name} — virtual", fontsize=10)
    page = io.BytesIO()
    figure.savefig(page, format="png", dpi=120)
    write_together({out: page.getvalue()})
    return len(cases)


def _figure(*, rows: int) -> Any:
    try:
        figure = import_module("matplotlib.figure").Figure
    except ImportError as error:
        raise BadInput(
            "The gallery needs Matplotlib, and it is not installed. Run: pip install matplotlib."
        ) from error
    size = (_COLUMN_INCHES * len(COLUMNS), _ROW_INCHES * rows + 0.6)
    return figure(figsize=size, layout="constrained")


def _show(
    ax: Any, picture: Shaped[np.ndarray, "x z"], colours: str, limits: tuple[float, float]
) -> Any:
    """Show a front view as radiologists do: the patient's right on the left, head on top."""
    ax.set_xticks([])
    ax.set_yticks([])
    seen = picture[::-1].T
    return ax.imshow(seen, origin="lower", cmap=colours, vmin=limits[0], vmax=limits[1])
