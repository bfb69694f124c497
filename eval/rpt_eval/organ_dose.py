"""Organ doses from PET, predicted over patients: features, regressors, and how they are chosen."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float64
from rpt_cohort import BadInput, Case, Cohort, CycleInfo, file_sha256
from rpt_cohort.labels import ORGANS
from scipy.ndimage import correlate, find_objects
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

from rpt_eval.predictions import CycleMaps, read_maps
from rpt_eval.projection import blurred, least_squares_sums
from rpt_eval.regions import SMALLEST_VOXELS, organ, too_small
from rpt_eval.statistics import patient_means

PEAK_VOLUME_ML = 1.0
PERCENTILES = (10, 25, 50, 75, 90)
LABORATORY = "laboratory: "
LEAST_FOR_LOGARITHM = 0.01
"""Below this a feature counts as this: g/mL for SUV, well under any organ's noise (ours)."""
SUBPOINTS = 8  # along each axis of a voxel, to find how much of it the sphere covers

FILES_READ = ("pet.nii.gz", "dose.nii.gz", "organs.nii.gz", "fov.nii.gz", "cycle.json")


@dataclass(frozen=True)
class Survey:
    """What one cycle teaches and what is asked of it, without its maps.

    Attributes:
        case: Its entry in the cohort.
        features: Of each organ that the PET shows.
        unseen: Why any other organ has no features.
        measured_gy_per_gbq: Mean dose of each organ that can be rated.
        unrated: Why any other organ has no measured dose.
        rest_gy_per_gbq: Mean dose of the body outside of the organs; NaN where unknown.
        sums: Σ SUV·dose and Σ SUV² over body and field of view, of the sharp PET.
        blurred_sums: The same of the PET blurred to SPECT resolution.
        sha256: File → hash of what was read.
    """

    case: Case
    features: dict[str, dict[str, float]]
    unseen: dict[str, str]
    measured_gy_per_gbq: dict[str, float]
    unrated: dict[str, str]
    rest_gy_per_gbq: float
    sums: tuple[float, float]
    blurred_sums: tuple[float, float]
    sha256: dict[str, str]


def survey(
    cohort: Cohort, records: Mapping[str, dict[str, float]], fwhm_mm: float, case: Case
) -> Survey:
    """Read one cycle's maps and keep what is needed of them.

    Args:
        cohort: The cohort.
        records: Case → its ``record_features``.
        fwhm_mm: From PET to SPECT resolution, mm.
        case: The cycle.

    Raises:
        BadInput: A map is missing, broken or on another grid.
    """
    maps = read_maps(cohort, case)
    where = {name: organ(maps, name) for name in ORGANS}
    unseen = {name: organ_fault(maps.suv, here) for name, here in where.items()}
    unrated = {name: too_small(here & maps.known) for name, here in where.items()}
    body = (maps.organs > 0) & maps.known
    smooth = blurred(maps.suv, maps.spacing_mm, fwhm_mm=fwhm_mm)
    folder = cohort.folder(case)
    return Survey(
        case=case,
        features={
            name: suv_features(maps.suv, here, maps.affine) | records[case.name]
            for name, here in where.items()
            if unseen[name] is None
        },
        unseen={name: fault for name, fault in unseen.items() if fault},
        measured_gy_per_gbq={
            name: float(maps.dose[here & maps.known].mean(dtype=np.float64))
            for name, here in where.items()
            if unrated[name] is None
        },
        unrated={name: fault for name, fault in unrated.items() if fault},
        rest_gy_per_gbq=_mean_of_rest(maps, body, where),
        sums=least_squares_sums(maps.suv, maps.dose, body),
        blurred_sums=least_squares_sums(smooth, maps.dose, body),
        sha256={f"{case.name}/{file}": file_sha256(folder / file) for file in FILES_READ},
    )


def _mean_of_rest(
    maps: CycleMaps,
    body: Bool[np.ndarray, "x y z"],
    where: Mapping[str, Bool[np.ndarray, "x y z"]],
) -> float:
    rest = body & ~np.logical_or.reduce(list(where.values()))
    # A body that is all organs has no rest: its own mean stands in.
    part = maps.dose[rest] if rest.any() else maps.dose[body]
    return float(part.mean(dtype=np.float64)) if part.size else math.nan


def organ_fault(suv: Float[np.ndarray, "x y z"], organ: Bool[np.ndarray, "x y z"]) -> str | None:
    """Say why an organ has no SUV features, or None where it has."""
    voxels = int(organ.sum())
    if voxels == 0:
        return "absent from the PET"
    if voxels < SMALLEST_VOXELS:
        return f"{voxels} voxels in the PET, fewer than {SMALLEST_VOXELS}"
    if not suv[organ].any():
        return "mean SUV of 0 g/mL"
    return None


