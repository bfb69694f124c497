"""What one cycle tells: SUV features of each organ, its record, and the dose to learn from.

The features are of the whole organ: where SPECT will look is not known before therapy.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64
from rpt_cohort import BadInput, Case, Cohort, CycleInfo, file_sha256
from rpt_cohort.labels import ORGANS
from scipy.ndimage import correlate, find_objects

from rpt_eval.cycles import CycleMaps, read_maps
from rpt_eval.projection import blurred, least_squares_sums
from rpt_eval.regions import SMALLEST_VOXELS, organ, too_small

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
