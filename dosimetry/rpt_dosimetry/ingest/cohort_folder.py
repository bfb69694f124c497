"""The cohort folder while it is made: locked, resumed, and listed at the end."""

import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from rpt_cohort import (
    BadInput,
    Case,
    CohortInfo,
    CycleInfo,
    assign_folds,
    json_bytes,
    new_folder,
    provenance,
    read_cycle,
    write_together,
)
from rpt_cohort.reading import read_json
from rpt_cohort.schema import SCHEMA_VERSION
from rpt_cohort.seal import OUTPUTS, is_sealed, output_sha256

from rpt_dosimetry.ingest.alignment import CohortGrid
from rpt_dosimetry.ingest.cycle_files import FINGERPRINT
from rpt_dosimetry.ingest.study import Study

COHORT, DATALIST = "cohort.json", "datalist.json"
_PARTIAL = re.compile(
    r"\.{1,2}C[1-9][0-9]*\.(new|old)(\.[a-z0-9_]{8})?"
    r"|\.(cohort\.json|datalist\.json|ceiling\.csv)\.[a-z0-9_]{8}"
)
"""What a killed run leaves: each writer puts a dot before the name, and ``tempfile`` eight letters
behind it. Virtual cohorts have a ceiling.csv."""
_CYCLE = re.compile(r"C[1-9][0-9]*")


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Hold a cohort folder, made where it is missing, and clear away what a killed run left.

    The lock is on the folder itself and goes with the process: nothing is left to clean up.

    Raises:
        BadInput: It is held by another run.
    """
    import fcntl  # of Unix alone, and of no other command

    made = not out.exists()
    out.mkdir(exist_ok=True)
    handle = os.open(out, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise BadInput(
                f"'{out}' must be used by one run at a time, and another one runs."
            ) from error
        _clear(out)
        yield
    finally:
        os.close(handle)
        if made and not any(out.iterdir()):
            out.rmdir()


def check_out(out: Path, study_path: Path) -> None:
    """Refuse a cohort folder that is something else, or that holds the study.

    Raises:
        BadInput: It is so, or the folder above it is missing.
    """
    if out.resolve() in study_path.resolve().parents:
        raise BadInput(
            f"STUDY.yaml must lie outside the cohort: it tells who is who. Move it, or name "
            f"another folder than '{out}'."
        )
    if not out.parent.is_dir():
        raise BadInput(f"The folder above '{out}' must exist, and it does not. Create it.")
    if not out.exists():
        return
    if not out.is_dir():
        raise BadInput(f"'{out}' must be a folder, and it is a file. Name another.")
    if not all(_is_ours(one) for one in out.iterdir()):
        raise BadInput(
            f"'{out}' must be new, or a cohort that ingest made, and it holds other files. "
            "Name another folder."
        )
    if (out / COHORT).exists():
        info = read_json(out / COHORT, CohortInfo)
        if info.provenance.get("command") != "ingest":
            raise BadInput(
                f"'{out}' must be a cohort that ingest made, and another command made it. "
                "Name another folder."
            )


def is_partial(name: str) -> bool:
    """Tell whether a file or folder is what a killed run left, and nobody's."""
    return bool(_PARTIAL.fullmatch(name))


def is_done(folder: Path, fingerprint: str) -> bool:
    """Tell whether a cycle's folder was made from these inputs and parameters, and is whole."""
    try:
        info = read_cycle(folder)
        if info.provenance.get("parameters", {}).get(FINGERPRINT) != fingerprint:
            return False
        return is_sealed(info) and info.provenance.get(OUTPUTS) == output_sha256(folder)
    except (BadInput, OSError):
        return False


@contextmanager
def cycle_folder(out: Path, name: str) -> Iterator[Path]:
    """Give a folder to fill, which takes the place of the cycle's only if the block ends well."""
    target = out / name
    target.parent.mkdir(exist_ok=True)
    old = target.with_name(f".{target.name}.old")
    try:
        with new_folder(target.with_name(f".{target.name}.new")) as made:
            yield made
        if target.exists():
            target.rename(old)
        target.with_name(f".{target.name}.new").rename(target)
    finally:
        shutil.rmtree(target.with_name(f".{target.name}.new"), ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
        if not any(target.parent.iterdir()):
            target.parent.rmdir()


def write_lists(
    out: Path,
    study: Study,
    grid: CohortGrid,
    cycles: Sequence[CycleInfo],
    inputs: Mapping[str, str],
) -> list[Case]:
    """Write ``cohort.json`` and ``datalist.json`` over the cycles that are there.

    Args:
        cycles: What ``cycle.json`` tells of each, in the order of the study.
        inputs: Cycle → fingerprint.

    Returns:
        The cases, training first.
    """
    count = {
        patient: sum(cycle.patient == patient for cycle in cycles)
        for patient in dict.fromkeys(cycle.patient for cycle in cycles)
    }
    training = {patient: n for patient, n in count.items() if patient not in study.testing}
    folds = min(study.folds, len(training))
    # One fold is no cross-validation; it is what a single training patient can have.
    fold = (
        assign_folds(training, folds=folds, seed=study.seed)
        if folds > 1
        else dict.fromkeys(training, 0)
    )
    cases = [_case(cycle, fold.get(cycle.patient)) for cycle in cycles]
    listed = {
        "training": [one for one in cases if one.fold is not None],
        "testing": [one for one in cases if one.fold is None],
    }
    info = CohortInfo(
        schema_version=SCHEMA_VERSION,
        name=study.name,
        origin=study.origin,
        shape=list(grid.shape),
        spacing_mm=list(grid.voxel_mm),
        provenance=provenance(
            package="rpt-dosimetry",
            command="ingest",
            parameters={"folds": folds, "testing": study.testing, "engine": study.engine},
            inputs=inputs,
            seed=study.seed,
            libraries=("rpt-cohort", "numpy"),
        ),
    )
    content = {
        key: [one.model_dump(mode="json", exclude_none=True) for one in ones]
        for key, ones in listed.items()
    }
    write_together(
        {
            out / DATALIST: json_bytes(content),
            out / COHORT: json_bytes(info.model_dump(mode="json")),
        }
    )
    return listed["training"] + listed["testing"]


def _is_ours(path: Path) -> bool:
    """Tell whether a file or folder of the cohort is one that ``ingest`` writes."""
    if path.is_dir() and not path.is_symlink():
        names = [one.name for one in path.iterdir()]
        return all(_CYCLE.fullmatch(name) or _PARTIAL.fullmatch(name) for name in names)
    return path.name in (COHORT, DATALIST) or _PARTIAL.fullmatch(path.name) is not None


def _case(cycle: CycleInfo, fold: int | None) -> Case:
    name = f"{cycle.patient}/C{cycle.cycle}"
    return Case(
        image=f"{name}/pet.nii.gz",
        label=f"{name}/dose.nii.gz",
        ct=f"{name}/ct.nii.gz",
        organs=f"{name}/organs.nii.gz",
        fov=f"{name}/fov.nii.gz",
        patient=cycle.patient,
        cycle=cycle.cycle,
        administered_activity_mbq=cycle.administered_activity_mbq,
        fold=fold,
    )


def _clear(out: Path) -> None:
    for folder in (out, *(one for one in out.iterdir() if one.is_dir())):
        for one in list(folder.iterdir()):
            if not is_partial(one.name):
                continue
            if one.is_dir():
                shutil.rmtree(one)
            else:
                one.unlink()
        if folder != out and not any(folder.iterdir()):
            folder.rmdir()
