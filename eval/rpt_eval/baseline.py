"""Approach 1, the organ-dose guided direct projection, and the controls beside it."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rpt_cohort import (
    BadInput,
    Case,
    Cohort,
    PredictionInfo,
    file_sha256,
    json_bytes,
    new_folder,
    nifti_bytes,
    provenance,
    read_cohort,
    read_cycle,
)
from rpt_cohort.command import in_parallel, warn
from rpt_cohort.labels import ORGANS
from rpt_cohort.schema import SCHEMA_VERSION

from rpt_eval.organ_dose import (
    Lesson,
    Score,
    Split,
    Survey,
    laboratory_units,
    learn,
    outer_splits,
    record_features,
    survey,
)
from rpt_eval.predictions import near_activity, read_maps
from rpt_eval.projection import METHODS, Recipe, dose_maps, fwhm_between_mm
from rpt_eval.regions import RATED_ORGANS
from rpt_eval.statistics import patient_means

DEFINITIONS = {
    "measured": "mean of the measured dose over the organ within the field of view, Gy/GBq",
    "mape_over_cycles_percent": (
        "mean over cycles of 100 · |predicted − measured| / measured of the organ's mean dose"
    ),
    "mape_over_patients_percent": "mean over patients of the mean over each one's cycles",
    "inner_mape_percent": (
        "mape_over_patients_percent of cycles held out by patient among the split's training cycles"
    ),
    "chosen": (
        "the simplest setting whose inner_mape_percent is within one standard error (over "
        "patients, paired) of the lowest; best_scores has each regressor's lowest, and that of "
        "training_mean, a control that is not chosen from"
    ),
    "factor_gy_per_gbq_per_g_per_ml": (
        "PET factor: sum of SUV · dose over sum of SUV², over body and field of view of the "
        "split's training cycles"
    ),
    "population_mean": "mean over training patients of the mean over each one's cycles",
}
COMPARED = {
    "predicted_gy_per_gbq": "organ_guided",
    "population_mean_gy_per_gbq": "population_mean",
}
LARGEST_SEED = 2**32 - 1  # scikit-learn's
LIBRARIES = ("numpy", "pandas", "scikit-learn", "scipy")


def write_baselines(
    cohort: Path,
    out: Path,
    *,
    spect_fwhm_mm: float,
    pet_fwhm_mm: float,
    seed: int,
    workers: int | None,
) -> None:
    """Write a prediction folder for each of ``METHODS``, ``organ_doses.csv``, ``summary.json``.

    Args:
        cohort: Cohort folder.
        out: Folder to write; new or empty.
        spect_fwhm_mm: Resolution of the SPECT, mm.
        pet_fwhm_mm: Resolution of the PET, mm; not above the SPECT's.
        seed: Of forests and boosting, 0 or above.
        workers: Processes; by default one for each core. The results do not depend on it.

    Raises:
        BadInput: A parameter is out of its range, the cohort is at fault or too small, or
            ``out`` is not new or empty.
    """
    fwhm_mm = fwhm_between_mm(spect_fwhm_mm=spect_fwhm_mm, pet_fwhm_mm=pet_fwhm_mm)
    if not 0 <= seed <= LARGEST_SEED:
        raise BadInput(f"--seed must be 0 to {LARGEST_SEED}, got {seed}.")
    content = read_cohort(cohort)
    splits = outer_splits(content)
    with new_folder(out) as root:
        surveys = _survey_all(content, fwhm_mm, workers)
        tasks = [(split, name) for split in splits for name in _organs(list(surveys.values()))]
        lessons = in_parallel(
            partial(learn, surveys, seed), tasks, description="Organ doses", workers=workers
        )
        notes = in_parallel(
            partial(_write_maps, content, root, fwhm_mm),
            [recipe for split in splits for recipe in _recipes(split, lessons, surveys)],
            description="Dose maps",
            workers=workers,
        )
        source = provenance(
            package="rpt-eval",
            command="baseline",
            parameters={"spect_fwhm_mm": spect_fwhm_mm, "pet_fwhm_mm": pet_fwhm_mm},
            inputs=_hashes(content, surveys),
            seed=seed,
            libraries=LIBRARIES,
        )
        _write_tables(root, content, lessons, surveys, source)
        _write_infos(root, content, source)
    doubted = _doubted_units(list(surveys.values()))
    for sentence in [
        *doubted,
        *_not_guided(lessons),
        *(note for of_case in notes for note in of_case),
    ]:
        warn(sentence)


def _survey_all(cohort: Cohort, fwhm_mm: float, workers: int | None) -> dict[str, Survey]:
    cycles = {case.name: read_cycle(cohort.folder(case)) for case in cohort.cases}
    units = laboratory_units(list(cycles.values()))
    records = {name: record_features(cycle, units) for name, cycle in cycles.items()}
    surveys = in_parallel(
        partial(survey, cohort, records, fwhm_mm),
        cohort.cases,
        description="PET and dose",
        workers=workers,
    )
    return {one.case.name: one for one in surveys}


def _organs(surveys: Sequence[Survey]) -> list[str]:
    """Return the rated organs, and any other that some cycle has."""
    present = {name for one in surveys for name in (*one.features, *one.measured_gy_per_gbq)}
    return [name for name in ORGANS if name in RATED_ORGANS or name in present]


def _recipes(
    split: Split, lessons: Sequence[Lesson], surveys: Mapping[str, Survey]
) -> Iterator[tuple[Case, Recipe]]:
    """Yield what makes the maps of each case that the split predicts."""
    training = [surveys[case.name] for case in split.training]
    factor = pet_factor([one.sums for one in training])
    blurred_factor = pet_factor([one.blurred_sums for one in training])
    known = [one for one in training if not np.isnan(one.rest_gy_per_gbq)]
    doses = np.array([one.rest_gy_per_gbq for one in known])
    rest = float(patient_means(doses, [one.case.patient for one in known]).mean())
    mine = [lesson for lesson in lessons if lesson.split == split]
    population = {
        lesson.organ: lesson.population_mean_gy_per_gbq
        for lesson in mine
        if lesson.population_mean_gy_per_gbq is not None
    }
    for case in split.predicted:
        guided = {
            lesson.organ: lesson.predicted_gy_per_gbq[case.name]
            for lesson in mine
            if case.name in lesson.predicted_gy_per_gbq
        }
        optimum = surveys[case.name].measured_gy_per_gbq
        yield case, Recipe(guided, optimum, population, rest, factor, blurred_factor)


def pet_factor(sums: Sequence[tuple[float, float]]) -> float:
    """Return the least-squares factor of several cycles, Gy/GBq per g/mL.

    Args:
        sums: Each cycle's ``least_squares_sums``.

    Raises:
        BadInput: The PET is 0 wherever body and dose are known.
    """
    products, squares = np.sum(sums, axis=0)
    if not squares > 0:
        raise BadInput(
            "The training cases must have SUV above 0 g/mL in the body within the field of "
            "view, and have none. Check pet.nii.gz, organs.nii.gz and fov.nii.gz."
        )
    return float(products / squares)


def _write_maps(cohort: Cohort, root: Path, fwhm_mm: float, job: tuple[Case, Recipe]) -> list[str]:
    """Write one case's dose maps; return what the user should know of them."""
    case, recipe = job
    maps = read_maps(cohort, case)
    notes: dict[str, None] = {}
    for method, dose, left in dose_maps(maps, recipe, fwhm_mm=fwhm_mm):
        folder = root / method / case.name
        folder.mkdir(parents=True)
        (folder / "dose.nii.gz").write_bytes(nifti_bytes(dose, maps.affine, dtype=np.float32))
        for name in left:
            notes[f"{case.name}: {name} has a mean SUV of 0 g/mL; the PET factor stands there."] = (
                None
            )
    return list(notes)


