"""Organ dose from features: patients stay on one side, and nothing is learnt from the outside."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from rpt_cohort import BadInput, Case, Cohort, CohortInfo
from rpt_eval import organ_dose
from rpt_eval.organ_dose import (
    ALL,
    CONTROL,
    MEAN_SUV,
    Candidate,
    DoseModel,
    Split,
    Survey,
    choose_regressor,
    fit,
    inner_splits,
    learn,
    outer_splits,
    simplest,
)
from sklearn.linear_model import Ridge
from sklearn.svm import SVR

KINDS = {"ridge", "random_forest", "svr", "gaussian_process", "gradient_boosting"}


def case_of(patient: str, cycle: int, fold: int | None) -> Case:
    files = {"image": "pet", "label": "dose", "ct": "ct", "organs": "organs", "fov": "fov"}
    paths = {key: f"{patient}/C{cycle}/{file}.nii.gz" for key, file in files.items()}
    return Case(**paths, patient=patient, cycle=cycle, administered_activity_mbq=7e3, fold=fold)


def cohort_of(folds: dict[str, int | None], *, cycles: int = 2) -> Cohort:
    """A cohort of patients and their folds; None is for testing."""
    info = CohortInfo(
        schema_version=1,
        name="made by hand",
        origin="virtual",
        shape=[1, 1, 1],
        spacing_mm=[1.0, 1.0, 1.0],
        provenance={},
    )
    cases = [case_of(name, n + 1, fold) for name, fold in folds.items() for n in range(cycles)]
    training = tuple(case for case in cases if case.fold is not None)
    return Cohort(Path(), info, training, tuple(case for case in cases if case.fold is None))


def survey_of(case: Case, *, features: dict[str, float], dose: float | None) -> Survey:
    return Survey(
        case=case,
        features={"kidney": features} if features else {},
        unseen={} if features else {"kidney": "absent from the PET"},
        measured_gy_per_gbq={} if dose is None else {"kidney": dose},
        unrated={"kidney": "absent from the field of view"} if dose is None else {},
        rest_gy_per_gbq=0.01,
        sums=(1.0, 1.0),
        blurred_sums=(1.0, 1.0),
        sha256={},
    )


def surveys_of(cohort: Cohort, *, seed: int = 0) -> dict[str, Survey]:
    """Dose is 0.03 · SUV^0.7 of the patient, 10 % apart; weight_kg is a mark of the patient."""
    rng = np.random.default_rng(seed)
    patients = sorted({case.patient for case in cohort.cases})
    uptake = dict(zip(patients, rng.uniform(15, 60, len(patients)), strict=True))
    return {
        case.name: survey_of(
            case,
            features={
                "suv_mean_g_per_ml": uptake[case.patient],
                "weight_kg": 50.0 + patients.index(case.patient),
            },
            dose=0.03 * uptake[case.patient] ** 0.7 * float(np.exp(0.1 * rng.standard_normal())),
        )
        for case in cohort.cases
    }


def noise(cycles: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray, list[str]]:
    rng = np.random.default_rng(seed)
    patients = [f"P{n // 2:03}" for n in range(cycles)]
    return rng.normal(size=(cycles, 5)), rng.lognormal(size=cycles), patients


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Choose from two regressors only, where which ones does not matter."""
    whole = organ_dose.candidates

    def few(seed: int) -> dict[str, list[Candidate]]:
        return {name: whole(seed)[name] for name in ("ridge", "gaussian_process")}

    monkeypatch.setattr(organ_dose, "candidates", few)


FOLDS = {f"P{n:03}": n % 4 for n in range(8)} | {"P100": None, "P101": None}


@pytest.mark.parametrize("cycles", [1, 3])
def test_no_patient_is_on_both_sides_of_any_split(cycles: int) -> None:
    cohort = cohort_of(FOLDS, cycles=cycles)
    splits = outer_splits(cohort)
    assert [split.fold for split in splits] == [0, 1, 2, 3, None]
    assert sorted(c.name for split in splits for c in split.predicted) == sorted(
        case.name for case in cohort.cases
    )
    for split in splits:
        outside = {case.patient for case in split.predicted}
        assert outside.isdisjoint(case.patient for case in split.training)
        patients = [case.patient for case in split.training]
        held_out = []
        for train, validation in inner_splits(patients):
            assert {patients[n] for n in train}.isdisjoint(patients[n] for n in validation)
            held_out += list(validation)
        assert sorted(held_out) == list(range(len(patients)))


