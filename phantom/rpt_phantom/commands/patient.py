"""``patient``: one cycle of one virtual patient."""

from pathlib import Path
from typing import Annotated, cast

import typer
from rpt_cohort import BadInput, new_folder
from rpt_cohort.command import at_work, say
from rpt_cohort.schema import Therapy, Tracer

from rpt_phantom.case_files import Task, write_case
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
from rpt_phantom.coverage import PATIENTS_MOST, check_organs
from rpt_phantom.grid import SLICES_USUAL
from rpt_phantom.settings import Settings


def patient(
    out: Annotated[Path, typer.Option(help="Folder of the cycle; new or empty.")],
    patient: Annotated[int, typer.Option(help="Number of the patient, 1 to 999.")] = 1,
    cycle: Annotated[int, typer.Option(help="Number of the cycle, 1 to 99.")] = 1,
    seed: Seed = 0,
    imaging: ImagingChoice = ImagingOption.FAST,
    heterogeneity: HeterogeneityChoice = 1.0,
    tracer: TracerChoice = "68Ga-PSMA-11",
    therapy: TherapyChoice = "177Lu-PSMA-I&T",
    slices: Slices = SLICES_USUAL,
    anatomy: AnatomyFiles = None,
    organs: OrgansChoice = ORGANS_USUAL,
    fine_truth: FineTruth = False,
) -> None:
    """Write one cycle of one virtual patient: the files of a cohort's case, in Gy/GBq and g/mL.

    The same seed, patient and cycle give the same images in a cohort.
    """
    settings = Settings(
        seed,
        slices,
        imaging.value,
        heterogeneity,
        cast(Tracer, tracer),
        cast(Therapy, therapy),
        own_anatomy(anatomy),
    )
    if not 1 <= patient <= PATIENTS_MOST:
        raise BadInput(f"patient must be 1 to {PATIENTS_MOST}, got {patient}.")
    needed = organ_names(organs)
    check_organs(settings, needed)
    task = Task(settings, f"P{patient:03d}", cycle, needed, fine_truth, command="patient")
    with new_folder(out) as folder, at_work("Cycle"):
        write_case(folder, task)
    say(f"Patient {patient}, cycle {cycle}, in {out}.")
