"""One case's PET, reference, prediction and difference as a PNG."""

import io
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from rpt_cohort import BadInput, Case, Cohort, Volume, read_cohort, read_prediction, read_volume
from rpt_cohort.writing import write_together

from rpt_eval.figures import side_by_side


def write_picture(cohort: Path, pred: Path, out: Path, *, name: str | None) -> str:
    """Draw one case; the first of the cohort by default.

    Args:
        cohort: Cohort folder.
        pred: Prediction folder.
        out: PNG to write.
        name: Case, such as ``P001/C1``.

    Returns:
        Whose picture it is, for people.

    Raises:
        BadInput: The case is not in both folders, or a map is broken or on another grid.
    """
    content = read_cohort(cohort)
    chosen = _choose(content, name)
    if chosen.name not in read_prediction(pred).fold:
        raise BadInput(f"prediction.json must name {chosen.name}, and does not. Predict it first.")
    volumes = {
        name: read_volume(path, name=f"{chosen.name}/{path.name}")
        for name, path in {
            "pet": cohort / chosen.image,
            "truth": cohort / chosen.label,
            "known": cohort / chosen.fov,
            "prediction": pred / chosen.name / "dose.nii.gz",
        }.items()
    }
    for name, volume in volumes.items():
        if volume.data.shape != volumes["pet"].data.shape:
            raise BadInput(
                f"{name} of {chosen.name} must be on the PET's grid, "
                f"{volumes['pet'].data.shape} voxels, got {volume.data.shape}."
            )
    write_together({out: _png(chosen, volumes, content.info.origin)})
    return f"{chosen.name} of '{content.info.name}'"


def _choose(cohort: Cohort, name: str | None) -> Case:
    if name is None:
        return cohort.cases[0]
    for case in cohort.cases:
        if case.name == name:
            return case
    raise BadInput(
        f"--case must be a case of the cohort, such as {cohort.cases[0].name}: {name!r}."
    )


def _png(case: Case, volumes: dict[str, Volume], origin: str) -> bytes:
    width_mm, _, height_mm = np.multiply(volumes["pet"].data.shape, volumes["pet"].spacing_mm)
    panel_inches = 5.5 * height_mm / width_mm
    figure = Figure(figsize=(14.0, 2 * panel_inches + 2.0), layout="constrained")
    side_by_side(
        list(figure.subplots(2, 2).flat),
        pet=volumes["pet"],
        truth=volumes["truth"],
        prediction=volumes["prediction"],
        known=volumes["known"].data,
        truth_name=f"Reference dose ({origin})",
    )
    figure.suptitle(f"{case.name}, {origin} patient, coronal plane; research only")
    stream = io.BytesIO()
    # No software version or time in the file: the same maps give the same picture.
    figure.savefig(stream, format="png", dpi=100, metadata={"Software": None})
    return stream.getvalue()