def test_what_every_fit_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    """Follow each patient's mark through every fit and every prediction."""
    cohort = cohort_of(FOLDS, cycles=3)
    surveys = surveys_of(cohort)
    mark = {one.features["kidney"]["weight_kg"]: name[:4] for name, one in surveys.items()}
    seen: list[tuple[set[str], set[str]]] = []

    learnt_by: dict[int, tuple[DoseModel, set[str]]] = {}  # the model, too, so that ids stay
    predict = DoseModel.predict

    def marks(features: np.ndarray) -> set[str]:
        return {mark[round(float(np.exp(row[1])), 6)] for row in features}

    def spying_fit(candidate: Candidate, features: np.ndarray, doses: np.ndarray) -> DoseModel:
        model = fit(candidate, features, doses)
        learnt_by[id(model)] = model, marks(features)
        return model

    def spying_predict(model: DoseModel, features: np.ndarray) -> np.ndarray:
        seen.append((learnt_by[id(model)][1], marks(features)))
        return predict(model, features)

    monkeypatch.setattr(organ_dose, "fit", spying_fit)
    monkeypatch.setattr(DoseModel, "predict", spying_predict)
    table = {"ridge": [Candidate(MEAN_SUV, Ridge())]}
    monkeypatch.setattr(organ_dose, "candidates", lambda _: table)
    for split in outer_splits(cohort):
        seen.clear()
        learn(surveys, 0, (split, "kidney"))
        outside = {case.patient for case in split.predicted}
        *inner, last = seen
        assert last == ({case.patient for case in split.training}, outside)
        assert len(inner) == 2 * 5  # the ridge and the control, in five inner folds
        for learnt, predicted in inner:
            assert learnt.isdisjoint(predicted)
            assert outside.isdisjoint(learnt | predicted)


@pytest.mark.usefixtures("quick")
def test_a_patient_s_own_dose_does_not_reach_his_prediction() -> None:
    cohort = cohort_of(FOLDS)
    surveys = surveys_of(cohort)
    (split,) = (split for split in outer_splits(cohort) if split.fold == 2)
    before = learn(surveys, 0, (split, "kidney"))
    changed = {
        name: survey_of(one.case, features=one.features["kidney"], dose=1e3)
        if one.case.fold == 2 or one.case.fold is None
        else one
        for name, one in surveys.items()
    }
    after = learn(changed, 0, (split, "kidney"))
    assert after == before  # bit for bit: predictions, choice, scores, population mean
    other = next(one for one in outer_splits(cohort) if one.fold == 1)
    assert learn(changed, 0, (other, "kidney")).predicted_gy_per_gbq != (
        learn(surveys, 0, (other, "kidney")).predicted_gy_per_gbq
    )


def test_the_simplest_within_one_standard_error_is_chosen() -> None:
    features, _, patients = noise(24)
    choice = choose_regressor(features, np.exp(0.5 * features[:, 0]), patients, seed=0)
    assert set(choice.best) == KINDS | {CONTROL}
    assert choice.chosen == "ridge"  # the line that it is
    assert choice.score.setting == "Ridge() on the mean SUV"
    assert choice.score.mape_percent < 0.5 * choice.best[CONTROL].mape_percent
    # What only the other features tell is worth their use.
    features, _, patients = noise(60)
    choice = choose_regressor(features, np.exp(features[:, 3]), patients, seed=0)
    assert choice.score.setting.endswith("on all features")


def test_the_control_is_never_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    features, _, patients = noise(12)
    dose = np.full(12, 0.5)
    dose[0] = 0.6  # nearly nothing to learn, and the candidate learns everything by heart
    table = {"svr": [Candidate(ALL, SVR(C=1e3, gamma=10.0, epsilon=0.0))]}
    monkeypatch.setattr(organ_dose, "candidates", lambda _: table)
    choice = choose_regressor(features, dose, patients, seed=0)
    assert choice.best[CONTROL].mape_percent < 10
    assert choice.chosen == "svr"


def test_one_standard_error_is_paired_by_patient() -> None:
    best = np.array([1.0, 50.0, 3.0, 80.0])  # patients differ more than regressors
    close, worse = (best + np.array(more) for more in ([3.0, -2.0, 1.0, 0.0], [3.0, 2.0, 3.0, 2.0]))
    # ``close`` is 0.5 above with a standard error of 1.04, ``worse`` 2.5 with 0.29.
    assert simplest([worse, close, best]) == 1
    assert simplest([worse, best, close]) == 1
    assert simplest([best, close]) == 0


