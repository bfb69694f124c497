"""Cross-validation: out of fold, resumable, and one prediction folder by the contract."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import pytest
from monai.bundle import ConfigWorkflow
from rpt_cohort import BadInput as CohortBadInput
from rpt_cohort import file_sha256, read_prediction
from rpt_cohort.schema import assign_folds
from scripts.cross_validation import CrossValidation
from scripts.curves import read_curves
from scripts.errors import BadInput, bad_input_behind

Run = Callable[..., ConfigWorkflow]
OPTIONS: dict[str, Any] = {
    "network_def#channels": [4, 8],
    "max_epochs": 2,
    "val_interval": 1,
    "adversarial_weight": 0,
    "patches_per_case": 1,
    "train#dataset#progress": False,
    "validate#dataset#progress": False,
}


def listed(cohort: Path) -> dict[str, int]:
    training = json.loads((cohort / "datalist.json").read_text())["training"]
    return {f"{case['patient']}/C{case['cycle']}": case["fold"] for case in training}


def test_every_case_is_predicted_by_weights_that_left_its_fold_out(
    cohort: Path, bundle: Path, tmp_path: Path
) -> None:
    folds, out = sorted(set(listed(cohort).values())), tmp_path / "out"
    common = (str(bundle), str(cohort), str(out))
    # one fold as on a GPU of its own, and begun only
    CrossValidation(*common, [folds[0]], {**OPTIONS, "max_epochs": 1}).train(folds[0])
    (out / f"fold_{folds[0]}" / ".prediction.killed").mkdir()
    CrossValidation(*common, [folds[0]], OPTIONS).run()
    assert not list(out.glob("*/.prediction*"))
    assert not (out / "prediction").exists()
    assert [row["epoch"] for row in read_curves(out / f"fold_{folds[0]}" / "curves.csv")] == [1, 2]
    kept = {path: path.read_bytes() for path in (out / f"fold_{folds[0]}").rglob("*.pt")}
    CrossValidation(*common, None, OPTIONS).run()
    assert {path: path.read_bytes() for path in kept} == kept
    info = read_prediction(out / "prediction")
    assert info.fold == listed(cohort)
    assert info.weights_sha256 == {
        f"fold_{fold}/model.pt": file_sha256(out / f"fold_{fold}" / "model.pt") for fold in folds
    }
    assert info.pet_seen_in is not None
    assert set(info.pet_seen_in.values()) == {"validation"}
    assert str(cohort) not in (out / "prediction" / "prediction.json").read_text()
    for name in info.fold:
        dose = nib.Nifti1Image.from_filename(out / "prediction" / name / "dose.nii.gz")
        assert dose.shape == nib.Nifti1Image.from_filename(cohort / name / "pet.nii.gz").shape
    for folder in (out, *(out / f"fold_{fold}" for fold in folds)):
        assert (folder / "curves.png").stat().st_size > 10_000


def refusal(run: Run, cohort: Path, out: Path, **options: Any) -> str:
    with pytest.raises(RuntimeError) as caught:
        run("cross_validate", dataset_dir=cohort, output_dir=out, **options)
    return str(bad_input_behind(caught.value))


def test_more_folds_than_patients_or_others_than_there_are_are_refused(
    run: Run, cohort: Path, tmp_path: Path
) -> None:
    with pytest.raises(CohortBadInput, match="a patient for every fold"):
        assign_folds({"P001": 1, "P002": 1}, folds=3, seed=0)
    sentence = refusal(run, cohort, tmp_path, folds=[0, 9])
    assert "folds must be among [0, 1" in sentence
    assert "at most as many folds as patients" in sentence
    case = {"image": "a", "label": "b", "patient": "P1", "cycle": 1, "fold": 0}
    (tmp_path / "datalist.json").write_text(json.dumps({"training": [case], "testing": []}))
    sentence = refusal(run, tmp_path, tmp_path / "out")
    assert "must have two folds or more, and the 1 patients" in sentence


def test_option_that_training_does_not_know_is_refused(cohort: Path, bundle: Path) -> None:
    crossed = CrossValidation(str(bundle), str(cohort), "out", None, {"max_epoch": 3})
    with pytest.raises(BadInput, match="Did you mean --max_epochs"):
        crossed.run()
