"""``python -m rpt_eval compare``: files, statistics over patients, refusals."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from rpt_cohort import read_cohort
from spoil import replace_json, replace_values

Run = Callable[..., subprocess.CompletedProcess[str]]
Predict = Callable[..., Path]
COLUMNS = ["case", "patient", "region", "method", "metric", "value", "unit"]


def compare(rpt_eval: Run, cohort: Path, out: Path, *preds: str, more: list[str] | None = None):  # type: ignore[no-untyped-def]
    named = [word for pred in preds for word in ("--pred", pred)]
    return rpt_eval(
        "compare", "--cohort", cohort, *named, "--out", out, "--workers", 1, *(more or [])
    )


def noisy(factor: float) -> Callable[[np.ndarray], np.ndarray]:
    """Scale and a pattern that depends on the place only."""

    def change(dose: np.ndarray) -> np.ndarray:
        pattern = np.sin(np.arange(dose.size)).reshape(dose.shape)
        return (dose * factor * (1 + 0.1 * pattern)).astype(np.float32)

    return change


def test_writes_tables_statistics_and_pictures(
    rpt_eval: Run, predict: Predict, cohort: Path, tmp_path: Path
) -> None:
    good, bad = predict("good", noisy(1.02)), predict("bad", noisy(0.6))
    out = tmp_path / "out"
    done = compare(rpt_eval, cohort, out, f"a={good}", f"b={bad}")
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(out / "metrics.csv")
    assert list(table.columns) == COLUMNS
    cases = {case.name for case in read_cohort(cohort).cases}
    assert set(table["case"]) == cases
    assert set(table["method"]) == {"a", "b"}
    assert not table.duplicated(COLUMNS[:5]).any()
    ape = table[(table["metric"] == "ape_organ_mean") & (table["region"] == "kidney")]
    assert ape.groupby("method")["value"].mean()["b"] == pytest.approx(40.0, abs=1.0)

    summary = json.loads((out / "summary.json").read_text())
    assert summary["origin"] == "virtual"
    assert "proof of concept" in summary["what_the_numbers_carry"]
    assert summary["n_cycles"] == len(cases)
    assert summary["n_patients"] == 4
    assert set(summary["definitions"]) >= set(table["metric"])
    (entry,) = [
        entry
        for entry in summary["results"]
        if (entry["method"], entry["region"], entry["metric"]) == ("b", "kidney", "ape_organ_mean")
    ]
    of_b = ape[ape["method"] == "b"]
    assert entry["mean_over_cycles"] == pytest.approx(of_b["value"].mean())
    by_patient = of_b.groupby("patient")["value"].mean()
    assert entry["mean_over_patients"] == pytest.approx(by_patient.mean())
    assert str(tmp_path) not in json.dumps(summary)

    tests = pd.read_csv(out / "tests.csv")
    assert (tests["first"] == "a").all()
    assert (tests["n_patients"] <= 4).all()
    assert (tests["p"].dropna() >= 2 ** (1 - 4)).all()  # four patients cannot reach 0.025
    assert not tests["p_holm_below_0.025"].any()
    row = tests[(tests["metric"] == "nrmse_euclid") & (tests["region"] == "body")].iloc[0]
    assert row["mean_loss_difference"] > 0.2
    for name in ("side_by_side", "identity", "dvh", "bland_altman", "scatter"):
        assert (out / f"{name}.png").read_bytes().startswith(b"\x89PNG"), name


def test_same_input_gives_the_same_files_for_any_number_of_processes(
    rpt_eval: Run, predict: Predict, cohort: Path, tmp_path: Path
) -> None:
    good = predict("good", noisy(1.02))
    for name, workers in {"one": "1", "two": "2"}.items():
        done = compare(rpt_eval, cohort, tmp_path / name, f"a={good}", more=["--workers", workers])
        assert done.returncode == 0, done.stderr
    for file in ("metrics.csv", "summary.json", "tests.csv", "dvh.png"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_against_truth_uses_the_virtual_patient_s_true_dose(
    rpt_eval: Run, predict: Predict, cohort: Path, tmp_path: Path
) -> None:
    same = predict("same")
    values = {}
    for against in ("measured", "truth"):
        out = tmp_path / against
        done = compare(rpt_eval, cohort, out, f"a={same}", more=["--against", against])
        assert done.returncode == 0, done.stderr
        table = pd.read_csv(out / "metrics.csv")
        body = table[(table["metric"] == "nrmse_euclid") & (table["region"] == "body")]
        values[against] = body["value"].to_numpy()
    assert values["measured"] == pytest.approx(0.0)
    case = read_cohort(cohort).cases[0]
    folder = cohort / case.name
    true, measured, organs, fov = (
        np.asanyarray(nib.Nifti1Image.from_filename(folder / name).dataobj)
        for name in ("truth/dose.nii.gz", "dose.nii.gz", "organs.nii.gz", "fov.nii.gz")
    )
    here = (organs > 0) & (fov > 0)
    expected = np.linalg.norm((measured - true)[here]) / np.linalg.norm(true[here])
    assert values["truth"][0] == pytest.approx(expected, rel=1e-5)


def test_truth_is_refused_of_a_clinical_cohort(
    rpt_eval: Run, predict: Predict, broken: Path, tmp_path: Path
) -> None:
    same = predict("same")
    replace_json(broken / "cohort.json", origin="clinical")
    done = compare(rpt_eval, broken, tmp_path / "out", f"a={same}", more=["--against", "truth"])
    refused(done, tmp_path / "out", "virtual cohorts only")


def refused(done: subprocess.CompletedProcess[str], out: Path, words: str) -> None:
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert words in " ".join(done.stderr.split("error:")[-1].split())  # the last thing said
    assert "%" not in done.stderr.split("error:")[-1]  # no progress bar after it
    assert not out.exists()


def test_missing_case_is_named_and_left_out_only_if_asked(
    rpt_eval: Run, predict: Predict, cohort: Path, tmp_path: Path
) -> None:
    some, every = predict("some", lacking="P002/C1"), predict("every")
    out = tmp_path / "out"
    done = compare(rpt_eval, cohort, out, f"a={some}", f"b={every}")
    refused(done, out, "lacks P002/C1")
    done = compare(rpt_eval, cohort, out, f"a={some}", f"b={every}", more=["--partial"])
    assert done.returncode == 0, done.stderr
    assert "P002/C1" not in set(pd.read_csv(out / "metrics.csv")["case"])
    assert json.loads((out / "summary.json").read_text())["left_out"] == ["P002/C1"]


def test_a_map_that_is_gone_counts_as_missing(
    rpt_eval: Run, predict: Predict, cohort: Path, tmp_path: Path
) -> None:
    some = predict("some")
    (some / "P003/C1/dose.nii.gz").unlink()
    done = compare(rpt_eval, cohort, tmp_path / "out", f"a={some}")
    refused(done, tmp_path / "out", "lacks P003/C1")


def with_nan(dose: np.ndarray) -> np.ndarray:
    dose = dose.copy()
    dose[3, 4, 5] = np.nan
    return dose


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (with_nan, "1 voxels of NaN"),
        (lambda dose: dose - 1, "must not be negative"),
        (lambda dose: dose * 7.0, "looks like Gy"),
        (lambda dose: dose * 1000, "must be in Gy/GBq"),
    ],
)
def test_impossible_doses_are_refused(
    rpt_eval: Run,
    predict: Predict,
    cohort: Path,
    tmp_path: Path,
    change: Callable[[np.ndarray], np.ndarray],
    words: str,
) -> None:
    pred = predict("pred")
    replace_values(pred / "P001/C1/dose.nii.gz", change)
    done = compare(rpt_eval, cohort, tmp_path / "out", f"a={pred}")
    refused(done, tmp_path / "out", words)
    assert "P001/C1" in done.stderr


def test_another_grid_or_affine_is_refused(
    rpt_eval: Run, predict: Predict, cohort: Path, tmp_path: Path
) -> None:
    pred = predict("pred")
    path = pred / "P001/C1/dose.nii.gz"
    image = nib.Nifti1Image.from_filename(path)
    data, affine = np.asanyarray(image.dataobj), image.affine.copy()
    nib.save(nib.Nifti1Image(data[:-1], affine), path)
    refused(compare(rpt_eval, cohort, tmp_path / "out", f"a={pred}"), tmp_path / "out", "grid of")
    affine[0, 3] += 2.0
    nib.save(nib.Nifti1Image(data, affine), path)
    done = compare(rpt_eval, cohort, tmp_path / "out", f"a={pred}")
    refused(done, tmp_path / "out", "2 mm off")


def test_dose_predicted_from_another_pet_is_refused(
    rpt_eval: Run, predict: Predict, cohort: Path, tmp_path: Path
) -> None:
    pred = predict("pred")
    inputs = {"inputs": {"P001/C1/pet.nii.gz": "0" * 64}}
    replace_json(pred / "prediction.json", provenance=inputs)
    done = compare(rpt_eval, cohort, tmp_path / "out", f"a={pred}")
    refused(done, tmp_path / "out", "another PET's hash")


def test_absent_organ_is_reported_and_not_zero(
    rpt_eval: Run, predict: Predict, broken: Path, tmp_path: Path
) -> None:
    pred, out = predict("pred", noisy(0.9)), tmp_path / "out"

    def without_spleen(organs: np.ndarray) -> np.ndarray:
        return np.where(organs == 1, 199, organs)

    replace_values(broken / "P001/C1/organs.nii.gz", without_spleen)
    done = compare(rpt_eval, broken, out, f"a={pred}")
    assert done.returncode == 0, done.stderr
    assert "P001/C1 spleen" in done.stderr
    table = pd.read_csv(out / "metrics.csv")
    spleen = table[(table["case"] == "P001/C1") & (table["region"] == "spleen")]
    assert len(spleen)
    assert spleen["value"].isna().all()
    reasons = json.loads((out / "summary.json").read_text())["not_rated"]
    expected = {"case": "P001/C1", "region": "spleen", "reason": "absent from the field of view"}
    assert expected in reasons


def test_fold_that_saw_the_patient_is_told(
    rpt_eval: Run, predict: Predict, cohort: Path, tmp_path: Path
) -> None:
    pred = predict("pred")
    cases = read_cohort(cohort).cases
    wrong = {case.name: None if case.fold is None else case.fold + 1 for case in cases}
    replace_json(pred / "prediction.json", fold=wrong)
    done = compare(rpt_eval, cohort, tmp_path / "out", f"a={pred}")
    assert done.returncode == 0
    assert "another fold than their own" in done.stderr
    assert json.loads((tmp_path / "out/summary.json").read_text())["warnings"]


def test_case_that_the_weights_were_trained_on_is_told(
    rpt_eval: Run, predict: Predict, cohort: Path, tmp_path: Path
) -> None:
    own, unknown = predict("own"), predict("unknown")
    weights = {"weights_sha256": {"model.pt": "0" * 64}}
    seen = {"P001/C1": "training", "P002/C1": "validation"}
    fold = {case.name: None for case in read_cohort(cohort).cases}
    replace_json(own / "prediction.json", **weights, pet_seen_in=seen, fold=fold)
    replace_json(unknown / "prediction.json", **weights)
    done = compare(rpt_eval, cohort, tmp_path / "out", f"own={own}", f"unknown={unknown}")
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stderr.split())
    assert "own: its weights were TRAINED ON the PETs of 1 of" in said
    assert "own: the PETs of 1 of" in said
    assert "unknown: its weights do not tell which PETs" in said
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    assert [method["trained_on"] for method in summary["methods"]] == [["P001/C1"], []]
    assert any("TRAINED ON" in sentence for sentence in summary["warnings"])


def test_a_map_far_from_the_reference_s_scale_is_told(
    rpt_eval: Run, predict: Predict, cohort: Path, tmp_path: Path
) -> None:
    pred = predict("pred", lambda dose: dose * np.float32(3.5))
    done = compare(rpt_eval, cohort, tmp_path / "out", f"a={pred}")
    assert done.returncode == 0
    assert "3.5 times the reference's dose; is it in Gy/GBq?" in " ".join(done.stderr.split())


def test_a_reference_of_zeros_is_refused(
    rpt_eval: Run, predict: Predict, broken: Path, tmp_path: Path
) -> None:
    pred = predict("pred")
    replace_values(broken / "P001/C1/dose.nii.gz", np.zeros_like)
    done = compare(rpt_eval, broken, tmp_path / "out", f"a={pred}")
    refused(done, tmp_path / "out", "must be above 0 Gy/GBq somewhere")


def test_a_split_without_cases_is_refused(
    rpt_eval: Run, predict: Predict, broken: Path, tmp_path: Path
) -> None:
    pred = predict("pred")
    replace_json(broken / "datalist.json", testing=[])
    done = compare(rpt_eval, broken, tmp_path / "out", f"a={pred}", more=["--split", "testing"])
    refused(done, tmp_path / "out", "--split testing must name cases")


def test_split_takes_part_of_the_cohort(
    rpt_eval: Run, predict: Predict, cohort: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = compare(rpt_eval, cohort, out, f"a={predict('pred')}", more=["--split", "testing"])
    assert done.returncode == 0, done.stderr
    testing = {case.name for case in read_cohort(cohort).testing}
    assert set(pd.read_csv(out / "metrics.csv")["case"]) == testing


@pytest.mark.parametrize(
    ("preds", "more", "words"),
    [
        (["nonsense"], [], "NAME=DIR"),
        (["a={pred}", "a={pred}"], [], "twice"),
        (["a=nowhere"], [], "must be a prediction folder"),
        (["cost$\\frac$={pred}"], [], "NAME of letters"),
        (["[/red]={pred}"], [], "NAME of letters"),
        (["a={pred}"], ["--seed", "-1"], "--seed must be 0 or above"),
        (["a={pred}"], ["--split", "testing", "--case", "P001/C1"], "--case must be"),
        (["a={pred}"], ["--case", "P999/C9"], "--case must be"),
        (["a={pred}"], ["--gamma", "ten"], "PERCENT/MM"),
        (["a={pred}"], ["--gamma", "10/1"], "voxel"),
        (["a={pred}"], ["--workers", "0"], "workers must be"),
    ],
)
def test_bad_options_are_refused(
    rpt_eval: Run,
    predict: Predict,
    cohort: Path,
    tmp_path: Path,
    preds: list[str],
    more: list[str],
    words: str,
) -> None:
    pred = predict("pred")
    named = [entry.format(pred=pred) for entry in preds]
    done = compare(rpt_eval, cohort, tmp_path / "out", *named, more=more)
    refused(done, tmp_path / "out", words)
