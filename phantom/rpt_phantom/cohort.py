"""Write a cohort folder of virtual patients, cycle by cycle, and go on where a run ended."""

import re
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from rpt_cohort import (
    BadInput,
    Case,
    CohortInfo,
    CycleInfo,
    json_bytes,
    provenance,
    read_cycle,
    write_together,
)
from rpt_cohort.schema import SCHEMA_VERSION, Therapy, Tracer
from rpt_dosimetry.ingest.cohort_folder import COHORT, DATALIST, cycle_folder, is_done, locked
from rpt_dosimetry.ingest.spread import spread

from rpt_phantom.case_files import CEILING, LIBRARIES, Task, write_case
from rpt_phantom.ceiling import csv_bytes, read_rows
from rpt_phantom.coverage import check_names
from rpt_phantom.grid import SLICES_USUAL, SPACING_MM, torso_grid
from rpt_phantom.plan import Plan, make_plan
from rpt_phantom.settings import Imaging, Settings

CEILING_TABLE = "ceiling.csv"
_PATIENT, _CYCLE = re.compile(r"P[0-9]{3}"), re.compile(r"C[1-9][0-9]*")


def write_cohort(
    out: Path,
    *,
    seed: int,
    patients: int | None = None,
    slices: int = SLICES_USUAL,
    folds: int | None = None,
    test_patients: int | None = None,
    workers: int | None = None,
    preset: str | None = None,
    imaging: Imaging = "fast",
    heterogeneity: float = 1.0,
    tracer: Tracer = "68Ga-PSMA-11",
    therapy: Therapy = "177Lu-PSMA-I&T",
    organs: Sequence[str] = (),
    fine_truth: bool = False,
    dask: str | None = None,
    overwrite: bool = False,
) -> list[Case]:
    """Write a cohort folder of virtual patients.

    A cycle is written whole or not at all, and kept when the same command runs again: a run that
    was killed goes on, and more patients may be asked for later.

    Args:
        out: The cohort folder; new, or made by this command with the same settings.
        seed: Same seed, same data files; patient 3 is the same in any cohort.
        patients: How many patients, 1 to 999; each has one to three cycles. 8 by default.
        slices: Slices of 4.8 mm, 16 to 224.
        folds: Folds of the training patients; by default 5, or one for each training
            patient where there are fewer.
        test_patients: How many patients, the last ones, are for testing; by default a quarter
            of them, at least 1 of 3 or more.
        workers: Processes; by default one for each core. The files do not depend on it.
        preset: ``paper``, in place of ``patients``.
        imaging: ``fast`` or ``full``.
        heterogeneity: Of uptake within organs, 0 to 1.
        tracer: Of the PET.
        therapy: What is given.
        organs: Names of organs that the field of view must hold whole.
        fine_truth: Whether true dose and decays are written on voxels of 2.4 mm too.
        dask: Address of a Dask scheduler whose workers see ``out``; ``None`` for this machine.
        overwrite: Whether cycles of other settings that are there may be replaced.

    Returns:
        The cases, training first.

    Raises:
        BadInput: A number is out of its range, the field of view cuts an organ, or ``out`` is
            something else.
    """
    settings = Settings(seed, slices, imaging, heterogeneity, tracer, therapy)
    check_names(organs)
    plan = make_plan(
        settings, patients=patients, preset=preset, folds=folds, test_patients=test_patients
    )
    tasks = [
        Task(settings, patient, cycle, tuple(organs), fine_truth)
        for patient, cycles in plan.cycles.items()
        for cycle in cycles
    ]
    check_out(out)
    with locked(out):
        todo = _to_do(out, tasks, overwrite=overwrite)
        # Fewer cycles than cores are still made in their own processes.
        spread(
            partial(_make, out.resolve()),
            todo,
            description="Virtual cycles",
            workers=workers,
            dask=dask,
        )
        return _write_lists(out, plan, tasks)


