"""Cycles and predictions of them: PET, reference dose, organs, and each method's dose."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Float32, Integer
from rpt_cohort import (
    BadInput,
    Case,
    Cohort,
    PredictionInfo,
    Volume,
    file_sha256,
    grid_fault,
    read_volume,
)
from rpt_cohort.checking import LARGEST
from rpt_cohort.reading import read_json

Against = Literal["measured", "truth"]
LARGEST_DOSE_GY_PER_GBQ = LARGEST["dose.nii.gz"][0]
REFERENCE_FILE: dict[Against, str] = {"measured": "dose.nii.gz", "truth": "truth/dose.nii.gz"}


@dataclass(frozen=True)
class CycleMaps:
    """One therapy cycle; every map on one grid.

    Attributes:
        case: Its entry in the cohort.
        suv: PET, g/mL.
        dose: Reference dose, Gy/GBq.
        organs: Ids of ``rpt_cohort.labels``; above 0 in the body.
        lesions: One number for each lesion, 0 elsewhere.
        known: Where the reference dose is known (the field of view).
        affine: Voxel index → position, mm, RAS+ world.
    """

    case: Case
    suv: Float32[np.ndarray, "x y z"]
    dose: Float32[np.ndarray, "x y z"]
    organs: Integer[np.ndarray, "x y z"]
    lesions: Integer[np.ndarray, "x y z"]
    known: Bool[np.ndarray, "x y z"]
    affine: np.ndarray

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between voxel centres along each axis, mm."""
        return Volume(self.dose, self.affine).spacing_mm


def read_maps(cohort: Cohort, case: Case, *, against: Against = "measured") -> CycleMaps:
    """Read the maps of one case.

    Args:
        cohort: The cohort.
        case: One of its cases.
        against: Reference: the measured dose, or the virtual patient's true dose.

    Raises:
        BadInput: A map is missing, broken, not on the PET's grid, or holds what it cannot;
            truth is asked of a clinical cohort; the dose is known nowhere.
    """
    if against == "truth" and cohort.info.origin != "virtual":
        raise BadInput(
            "The true dose is known of virtual cohorts only, got a clinical one. "
            "Compare against the measured dose."
        )
    names = {"suv": "pet.nii.gz", "dose": REFERENCE_FILE[against], "organs": "organs.nii.gz"}
    names["known"] = "fov.nii.gz"
    if (cohort.folder(case) / "lesions.nii.gz").is_file():
        names["lesions"] = "lesions.nii.gz"
    volumes = {key: _read(cohort, case, name) for key, name in names.items()}
    for key, volume in volumes.items():
        name = f"{case.name}/{names[key]}"
        fault = grid_fault(volume, volumes["suv"], name=name, like_name="pet.nii.gz")
        if fault:
            raise BadInput(fault)
        if key in ("suv", "dose"):
            largest = LARGEST_DOSE_GY_PER_GBQ if key == "dose" else np.inf
            refuse_impossible(volume, name=name, largest=largest)
        elif volume.data.dtype.kind not in "iu":
            raise BadInput(f"{name} must hold whole numbers, got {volume.data.dtype}.")
    known = volumes["known"].data > 0
    if not known.any():
        raise BadInput(f"{case.name}/fov.nii.gz must be 1 where the dose is known, and is 0.")
    organs = volumes["organs"].data
    if not volumes["dose"].data[known & (organs > 0)].any():
        raise BadInput(
            f"{case.name}/{names['dose']} must be above 0 Gy/GBq somewhere in the body within the "
            "field of view, and is 0. Check dose, organs and fov."
        )
    return CycleMaps(
        case=case,
        suv=volumes["suv"].data.astype(np.float32),
        dose=volumes["dose"].data.astype(np.float32),
        organs=organs,
        lesions=volumes["lesions"].data if "lesions" in volumes else np.zeros_like(organs),
        known=known,
        affine=volumes["suv"].affine,
    )


def refuse_impossible(volume: Volume, *, name: str, largest: float = np.inf) -> None:
    """Raise BadInput where a map of SUV or dose is not finite, negative or above ``largest``."""
    if not np.isfinite(volume.data).all():
        count = int((~np.isfinite(volume.data)).sum())
        raise BadInput(f"{name} must be finite, got {count} voxels of NaN or infinity.")
    if volume.data.min() < 0:
        raise BadInput(f"{name} must not be negative, got a minimum of {volume.data.min():.6g}.")
    if volume.data.max() > largest:
        raise BadInput(
            f"{name} must be in Gy/GBq, got up to {volume.data.max():.6g}, which looks like Gy or "
            "mGy. Convert it."
        )


