"""``ingest``: a clinic's DICOM folders become cohort cycles."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rpt_cohort import BadInput
from rpt_cohort.command import fail, say, stderr, warn

if TYPE_CHECKING:
    from rpt_dosimetry.ingest.job import Outcome, StudyInspection


def ingest(
    study: Annotated[
        Path | None,
        typer.Argument(metavar="STUDY.yaml", help="Which folders make which cycles."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="COHORT", help="Cohort folder, new or begun earlier.", show_default=False
        ),
    ] = None,
    example: Annotated[
        bool, typer.Option("--example", help="Print an example of STUDY.yaml and end.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Read all and list what is missing; write nothing."),
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option(help="Processes; one needs some 2 GB.", show_default="one for each core"),
    ] = None,
    dask: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Dask scheduler that takes the cycles; its workers must see the same files.",
            show_default="this machine",
        ),
    ] = None,
) -> None:
    """Make cohort cycles (SUV, HU, organs, lesions, field of view, Gy/GBq) from DICOM folders.

    STUDY.yaml names PET/CT and SPECT/CT folders, masks, activities in MBq and pseudonyms; see
    --example. SPECTs and PET/CT are registered rigidly to the first SPECT/CT. What is done is
    kept as long as files and parameters are the same, so that a run that was killed goes on.
    A cycle that fails is named at the end, and the others are made. report/index.html in each
    cycle's folder shows how its dose came about.
    """
    from rpt_dosimetry.ingest.job import ingest as make
    from rpt_dosimetry.ingest.job import look
    from rpt_dosimetry.ingest.study import EXAMPLE

    if example:
        typer.echo(EXAMPLE.read_text(encoding="utf-8"), nl=False)
        return
    if study is None or out is None:
        raise BadInput("STUDY.yaml and --out COHORT must be given. --example needs neither.")
    if dry_run:
        _tell_found(look(study, out, workers=workers, dask=dask, whole=True))
        return
    _tell_outcomes(make(study, out, workers=workers, dask=dask))


def _tell_found(inspection: "StudyInspection") -> None:
    """Print a line a role, and how each cycle stands."""
    for one in inspection.cycles:
        for line in one.lines:
            typer.echo(line)
        stands = "done" if one.name in inspection.done else "to be made"
        typer.echo(f"{one.name}: {'cannot be made' if one.faults else stands}")
    if inspection.grid is not None:
        size = " × ".join(map(str, inspection.grid.shape))
        voxel = " × ".join(f"{mm:.4g}" for mm in inspection.grid.voxel_mm)
        typer.echo(f"grid: {size} voxels of {voxel} mm")
    failing = sum(bool(one.faults) for one in inspection.cycles)
    if failing:
        fail(f"{failing} of {len(inspection.cycles)} cycles cannot be made, as listed.")


def _tell_outcomes(outcomes: "list[Outcome]") -> None:
    for one in outcomes:
        for sentence in one.warnings:
            warn(f"{one.name} {sentence}")
    count = {how: sum(one.how == how for one in outcomes) for how in ("made", "kept", "failed")}
    say(f"{count['made']} cycles made, {count['kept']} kept, {count['failed']} failed.")
    for one in outcomes:
        for sentence in one.faults:
            stderr.print(f"{one.name} {sentence}", markup=False)
    if count["failed"]:
        fail(f"{count['failed']} of {len(outcomes)} cycles failed, as listed.")
