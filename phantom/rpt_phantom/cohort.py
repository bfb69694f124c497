"""A cohort folder of virtual patients: dealt to parts, written cycle by cycle, gone on with."""

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rpt_cohort import (
    BadInput,
    Case,
    CohortInfo,
    CycleInfo,
    assign_folds,
    json_bytes,
    provenance,
    read_cycle,
    write_together,
)
from rpt_cohort.reading import read_json
from rpt_cohort.schema import SCHEMA_VERSION
from rpt_dosimetry.ingest.cohort_folder import (
    COHORT,
    DATALIST,
    cycle_folder,
    is_done,
    is_partial,
    locked,
)
from rpt_dosimetry.ingest.job import spread

from rpt_phantom.case_files import CEILING, Task, csv_bytes, libraries, read_rows, write_case
from rpt_phantom.coverage import check_organs, cohort_cycles, refuse_cut_cohort
from rpt_phantom.grid import SPACING_MM, torso_grid
from rpt_phantom.settings import CohortSettings
from rpt_phantom.spect.projection import tomography

FOLDS = 5
TEST_EVERY = 4
"""By default patients 3, 7, 11 … are for testing: who is does not change as patients are added."""
CEILING_TABLE = "ceiling.csv"
_PATIENT, _CYCLE = re.compile(r"P[0-9]{3}"), re.compile(r"C[1-9][0-9]*")


@dataclass(frozen=True)
class Plan:
    """What is to be made, checked.

    Attributes:
        cycles: Patient → numbers of the cycles.
        fold: Training patient → fold.
        parameters: What was asked for beside the settings.
    """

    settings: CohortSettings
    cycles: dict[str, tuple[int, ...]]
    fold: dict[str, int]
    parameters: dict[str, Any]


def make_plan(
    settings: CohortSettings,
    *,
    patients: int | None = None,
    preset: str | None = None,
    folds: int | None = None,
    test_patients: int | None = None,
) -> Plan:
    """Check the numbers and deal the patients; see ``write_cohort``.

    Raises:
        BadInput: A number is out of its range.
    """
    cycles = cohort_cycles(seed=settings.seed, patients=patients, preset=preset)
    count = len(cycles)
    names = list(cycles)
    if test_patients is None:
        testing = names[TEST_EVERY - 2 :: TEST_EVERY]
    elif 0 <= test_patients < count:
        testing = names[count - test_patients :]
    else:
        raise BadInput(
            f"test-patients must be 0 to {count - 1}, so that one of {count} patients is "
            f"left for training, got {test_patients}."
        )
    training = {name: len(of) for name, of in cycles.items() if name not in testing}
    folds = min(FOLDS, len(training)) if folds is None else folds
    if folds > len(training):
        raise BadInput(
            f"folds must be at most {len(training)}, one for each training patient, got {folds}. "
            "Ask for fewer folds, fewer test patients or more patients."
        )
    # One fold is no cross-validation; it is what a single training patient can have.
    alone = len(training) == 1 and folds == 1
    fold = (
        dict.fromkeys(training, 0)
        if alone
        else assign_folds(training, folds=folds, seed=settings.seed)
    )
    asked = {"patients": count, "preset": preset, "folds": folds, "test_patients": len(testing)}
    return Plan(settings, cycles, fold, asked)


def write_cohort(
    out: Path,
    settings: CohortSettings,
    *,
    patients: int | None = None,
    folds: int | None = None,
    test_patients: int | None = None,
    workers: int | None = None,
    preset: str | None = None,
    organs: Sequence[str] = (),
    dask: str | None = None,
    overwrite: bool = False,
) -> list[Case]:
    """Write a cohort folder of virtual patients.

    A cycle is written whole or not at all, and kept when the same command runs again: a run that
    was killed goes on, and more patients may be asked for later.

    Args:
        out: The cohort folder; new, or made by this command with the same settings.
        settings: Patient 3 is the same in any cohort of the same settings.
        patients: How many patients, 1 to 999; each has one to three cycles. 8 by default.
        folds: Folds of the training patients; by default 5, or one for each training
            patient where there are fewer.
        test_patients: How many patients, the last ones, are for testing; by default every
            fourth, from the third on.
        workers: Processes; by default one for each core. The files do not depend on it.
        preset: ``paper``, in place of ``patients``, or ``first``: each patient's first cycle.
        organs: Names of organs that the field of view must hold whole.
        dask: Address of a Dask scheduler whose workers see ``out``; ``None`` for this machine.
        overwrite: Whether cycles of other settings that are there may be replaced.

    Returns:
        The cases, training first.

    Raises:
        BadInput: A number is out of its range, the field of view or the anatomy cuts an organ, or
            ``out`` is something else.
    """
    check_organs(settings, organs)
    plan = make_plan(
        settings, patients=patients, preset=preset, folds=folds, test_patients=test_patients
    )
    tasks = [
        Task(settings, patient, cycle, tuple(organs))
        for patient, cycles in plan.cycles.items()
        for cycle in cycles
    ]
    check_out(out)
    if settings.imaging == "full":
        tomography()
    refuse_cut_cohort(settings, plan.cycles, organs)
    with locked(out):
        todo, others = _to_do(out, tasks, overwrite=overwrite)
        # Fewer cycles than cores are still made in their own processes.
        spread(
            partial(_make, out.resolve()),
            todo,
            description="Virtual cycles",
            workers=workers,
            dask=dask,
        )
        cases = _write_lists(out, plan, tasks, organs=organs)
        for folder in others:
            # Renamed first: what a killed run leaves is then known as its own.
            shutil.rmtree(folder.rename(folder.with_name(f".{folder.name}.old")))
            if not any(folder.parent.iterdir()):
                folder.parent.rmdir()
        return cases


