"""The work of the ``ingest`` command: look, plan, make what is not done, list.

Cycles are spread over the cores of this machine, or over the workers of a Dask cluster.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
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
    Found,
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
    """Apply ``function`` to every item.

    Args:
        function: Of one item; must be picklable, as items and results must.
        workers: Processes on this machine; by default one for each core.
        dask: Address of a Dask scheduler, whose workers see the same files; ``None`` for this
            machine.

    Returns:
        The results, in the order of the items.

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
    """How one cycle ended.

    Attributes:
        name: The cycle's folder, ``P001/C1``.
        how: ``made``; ``kept`` where it was done before; or ``failed``.
    """

    name: str
    how: Literal["made", "kept", "failed"]
    faults: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Looked:
    """What a study's folders hold.

    Attributes:
        found: One a cycle, in the order of the study.
        plans: What is to be made, or is done; cycles with faults have none.
        grid: The cohort's; ``None`` where no SPECT was found.
    """

    study: Study
    found: list[Found]
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
) -> Looked:
    """Look at all that a study names, and write nothing.

    Args:
        out: The cohort folder, to know what is done.
        workers: Processes; by default one for each core.
        whole: Read every scan and region, too; without it headers alone.

    Raises:
        BadInput: The study or the cohort folder cannot be used.
    """
    study, root = read_study(study_path), study_path.resolve().parent
    check_out(out, study_path)
    found = spread(
        partial(_inspected, study, root),
        study.cycles,
        description="Looking",
        workers=workers,
        dask=dask,
    )
    found = _compared(found, study)
    grids = [one.grid for one in found if one.grid is not None]
    if not grids:
        return Looked(study, found, [], frozenset(), None)
    grid = cohort_grid(grids, slice_voxels=study.slice_voxels, fixed=study.grid)
    plans = [
        _plan(cycle, one, study, root, grid)
        for cycle, one in zip(study.cycles, found, strict=True)
        if not one.faults
    ]
    done = frozenset(
        plan.cycle.name for plan in plans if is_done(out / plan.cycle.name, plan.fingerprint)
    )
    if whole:
        to_read = [plan for plan in plans if plan.cycle.name not in done]
        faults = spread(_checked, to_read, description="Reading", workers=workers, dask=dask)
        wrong = {p.cycle.name: f for p, f in zip(to_read, faults, strict=True) if f}
        found = [_with_faults(one, wrong.get(one.name, []), role="") for one in found]
        plans = [plan for plan in plans if plan.cycle.name not in wrong]
    return Looked(study, found, plans, done, grid)


def ingest(
    study_path: Path, out: Path, *, workers: int | None, dask: str | None = None
) -> list[Outcome]:
    """Make every cycle of a study that is not done, and list the cohort.

    A cycle appears whole or not at all; one that fails does not stop the others, and what was
    there of it before stays, unlisted.

    Args:
        out: The cohort folder; new, or begun by an earlier run.
        workers: Processes; by default one for each core. The files do not depend on it.

    Returns:
        One outcome a cycle, in the order of the study.

    Raises:
        BadInput: The study or the cohort folder cannot be used.
    """
    looked = look(study_path, out, workers=workers, dask=dask)
    if looked.grid is None or not looked.plans:
        return [_failed(found) for found in looked.found]
    with locked(out):
        to_do = [plan for plan in looked.plans if plan.cycle.name not in looked.done]
        ended = {one.name: one for one in _make(out.resolve(), to_do, workers, dask)}
        ended |= {name: Outcome(name, "kept") for name in looked.done}
        ended |= {found.name: _failed(found) for found in looked.found if found.faults}
        outcomes = [ended[cycle.name] for cycle in looked.study.cycles]
        good = [one.name for one in outcomes if one.how != "failed"]
        if good:
            prints = {p.cycle.name: p.fingerprint for p in looked.plans if p.cycle.name in good}
            cycles = [read_cycle(out / name) for name in good]
            write_lists(out, looked.study, looked.grid, cycles, prints)
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


def _checked(plan: Plan) -> list[str]:
    """Return what is wrong with a cycle's files when they are read, a sentence each."""
    try:
        check_inputs(plan)
    except BadInput as error:
        return [str(error)]
    except OSError as error:
        return [_of_system(error)]
    return []


def _inspected(study: Study, root: Path, cycle: CycleSource) -> Found:
    return inspect(cycle, study, root)


def _compared(found: Sequence[Found], study: Study) -> list[Found]:
    """Add the faults that only several cycles together show."""
    known = [
        (cycle.patient, one.patients)
        for cycle, one in zip(study.cycles, found, strict=True)
        if not cycle.ids_differ
    ]
    by_patient = shared_patients(
        [(cycle.patient, one.patients) for cycle, one in zip(study.cycles, found, strict=True)]
    )
    for patient, sentence in other_patients(known).items():
        by_patient.setdefault(patient, []).append(sentence)
    compared = [
        _with_faults(one, by_patient.get(cycle.patient, []))
        for cycle, one in zip(study.cycles, found, strict=True)
    ]
    first: dict[str, str] = {}
    for one in found:
        for image in one.images.values():
            first.setdefault(image, one.name)
    return [_with_faults(one, _of_others(one, first), role="") for one in compared]


def _of_others(found: Found, first: Mapping[str, str]) -> list[str]:
    """Tell which scans of a cycle are another cycle's, an earlier one in the study."""
    return [
        f"{role}: Every SPECT and planar scan must be of one cycle, and it is that of "
        f"{first[image]}. Name its own folder."
        for role, image in found.images.items()
        if first[image] != found.name
    ]


def _with_faults(found: Found, sentences: list[str], *, role: str = "patient: ") -> Found:
    lines = (*found.lines, *(f"{found.name} {role}{one}" for one in sentences))
    return replace(found, lines=lines, faults=(*found.faults, *sentences))


def _plan(cycle: CycleSource, found: Found, study: Study, root: Path, grid: CohortGrid) -> Plan:
    on = {"shape": list(grid.shape), "voxel_mm": list(grid.voxel_mm)}
    parameters = parameters_of(cycle, study) | {"grid": on}
    return Plan(cycle, study, root, grid, found.inputs, parameters, fingerprint(found, parameters))


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


def _failed(found: Found) -> Outcome:
    return Outcome(found.name, "failed", found.faults)
