"""One case's PET, reference, predictions and differences as a PNG."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float32
from matplotlib.figure import Figure
from rpt_cohort import BadInput, Case, PredictionInfo, Volume, read_cohort
from rpt_cohort.command import refuse_existing
from rpt_cohort.figures import cut_plane, png_bytes
from rpt_cohort.files import write_together
from rpt_cohort.reading import read_json

from rpt_eval.cycles import Against, CycleMaps, read_maps
from rpt_eval.figures import side_by_side
from rpt_eval.predictions import Method, read_dose

DOTS_PER_INCH = 100


def write_picture(cohort: Path, pred: Path, out: Path, *, name: str | None, overwrite: bool) -> str:
    """Draw one case; the first of the cohort by default.

    Args:
        cohort: Cohort folder.
        pred: Prediction folder.
        out: PNG to write.
        name: Case, such as ``P001/C1``.
        overwrite: Replace ``out`` where it is there.

    Returns:
        Whose picture it is, for people.

    Raises:
        BadInput: The case is not in both folders, a map is broken or on another grid, or ``out``
            cannot be written.
    """
    if out.suffix != ".png":
        raise BadInput(f"--out must end in .png, got '{out.name}'.")
    refuse_existing(out, overwrite=overwrite)
    content = read_cohort(cohort)
    case = choose_case(content.cases, name)
    info = read_json(pred / "prediction.json", PredictionInfo)
    if case.name not in info.fold:
        raise BadInput(f"prediction.json must name {case.name}, and does not. Predict it first.")
    maps = read_maps(content, case)
    dose = read_dose(Method("prediction", pred, info), maps, content)
    figure = draw_case(maps, {"Predicted dose": dose}, origin=content.info.origin)
    write_together({out: png_bytes(figure, dots_per_inch=DOTS_PER_INCH)})
    return f"{case.name} of '{content.info.name}'"


def choose_case(cases: Sequence[Case], name: str | None) -> Case:
    """Return the case of that name, by default the first.

    Raises:
        BadInput: There is none.
    """
    if not cases:
        raise BadInput("datalist.json must list at least one case, and lists none.")
    for case in cases:
        if name in (None, case.name):
            return case
    raise BadInput(f"--case must be one of the cases, such as {cases[0].name}, got {name!r}.")


def draw_case(
    maps: CycleMaps,
    predictions: Mapping[str, Float32[np.ndarray, "x y z"]],
    *,
    origin: str,
    against: Against = "measured",
) -> Figure:
    """Draw a cycle's PET, reference, predictions and differences side by side."""
    _, (height_mm, width_mm) = cut_plane(Volume(maps.dose, maps.affine), "coronal", at=0)
    columns = 2 if len(predictions) == 1 else 4
    rows = -(-(2 + 2 * len(predictions)) // columns)
    panel_inches = 5.5 * height_mm / width_mm
    figure = Figure(figsize=(7.0 * columns, rows * (panel_inches + 1.0)), layout="constrained")
    axes = list(figure.subplots(rows, columns).flat)
    panels = 2 + 2 * len(predictions)
    side_by_side(
        axes[:panels], maps, predictions, reference_name=f"Reference: {against} dose ({origin})"
    )
    for ax in axes[panels:]:
        ax.set_axis_off()
    figure.suptitle(f"{maps.case.name}, {origin} patient, coronal plane; research only")
    return figure
