"""``python -m rpt_eval compare``: files, statistics over patients, refusals."""

import json
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from helpers.commands import Run, refused
from helpers.damage import change, change_json
from rpt_cohort import read_cohort

Predict = Callable[..., Path]
Damage = Callable[[Path, Path], None]
DOSE = "P001/C1/dose.nii.gz"
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
    assert done.status == 0, done.err
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
        assert done.status == 0, done.err
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
        assert done.status == 0, done.err
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


def test_missing_case_is_named_and_left_out_only_if_asked(
    rpt_eval: Run, predict: Predict, cohort: Path, tmp_path: Path
) -> None:
    some, every = predict("some", lacking="P002/C1"), predict("every")
    out = tmp_path / "out"
    done = compare(rpt_eval, cohort, out, f"a={some}", f"b={every}")
    refused(done, "lacks P002/C1", absent=out)
    done = compare(rpt_eval, cohort, out, f"a={some}", f"b={every}", more=["--partial"])
    assert done.status == 0, done.err
    assert "P002/C1" not in set(pd.read_csv(out / "metrics.csv")["case"])
    assert json.loads((out / "summary.json").read_text())["left_out"] == ["P002/C1"]


def with_nan(dose: np.ndarray) -> np.ndarray:
    dose = dose.copy()
    dose[3, 4, 5] = np.nan
    return dose


def of_prediction(damage: Callable[[np.ndarray], np.ndarray]) -> Damage:
    return lambda pred, _: change(pred / DOSE, damage)


def shifted(pred: Path, _: Path) -> None:
    affine = nib.Nifti1Image.from_filename(pred / DOSE).affine.copy()
    affine[0, 3] += 2.0
    change(pred / DOSE, lambda dose: dose, affine=affine)


def from_another_pet(pred: Path, _: Path) -> None:
    inputs = {"inputs": {"P001/C1/pet.nii.gz": "0" * 64}}
    change_json(pred / "prediction.json", provenance=inputs)


@pytest.mark.parametrize(
    ("damage", "more", "words"),
    [
        (of_prediction(with_nan), [], ["P001/C1", "1 voxels of NaN"]),
        (of_prediction(lambda dose: dose - 1), [], ["P001/C1", "must not be negative"]),
        (of_prediction(lambda dose: dose * 7.0), [], ["P001/C1", "looks like Gy"]),
        (of_prediction(lambda dose: dose * 1000), [], ["P001/C1", "must be in Gy/GBq"]),
        (of_prediction(lambda dose: dose[:-1]), [], ["grid of"]),
        (shifted, [], ["2 mm off"]),
        (from_another_pet, [], ["another PET's hash"]),
        (lambda pred, _: (pred / "P003/C1/dose.nii.gz").unlink(), [], ["lacks P003/C1"]),
        (lambda _, cohort: change(cohort / DOSE, np.zeros_like), [], ["above 0 Gy/GBq somewhere"]),
        (
            lambda _, cohort: change_json(cohort / "datalist.json", testing=[]),
            ["--split", "testing"],
            ["--split testing must name cases"],
        ),
        (
            lambda _, cohort: change_json(cohort / "cohort.json", origin="clinical"),
            ["--against", "truth"],
            ["virtual cohorts only"],
        ),
    ],
)
def test_damaged_input_is_refused(
    rpt_eval: Run, predict: Predict, broken: Path, tmp_path: Path, damage, more, words
) -> None:
    pred = predict("pred")
    damage(pred, broken)
    done = compare(rpt_eval, broken, tmp_path / "out", f"a={pred}", more=more)
    refused(done, *words, absent=tmp_path / "out")


def test_absent_organ_is_reported_and_not_zero(
    rpt_eval: Run, predict: Predict, broken: Path, tmp_path: Path
) -> None:
    pred, out = predict("pred", noisy(0.9)), tmp_path / "out"

    def without_spleen(organs: np.ndarray) -> np.ndarray:
        return np.where(organs == 1, 199, organs)

    change(broken / "P001/C1/organs.nii.gz", without_spleen)
    done = compare(rpt_eval, broken, out, f"a={pred}")
    assert done.status == 0, done.err
    assert "P001/C1 spleen" in done.err
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
    change_json(pred / "prediction.json", fold=wrong)
    done = compare(rpt_eval, cohort, tmp_path / "out", f"a={pred}")
    assert done.status == 0
    assert "another fold than their own" in done.err
    assert json.loads((tmp_path / "out/summary.json").read_text())["warnings"]


def test_case_that_the_weights_were_trained_on_is_told(
    rpt_eval: Run, predict: Predict, cohort: Path, tmp_path: Path
) -> None:
    own, unknown = predict("own"), predict("unknown")
    weights = {"weights_sha256": {"model.pt": "0" * 64}}
    seen = {"P001/C1": "training", "P002/C1": "validation"}
    fold = {case.name: None for case in read_cohort(cohort).cases}
    change_json(own / "prediction.json", **weights, pet_seen_in=seen, fold=fold)
    change_json(unknown / "prediction.json", **weights)
    done = compare(rpt_eval, cohort, tmp_path / "out", f"own={own}", f"unknown={unknown}")
    assert done.status == 0, done.err
    said = " ".join(done.err.split())
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
    assert done.status == 0
    assert "3.5 times the reference's dose; is it in Gy/GBq?" in " ".join(done.err.split())


def test_split_takes_part_of_the_cohort(
    rpt_eval: Run, predict: Predict, cohort: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = compare(rpt_eval, cohort, out, f"a={predict('pred')}", more=["--split", "testing"])
    assert done.status == 0, done.err
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
    refused(done, words, absent=tmp_path / "out")
