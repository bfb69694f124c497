"""``cohort``: a cohort folder of virtual patients."""

from pathlib import Path
from typing import Annotated, cast

import typer
from rpt_cohort.command import say
from rpt_cohort.schema import Therapy, Tracer

from rpt_phantom.cohort import write_cohort
from rpt_phantom.commands.options import (
    ORGANS_USUAL,
    AnatomyFiles,
    FineTruth,
    HeterogeneityChoice,
    ImagingChoice,
    ImagingOption,
    OrgansChoice,
    Seed,
    Slices,
    TherapyChoice,
    TracerChoice,
    organ_names,
    own_anatomy,
)
from rpt_phantom.grid import SLICES_USUAL


def cohort(
    out: Annotated[
        Path, typer.Option(metavar="COHORT", help="Cohort folder, new or begun by this command.")
    ],
    patients: Annotated[
        int | None,
        typer.Option(help="Patients, each with 1 to 3 cycles.", show_default="8"),
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="paper: 23 patients with 48 cycles.", show_default="none")
    ] = None,
    seed: Seed = 0,
    imaging: ImagingChoice = ImagingOption.FAST,
    heterogeneity: HeterogeneityChoice = 1.0,
    tracer: TracerChoice = "68Ga-PSMA-11",
    therapy: TherapyChoice = "177Lu-PSMA-I&T",
    slices: Slices = SLICES_USUAL,
    anatomy: AnatomyFiles = None,
    organs: OrgansChoice = ORGANS_USUAL,
    folds: Annotated[
        int | None,
        typer.Option(help="Folds, by patient.", show_default="5, or the training patients"),
    ] = None,
    test_patients: Annotated[
        int | None,
        typer.Option(
            help="Patients kept for testing, the last ones.",
            show_default="every fourth instead: 3, 7, 11 …",
        ),
    ] = None,
    fine_truth: FineTruth = False,
    workers: Annotated[
        int | None,
        typer.Option(help="Processes; one needs 1 to 3 GB.", show_default="one for each core"),
    ] = None,
    dask: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Dask scheduler that takes the cycles; its workers must see the same files.",
            show_default="this machine",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace cycles of other settings.")
    ] = False,
) -> None:
    """Write a cohort folder of virtual patients, or go on with one.

    PET is SUV in g/mL, CT is HU, dose is Gy per GBq administered, on 128 x 128 x slices
    voxels of 4.8 mm. ceiling.csv tells how far the measured dose is from the true one. Cycles
    that are there are kept, so that a run that was killed goes on and patients can be added.
    """
    cases = write_cohort(
        out,
        patients=patients,
        preset=preset,
        seed=seed,
        slices=slices,
        folds=folds,
        test_patients=test_patients,
        workers=workers,
        imaging=imaging.value,
        heterogeneity=heterogeneity,
        tracer=cast(Tracer, tracer),
        therapy=cast(Therapy, therapy),
        anatomy=own_anatomy(anatomy),
        organs=organ_names(organs),
        fine_truth=fine_truth,
        dask=dask,
        overwrite=overwrite,
    )
    count = len({case.patient for case in cases})
    noun = "patient" if count == 1 else "patients"
    training = sum(case.fold is not None for case in cases)
    say(
        f"{count} virtual {noun}: {training} cycles for training, "
        f"{len(cases) - training} for testing, in {out}."
    )