def _doubted_units(surveys: Sequence[Survey]) -> Iterator[str]:
    """Name the cycles whose dose per SUV is off by about their administered activity."""
    factors = {one.case.name: one.sums[0] / one.sums[1] for one in surveys if one.sums[1] > 0}
    usual = float(np.median(list(factors.values())))
    for one in surveys:
        ratio = factors.get(one.case.name, 0.0) / usual if usual > 0 else 0.0
        if near_activity(np.array([ratio]), one.case.administered_activity_mbq / 1000):
            yield (
                f"{one.case.name}/dose.nii.gz looks like Gy, not Gy/GBq: its dose per SUV is "
                f"{ratio:.3g} times the cohort's median, near the administered activity in GBq."
            )


def _not_guided(lessons: Sequence[Lesson]) -> Iterator[str]:
    for lesson in lessons:
        if lesson.reason:
            yield (
                f"{lesson.organ} is not guided in {_split_name(lesson.split)}: {lesson.reason}; "
                "the PET factor stands there."
            )


def _split_name(split: Split) -> str:
    return "the testing cases" if split.fold is None else f"fold {split.fold}"


def organ_table(lessons: Sequence[Lesson], surveys: Mapping[str, Survey]) -> pd.DataFrame:
    """Return a row for each case and organ; empty values have their reason beside them."""
    rows = []
    for lesson in lessons:
        for case in lesson.split.predicted:
            one = surveys[case.name]
            reasons = {
                "no measured dose": one.unrated.get(lesson.organ),
                "no prediction": one.unseen.get(lesson.organ) or lesson.reason,
            }
            rows.append(
                {
                    "case": case.name,
                    "patient": case.patient,
                    "organ": lesson.organ,
                    "fold": case.fold,
                    "measured_gy_per_gbq": one.measured_gy_per_gbq.get(lesson.organ),
                    "predicted_gy_per_gbq": lesson.predicted_gy_per_gbq.get(case.name),
                    "population_mean_gy_per_gbq": lesson.population_mean_gy_per_gbq,
                    "regressor": lesson.chosen,
                    "reason": "; ".join(f"{of}: {why}" for of, why in reasons.items() if why),
                }
            )
    order = list(surveys)
    rows.sort(key=lambda row: order.index(str(row["case"])))
    numbers = dict.fromkeys((*COMPARED, "measured_gy_per_gbq"), "float64")
    return pd.DataFrame(rows).astype({"fold": "Int64", **numbers})


