"""Several processes, by torchrun and gloo, do what one does."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from scripts.curves import read_curves
from scripts.distributed import share
from scripts.errors import BadInput

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
SMALL: dict[str, Any] = {
    "network_def#channels": [4, 8],
    "discriminator_def#channels": 4,
    "patch_size": [16, 16, 16],
    "patches_per_case": 2,
    "batch_cases": 2,
    "max_epochs": 10,  # of two steps
    "val_interval": 10,
    "warmup_epochs": 0,
}


@pytest.fixture(scope="module")
def patients(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Patients of 24³ voxels, four to train on, three of fold 0 and three for testing.

    What counts differs from patient to patient, so that a mean of means is not the mean.
    """
    folder = tmp_path_factory.mktemp("patients")
    rng, affine = np.random.default_rng(0), np.diag([4.8, 4.8, 4.8, 1.0])
    listed: list[dict[str, Any]] = []
    for number in range(10):
        suv = rng.gamma(2.0, 2.0, (24, 24, 24)).astype(np.float32)
        organs = np.zeros(suv.shape, np.uint8)
        organs[4:20, 4:20, 4 : 8 + 2 * number] = 199
        organs[8:16, 8:16, 4 : 8 + number] = 5
        for key, data in {"image": suv, "label": 0.02 * suv**0.8, "organs": organs}.items():
            nib.save(nib.Nifti1Image(data, affine), folder / f"{key}{number}.nii.gz")
        names = {key: f"{key}{number}.nii.gz" for key in ("image", "label", "organs")}
        listed.append({**names, "patient": f"P{number}", "cycle": 1})
    training = [{**case, "fold": int(n < 4)} for n, case in enumerate(listed[:7])]
    content = {"training": training, "testing": listed[7:]}
    (folder / "datalist.json").write_text(json.dumps(content))
    return folder


def command(bundle: Path, files: list[str], what: str, **options: Any) -> None:
    """Run the bundle in as many processes as its files say."""
    configs = [str(bundle / "configs" / f"{name}.yaml") for name in files]
    start = TORCHRUN if files[-1].startswith("multi") else [sys.executable]
    words = [*start, "-m", "monai.bundle", "run", what, "--config_file", str(configs)]
    words += ["--bundle_root", str(bundle)]
    words += [word for name, value in options.items() for word in (f"--{name}", str(value))]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.slow
@pytest.mark.parametrize("adversarial_weight", [0.0, 0.01])
def test_two_processes_take_the_steps_of_one(
    bundle: Path, patients: Path, tmp_path: Path, adversarial_weight: float
) -> None:
    """The discriminator's batch norm sees half of the patches in each of two CPU processes."""
    options = {**SMALL, "dataset_dir": patients, "adversarial_weight": adversarial_weight}
    options["adversarial_start_epoch"] = 0
    one, two = tmp_path / "one", tmp_path / "two"
    command(bundle, ["train"], "training", ckpt_dir=one, **options)
    files = ["train", "multi_gpu_train"]
    command(bundle, files, "training", ckpt_dir=two, backend="gloo", **options)
    rows, others = read_curves(one / "curves.csv"), read_curves(two / "curves.csv")
    assert len(rows) == len(others) == 10
    for row, other in zip(rows, others, strict=True):
        assert row["loss"] == pytest.approx(other["loss"], rel=1e-3)
        assert row["organ"] == pytest.approx(other["organ"], rel=1e-3)
    for metric in ("nrmse_euclid", "nrmse_range", "ssim"):
        assert rows[-1][metric] == pytest.approx(others[-1][metric], rel=1e-3)
    assert len(list(two.glob("events*"))) == 1


@pytest.mark.slow
def test_two_processes_evaluate_as_one(bundle: Path, patients: Path, tmp_path: Path) -> None:
    """Three cases do not share out evenly; each counts once."""
    tables = []
    for overlay in ([], ["multi_gpu_evaluate"]):
        folder = tmp_path / str(len(overlay))
        options = {"dataset_dir": patients, "output_dir": folder}
        options |= {"backend": "gloo"} if overlay else {}
        command(bundle, ["train", "evaluate", *overlay], "evaluating", **options)
        with (folder / "metrics.csv").open() as stream:
            tables.append({row[0]: float(row[1]) for row in csv.reader(stream)})
        details = (folder / "nrmse_euclid_raw.csv").read_text().splitlines()
        assert len(details) == 1 + 3
    assert set(tables[0]) == {"nrmse_euclid", "nrmse_range", "ssim"}
    assert tables[1] == pytest.approx(tables[0], rel=1e-5)


def test_batch_that_cannot_be_shared_out_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert share(3) == 3
    monkeypatch.setattr("ignite.distributed.get_world_size", lambda: 2)
    assert share(4) == 2
    with pytest.raises(BadInput, match="batch_cases must be a multiple of the 2 processes"):
        share(3)
