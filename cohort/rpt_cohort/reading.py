"""Read the contract's JSON files, validated."""

import json
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import TypeVar

import numpy as np
from pydantic import BaseModel, ValidationError

from rpt_cohort.errors import BadInput
from rpt_cohort.schema import (
    FILES_OPTIONAL,
    FILES_REQUIRED,
    Case,
    Cohort,
    CohortInfo,
    CycleInfo,
    Datalist,
    PredictionInfo,
)
from rpt_cohort.volumes import read_volume

Model = TypeVar("Model", bound=BaseModel)


def read_cohort(root: Path) -> Cohort:
    """Read ``cohort.json`` and ``datalist.json``.

    Args:
        root: The cohort folder.

    Returns:
        The cohort; its volumes and ``cycle.json`` files are not opened.

    Raises:
        BadInput: A file is missing or breaks the schema, a case is listed twice, a patient's
            cycles are in two folds or in both training and testing, or a link leads out of the
            cohort.
    """
    if not root.is_dir():
        raise BadInput(f"'{root}' must be a cohort folder, and there is none. Check the path.")
    info = read_json(root / "cohort.json", CohortInfo)
    cases = read_json(root / "datalist.json", Datalist)
    linked = (fault for c in cases.training + cases.testing for fault in link_faults(root, c))
    for fault in chain(datalist_faults(cases), linked):
        raise BadInput(fault)
    return Cohort(root, info, tuple(cases.training), tuple(cases.testing))


def read_cycle(folder: Path) -> CycleInfo:
    """Read ``cycle.json`` of one case folder.

    Raises:
        BadInput: Missing, or it breaks the schema.
    """
    return read_json(folder / "cycle.json", CycleInfo)


def read_prediction(root: Path) -> PredictionInfo:
    """Read ``prediction.json`` of a prediction folder and see that every map is sound.

    Raises:
        BadInput: Missing, it breaks the schema, or a case's ``dose.nii.gz`` is missing,
            broken, not finite or negative.
    """
    info = read_json(root / "prediction.json", PredictionInfo)
    for case in info.fold:
        name = root / case / "dose.nii.gz"
        dose_gy_per_gbq = read_volume(name, name=str(name)).data
        if not np.isfinite(dose_gy_per_gbq).all() or dose_gy_per_gbq.min() < 0:
            raise BadInput(f"{name} must be finite and 0 Gy/GBq or more. Predict it again.")
    return info


def read_json(path: Path, model: type[Model], *, name: str | None = None) -> Model:
    """Read one JSON file of the contract.

    Raises:
        BadInput: Missing, not JSON, or it breaks the schema; the first fault is told.
    """
    return _validated(path, model, name or str(path))


def json_faults(path: Path, model: type[BaseModel], *, name: str | None = None) -> list[str]:
    """Return every fault of one JSON file, a sentence each."""
    try:
        _validated(path, model, name or str(path))
    except BadInput as error:
        cause = error.__cause__
        if isinstance(cause, ValidationError):
            return fault_sentences(cause, name or str(path))
        return [str(error)]
    return []


def datalist_faults(datalist: Datalist) -> list[str]:
    """Return every way in which the cases contradict each other."""
    faults = []
    for name in _repeated(case.name for case in datalist.training + datalist.testing):
        faults.append(f"datalist.json must list {name} once, and lists it again.")
    for case in datalist.training:
        if case.fold is None:
            faults.append(f"datalist.json: {case.name} is for training and must have a fold.")
    for case in datalist.testing:
        if case.fold is not None:
            faults.append(f"datalist.json: {case.name} is for testing and must have no fold.")
    tested = {case.patient for case in datalist.testing}
    for patient in dict.fromkeys(case.patient for case in datalist.training):
        folds = {case.fold for case in datalist.training if case.patient == patient}
        if len(folds) > 1:
            faults.append(
                f"datalist.json: patient {patient} must be in one fold, got folds "
                f"{sorted(str(fold) for fold in folds)}. Deal folds by patient."
            )
        if patient in tested:
            faults.append(
                f"datalist.json: patient {patient} must be in training or in testing, and is in "
                "both. Move every cycle to one side."
            )
    faults += [f for c in datalist.training + datalist.testing for f in _path_faults(c)]
    return faults


def link_faults(root: Path, case: Case) -> list[str]:
    """Return which of a case's files are links that lead out of the cohort folder."""
    inside = root.resolve()
    files = ("cycle.json", *FILES_REQUIRED, *FILES_OPTIONAL)
    return [
        f"{case.name}/{file} must lie in the cohort folder, and a link leads out of it. Copy the "
        "file itself there."
        for file in files
        if not (root / case.name / file).resolve().is_relative_to(inside)
    ]


def _path_faults(case: Case) -> list[str]:
    expected = {
        "image": "pet.nii.gz",
        "label": "dose.nii.gz",
        "ct": "ct.nii.gz",
        "organs": "organs.nii.gz",
        "fov": "fov.nii.gz",
    }
    return [
        f"datalist.json: {key} of {case.name} must be '{case.name}/{file}', "
        f"got '{getattr(case, key)}'."
        for key, file in expected.items()
        if getattr(case, key) != f"{case.name}/{file}"
    ]


def _validated(path: Path, model: type[Model], name: str) -> Model:
    if not path.is_file():
        raise BadInput(
            f"{name} must be there, and it is missing. cohort/README.md shows the whole folder."
        )
    try:
        # JSON has one kind of number: 7400 for 7400.0 is right, "7400" is not.
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{name} must be JSON in UTF-8, and cannot be read as that.") from error
    except OSError as error:
        raise BadInput(f"{name} must be readable: {error.strerror}.") from error
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise BadInput(fault_sentences(error, name)[0]) from error


def fault_sentences(error: ValidationError, name: str) -> list[str]:
    """Say of each fault that pydantic found where it is, what must hold and what came.

    Args:
        error: Of the validation.
        name: Of what was read.
    """
    return [
        f"{name}: {'.'.join(map(str, fault['loc'])) or 'the file'}: {fault['msg']}, "
        f"got {_shortened(fault['input'])}."
        for fault in error.errors()
    ]


def _shortened(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _repeated(names: Iterable[str]) -> list[str]:
    seen: set[str] = set()
    repeated: dict[str, None] = {}
    for name in names:
        if name in seen:
            repeated[name] = None
        seen.add(name)
    return list(repeated)