def check_out(out: Path) -> None:
    """Refuse a cohort folder that is something else.

    Raises:
        BadInput: It is so, or the folder above it is missing.
    """
    if not out.absolute().parent.is_dir():
        raise BadInput(f"The folder above '{out}' must exist, and it does not. Create it.")
    if out.exists() and not out.is_dir():
        raise BadInput(f"'{out}' must be a folder, and it is a file. Name another.")
    strangers = _strangers(out) if out.exists() else []
    if strangers:
        raise BadInput(
            f"'{out}' must be new or empty, or a cohort that this command made, and it holds "
            f"{strangers[0]}, which is none of its own. Move that away, or name another folder."
        )


def _strangers(out: Path) -> list[str]:
    """Return what this command has not written in the cohort, relative to it."""
    found, lists, ours = [], [], False
    for one in sorted(out.iterdir()):
        if _PATIENT.fullmatch(one.name) and one.is_dir() and not one.is_symlink():
            cycles = [cycle for cycle in sorted(one.iterdir()) if not is_partial(cycle.name)]
            strange = [name for cycle in cycles for name in _strange_in(cycle)]
            ours |= bool(cycles) and not strange
            found += [f"{one.name}/{name}" for name in strange]
        elif one.name in (COHORT, DATALIST, CEILING_TABLE) and one.is_file():
            lists.append(one.name)
        elif not is_partial(one.name):
            found.append(one.name)
    if COHORT in lists and not _is_info(out / COHORT):
        return [COHORT, *found]
    # A run that was killed may have left cycles without lists, but never lists alone.
    return found if COHORT in lists or ours else lists + found


def _is_info(path: Path) -> bool:
    try:
        return read_json(path, CohortInfo).provenance.get("package") == "rpt-phantom"
    except BadInput:
        return False


def _strange_in(folder: Path) -> list[str]:
    """Return what is not a cycle's of this command, relative to the patient's folder."""
    if not _CYCLE.fullmatch(folder.name) or folder.is_symlink() or not folder.is_dir():
        return [folder.name]
    try:
        info = read_cycle(folder)
    except BadInput:
        return [folder.name]
    if info.provenance.get("package") != "rpt-phantom":
        return [folder.name]
    made = {*info.how, CEILING, "cycle.json"}
    there = (one.relative_to(folder).as_posix() for one in folder.rglob("*") if not one.is_dir())
    return [f"{folder.name}/{name}" for name in sorted(there) if name not in made]


def _to_do(out: Path, tasks: Sequence[Task], *, overwrite: bool) -> tuple[list[Task], list[Path]]:
    """Return what is not done, and cycles that are not asked for; refuse another configuration."""
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
            f"'{out}' must hold cycles of these settings only, and {others[0]} is of others "
            f"or not asked for ({len(others)} of {len(there)}). Name another folder, or give "
            "--overwrite."
        )
    # Those of other settings are replaced one by one, as the new ones are whole.
    not_asked = [there[name] for name in others if name not in wanted]
    return [task for name, task in wanted.items() if name not in done], not_asked


def _make(out: Path, task: Task) -> None:
    with cycle_folder(out, task.name) as folder:
        write_case(folder, task)


def _write_lists(
    out: Path, plan: Plan, tasks: Sequence[Task], *, organs: Sequence[str]
) -> list[Case]:
    cases = [_case(read_cycle(out / task.name), plan.fold.get(task.patient)) for task in tasks]
    listed = {
        "training": [one for one in cases if one.fold is not None],
        "testing": [one for one in cases if one.fold is None],
    }
    content = {
        key: [one.model_dump(mode="json", exclude_none=True) for one in ones]
        for key, ones in listed.items()
    }
    info = _info(plan, {"organs": list(organs), "fine_truth": plan.settings.fine_truth})
    rows = [row for task in tasks for row in read_rows((out / task.name / CEILING).read_bytes())]
    write_together(
        {
            out / DATALIST: json_bytes(content),
            out / CEILING_TABLE: csv_bytes(rows),
            out / COHORT: json_bytes(info.model_dump(mode="json")),
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


def _info(plan: Plan, more: dict[str, Any]) -> CohortInfo:
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
            parameters=plan.parameters | settings.parameters() | more,
            seed=settings.seed,
            libraries=libraries(settings),
        ),
    )