def _write_tables(
    root: Path,
    cohort: Cohort,
    lessons: Sequence[Lesson],
    surveys: Mapping[str, Survey],
    source: dict[str, Any],
) -> None:
    table = organ_table(lessons, surveys)
    table.to_csv(root / "organ_doses.csv", index=False)
    outcomes = {"out_of_fold": table["fold"].notna(), "testing": table["fold"].isna()}
    summary = {
        "cohort": cohort.info.name,
        "origin": cohort.info.origin,
        "definitions": DEFINITIONS,
        "methods": METHODS,
        "organ_dose_errors": {
            name: {str(organ): _errors(part) for organ, part in table[here].groupby("organ")}
            for name, here in outcomes.items()
        },
        "splits": [_lesson_json(lesson) for lesson in lessons],
        "provenance": source,
    }
    (root / "summary.json").write_bytes(json_bytes(summary))


def _errors(part: pd.DataFrame) -> dict[str, Any]:
    """Compare guided and population mean on the cycles that have both and a measured dose."""
    rated = part.dropna(subset=["measured_gy_per_gbq", *COMPARED])
    rated = rated[rated["measured_gy_per_gbq"] > 0]
    patients = rated["patient"].tolist()
    errors: dict[str, Any] = {"cycles": len(rated), "patients": len(set(patients))}
    for column, name in COMPARED.items():
        ape = 100 * np.abs(rated[column] / rated["measured_gy_per_gbq"] - 1).to_numpy(float)
        mean = float(patient_means(ape, patients).mean()) if patients else None
        errors[name] = {
            "mape_over_cycles_percent": float(ape.mean()) if patients else None,
            "mape_over_patients_percent": mean,
        }
    return errors


def _lesson_json(lesson: Lesson) -> dict[str, Any]:
    return {
        "fold": lesson.split.fold,
        "organ": lesson.organ,
        "training_cycles": lesson.cycles,
        "training_patients": lesson.patients,
        "population_mean_gy_per_gbq": lesson.population_mean_gy_per_gbq,
        "chosen": lesson.chosen,
        "chosen_score": _score_json(lesson.score) if lesson.score else None,
        "best_scores": {name: _score_json(score) for name, score in lesson.best.items()},
        "not_guided_because": lesson.reason,
    }


def _score_json(score: Score) -> dict[str, Any]:
    return {"inner_mape_percent": score.mape_percent, "setting": score.setting}


def _write_infos(root: Path, cohort: Cohort, source: dict[str, Any]) -> None:
    for method in METHODS:
        info = PredictionInfo(
            schema_version=SCHEMA_VERSION,
            method=method,
            weights_sha256={},
            fold={case.name: case.fold for case in cohort.cases},
            provenance=source,
        )
        content = json_bytes(info.model_dump(mode="json"))
        (root / method / "prediction.json").write_bytes(content)


def _hashes(cohort: Cohort, surveys: Mapping[str, Survey]) -> dict[str, str]:
    hashes = {name: file_sha256(cohort.root / name) for name in ("cohort.json", "datalist.json")}
    return hashes | {name: value for one in surveys.values() for name, value in one.sha256.items()}
