"""``baseline`` on cohorts: folders, tables, no leak, odd but legal input, the controls' order."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from helpers.commands import Run, refused
from helpers.damage import change
from rpt_cohort import BadInput, json_bytes, nifti_bytes, read_cohort, read_prediction
from rpt_eval import organ_dose
from rpt_eval.baseline import pet_factor, write_baselines
from rpt_eval.projection import METHODS
from rpt_phantom.cohort import write_cohort
from rpt_phantom.settings import CohortSettings

# Voxels of three lengths, turned about the z axis.
AFFINE = np.eye(4)
AFFINE[:3, :3] = np.array([[0.96, -0.28, 0.0], [0.28, 0.96, 0.0], [0.0, 0.0, 1.0]]) * (
    4.0,
    5.0,
    6.0,
)
IDS = {"spleen": 1, "kidney_right": 2, "kidney_left": 3, "liver": 5, "gland": 150}
BOXES = {
    "spleen": np.s_[9:12, 2:5, 4:8],
    "kidney_right": np.s_[3:5, 6:8, 2:9],
    "kidney_left": np.s_[8:10, 6:8, 2:9],
    "liver": np.s_[2:6, 2:5, 3:9],
    "gland": np.s_[5:8, 3:6, 9:12],
}
UPTAKE = {"spleen": 8.0, "kidney_right": 30.0, "kidney_left": 30.0, "liver": 5.0, "gland": 15.0}
Change = Callable[[dict[str, Any]], None]


def write_case(root: Path, patient: str, cycle: int, *, change: Change) -> None:
    """Write one small cycle; ``change`` may edit its arrays and its ``cycle.json`` first."""
    number = int(patient[1:])
    uptake = np.random.default_rng(number).lognormal(sigma=0.3, size=5)
    rng = np.random.default_rng([number, cycle])
    organs = np.zeros((13, 10, 13), dtype=np.uint8)
    organs[1:12, 1:9] = 199
    suv = np.where(organs > 0, 0.5, 0.0)
    dose = np.where(organs > 0, 0.01, 0.0)
    for name, factor in zip(IDS, uptake, strict=True):
        organs[BOXES[name]] = IDS[name]
        suv[BOXES[name]] = factor * UPTAKE[name]
        dose[BOXES[name]] = 0.02 * (factor * UPTAKE[name]) ** 0.9
    fov = np.ones(organs.shape, dtype=np.uint8)
    fov[:, :, :2] = 0
    info = {"patient": patient, "cycle": cycle, "tracer": "68Ga-PSMA-11"}
    info |= {"therapy": "177Lu-PSMA-617", "pet_activity_mbq": 150.0, "weight_kg": 60.0 + number}
    info |= {"administered_activity_mbq": 7400.0, "height_cm": 175.0, "age_y": 70.0}
    info |= {"laboratory": {"PSA": {"value": 10.0 * number, "unit": "ng/mL"}}}
    info |= {"pet_time_min": 60.0, "spect_times_h": [24.0], "how": {}, "provenance": {}}
    made: dict[str, Any] = {
        "pet": (suv * rng.lognormal(sigma=0.1, size=suv.shape)).astype(np.float32),
        "dose": (dose * rng.lognormal(sigma=0.1, size=suv.shape) * fov).astype(np.float32),
        "organs": organs,
        "fov": fov,
        "cycle": info,
    }
    change(made)
    folder = root / patient / f"C{cycle}"
    folder.mkdir(parents=True)
    for name in ("pet", "dose", "organs", "fov"):
        content = nifti_bytes(made[name], AFFINE, dtype=made[name].dtype.type)
        (folder / f"{name}.nii.gz").write_bytes(content)
    (folder / "cycle.json").write_bytes(json_bytes(made["cycle"]))


def small_cohort(
    root: Path, folds: dict[str, int | None], *, changes: dict[str, Change] | None = None
) -> Path:
    """Write a cohort of two cycles a patient, but one of the first; None is for testing."""
    lists: dict[str, list[dict[str, Any]]] = {"training": [], "testing": []}
    for patient, fold in folds.items():
        for cycle in (1, 2) if patient != "P001" else (1,):
            name = f"{patient}/C{cycle}"
            write_case(root, patient, cycle, change=(changes or {}).get(name, lambda made: None))
            files = {"image": "pet", "label": "dose", "ct": "ct", "organs": "organs", "fov": "fov"}
            case: dict[str, Any] = {key: f"{name}/{file}.nii.gz" for key, file in files.items()}
            case |= {"patient": patient, "cycle": cycle, "administered_activity_mbq": 7400.0}
            if fold is not None:
                lists["training"].append(case | {"fold": fold})
            else:
                lists["testing"].append(case)
    info = {"schema_version": 1, "name": "made by hand", "origin": "clinical"}
    info |= {"shape": [13, 10, 13], "spacing_mm": [4.0, 5.0, 6.0], "provenance": {}}
    (root / "cohort.json").write_bytes(json_bytes(info))
    (root / "datalist.json").write_bytes(json_bytes(lists))
    return root


FOLDS: dict[str, int | None] = {"P001": 0, "P002": 0, "P003": 1, "P004": 1, "P005": 2}
FOLDS |= {"P006": 2, "P007": None}
WHOLE = organ_dose.candidates


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[pytest.MonkeyPatch]:
    """Choose from two regressors only: the whole table is tested with the regressors."""

    def few(seed: int) -> dict[str, list[organ_dose.Candidate]]:
        return {name: WHOLE(seed)[name] for name in ("ridge", "svr")}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(organ_dose, "candidates", few)
        yield patch


def run(cohort: Path, out: Path, **changes: Any) -> Path:
    parameters = {"spect_fwhm_mm": 12.0, "pet_fwhm_mm": 6.0, "seed": 0, "workers": 1}
    write_baselines(cohort, out, **{**parameters, **changes})
    return out


def volume(path: Path) -> np.ndarray:
    return np.asanyarray(nib.Nifti1Image.from_filename(path).dataobj)


def maps_of(out: Path) -> dict[str, bytes]:
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*.nii.gz")}


@pytest.fixture(scope="module")
def cohort_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cohort for reading only."""
    return small_cohort(tmp_path_factory.mktemp("small") / "cohort", FOLDS)


