"""``python -m rpt_phantom cohort | patient | dicom | gallery | resemblance``: virtual patients."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rpt_cohort import BadInput, new_folder
from rpt_cohort.command import Overwrite, at_work, new_app, run_app, say, with_options

from rpt_phantom.settings import CohortSettings

if TYPE_CHECKING:
    from rpt_phantom.anatomy import OwnAnatomy

app = new_app("Make virtual patients with known truth.", distribution="rpt-phantom")

OrgansChoice = Annotated[
    str,
    typer.Option(
        help="Organs that the field of view must hold whole, with commas between; or none."
    ),
]
AnatomyFiles = Annotated[
    tuple[Path, Path] | None,
    typer.Option(
        metavar="CT LABELS",
        help="A CT in HU and its organs as NIfTI (TotalSegmentator v2 numbers), in which patients "
        "are drawn.",
        show_default="the shipped anatomy",
    ),
]
AnatomyAgain = Annotated[
    tuple[Path, Path] | None,
    typer.Option(
        metavar="CT LABELS",
        help="The files that the cohort was made with, where it was made by --anatomy.",
    ),
]
CohortFolder = Annotated[Path, typer.Option(metavar="COHORT", help="Of the command cohort.")]
ORGANS_USUAL = "kidney,liver,spleen"


@app.command()
@with_options
def cohort(
    *,
    out: Annotated[
        Path, typer.Option(metavar="COHORT", help="Cohort folder, new or begun by this command.")
    ],
    patients: Annotated[
        int | None,
        typer.Option(help="Patients, each with 1 to 3 cycles.", show_default="8"),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help="paper: 23 patients with 48 cycles. first: each patient's first cycle alone.",
            show_default="none",
        ),
    ] = None,
    settings: CohortSettings,
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
    from rpt_phantom.cohort import write_cohort

    cases = write_cohort(
        out,
        settings.model_copy(update={"anatomy": _own_anatomy(anatomy)}),
        patients=patients,
        preset=preset,
        folds=folds,
        test_patients=test_patients,
        workers=workers,
        organs=_organ_names(organs),
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


@app.command()
@with_options
def patient(
    *,
    out: Annotated[Path, typer.Option(help="Folder of the cycle; new or empty.")],
    patient: Annotated[int, typer.Option(help="Number of the patient, 1 to 999.")] = 1,
    cycle: Annotated[int, typer.Option(help="Number of the cycle, 1 to 99.")] = 1,
    settings: CohortSettings,
    anatomy: AnatomyFiles = None,
    organs: OrgansChoice = ORGANS_USUAL,
) -> None:
    """Write one cycle of one virtual patient: the files of a cohort's case, in Gy/GBq and g/mL.

    The same seed, patient and cycle give the same images in a cohort.
    """
    from rpt_phantom.case_files import Task, write_case
    from rpt_phantom.coverage import PATIENTS_MOST, check_organs

    settings = settings.model_copy(update={"anatomy": _own_anatomy(anatomy)})
    if not 1 <= patient <= PATIENTS_MOST:
        raise BadInput(f"patient must be 1 to {PATIENTS_MOST}, got {patient}.")
    needed = _organ_names(organs)
    check_organs(settings, needed)
    task = Task(settings, f"P{patient:03d}", cycle, needed, command="patient")
    with new_folder(out) as folder, at_work("Cycle"):
        write_case(folder, task)
    say(f"Patient {patient}, cycle {cycle}, in {out}.")


@app.command()
def dicom(
    cohort: CohortFolder,
    case: Annotated[str, typer.Option(help="Patient and cycle, such as P001/C1.")],
    out: Annotated[Path, typer.Option(help="Folder of the DICOM; new or empty.")],
    anatomy: AnatomyAgain = None,
) -> None:
    """Write a cycle's PET/CT, SPECT/CTs in counts, whole-body views, contours and STUDY.yaml.

    The cycle is made again from the cohort's seed and settings; python -m rpt_dosimetry ingest
    reads what is written. The whole-body views need PyTomography.
    """
    from rpt_phantom.clinic import write_dicom

    with at_work("Scans"):
        study = write_dicom(cohort, case, out, anatomy=_own_anatomy(anatomy))
    say(f"{case} as DICOM, with {study.name} for ingest, in {out}.")


@app.command()
def gallery(
    cohort: CohortFolder,
    out: Annotated[Path, typer.Option(metavar="PAGE.png", help="Picture to write.")],
    cycles: Annotated[int, typer.Option(help="Cycles at most, three a row.", min=1)] = 6,
    overwrite: Overwrite = False,
) -> None:
    """Draw PET, CT with organs, measured and true dose of a cohort's patients side by side.

    PET is SUV in g/mL, CT HU, dose Gy/GBq; front views, all but the CT as the largest value along
    the line of sight.
    """
    from rpt_phantom.gallery import write_gallery

    _refuse_existing(out, overwrite=overwrite)
    shown = write_gallery(cohort, out, most=cycles)
    say(f"{shown} cycles in {out}.")


@app.command()
def resemblance(
    cohort: Annotated[
        Path, typer.Option(metavar="COHORT", help="Cohort that rpt_phantom made, imaged fast.")
    ],
    out: Annotated[
        Path, typer.Option(metavar="TABLE.md", help="Table to write; TABLE.json beside it.")
    ],
    workers: Annotated[
        int | None, typer.Option(help="Processes.", show_default="one for each core")
    ] = None,
    anatomy: AnatomyAgain = None,
    overwrite: Overwrite = False,
) -> None:
    """Compare SUV (g/mL), dose (Gy/GBq), half-lives (h), excretion (%) and r with publications.

    Every cycle is made again from its seed, for its truth and for images without noise.
    """
    from rpt_phantom.resemblance import write_resemblance

    if out.suffix != ".md":
        raise BadInput(f"--out must end in .md, got '{out}'.")
    _refuse_existing(out, out.with_suffix(".json"), overwrite=overwrite)
    cycles = write_resemblance(cohort, out, workers=workers, anatomy=_own_anatomy(anatomy))
    say(f"{out.name}: {cycles} virtual cycles.")


def _own_anatomy(files: tuple[Path, Path] | None) -> "OwnAnatomy | None":
    """Name the files of ``--anatomy``.

    Raises:
        BadInput: One cannot be read.
    """
    if files is None:
        return None
    from rpt_phantom.anatomy import OwnAnatomy

    return OwnAnatomy.of(*files)


def _organ_names(text: str) -> tuple[str, ...]:
    """Split ``--organs``."""
    return () if text == "none" else tuple(part.strip() for part in text.split(","))


def _refuse_existing(*paths: Path, overwrite: bool) -> None:
    """Refuse to replace files unless told so, and folders always.

    Raises:
        BadInput: One is there, or the folder above it is not.
    """
    for path in paths:
        if not path.absolute().parent.is_dir():
            raise BadInput(f"The folder of '{path}' must exist, and it does not. Create it.")
        if path.is_dir():
            raise BadInput(f"'{path}' must be a file, and it is a folder. Name another.")
        if path.exists() and not overwrite:
            raise BadInput(f"'{path}' must be new, and it is there. Give --overwrite.")


if __name__ == "__main__":
    run_app(app)
