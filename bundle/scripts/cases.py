"""From a cohort folder to the lists of cases that the workflows read.

Without a cohort folder the lists are empty, because the zoo parses the workflows where
there are no data; ``require_cases`` is what refuses to run on nothing.

The cohort folder's contract stands in ``rpt_cohort`` too; a parity test holds the two
together, because the bundle must work without that package.
"""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import torch
from monai.data import CacheDataset, Dataset
from monai.data.utils import set_rnd
from monai.transforms import Compose

from scripts.chance import seed_of
from scripts.checks import check_inference_case, check_tracer, check_training_cases, shown
from scripts.errors import BadInput
from scripts.fingerprints import fingerprint
from scripts.outputs import SINGLE_FILE
from scripts.transforms import averaged

FILES = ("image", "label", "organs", "fov")
CASE_NAME = r"[A-Za-z0-9_-]{1,32}/C[1-9][0-9]*"
CaseList = list[dict[str, Any]]


def training_cases(dataset_dir: str, fold: int) -> CaseList:
    """Return the training cases outside ``fold``."""
    return [case for case in _read_cases(dataset_dir, "training") if case["fold"] != fold]


def validation_cases(dataset_dir: str, fold: int) -> CaseList:
    """Return the training cases of ``fold``."""
    return [case for case in _read_cases(dataset_dir, "training") if case["fold"] == fold]


def held_out_cases(dataset_dir: str) -> CaseList:
    """Return the testing cases."""
    return _read_cases(dataset_dir, "testing")


def inference_cases(dataset_dir: str, image: str | None, fold: int | None) -> CaseList:
    """Return what to predict: one file, one fold's cases, or every case of a cohort.

    Args:
        dataset_dir: The cohort folder; not looked at if ``image`` is given.
        image: A NIfTI of SUV, g/mL, or None.
        fold: With fold-wise weights, the fold that they have not seen; None for all.
    """
    if image is not None:
        return [{"image": str(image), "name": SINGLE_FILE}]
    if fold is not None:
        cases = validation_cases(dataset_dir, fold)
    else:
        cases = _read_cases(dataset_dir, "training") + _read_cases(dataset_dir, "testing")
    return [{key: case[key] for key in ("image", "name") if key in case} for case in cases]


def require_cases(cases: Sequence[dict[str, Any]], dataset_dir: str, purpose: str) -> None:
    """See that there is something to run on, in each process.

    Args:
        cases: What was found.
        dataset_dir: Where it was looked for.
        purpose: What the cases are for, such as ``training``.

    Raises:
        BadInput: ``cases`` is empty, or fewer than the processes of a multi-GPU run.
    """
    if cases:
        if len(cases) < idist.get_world_size():
            raise BadInput(
                f"Each of {idist.get_world_size()} processes must have a case for {purpose}, and "
                f"there are {len(cases)}. Start fewer processes, or choose another --fold."
            )
        return
    if not (Path(dataset_dir) / "datalist.json").is_file():
        raise BadInput(
            "dataset_dir must be a cohort folder with a datalist.json, and that file is missing. "
            f"Give --dataset_dir COHORT. Looked in: {dataset_dir}"
        )
    raise BadInput(
        f"{Path(dataset_dir) / 'datalist.json'} must list at least one case for {purpose}, and "
        "lists none. Check --fold, and the lists with `python -m rpt_cohort check`."
    )


class TrainingDataset(CacheDataset):
    """A cached dataset of {image, label, …} cases, checked before the first is loaded.

    Each case has a ``title``, by which an error names it.

    Attributes:
        fingerprints: Path of a PET → its fingerprint.
        epoch_seed: With a case's place in the list, what its patches hang on.
    """

    epoch_seed = 0

    def __init__(
        self, data: Sequence[dict[str, Any]], transform: Callable[..., Any], **options: Any
    ) -> None:
        self.fingerprints = check_training_cases(data)
        titled = [{**case, "title": shown(case["image"])} for case in data]
        # MONAI caches up to the first step that draws, and takes a Compose within one for such.
        steps = Compose(transform).flatten()
        super().__init__(data=titled, transform=steps, **options)

    def _transform(self, index: int) -> Any:
        set_rnd(self.transform, seed_of(self.epoch_seed, index))
        return super()._transform(index)