@pytest.fixture(scope="module")
def out(cohort_folder: Path, quick: pytest.MonkeyPatch) -> Path:
    """Its baselines, for reading only."""
    return run(cohort_folder, cohort_folder.parent / "out")


def test_all_folders_are_valid_and_say_who_predicted_whom(cohort_folder: Path, out: Path) -> None:
    cases = read_cohort(cohort_folder).cases
    assert {path.name for path in out.iterdir()} == {*METHODS, "organ_doses.csv", "summary.json"}
    for method in METHODS:
        info = read_prediction(out / method)
        assert info.method == method
        assert info.weights_sha256 == {}
        assert info.fold == {case.name: case.fold for case in cases}
        assert str(cohort_folder.parent) not in (out / method / "prediction.json").read_text()
        for case in cases:
            image = nib.Nifti1Image.from_filename(out / method / case.name / "dose.nii.gz")
            assert np.allclose(image.affine, AFFINE, atol=1e-5)
            assert image.get_data_dtype() == np.float32


def test_the_table_and_the_maps_tell_the_same(cohort_folder: Path, out: Path) -> None:
    table = pd.read_csv(out / "organ_doses.csv")
    assert len(table) == 13 * 4
    assert table["reason"].isna().all()
    assert table.loc[table["patient"] == "P007", "fold"].isna().all()
    for row in table.itertuples():
        ids = {"kidney": (2, 3), "liver": (5,), "spleen": (1,), "salivary_glands": (150,)}
        here = np.isin(volume(cohort_folder / row.case / "organs.nii.gz"), ids[row.organ])
        known = here & (volume(cohort_folder / row.case / "fov.nii.gz") > 0)
        dose = volume(cohort_folder / row.case / "dose.nii.gz")
        assert row.measured_gy_per_gbq == pytest.approx(dose[known].mean(dtype=float))

        def mean(method: str, over: np.ndarray, case: str = row.case) -> float:
            return float(volume(out / method / case / "dose.nii.gz")[over].mean(dtype=float))

        for suffix in ("", "_blurred"):
            guided, optimum = (
                mean("organ_guided" + suffix, here),
                mean("organ_optimum" + suffix, known),
            )
            assert guided == pytest.approx(row.predicted_gy_per_gbq)
            assert optimum == pytest.approx(row.measured_gy_per_gbq)
        assert mean("population_mean", here) == pytest.approx(row.population_mean_gy_per_gbq)


