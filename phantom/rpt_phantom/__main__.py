"""``python -m rpt_phantom``: virtual patients."""

from pathlib import Path
from typing import Annotated

import typer
from rpt_cohort.command import new_app, run_app, say

from rpt_phantom.cohort import write_cohort

app = new_app("Make virtual patients with known truth.")


@app.callback()
def _virtual_patients() -> None:
    """Make virtual patients with known truth."""


@app.command()
def cohort(
    out: Annotated[Path, typer.Option(help="Cohort folder to write; new or empty.")],
    patients: Annotated[int, typer.Option(help="Patients, each with 1 to 3 cycles.")] = 8,
    seed: Annotated[int, typer.Option(help="Same seed, same data files.")] = 0,
    slices: Annotated[int, typer.Option(help="Slices of 4.8 mm, 16 to 140.")] = 64,
    folds: Annotated[
        int | None,
        typer.Option(help="Folds, by patient.", show_default="5, or the training patients"),
    ] = None,
    test_patients: Annotated[
        int | None,
        typer.Option(
            help="Patients kept for testing, the last ones.",
            show_default="a quarter; at least 1 of 3",
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes.", show_default="one for each core")
    ] = None,
) -> None:
    """Write a cohort folder of virtual patients.

    PET is SUV in g/mL, CT is HU, dose is Gy per GBq administered, on 128 x 128 x slices
    voxels of 4.8 mm.
    """
    cases = write_cohort(
        out,
        patients=patients,
        seed=seed,
        slices=slices,
        folds=folds,
        test_patients=test_patients,
        workers=workers,
    )
    noun = "patient" if patients == 1 else "patients"
    training = sum(case.fold is not None for case in cases)
    say(
        f"{patients} virtual {noun}: {training} cycles for training, "
        f"{len(cases) - training} for testing, in {out}."
    )


if __name__ == "__main__":
    run_app(app)
