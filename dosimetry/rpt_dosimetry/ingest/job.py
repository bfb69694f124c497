"""The work of the ``ingest`` command: look, plan, make what is not done, list.

Cycles are spread over the cores of this machine, or over the workers of a Dask cluster.
"""

from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Literal, TypeVar

from rpt_cohort import BadInput, read_cycle
from rpt_cohort.command import in_parallel

from rpt_dosimetry.ingest.alignment import CohortGrid, cohort_grid
from rpt_dosimetry.ingest.building import build_cycle, check_inputs
from rpt_dosimetry.ingest.cohort_folder import check_out, cycle_folder, is_done, locked, write_lists
from rpt_dosimetry.ingest.inspection import (
    Inspection,
    fingerprint,
    inspect,
    other_patients,
    parameters_of,
    shared_patients,
)
from rpt_dosimetry.ingest.scans import Plan
from rpt_dosimetry.ingest.study import CycleSource, Study, read_study

Item = TypeVar("Item")
Result = TypeVar("Result")


def spread(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    description: str,
    workers: int | None,
    dask: str | None,
) -> list[Result]:
    """Apply ``function`` to every item, in their order; all must be picklable.

    Args:
        workers: Processes on this machine; by default one for each core.
        dask: Address of a Dask scheduler, whose workers see the same files; ``None`` for this
            machine.

    Raises:
        BadInput: Dask is not installed, or the scheduler does not answer.
        BrokenProcessPool: A process was ended from outside.
    """
    if dask is None:
        return in_parallel(function, items, description=description, workers=workers)
    try:
        distributed = import_module("dask.distributed")
    except ImportError as error:
        raise BadInput(
            "--dask needs Dask, and it is not installed. Run: pip install 'dask[distributed]'."
        ) from error
    try:
        client = distributed.Client(dask)
    except (OSError, ValueError) as error:
        raise BadInput(
            "--dask must be the address of a running scheduler, such as tcp://HOST:8786, and "
            "none answers there."
        ) from error
    with client:
        # Not pure: what is in the files does not show in the arguments.
        try:
            return list(client.gather(client.map(function, items, pure=False)))
        except distributed.KilledWorker as error:
            raise BrokenProcessPool("a Dask worker was ended") from error


@dataclass(frozen=True)
class Outcome:
    """How one cycle (``P001/C1``) ended; ``kept`` where it was done before."""

    name: str
    how: Literal["made", "kept", "failed"]
    faults: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class StudyInspection:
    """What a study's folders hold.

    Attributes:
        cycles: In the order of the study.
        plans: What is to be made, or is done; cycles with faults have none.
        grid: The cohort's; ``None`` where no SPECT is there.
    """

    study: Study
    cycles: list[Inspection]
    plans: list[Plan]
    done: frozenset[str]
    grid: CohortGrid | None


def look(
    study_path: Path,
    out: Path,
    *,
    workers: int | None,
    dask: str | None = None,
    whole: bool = False,
) -> StudyInspection:
    """Look at all that a study names, and write nothing.

    Args:
        out: The cohort folder, to know what is done.
        whole: Read every scan and region, too; without it headers alone.

    Raises:
        BadInput: The study or the cohort folder cannot be used.
    """
    study, root = read_study(study_path), study_path.resolve().parent
    check_out(out, study_path)
    look_at = partial(inspect, study=study, root=root)
    cycles = spread(look_at, study.cycles, description="Looking", workers=workers, dask=dask)
    _compare(cycles, study)
    grids = [one.grid for one in cycles if one.grid is not None]
    if not grids:
        return StudyInspection(study, cycles, [], frozenset(), None)
    grid = cohort_grid(grids, slice_voxels=study.slice_voxels, fixed=study.grid)
    plans = [
        _plan(cycle, one, study, root, grid)
        for cycle, one in zip(study.cycles, cycles, strict=True)
        if not one.faults
    ]
    done = frozenset(
        plan.cycle.name for plan in plans if is_done(out / plan.cycle.name, plan.fingerprint)
    )
    if whole:
        to_read = [plan for plan in plans if plan.cycle.name not in done]
        faults = spread(_checked, to_read, description="Reading", workers=workers, dask=dask)
        wrong = {p.cycle.name: fault for p, fault in zip(to_read, faults, strict=True) if fault}
        for one in cycles:
            if one.name in wrong:
                one.add_fault(wrong[one.name])
        plans = [plan for plan in plans if plan.cycle.name not in wrong]
    return StudyInspection(study, cycles, plans, done, grid)