def test_the_summary_s_errors_are_those_of_the_table(cohort_folder: Path, out: Path) -> None:
    summary = json.loads((out / "summary.json").read_text())
    assert summary["origin"] == "clinical"
    assert len(summary["splits"]) == 4 * 4
    for split in summary["splits"]:
        scores = {name: one["inner_mape_percent"] for name, one in split["best_scores"].items()}
        assert set(scores) == {"ridge", "svr", "training_mean"}
        assert split["chosen_score"]["inner_mape_percent"] >= scores[split["chosen"]]
    assert "P007/C1/dose.nii.gz" in summary["provenance"]["inputs"]
    assert str(cohort_folder.parent) not in (out / "summary.json").read_text()
    table = pd.read_csv(out / "organ_doses.csv")
    rows = table[(table["organ"] == "kidney") & table["fold"].notna()]
    ape = 100 * (rows["predicted_gy_per_gbq"] / rows["measured_gy_per_gbq"] - 1).abs()
    told = summary["organ_dose_errors"]["out_of_fold"]["kidney"]
    assert (told["cycles"], told["patients"]) == (11, 6)
    assert told["organ_guided"]["mape_over_cycles_percent"] == pytest.approx(ape.mean())
    by_patient = ape.groupby(rows["patient"]).mean().mean()
    assert told["organ_guided"]["mape_over_patients_percent"] == pytest.approx(by_patient)


def test_population_means_and_factors_come_from_the_training_side(
    cohort_folder: Path, tmp_path: Path
) -> None:
    out = run(cohort_folder, tmp_path / "out", spect_fwhm_mm=6.0)
    sums, rests = np.zeros(2), {}
    for case in read_cohort(cohort_folder).training:
        suv, dose, organs, fov = (
            volume(cohort_folder / case.name / f"{name}.nii.gz")
            for name in ("pet", "dose", "organs", "fov")
        )
        if case.fold == 0:
            continue
        body = (organs > 0) & (fov > 0)
        sums += [(suv * dose)[body].sum(dtype=float), (suv**2)[body].sum(dtype=float)]
        rests.setdefault(case.patient, []).append(dose[(organs == 199) & body].mean(dtype=float))
    suv = volume(cohort_folder / "P001/C1/pet.nii.gz")
    factor = volume(out / "pet_factor/P001/C1/dose.nii.gz")
    assert np.allclose(factor, sums[0] / sums[1] * suv, rtol=1e-5)
    population = volume(out / "population_mean/P001/C1/dose.nii.gz")
    rest = float(np.mean([np.mean(of_patient) for of_patient in rests.values()]))
    assert population[1, 1, 1] == pytest.approx(rest)
    assert population[0, 0, 0] == 0
    # Equal resolutions: the blurred maps are the sharp ones.
    for method in ("organ_guided", "organ_optimum"):
        sharp, smooth = (
            out / name / "P001/C1/dose.nii.gz" for name in (method, f"{method}_blurred")
        )
        assert sharp.read_bytes() == smooth.read_bytes()


@pytest.mark.parametrize(("patient", "fold"), [("P003", 1), ("P007", None)])
def test_a_patient_s_dose_changes_no_prediction_of_his_but_the_optimum(
    patient: str, fold: int | None, out: Path, tmp_path: Path
) -> None:
    before, cohort = maps_of(out), small_cohort(tmp_path / "cohort", FOLDS)
    for cycle in ("C1", "C2"):
        path = cohort / patient / cycle / "dose.nii.gz"
        path.write_bytes(nifti_bytes(50 * volume(path) + 1, AFFINE, dtype=np.float32))
    after = maps_of(run(cohort, tmp_path / "after"))
    changed = {name for name in before if before[name] != after[name]}
    own = {f"{method}/{patient}/" for method in METHODS}
    assert {name for name in changed if name.startswith(tuple(own))} == {
        f"organ_optimum{suffix}/{patient}/{cycle}/dose.nii.gz"
        for suffix in ("", "_blurred")
        for cycle in ("C1", "C2")
    }
    others = changed - {name for name in changed if f"/{patient}/" in name}
    if fold is None:  # nobody learns from testing cases
        assert not others
    else:  # every other fold does, and the patient's own fold does not
        assert {name.split("/")[1] for name in others} == {"P001", "P002", "P005", "P006", "P007"}