def test_a_power_law_is_found() -> None:
    suv = np.geomspace(5, 50, 20)
    features = np.log(suv)[:, None]
    dose = 0.03 * suv**0.7
    model = fit(Candidate(MEAN_SUV, Ridge(alpha=1e-6)), features, dose)
    assert model.predict(np.log([[7.0], [40.0]])) == pytest.approx([0.03 * 7**0.7, 0.03 * 40**0.7])


def test_predictions_are_positive_and_bounded() -> None:
    features, dose, _ = noise(20)
    model = fit(Candidate(MEAN_SUV, Ridge(alpha=1e-6)), features, dose)
    wild = model.predict(np.array([[1e6, 0, 0, 0, 0], [-1e6, 0, 0, 0, 0]], dtype=float))
    assert sorted(wild) == pytest.approx([dose.min() / 3, 3 * dose.max()])


def test_every_candidate_holds_for_missing_values_and_few_cycles_without_a_warning() -> None:
    features, dose, patients = noise(6)
    features[:, 2] = np.nan  # a value nobody has
    features[0, 3] = np.nan
    features[:, 4] = 1.0  # and one that is the same for all
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for rows in (6, 3, 2):  # down to a patient of one cycle on either side
            names = patients[:rows] if rows > 2 else ["P000", "P001"]
            choice = choose_regressor(features[:rows], dose[:rows], names, seed=3)
            assert np.isfinite([score.mape_percent for score in choice.best.values()]).all()
            predicted = choice.model.predict(np.full((1, 5), np.nan))
            assert np.isfinite(predicted).all()


def test_same_seed_same_choice() -> None:
    features, dose, patients = noise(8)
    first, second = (choose_regressor(features, dose, patients, seed=5) for _ in range(2))
    assert first.chosen == second.chosen
    assert first.best == second.best
    assert np.array_equal(first.model.predict(features), second.model.predict(features))


def test_the_population_mean_is_over_patients_of_the_training_side() -> None:
    cohort = cohort_of({"A": 0, "B": 0, "C": 1, "D": 1, "E": 1}, cycles=1)
    surveys = {
        case.name: survey_of(case, features={}, dose=dose)
        for case, dose in zip(cohort.cases, (1.0, 2.0, 3.0, 5.0, None), strict=True)
    }
    lessons = [learn(surveys, 0, (split, "kidney")) for split in outer_splits(cohort)]
    assert [lesson.population_mean_gy_per_gbq for lesson in lessons] == [4.0, 1.5]
    # No PET shows the organ: nothing is chosen and nothing predicted.
    for lesson in lessons:
        assert lesson.chosen is None
        assert lesson.predicted_gy_per_gbq == {}
        assert lesson.reason == "0 training patients with the organ, fewer than 2"


@pytest.mark.usefixtures("quick")
def test_a_dose_of_zero_trains_nothing() -> None:
    cohort = cohort_of(FOLDS)
    surveys = surveys_of(cohort)
    name = "P000/C1"
    features = surveys[name].features["kidney"]
    surveys[name] = survey_of(surveys[name].case, features=features, dose=0.0)
    split = next(split for split in outer_splits(cohort) if split.fold == 1)
    lesson = learn(surveys, 0, (split, "kidney"))
    assert lesson.cycles == len(split.training) - 1
    assert lesson.chosen in KINDS


def test_a_patient_on_both_sides_is_refused() -> None:
    with pytest.raises(BadInput, match=r"one side of a split, got \['P001'\] on both"):
        Split(0, (case_of("P001", 1, 1),), (case_of("P001", 2, 0),))


def test_too_few_folds_or_patients_are_refused() -> None:
    with pytest.raises(BadInput, match=r"two folds or more, got 1"):
        outer_splits(cohort_of({"A": 0, "B": 0, "C": 0, "D": None}))
    with pytest.raises(BadInput, match=r"two folds or more, got 0"):
        outer_splits(cohort_of({"A": None}))
    with pytest.raises(BadInput, match=r"2 training patients or more .* got 1 outside of fold 0"):
        outer_splits(cohort_of({"A": 0, "B": 0, "C": 1}))