def _read(cohort: Cohort, case: Case, name: str) -> Volume:
    return read_volume(cohort.folder(case) / name, name=f"{case.name}/{name}")


METHOD_NAME = r"[A-Za-z0-9_.+-]{1,40}"
UNIT_FACTOR_NEAR = 1.5
UNIT_FACTOR_LEAST = 3.0
"""A dose off by the administered activity in GBq, to within a factor of 1.5, is taken for Gy
where that activity is 3 GBq or more (ours): below, an honest error could be as large."""


@dataclass(frozen=True)
class Method:
    """A prediction folder under the name that tables give it."""

    name: str
    folder: Path
    info: PredictionInfo


def read_methods(named: Sequence[str]) -> list[Method]:
    """Read ``NAME=DIR`` and each folder's ``prediction.json``.

    Raises:
        BadInput: Not of that form, a name twice, or the JSON is missing or broken.
    """
    methods: dict[str, Method] = {}
    for entry in named:
        name, equals, folder = entry.partition("=")
        if not equals or not re.fullmatch(METHOD_NAME, name) or not folder:
            raise BadInput(
                "--pred must be NAME=DIR, such as dosegan=prediction, NAME of letters, digits and "
                f"'_.+-', got {entry!r}."
            )
        if name in methods:
            raise BadInput(f"--pred must name each method once, got {name!r} twice.")
        if not Path(folder).is_dir():
            raise BadInput(f"--pred {name} must be a prediction folder, and '{folder}' is none.")
        path = Path(folder) / "prediction.json"
        info = read_json(path, PredictionInfo, name=f"prediction.json of {name}")
        methods[name] = Method(name, Path(folder), info)
    return list(methods.values())


def shared_cases(cases: Sequence[Case], methods: Sequence[Method], *, partial: bool) -> list[Case]:
    """Return the cases that every method predicts.

    Args:
        cases: The cases to be compared.
        methods: Prediction folders.
        partial: Leave out a case that a method lacks, instead of refusing.

    Raises:
        BadInput: A case is missing and ``partial`` is False, or no case is left.
    """
    missing = {
        method.name: [case.name for case in cases if not _predicted(method, case)]
        for method in methods
    }
    for name, names in missing.items():
        if names and not partial:
            listed = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if names[5:] else "")
            raise BadInput(
                f"{name} must predict every case, and lacks {listed}. Predict them, or compare "
                "what all methods have with --partial."
            )
    left_out = {name for names in missing.values() for name in names}
    shared = [case for case in cases if case.name not in left_out]
    if not shared:
        raise BadInput("There must be a case that every method predicts, and there is none.")
    return shared


def unseen_faults(cases: Sequence[Case], method: Method) -> list[str]:
    """Say which cases were seen, or may have been, by the weights that predicted them."""
    folds = {case.name: case.fold for case in cases if case.fold is not None}
    without = [name for name in folds if method.info.fold[name] is None]
    other = [name for name in folds if method.info.fold[name] not in (None, folds[name])]
    faults = []
    if without:
        faults.append(
            f"{method.name}: {len(without)} training cases were predicted without a fold; the "
            "comparison is fair only if the method never saw these patients."
        )
    if other:
        faults.append(
            f"{method.name}: {len(other)} training cases, such as {other[0]}, were predicted by "
            "another fold than their own, which was trained on them."
        )
    seen = method.info.pet_seen_in
    if seen is None and method.info.weights_sha256:
        faults.append(
            f"{method.name}: its weights do not tell which PETs they were trained on; the "
            "comparison is fair only if no patient here was among them."
        )
    trained = trained_on(cases, method)
    if trained:
        some = ", ".join(trained[:5]) + (", …" if trained[5:] else "")
        faults.append(
            f"{method.name}: its weights were TRAINED ON the PETs of {len(trained)} of "
            f"{len(cases)} cases ({some}); these are no test of it."
        )
    chosen = [
        case.name
        for case in cases
        if (seen or {}).get(case.name) == "validation" and method.info.fold[case.name] is None
    ]
    if chosen:
        faults.append(
            f"{method.name}: the PETs of {len(chosen)} of {len(cases)} cases, such as {chosen[0]}, "
            "chose the best epoch of its training, which flatters it."
        )
    return faults


