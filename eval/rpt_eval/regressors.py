"""Organ dose from features: scikit-learn regressors, chosen by patient-grouped cross-validation.

Every choice here is ours: the logarithm of the dose, the bounds of what may be predicted, and
the settings, which were settled on virtual patients. Each regressor may see the mean SUV alone
(dose as a power of SUV) or all features: with a dozen patients the further features are mostly
noise. The Gaussian process gets its length and noise as every regressor gets its settings: with
so few patients its marginal likelihood is flat, and a search runs to its bounds and warns.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float64
from rpt_cohort import BadInput, Case, Cohort
from sklearn.base import clone
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import GradientBoostingRegressor, RandomForestRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from rpt_eval.statistics import patient_means

INNER_FOLDS = 5
LEAST_PATIENTS = 2
"""An inner cross-validation grouped by patient needs as many; more is much better."""
FURTHEST = 3.0
"""No prediction is further than this factor outside the training doses (ours)."""
MEAN_SUV, ALL = slice(0, 1), slice(None)  # the mean SUV is the first feature
CONTROL = "training_mean"

Matrix = Float64[np.ndarray, "cycles features"]
Doses = Float64[np.ndarray, " _"]


@dataclass(frozen=True)
class Split:
    """Who predicts whom: the patients of the two sides are never the same.

    Attributes:
        fold: The fold that is predicted; None for the testing cases.
        training: Cases that may be learnt from.
        predicted: Cases to predict.
    """

    fold: int | None
    training: tuple[Case, ...]
    predicted: tuple[Case, ...]

    def __post_init__(self) -> None:
        """Refuse a patient on both sides."""
        both = {case.patient for case in self.training} & {case.patient for case in self.predicted}
        if both:
            raise BadInput(f"Patients must be on one side of a split, got {sorted(both)} on both.")


def outer_splits(cohort: Cohort) -> list[Split]:
    """Return the cohort's own splits: each fold by the others, testing cases by all training.

    Raises:
        BadInput: Fewer than two folds, or a split that leaves fewer than two patients to
            learn from.
    """
    folds = sorted({case.fold for case in cohort.training if case.fold is not None})
    if len(folds) < 2:
        raise BadInput(
            f"The training cases must be in two folds or more, got {len(folds)}: each fold is "
            "predicted by the others. Deal the patients into folds in datalist.json."
        )
    splits = []
    for fold in folds:
        inside = tuple(case for case in cohort.training if case.fold == fold)
        others = tuple(case for case in cohort.training if case.fold != fold)
        splits.append(Split(fold, others, inside))
        patients = len({case.patient for case in others})
        if patients < LEAST_PATIENTS:
            raise BadInput(
                f"There must be {LEAST_PATIENTS} training patients or more outside of every fold, "
                f"got {patients} outside of fold {fold}. Add patients or deal more folds."
            )
    if cohort.testing:
        splits.append(Split(None, cohort.training, cohort.testing))
    return splits


@dataclass(frozen=True)
class Candidate:
    """A regressor and the features it sees."""

    columns: slice
    regressor: Any

    @property
    def setting(self) -> str:
        """What it is, in words."""
        seen = "the mean SUV" if self.columns == MEAN_SUV else "all features"
        return f"{' '.join(repr(self.regressor).split())} on {seen}"


def candidates(seed: int) -> dict[str, list[Candidate]]:
    """Return what is chosen from, the simpler first: name of the regressor → its settings."""

    def forest(leaf: int) -> Any:
        return RandomForestRegressor(min_samples_leaf=leaf, max_features=0.5, random_state=seed)

    def process(length: float, noise: float) -> Any:
        return GaussianProcessRegressor(RBF(length) + WhiteKernel(noise), optimizer=None)

    def boosting(trees: int) -> Any:
        return GradientBoostingRegressor(n_estimators=trees, max_depth=2, random_state=seed)

    one, every = partial(Candidate, MEAN_SUV), partial(Candidate, ALL)
    return {
        "ridge": [
            *(one(Ridge(alpha=alpha)) for alpha in (1.0, 10.0)),
            *(every(Ridge(alpha=alpha)) for alpha in (100.0, 300.0)),
        ],
        "gaussian_process": [
            *(one(process(length, noise)) for length in (1.0, 3.0) for noise in (0.1, 1.0)),
            *(
                every(process(*pair))
                for pair in ((5.0, 1.0), (15.0, 0.1), (15.0, 1.0), (50.0, 0.1))
            ),
        ],
        "svr": [see(SVR(C=c)) for see in (one, every) for c in (0.1, 1.0)],
        "gradient_boosting": [see(boosting(trees)) for see in (one, every) for trees in (10, 20)],
        "random_forest": [see(forest(leaf)) for see in (one, every) for leaf in (2, 5)],
    }


@dataclass(frozen=True)
class DoseModel:
    """A fitted regressor of log dose; predictions are positive and bounded."""

    columns: slice
    pipeline: Pipeline
    log_mean: float
    log_sd: float
    log_bounds: tuple[float, float]

    def predict(self, features: Matrix) -> Doses:
        """Return organ doses, Gy/GBq."""
        log_dose = self.log_mean + self.log_sd * self.pipeline.predict(features[:, self.columns])
        dose: Doses = np.exp(np.clip(log_dose, *self.log_bounds))
        return dose


@dataclass(frozen=True)
class Score:
    """The error of one setting in the inner cross-validation."""

    mape_percent: float
    setting: str


@dataclass(frozen=True)
class Choice:
    """The chosen regressor, fitted on all training cases, and what the others reached.

    Attributes:
        chosen: Name of the regressor.
        score: Of the chosen setting.
        best: Of each regressor's best setting, and of the control ``training_mean``, which is
            not chosen from.
        model: The chosen one, fitted.
    """

    chosen: str
    score: Score
    best: dict[str, Score]
    model: DoseModel


def choose_regressor(
    features: Matrix, dose_gy_per_gbq: Doses, patients: Sequence[str], *, seed: int
) -> Choice:
    """Choose a regressor by cross-validation grouped by patient, and fit it on all cases.

    The simplest setting is chosen whose error is within one standard error, over patients
    and paired, of the lowest: with few patients the lowest of many errors is mostly luck.

    Args:
        features: Of the training cases; NaN where unknown.
        dose_gy_per_gbq: Their organ doses, above 0 Gy/GBq.
        patients: Whose cases they are; two patients or more.
        seed: Of forests and boosting.

    Source: the one-standard-error rule, Breiman et al., Classification and Regression Trees
    (1984), section 3.4.3; pairing it by patient is ours.
    """

    def errors(candidate: Candidate) -> Doses:
        return inner_errors_percent(candidate, features, dose_gy_per_gbq, patients)

    tried = [
        (name, candidate, errors(candidate))
        for name, settings in candidates(seed).items()
        for candidate in settings
    ]
    tried.sort(key=lambda one: one[1].columns == ALL)  # stable: the mean SUV alone is simpler
    best: dict[str, Score] = {}
    for name, candidate, error in sorted(tried, key=lambda one: float(one[2].mean())):
        best.setdefault(name, Score(float(error.mean()), candidate.setting))
    name, candidate, error = tried[simplest([error for _, _, error in tried])]
    control = errors(Candidate(MEAN_SUV, DummyRegressor())).mean()
    best[CONTROL] = Score(float(control), "geometric mean of what is learnt from")
    score = Score(float(error.mean()), candidate.setting)
    return Choice(name, score, best, fit(candidate, features, dose_gy_per_gbq))


def simplest(errors: Sequence[Doses]) -> int:
    """Return the first whose mean is within one standard error of the lowest.

    Args:
        errors: Each candidate's errors, patient by patient; the simplest candidate first.
    """
    lowest = min(errors, key=lambda error: float(error.mean()))
    further = [error - lowest for error in errors]
    within = [more.mean() <= more.std(ddof=1) / math.sqrt(more.size) for more in further]
    return within.index(True)


def inner_errors_percent(
    candidate: Candidate, features: Matrix, dose_gy_per_gbq: Doses, patients: Sequence[str]
) -> Doses:
    """Return each patient's error of held-out organ doses, the mean over the cycles, %."""
    error_percent = np.empty(len(patients))
    for train, held_out in inner_splits(patients):
        model = fit(candidate, features[train], dose_gy_per_gbq[train])
        true = dose_gy_per_gbq[held_out]
        error_percent[held_out] = 100 * np.abs(model.predict(features[held_out]) / true - 1)
    return patient_means(error_percent, patients)


def inner_splits(patients: Sequence[str]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the indices to learn from and to hold out; a patient's cycles stay together."""
    folds = GroupKFold(min(INNER_FOLDS, len(set(patients))))
    yield from folds.split(np.zeros(len(patients)), groups=list(patients))


def fit(candidate: Candidate, features: Matrix, dose_gy_per_gbq: Doses) -> DoseModel:
    """Fit a copy of the candidate on standardised features and standardised log dose."""
    log_dose = np.log(dose_gy_per_gbq)
    log_mean, log_sd = float(log_dose.mean()), float(log_dose.std()) or 1.0
    pipeline = make_pipeline(
        SimpleImputer(strategy="median", keep_empty_features=True),
        StandardScaler(),
        clone(candidate.regressor),
    )
    pipeline.fit(features[:, candidate.columns], (log_dose - log_mean) / log_sd)
    reach = math.log(FURTHEST)
    bounds = float(log_dose.min()) - reach, float(log_dose.max()) + reach
    return DoseModel(candidate.columns, pipeline, log_mean, log_sd, bounds)
