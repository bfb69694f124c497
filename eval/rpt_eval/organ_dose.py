"""Learn organ doses on one side of a split, and predict them on the other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from rpt_cohort import Case

from rpt_eval.features import Survey, regressor_input
from rpt_eval.regressors import (
    LEAST_PATIENTS,
    Matrix,
    Score,
    Split,
    choose_regressor,
)
from rpt_eval.statistics import patient_means


@dataclass(frozen=True)
class Lesson:
    """What a split's training cycles tell of one organ.

    Attributes:
        split: The split.
        organ: The organ.
        cycles: Training cycles that have its features and a measured dose.
        patients: Whose they are.
        population_mean_gy_per_gbq: Mean over patients of the mean over each one's cycles;
            None where no training cycle has the organ's dose.
        chosen: The chosen regressor; None where there is none.
        score: What it reached in the inner cross-validation.
        best: What each regressor's best setting reached.
        predicted_gy_per_gbq: Case → predicted organ dose.
        reason: Why there is no regressor; None where there is one.
    """

    split: Split
    organ: str
    cycles: int
    patients: int
    population_mean_gy_per_gbq: float | None
    chosen: str | None
    score: Score | None
    best: dict[str, Score]
    predicted_gy_per_gbq: dict[str, float]
    reason: str | None


def learn(surveys: Mapping[str, Survey], seed: int, task: tuple[Split, str]) -> Lesson:
    """Choose and fit the regressor of one organ in one split, and predict with it.

    Args:
        surveys: Case → survey. Doses are taken from the split's training cases alone.
        seed: Of forests and boosting.
        task: The split and the organ.
    """
    split, organ = task
    rated = [one for one in _of(surveys, split.training) if organ in one.measured_gy_per_gbq]
    # The logarithm of a dose of 0 does not exist.
    usable = [one for one in rated if organ in one.features and one.measured_gy_per_gbq[organ] > 0]
    asked = [one for one in _of(surveys, split.predicted) if organ in one.features]
    patients = [one.case.patient for one in usable]
    lesson = Lesson(
        split=split,
        organ=organ,
        cycles=len(usable),
        patients=len(set(patients)),
        population_mean_gy_per_gbq=_population_mean(rated, organ),
        chosen=None,
        score=None,
        best={},
        predicted_gy_per_gbq={},
        reason=None,
    )
    if lesson.patients < LEAST_PATIENTS:
        who = f"{lesson.patients} training patient" + ("s" if lesson.patients != 1 else "")
        return replace(lesson, reason=f"{who} with the organ, fewer than {LEAST_PATIENTS}")
    doses = np.array([one.measured_gy_per_gbq[organ] for one in usable])
    choice = choose_regressor(_input(usable, organ), doses, patients, seed=seed)
    predicted = choice.model.predict(_input(asked, organ)) if asked else np.empty(0)
    of_case = {one.case.name: float(dose) for one, dose in zip(asked, predicted, strict=True)}
    return replace(
        lesson,
        chosen=choice.chosen,
        score=choice.score,
        best=choice.best,
        predicted_gy_per_gbq=of_case,
    )


def _of(surveys: Mapping[str, Survey], cases: Sequence[Case]) -> list[Survey]:
    return [surveys[case.name] for case in cases]


def _input(surveys: Sequence[Survey], organ: str) -> Matrix:
    return regressor_input([one.features[organ] for one in surveys])


def _population_mean(rated: Sequence[Survey], organ: str) -> float | None:
    doses = np.array([one.measured_gy_per_gbq[organ] for one in rated])
    patients = [one.case.patient for one in rated]
    return float(patient_means(doses, patients).mean()) if rated else None