def check_out(out: Path) -> None:
    """Refuse a cohort folder that is something else.

    Raises:
        BadInput: It is so, or the folder above it is missing.
    """
    if not out.absolute().parent.is_dir():
        raise BadInput(f"The folder above '{out.name}' must exist, and it does not. Create it.")
    if out.exists() and not out.is_dir():
        raise BadInput(f"'{out.name}' must be a folder, and it is a file. Name another.")
    strangers = [one for one in out.iterdir() if not _is_ours(one)] if out.exists() else []
    info = out / COHORT
    if strangers or (info.exists() and b'"rpt-phantom"' not in info.read_bytes()):
        raise BadInput(
            f"'{out.name}' must be new or empty, or a cohort that this command made, and it holds "
            "other files. Name another folder."
        )


def _is_ours(path: Path) -> bool:
    """Tell whether this command may have written a file or folder of the cohort."""
    if path.name.startswith("."):
        return path.name.removeprefix(".").startswith((COHORT, DATALIST, CEILING_TABLE))
    if path.is_dir() and not path.is_symlink():
        names = [one.name.lstrip(".").partition(".")[0] for one in path.iterdir()]
        return bool(_PATIENT.fullmatch(path.name)) and all(map(_CYCLE.fullmatch, names))
    return path.name in (COHORT, DATALIST, CEILING_TABLE)


def _to_do(out: Path, tasks: Sequence[Task], *, overwrite: bool) -> list[Task]:
    """Return what is not done; refuse, or take away, cycles of another configuration."""
    wanted = {task.name: task for task in tasks}
    there = {f"{one.parent.name}/{one.name}": one for one in sorted(out.glob("P*/C*"))}
    done = {
        name
        for name, folder in there.items()
        if name in wanted and is_done(folder, wanted[name].fingerprint())
    }
    others = [name for name in there if name not in done]
    if others and not overwrite:
        raise BadInput(
            f"'{out.name}' must hold cycles of these settings only, and {others[0]} is of others "
            f"or not asked for ({len(others)} of {len(there)}). Name another folder, or give "
            "--overwrite."
        )
    for name in others:
        shutil.rmtree(there[name])
        if not any(there[name].parent.iterdir()):
            there[name].parent.rmdir()
    return [task for name, task in wanted.items() if name not in done]


def _make(out: Path, task: Task) -> None:
    with cycle_folder(out, task.name) as folder:
        write_case(folder, task)


def _write_lists(out: Path, plan: Plan, tasks: Sequence[Task]) -> list[Case]:
    cases = [_case(read_cycle(out / task.name), plan.fold.get(task.patient)) for task in tasks]
    listed = {
        "training": [one for one in cases if one.fold is not None],
        "testing": [one for one in cases if one.fold is None],
    }
    content = {
        key: [one.model_dump(mode="json", exclude_none=True) for one in ones]
        for key, ones in listed.items()
    }
    rows = [row for task in tasks for row in read_rows((out / task.name / CEILING).read_bytes())]
    write_together(
        {
            out / DATALIST: json_bytes(content),
            out / CEILING_TABLE: csv_bytes(rows),
            out / COHORT: json_bytes(_info(plan).model_dump(mode="json")),
        }
    )
    return listed["training"] + listed["testing"]


def _case(info: CycleInfo, fold: int | None) -> Case:
    case = f"{info.patient}/C{info.cycle}"
    return Case(
        image=f"{case}/pet.nii.gz",
        label=f"{case}/dose.nii.gz",
        ct=f"{case}/ct.nii.gz",
        organs=f"{case}/organs.nii.gz",
        fov=f"{case}/fov.nii.gz",
        patient=info.patient,
        cycle=info.cycle,
        administered_activity_mbq=info.administered_activity_mbq,
        fold=fold,
    )


def _info(plan: Plan) -> CohortInfo:
    settings = plan.settings
    return CohortInfo(
        schema_version=SCHEMA_VERSION,
        name=f"virtual PSMA patients, seed {settings.seed}",
        origin="virtual",
        shape=list(torso_grid(settings.slices).shape),
        spacing_mm=[SPACING_MM] * 3,
        provenance=provenance(
            package="rpt-phantom",
            command="cohort",
            parameters=plan.parameters | settings.parameters(),
            seed=settings.seed,
            libraries=LIBRARIES,
        ),
    )
