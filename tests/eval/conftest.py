"""What tests of the evaluation share: small maps, prediction folders, the command."""

import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from helpers.commands import Run, runner
from rpt_cohort import Case, json_bytes, nifti_bytes, read_cohort
from rpt_eval.__main__ import app
from rpt_eval.predictions import CycleMaps

Change = Callable[[np.ndarray], np.ndarray]
CASE = Case(
    image="P001/C1/pet.nii.gz",
    label="P001/C1/dose.nii.gz",
    ct="P001/C1/ct.nii.gz",
    organs="P001/C1/organs.nii.gz",
    fov="P001/C1/fov.nii.gz",
    patient="P001",
    cycle=1,
    administered_activity_mbq=7400.0,
    fold=0,
)


@pytest.fixture
def maps() -> CycleMaps:
    """A cycle of rough values with kidneys, a liver, no spleen, and two lesions."""
    rng = np.random.default_rng(0)
    shape = (16, 18, 20)
    organs = np.full(shape, 199, dtype=np.uint8)
    organs[:2] = 0
    organs[3:6, 3:7, 4:9] = 2
    organs[3:6, 10:14, 4:9] = 3
    organs[8:13, 3:12, 4:12] = 5
    lesions = np.zeros(shape, dtype=np.uint16)
    lesions[8:11, 13:16, 13:16] = 1
    lesions[3, 3, 15:18] = 2  # 3 voxels
    known = np.ones(shape, dtype=bool)
    known[..., :2] = False
    dose = rng.uniform(0.1, 1.0, shape).astype(np.float32)
    suv = (10 * dose * rng.uniform(0.5, 1.5, shape)).astype(np.float32)
    return CycleMaps(CASE, suv, dose, organs, lesions, known, np.diag([4.0, 4.0, 5.0, 1.0]))


@pytest.fixture
def predict(cohort: Path, tmp_path: Path) -> Callable[..., Path]:
    """Write a prediction folder: every reference dose, changed."""

    def write(name: str, change: Change = lambda dose: dose, *, lacking: str = "") -> Path:
        folder = tmp_path / name
        fold = {}
        for case in read_cohort(cohort).cases:
            if case.name == lacking:
                continue
            image = nib.Nifti1Image.from_filename(cohort / case.label)
            dose = change(np.asanyarray(image.dataobj))
            (folder / case.name).mkdir(parents=True)
            content = nifti_bytes(dose, image.affine, dtype=np.float32)
            (folder / case.name / "dose.nii.gz").write_bytes(content)
            fold[case.name] = case.fold
        info = {"schema_version": 1, "method": name, "weights_sha256": {}}
        (folder / "prediction.json").write_bytes(
            json_bytes(info | {"fold": fold, "provenance": {}})
        )
        return folder

    return write


@pytest.fixture
def broken(cohort: Path, tmp_path: Path) -> Path:
    """A copy of the small cohort, to be spoilt."""
    return Path(shutil.copytree(cohort, tmp_path / "broken"))


@pytest.fixture
def rpt_eval(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run ``python -m rpt_eval``."""
    return runner("rpt_eval", app, monkeypatch, capfd)