def suv_features(
    suv: Float[np.ndarray, "x y z"],
    organ: Bool[np.ndarray, "x y z"],
    affine: Float[np.ndarray, "4 4"],
) -> dict[str, float]:
    """Describe the uptake of one organ, wherever SPECT will look later.

    Args:
        suv: PET, g/mL.
        organ: Where the organ is; at least one voxel.
        affine: Voxel index → position, mm.

    Returns:
        Mean, maximum, peak, standard deviation (over the organ's voxels as a population)
        and percentiles of SUV, g/mL; volume, mL; total uptake = mean × volume, g.
    """
    values = suv[organ].astype(np.float64)
    volume_ml = values.size * abs(float(np.linalg.det(affine[:3, :3]))) / 1000.0
    features = {
        "suv_mean_g_per_ml": float(values.mean()),
        "suv_max_g_per_ml": float(values.max()),
        "suv_peak_g_per_ml": suv_peak(suv, organ, affine),
        "suv_sd_g_per_ml": float(values.std()),
    }
    for percent, value in zip(PERCENTILES, np.percentile(values, PERCENTILES), strict=True):
        features[f"suv_p{percent}_g_per_ml"] = float(value)
    features["volume_ml"] = volume_ml
    features["total_uptake_g"] = features["suv_mean_g_per_ml"] * volume_ml
    return features


def suv_peak(
    suv: Float[np.ndarray, "x y z"],
    organ: Bool[np.ndarray, "x y z"],
    affine: Float[np.ndarray, "4 4"],
) -> float:
    """Return the highest mean SUV of a 1 mL sphere centred on a voxel of the organ, g/mL.

    The sphere may reach beyond the organ. A voxel that it cuts counts by the part inside,
    so that the sphere holds 1 mL on any grid; beyond the volume's edge it holds nothing.

    Source: PERCIST, Wahl et al., J Nucl Med 50 (2009) 122S; the partial voxels are ours.
    """
    sphere = sphere_weights(affine)
    (box,) = find_objects(organ.astype(np.uint8))
    around = tuple(
        slice(max(side.start - size // 2, 0), side.stop + size // 2)
        for side, size in zip(box, sphere.shape, strict=True)
    )
    near = suv[around].astype(np.float64)
    total = correlate(near, sphere, mode="constant")
    inside = correlate(np.ones_like(near), sphere, mode="constant")
    return float((total / inside)[organ[around]].max())


def sphere_weights(affine: Float[np.ndarray, "4 4"]) -> Float64[np.ndarray, "a b c"]:
    """Return how a 1 mL sphere centred on a voxel weighs its neighbours; the sum is 1.

    Args:
        affine: Voxel index → position, mm; voxels of any shape.
    """
    radius_mm = (3000.0 * PEAK_VOLUME_ML / (4.0 * np.pi)) ** (1 / 3)
    axes_mm = affine[:3, :3]
    reach = radius_mm * np.linalg.norm(np.linalg.inv(axes_mm), axis=1)  # in voxels
    half = np.ceil(reach - 0.5).clip(min=0).astype(int)
    inner = (np.arange(SUBPOINTS) + 0.5) / SUBPOINTS - 0.5
    steps = [np.add.outer(np.arange(-n, n + 1), inner).ravel() for n in half]
    squares_mm2 = np.zeros([step.size for step in steps])
    for row in axes_mm:
        position_mm = sum(np.ix_(*(row[axis] * steps[axis] for axis in range(3))))
        squares_mm2 += np.square(position_mm)
    inside = squares_mm2 <= radius_mm**2
    x, y, z = 2 * half + 1
    parts = inside.reshape(x, SUBPOINTS, y, SUBPOINTS, z, SUBPOINTS).sum(axis=(1, 3, 5))
    weights: Float64[np.ndarray, "a b c"] = parts / parts.sum()
    return weights


def laboratory_units(cycles: Sequence[CycleInfo]) -> dict[str, str]:
    """Return the unit of every laboratory value that any cycle has, by name.

    Raises:
        BadInput: A value comes in two units.
    """
    units: dict[str, str] = {}
    for cycle in cycles:
        for name, laboratory in cycle.laboratory.items():
            unit = units.setdefault(name, laboratory.unit)
            if unit != laboratory.unit:
                raise BadInput(
                    f"Laboratory value {name!r} must be in one unit in every cycle.json, got "
                    f"{unit!r} and {laboratory.unit!r}. Convert one of them."
                )
    return dict(sorted(units.items()))


def record_features(cycle: CycleInfo, laboratory: Mapping[str, str]) -> dict[str, float]:
    """Return what ``cycle.json`` knows before therapy; NaN where it is not recorded.

    Args:
        cycle: The cycle.
        laboratory: Unit of each laboratory value of the cohort, by name.
    """

    def known(value: float | None) -> float:
        return float("nan") if value is None else float(value)

    features = {
        "weight_kg": known(cycle.weight_kg),
        "height_cm": known(cycle.height_cm),
        "age_y": known(cycle.age_y),
        "pet_activity_mbq": known(cycle.pet_activity_mbq),
        "administered_activity_mbq": known(cycle.administered_activity_mbq),
        "pet_time_min": known(cycle.pet_time_min),
    }
    for name, unit in laboratory.items():
        value = cycle.laboratory.get(name)
        features[f"{LABORATORY}{name} ({unit})"] = known(value.value if value else None)
    return features


def regressor_input(rows: Sequence[Mapping[str, float]]) -> Float64[np.ndarray, "rows features"]:
    """Turn features into a regressor's input: logarithms, because dose goes as a power of SUV.

    Laboratory values, which may be 0 or negative, go through asinh, which is a logarithm
    for large ones (ours). NaN stays NaN.
    """
    values = np.array([list(row.values()) for row in rows], dtype=np.float64)
    laboratory = [name.startswith(LABORATORY) for name in rows[0]]
    logarithms = np.log(np.maximum(values, LEAST_FOR_LOGARITHM))
    return np.where(laboratory, np.arcsinh(values), logarithms)


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