def trained_on(cases: Sequence[Case], method: Method) -> list[str]:
    """Return the names of the cases whose PETs the method's weights were trained on."""
    seen = method.info.pet_seen_in or {}
    return [case.name for case in cases if seen.get(case.name) == "training"]


def read_dose(method: Method, maps: CycleMaps, cohort: Cohort) -> Float32[np.ndarray, "x y z"]:
    """Read a method's dose map of one cycle, Gy/GBq, checked against the cycle.

    Raises:
        BadInput: Missing or broken, another grid or affine, NaN or negative, predicted from
            another PET, or off by about the administered activity.
    """
    case = maps.case
    name = f"{method.name}: {case.name}/dose.nii.gz"
    volume = read_volume(method.folder / case.name / "dose.nii.gz", name=name)
    reference = Volume(maps.dose, maps.affine)
    fault = grid_fault(volume, reference, name=name, like_name="the case's pet.nii.gz")
    if fault:
        raise BadInput(fault)
    refuse_impossible(volume, name=name, largest=LARGEST_DOSE_GY_PER_GBQ)
    hashes = method.info.provenance.get("inputs")
    predicted_from = hashes.get(case.image) if isinstance(hashes, dict) else None
    if predicted_from not in (None, file_sha256(cohort.root / case.image)):
        raise BadInput(
            f"{name} must be predicted from this cohort's PET, and prediction.json has another "
            "PET's hash. Predict it again."
        )
    dose: Float32[np.ndarray, "x y z"] = volume.data.astype(np.float32)
    fault = unit_fault(dose, maps)
    if fault:
        raise BadInput(f"{name} {fault}")
    return dose


def unit_fault(dose: Float32[np.ndarray, "x y z"], maps: CycleMaps) -> str | None:
    """Say that a dose map looks like Gy where Gy/GBq is meant, or the reverse."""
    activity_gbq = maps.case.administered_activity_mbq / 1000
    counts = maps.known & (maps.organs > 0) & (maps.dose > 0)
    if not dose[counts].any():
        return None
    reference, predicted = maps.dose[counts].astype(np.float64), dose[counts].astype(np.float64)
    # Both, since a lesion or two can carry half of the sum.
    factors = np.array([predicted.sum() / reference.sum(), np.median(predicted / reference)])
    if near_activity(factors, activity_gbq):
        return (
            f"must be in Gy/GBq and looks like Gy: it holds {factors[0]:.3g} times the "
            f"reference's dose, near the administered {activity_gbq:.3g} GBq. Divide it by the "
            "administered activity."
        )
    if (factors > 0).all() and near_activity(1 / factors, activity_gbq):
        return (
            f"must be in Gy/GBq as the reference must: it holds 1/{1 / factors[0]:.3g} of the "
            f"reference's dose, near the administered {activity_gbq:.3g} GBq. One of the two is "
            "in Gy, or was divided twice."
        )
    return None


def scale_note(dose: Float32[np.ndarray, "x y z"], maps: CycleMaps) -> str | None:
    """Say that a dose map is far from the reference's scale, which may be a unit's fault."""
    here = maps.known & (maps.organs > 0)
    factor = float(dose[here].sum(dtype=np.float64) / maps.dose[here].sum(dtype=np.float64))
    if factor == 0 or 1 / UNIT_FACTOR_LEAST <= factor <= UNIT_FACTOR_LEAST:
        return None
    return f"holds {factor:.3g} times the reference's dose; is it in Gy/GBq?"


def near_activity(factors: Float[np.ndarray, " n"], activity_gbq: float) -> bool:
    """Say whether doses are all off by about the administered activity, at least 3 GBq."""
    if activity_gbq < UNIT_FACTOR_LEAST or not (factors > 0).all():
        return False
    return bool(np.all(np.abs(np.log(factors / activity_gbq)) < np.log(UNIT_FACTOR_NEAR)))


def _predicted(method: Method, case: Case) -> bool:
    return case.name in method.info.fold and (method.folder / case.name / "dose.nii.gz").is_file()