def test_same_seed_same_files_whatever_the_workers(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(organ_dose, "candidates", WHOLE)  # which processes of their own have
    folds: dict[str, int | None] = {"P001": 0, "P002": 1, "P003": 2}
    names = [f"{name}/C{cycle}" for name in folds for cycle in (1, 2)]
    changes = dict.fromkeys(names, without("gland", "spleen"))
    cohort = small_cohort(tmp_path / "cohort", folds, changes=changes)
    one = run(cohort, tmp_path / "one")
    two = run(cohort, tmp_path / "two", workers=2)
    names = [path.relative_to(one).as_posix() for path in one.rglob("*") if path.is_file()]
    assert len(names) == 7 * (5 + 1) + 2
    for name in names:
        assert (one / name).read_bytes() == (two / name).read_bytes()


def without(*organs: str, left: int = 0) -> Change:
    def change(made: dict[str, Any]) -> None:
        for name in organs:
            here = np.flatnonzero(made["organs"] == IDS[name])
            made["organs"].flat[here[left:]] = 199

    return change


def test_an_absent_or_tiny_organ_is_named_and_never_0(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def out_of_view(made: dict[str, Any]) -> None:
        made["fov"][BOXES["liver"]] = 0

    changes = {"P003/C1": without("spleen"), "P004/C2": without("spleen", left=19)}
    changes |= {"P005/C1": out_of_view}
    cohort = small_cohort(tmp_path / "cohort", FOLDS, changes=changes)
    out = run(cohort, tmp_path / "out")
    table = pd.read_csv(out / "organ_doses.csv").set_index(["case", "organ"])
    gone, tiny = table.loc[("P003/C1", "spleen")], table.loc[("P004/C2", "spleen")]
    for row in (gone, tiny):
        assert np.isnan(row["measured_gy_per_gbq"])
        assert np.isnan(row["predicted_gy_per_gbq"])
    assert gone["reason"] == (
        "no measured dose: absent from the field of view; no prediction: absent from the PET"
    )
    assert "no prediction: 19 voxels in the PET, fewer than 20" in tiny["reason"]
    unseen = table.loc[("P005/C1", "liver")]
    assert unseen["reason"] == "no measured dose: absent from the field of view"
    assert np.isnan(unseen["measured_gy_per_gbq"])
    assert unseen["predicted_gy_per_gbq"] > 0
    # The factor stands in the few voxels of the spleen.
    few = volume(cohort / "P004/C2/organs.nii.gz") == 1
    guided, factor = (
        volume(out / method / "P004/C2/dose.nii.gz") for method in ("organ_guided", "pet_factor")
    )
    assert np.array_equal(guided[few], factor[few])
    assert "warning" not in capfd.readouterr().err


def test_a_measured_dose_in_gy_is_told(
    cohort_folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    case = read_cohort(cohort_folder).cases[0]
    activity_gbq = case.administered_activity_mbq / 1000
    run(cohort_folder, tmp_path / "before")
    assert "looks like Gy" not in capfd.readouterr().err
    change(cohort_folder / case.label, lambda dose: dose * activity_gbq)
    run(cohort_folder, tmp_path / "out")
    told = capfd.readouterr().err
    assert f"{case.name}/dose.nii.gz looks like Gy" in told
    assert told.count("looks like Gy") == 1


def test_glands_of_few_patients_are_not_guided_and_that_is_told(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    names = [f"{name}/C{cycle}" for name in FOLDS for cycle in (1, 2)]
    changes = {name: without("gland") for name in names if name[:4] not in ("P002", "P003")}
    cohort = small_cohort(tmp_path / "cohort", FOLDS, changes=changes)
    out = run(cohort, tmp_path / "out")
    told = capfd.readouterr().err
    assert "salivary_glands is not guided in fold 0: 1 training patient with the organ" in told
    assert "salivary_glands is not guided in fold 1" in told
    assert "fold 2" not in told
    here = volume(cohort / "P002/C1/organs.nii.gz") == 150
    guided, factor, population = (
        volume(out / method / "P002/C1/dose.nii.gz")[here]
        for method in ("organ_guided", "pet_factor", "population_mean")
    )
    assert np.array_equal(guided, factor)
    assert population.std() == 0  # one patient's mean is a mean
    summary = json.loads((out / "summary.json").read_text())
    reasons = {
        one["fold"]: one["not_guided_because"]
        for one in summary["splits"]
        if one["organ"] == "salivary_glands"
    }
    assert reasons[0] == "1 training patient with the organ, fewer than 2"
    assert reasons[2] is reasons[None] is None


def test_no_glands_no_spleen_no_laboratory_no_height_and_no_testing(tmp_path: Path) -> None:
    def bare(made: dict[str, Any]) -> None:
        without("gland", "spleen")(made)
        made["cycle"] |= {"laboratory": {}, "height_cm": None, "age_y": None}

    folds = {name: fold for name, fold in FOLDS.items() if fold is not None}
    names = [f"{name}/C{cycle}" for name in folds for cycle in (1, 2)]
    cohort = small_cohort(tmp_path / "cohort", folds, changes=dict.fromkeys(names, bare))
    out = run(cohort, tmp_path / "out")
    table = pd.read_csv(out / "organ_doses.csv")
    assert set(table["organ"]) == {"kidney", "liver", "spleen"}  # a rated organ keeps its rows
    assert table.loc[table["organ"] == "spleen", "reason"].str.contains("absent").all()
    summary = json.loads((out / "summary.json").read_text())
    assert summary["organ_dose_errors"]["testing"] == {}
    spleen = summary["organ_dose_errors"]["out_of_fold"]["spleen"]
    assert spleen["cycles"] == 0
    assert spleen["organ_guided"]["mape_over_cycles_percent"] is None


def test_some_laboratory_values_may_be_missing(tmp_path: Path) -> None:
    def unknown(made: dict[str, Any]) -> None:
        made["cycle"]["laboratory"] = {"LDH": {"value": 200.0, "unit": "U/L"}}

    changes = {"P002/C1": unknown, "P007/C1": unknown}
    out = run(small_cohort(tmp_path / "cohort", FOLDS, changes=changes), tmp_path / "out")
    assert pd.read_csv(out / "organ_doses.csv")["predicted_gy_per_gbq"].notna().all()


def test_an_organ_without_uptake_is_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def cold(made: dict[str, Any]) -> None:
        made["pet"][BOXES["liver"]] = 0.0

    cohort = small_cohort(tmp_path / "cohort", FOLDS, changes={"P004/C1": cold})
    out = run(cohort, tmp_path / "out", spect_fwhm_mm=6.0)
    told = capfd.readouterr().err
    assert told.count("P004/C1: liver has a mean SUV of 0 g/mL; the PET factor stands there") == 1
    table = pd.read_csv(out / "organ_doses.csv").set_index(["case", "organ"])
    assert table.loc[("P004/C1", "liver"), "reason"] == "no prediction: mean SUV of 0 g/mL"


def test_bad_input_is_a_sentence_and_leaves_nothing(cohort_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for changes, words in (
        ({"spect_fwhm_mm": 5.0}, "must not be below --pet-fwhm-mm"),
        ({"pet_fwhm_mm": 0.0}, "--pet-fwhm-mm must be a finite number above 0 mm"),
        ({"seed": -1}, "--seed must be 0 to 4294967295, got -1"),
        ({"workers": 0}, "workers must be 1 or above"),
    ):
        with pytest.raises(BadInput, match=words):
            run(cohort_folder, out, **changes)
        assert not out.exists()
    out.mkdir()
    (out / "mine.txt").touch()
    with pytest.raises(BadInput, match="'out' must be new or empty"):
        run(cohort_folder, out)
    with pytest.raises(BadInput, match="SUV above 0 g/mL in the body"):
        pet_factor([(0.0, 0.0)])


def test_a_laboratory_value_in_two_units_is_refused(tmp_path: Path) -> None:
    def other(made: dict[str, Any]) -> None:
        made["cycle"]["laboratory"]["PSA"]["unit"] = "µg/L"

    cohort = small_cohort(tmp_path / "cohort", FOLDS, changes={"P002/C1": other})
    with pytest.raises(BadInput, match=r"'PSA' must be in one unit .* 'ng/mL' and 'µg/L'"):
        run(cohort, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command_ends_with_one_sentence(rpt_eval: Run, tmp_path: Path) -> None:
    cohort = small_cohort(tmp_path / "cohort", {"P001": 0, "P002": 0, "P003": None})
    done = rpt_eval("baseline", "--cohort", cohort, "--out", tmp_path / "out")
    refused(done, "must be in two folds or more, got 1", absent=tmp_path / "out")


@pytest.mark.slow
def test_the_controls_stand_in_their_true_order(tmp_path: Path) -> None:
    cohort = tmp_path / "cohort"
    write_cohort(
        cohort, CohortSettings(seed=8, slices=16), patients=10, folds=2, test_patients=2, workers=1
    )
    out = run(cohort, tmp_path / "out")
    errors: dict[str, list[float]] = {method: [] for method in METHODS}
    for case in read_cohort(cohort).cases:
        dose, organs, fov = (
            volume(cohort / case.name / f"{name}.nii.gz").astype(float)
            for name in ("dose", "organs", "fov")
        )
        body = (organs > 0) & (fov > 0)
        for method, values in errors.items():
            made = volume(out / method / case.name / "dose.nii.gz").astype(float)
            values.append(float(np.linalg.norm((made - dose)[body]) / np.linalg.norm(dose[body])))
    mean = {method: float(np.mean(values)) for method, values in errors.items()}
    assert mean["all_zero"] == 1.0
    assert 1.0 > mean["population_mean"] > mean["pet_factor"] > mean["organ_guided"]
    assert mean["organ_guided"] > mean["organ_guided_blurred"] > mean["organ_optimum_blurred"]
    assert mean["organ_guided"] > mean["organ_optimum"] > mean["organ_optimum_blurred"]