class InferenceDataset(Dataset):
    """A dataset of {image, …} cases, each PET read once: checked, hashed, averaged and passed on.

    Args:
        data: Cases with ``image``, and ``name`` where they come from a cohort.
        transform: The preprocessing; its first step, which loads, is for hosts without this class.
        trained_tracers: The PET tracers that the weights were trained on.
        allow_other_tracer: Go on, with a warning, where the tracer is another or unknown.
        spacing_mm: Voxel size onto which a much finer PET is averaged.
        body_suv: SUV, g/mL, that nothing but air stays below.
    """

    def __init__(
        self,
        data: Sequence[dict[str, Any]],
        transform: Compose,
        trained_tracers: Sequence[str],
        allow_other_tracer: bool,
        spacing_mm: Sequence[float],
        body_suv: float,
    ) -> None:
        if not isinstance(allow_other_tracer, bool):  # the command line gives 'false' as text
            raise BadInput(
                f"allow_other_tracer must be True or False, got {allow_other_tracer!r}. Write it "
                "with a capital letter."
            )
        for case in data:  # before the first is predicted; voxels are looked at when read
            check_tracer(case["image"], trained_tracers, allow_other_tracer)
        self.spacing_mm = spacing_mm
        self.body_suv = body_suv
        super().__init__(data=data, transform=transform)

    def _transform(self, index: int) -> Any:
        """Read, check and preprocess one case; its fingerprint and file's hash ride along."""
        case = self.data[index]
        suv = check_inference_case(case["image"])
        if suv.dataobj.max() <= self.body_suv:
            raise BadInput(
                f"{shown(case['image'])} must hold a body, SUV above {self.body_suv:g} g/mL, got "
                f"{suv.dataobj.max():.3g} at most. Convert it with `python -m rpt_dosimetry suv`."
            )
        read = {
            **case,
            "image": averaged(suv, case["image"], self.spacing_mm),
            "file_sha256": suv.extra["file_sha256"],
            "fingerprint": torch.tensor(fingerprint(suv), dtype=torch.float64),
        }
        return self.transform(read, start=1)


def file_names(batch: Sequence[dict[str, Any]]) -> list[dict[str, str]]:
    """Return what ``MetricsSaver`` puts in front of each case's row."""
    return [{"filename_or_obj": shown(case["image"].meta["filename_or_obj"])} for case in batch]


def _read_cases(dataset_dir: str, part: str) -> CaseList:
    root = Path(dataset_dir)
    path = root / "datalist.json"
    if not path.is_file():
        return []
    try:
        datalist = json.loads(path.read_text(encoding="utf-8"))
        _refuse_leaks(datalist)
        return [_case(root, listed) for listed in datalist[part]]
    except BadInput:
        raise
    # RuntimeError: a link that leads to itself.
    except (ValueError, LookupError, AttributeError, TypeError, RuntimeError) as error:
        raise BadInput(
            f"{path} must list cases under '{part}' as the cohort folder's schema has it "
            f"({type(error).__name__}: {error}). `python -m rpt_cohort check` names every fault."
        ) from error


def _case(root: Path, listed: dict[str, Any]) -> dict[str, Any]:
    """Return a case with whole paths; ``image`` and ``label`` are all that training needs."""
    case: dict[str, Any] = {key: str(root / listed[key]) for key in FILES if key in listed}
    for key, path in case.items():
        if root.resolve() not in Path(path).resolve().parents:
            raise BadInput(
                f"datalist.json: every {key} must lie in the cohort folder, links followed, and "
                f"{listed[key]!r} does not. Copy the file there."
            )
    case["fold"] = listed.get("fold")
    if "patient" in listed and "cycle" in listed:
        cycle = listed["cycle"]
        if type(cycle) is not int or cycle < 1:  # and not JSON's true
            raise BadInput(
                f"datalist.json: a cycle must be a whole number from 1 on, got {cycle!r}."
            )
        case["name"] = f"{listed['patient']}/C{cycle}"
        if not re.fullmatch(CASE_NAME, case["name"]):  # it becomes a folder's name
            raise BadInput(
                "datalist.json: a patient must be letters, digits, '_' and '-', at most 32, got "
                f"{listed['patient']!r}."
            )
    return case


def _refuse_leaks(datalist: dict[str, Any]) -> None:
    """See that no patient is on two sides of a split, and no cycle is listed twice."""
    sides: dict[str, set[Any]] = {}
    cycles: set[tuple[Any, Any]] = set()
    for part in ("training", "testing"):
        for case in datalist.get(part, []):
            if "patient" in case:
                side = case.get("fold") if part == "training" else "testing"
                sides.setdefault(case["patient"], set()).add(side)
            cycle = (case.get("patient"), case.get("cycle"))
            if None not in cycle and cycle in cycles:
                raise BadInput(f"datalist.json must list {cycle[0]}/C{cycle[1]} once, not twice.")
            cycles.add(cycle)
    for patient, found in sides.items():
        if len(found) > 1:
            raise BadInput(
                f"datalist.json: patient {patient} must be in one fold, or in testing alone, got "
                f"{sorted(map(str, found))}. Deal folds by patient."
            )
