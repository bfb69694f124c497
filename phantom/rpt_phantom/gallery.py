"""One page of pictures of a virtual cohort."""

import io
from contextlib import closing
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool
from rpt_cohort import BadInput, Volume, read_cohort, write_together
from rpt_cohort.command import progress
from rpt_cohort.figures import cut_plane, draw_plane, fullest_plane
from rpt_cohort.labels import ORGANS

from rpt_phantom.clinic import check_remade, read_settings
from rpt_phantom.patient import VirtualCycle, make_cycle
from rpt_phantom.presets import patient_number

SUV_MOST, DOSE_MOST_GY_PER_GBQ = 25.0, 1.5
SPECT_TIME_H = 24.0
"""The SPECT nearest to it is shown."""
SPECT_SHARE = 0.995
"""Of the body's voxels along the lines of sight that are below white."""
HU_RANGE = (-200.0, 300.0)
OUTLINED = {"kidney": "tab:orange", "liver": "tab:cyan", "spleen": "tab:pink"}
"""Where the plane through the kidneys meets them."""
COLUMNS = (
    "PET: SUV (g/mL)",
    "CT: HU; orange kidneys,\nblue liver, pink spleen",
    "SPECT (kBq/mL)",
    "Measured dose (Gy/GBq)",
    "True dose (Gy/GBq)",
)
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
        BadInput: The folder is no cohort of this version of rpt_phantom, or Matplotlib is not
            installed.
    """
    if out.suffix != ".png":
        raise BadInput(f"--out must end in .png, got '{out}'.")
    settings = read_settings(cohort)
    found = read_cohort(cohort)
    cases = found.cases[:most]
    check_remade(cohort, settings, [case.name for case in cases])
    figure = _figure(rows=len(cases))
    axes = figure.subplots(len(cases), len(COLUMNS), squeeze=False)
    with closing(progress(list(zip(axes, cases, strict=True)), "Rows")) as rows:
        for row, case in rows:
            number = patient_number(case.patient)
            _draw(figure, row, make_cycle(settings, patient=number, cycle=case.cycle))
            row[0].set_ylabel(case.name)
    for ax, title in zip(axes[0], COLUMNS, strict=True):
        ax.set_title(title, fontsize=9)
    title = (
        f"{found.info.name}; origin: {found.info.origin}; all but the CT are maxima along the "
        "line of sight; research only"
    )
    figure.suptitle(title, fontsize=10)
    page = io.BytesIO()
    figure.savefig(page, format="png", dpi=120)
    write_together({out: page.getvalue()})
    return len(cases)


def _draw(figure: Any, row: Any, made: VirtualCycle) -> None:
    """Draw one cycle's pictures."""
    times_h, affine = made.record.spect_times_h, made.grid.affine
    nearest = int(np.argmin(np.abs(np.array(times_h) - SPECT_TIME_H)))
    kbq_per_ml = made.series.scanned[nearest] / 1000.0
    lines_of_sight = cut_plane(Volume(kbq_per_ml, affine), "coronal", None)[0]
    brightest = float(np.quantile(lines_of_sight[lines_of_sight > 0], SPECT_SHARE))
    middle = fullest_plane(Volume(_organ(made, "kidney"), affine), "coronal")
    pictures = (
        (made.pet_suv, None, "gray_r", (0.0, SUV_MOST)),
        (made.ct_hu, middle, "gray", HU_RANGE),
        (kbq_per_ml, None, "gray_r", (0.0, brightest)),
        (made.dose_gy_per_gbq, None, "inferno", (0.0, DOSE_MOST_GY_PER_GBQ)),
        (made.true_dose_gy_per_gbq, None, "inferno", (0.0, DOSE_MOST_GY_PER_GBQ)),
    )
    for ax, (data, at, colours, (low, high)) in zip(row, pictures, strict=True):
        image = draw_plane(
            ax, Volume(data, affine), "coronal", at=at, cmap=colours, vmin=low, vmax=high
        )
        ax.set(xticks=[], yticks=[], xlabel="", ylabel="")
        figure.colorbar(image, ax=ax, shrink=0.8)
    for organ, colour in OUTLINED.items():
        here = Volume(_organ(made, organ), affine)
        if cut_plane(here, "coronal", middle)[0].any():
            line: dict[str, Any] = {"colors": colour, "linewidths": 0.8}
            draw_plane(row[1], here, "coronal", at=middle, levels=(0.5,), **line)
    row[2].set_xlabel(f"{times_h[nearest]:.0f} h", fontsize=8)


def _organ(made: VirtualCycle, name: str) -> Bool[np.ndarray, "x y z"]:
    here: Bool[np.ndarray, "x y z"] = np.isin(made.organs, ORGANS[name])
    return here


def _figure(*, rows: int) -> Any:
    try:
        figure = import_module("matplotlib.figure").Figure
    except ImportError as error:
        raise BadInput(
            "The gallery needs Matplotlib, and it is not installed. Run: pip install matplotlib."
        ) from error
    size = (_COLUMN_INCHES * len(COLUMNS), _ROW_INCHES * rows + 0.6)
    return figure(figsize=size, layout="constrained")