def ingest(
    study_path: Path, out: Path, *, workers: int | None, dask: str | None = None
) -> list[Outcome]:
    """Make every cycle of a study that is not done, and list the cohort.

    A cycle appears whole or not at all; one that fails does not stop the others, and what was
    there of it before stays, unlisted. The files do not depend on the number of ``workers``.

    Returns:
        One outcome a cycle, in the order of the study.

    Raises:
        BadInput: The study or the cohort folder cannot be used.
    """
    inspected = look(study_path, out, workers=workers, dask=dask)
    failed = {one.name: Outcome(one.name, "failed", tuple(one.faults)) for one in inspected.cycles}
    if inspected.grid is None or not inspected.plans:
        return list(failed.values())
    with locked(out):
        to_do = [plan for plan in inspected.plans if plan.cycle.name not in inspected.done]
        ended = failed | {name: Outcome(name, "kept") for name in inspected.done}
        ended |= {one.name: one for one in _make(out.resolve(), to_do, workers, dask)}
        outcomes = [ended[cycle.name] for cycle in inspected.study.cycles]
        good = [one.name for one in outcomes if one.how != "failed"]
        if good:
            prints = {p.cycle.name: p.fingerprint for p in inspected.plans if p.cycle.name in good}
            cycles = [read_cycle(out / name) for name in good]
            write_lists(out, inspected.study, inspected.grid, cycles, prints)
    return outcomes


def _make(out: Path, to_do: Sequence[Plan], workers: int | None, dask: str | None) -> list[Outcome]:
    """Make cycles; where a process is killed, those that it had not finished have failed."""
    make = partial(_made, out)
    try:
        return spread(make, to_do, description="Cycles", workers=workers, dask=dask)
    except BrokenProcessPool:
        told = (
            "A process was ended from outside while cycles were made, perhaps for lack of "
            "memory. Run again with fewer --workers."
        )
        done = [is_done(out / plan.cycle.name, plan.fingerprint) for plan in to_do]
        names = [plan.cycle.name for plan in to_do]
        return [
            Outcome(name, "made") if whole else Outcome(name, "failed", (told,))
            for name, whole in zip(names, done, strict=True)
        ]


def _checked(plan: Plan) -> str | None:
    """Return what is wrong with a cycle's files when they are read, a sentence."""
    try:
        check_inputs(plan)
    except BadInput as error:
        return str(error)
    except OSError as error:
        return _of_system(error)
    return None


def _compare(cycles: Sequence[Inspection], study: Study) -> None:
    """Add the faults that only several cycles together show."""
    pairs = list(zip(study.cycles, cycles, strict=True))
    by_patient = shared_patients([(source.patient, one.patients) for source, one in pairs])
    others = other_patients(
        [(source.patient, one.patients) for source, one in pairs if not source.ids_differ]
    )
    for patient, sentence in others.items():
        by_patient.setdefault(patient, []).append(sentence)
    first: dict[str, str] = {}
    for source, one in pairs:
        for sentence in by_patient.get(source.patient, []):
            one.add_fault(f"patient: {sentence}")
        for role, image in one.images.items():
            if first.setdefault(image, one.name) != one.name:
                one.add_fault(
                    f"{role}: Every SPECT and planar scan must be of one cycle, and it is that of "
                    f"{first[image]}. Name its own folder."
                )


def _plan(
    cycle: CycleSource, inspection: Inspection, study: Study, root: Path, grid: CohortGrid
) -> Plan:
    on = {"shape": list(grid.shape), "voxel_mm": list(grid.voxel_mm)}
    parameters = parameters_of(cycle, study) | {"grid": on}
    inputs, known_by = inspection.inputs, fingerprint(inspection, parameters)
    return Plan(cycle, study, root, grid, inputs, parameters, known_by)


def _made(out: Path, plan: Plan) -> Outcome:
    name = plan.cycle.name
    try:
        with cycle_folder(out, name) as folder:
            warnings = build_cycle(plan, folder)
    except BadInput as error:
        return Outcome(name, "failed", (str(error),))
    except OSError as error:
        return Outcome(name, "failed", (_of_system(error),))
    except Exception as error:  # noqa: BLE001 - one cycle must not stop the others
        # Not its text, which may hold anything; a report of it is welcome.
        told = f"An unforeseen error ended it ({type(error).__name__}). Please report it."
        return Outcome(name, "failed", (told,))
    return Outcome(name, "made", warnings=tuple(warnings))


def _of_system(error: OSError) -> str:
    # Not its name: files from a clinic often carry the patient's.
    return f"A file could not be read or written: {error.strerror or 'unknown fault'}."
