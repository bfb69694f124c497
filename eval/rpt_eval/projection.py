"""Dose maps made from a PET by scaling alone: pure functions, PET in and dose out."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Integer
from rpt_cohort import BadInput
from rpt_cohort.labels import ORGANS
from scipy.ndimage import gaussian_filter

from rpt_eval.predictions import CycleMaps
from rpt_eval.regions import organ

METHODS = {
    "organ_guided": "PET scaled to each organ's predicted mean dose",
    "organ_optimum": "PET scaled to each organ's measured mean dose in the field of view",
    "organ_guided_blurred": "as organ_guided, from the PET blurred to SPECT resolution",
    "organ_optimum_blurred": "as organ_optimum, from the PET blurred to SPECT resolution",
    "population_mean": "each organ, and the rest of the body, at the training cycles' mean dose",
    "pet_factor": "PET times the training cycles' one factor",
    "all_zero": "0 Gy/GBq everywhere",
}
FWHM_PER_SIGMA = math.sqrt(8.0 * math.log(2.0))


@dataclass(frozen=True)
class Recipe:
    """What makes one case's dose maps: all that was learnt, and the measured organ means.

    Attributes:
        guided: Predicted mean dose of each organ that is guided, Gy/GBq.
        optimum: Measured mean dose of each organ that can be rated, Gy/GBq.
        population: Training cycles' mean dose of each organ, Gy/GBq.
        rest: Training cycles' mean dose of the rest of the body, Gy/GBq.
        factor: PET factor, Gy/GBq per g/mL.
        blurred_factor: The same of the PET blurred to SPECT resolution.
    """

    guided: dict[str, float]
    optimum: dict[str, float]
    population: dict[str, float]
    rest: float
    factor: float
    blurred_factor: float


def dose_maps(
    maps: CycleMaps, recipe: Recipe, *, fwhm_mm: float
) -> Iterator[tuple[str, Float32[np.ndarray, "x y z"], list[str]]]:
    """Yield the dose map of each of ``METHODS``, one at a time.

    Args:
        maps: The cycle; of its dose nothing is used.
        recipe: What to make it from.
        fwhm_mm: From PET to SPECT resolution, mm.

    Yields:
        Method; dose, Gy/GBq; organs that could not be scaled.
    """
    smooth = blurred(maps.suv, maps.spacing_mm, fwhm_mm=fwhm_mm)
    where = {name: organ(maps, name) for name in ORGANS}
    everywhere = np.ones_like(maps.known)
    for suffix, suv, factor in (
        ("", maps.suv, recipe.factor),
        ("_blurred", smooth, recipe.blurred_factor),
    ):
        for name, doses, over in (
            ("organ_guided", recipe.guided, everywhere),
            ("organ_optimum", recipe.optimum, maps.known),
        ):
            dose, left = organ_projection(suv, where, doses, over=over, factor=factor)
            yield name + suffix, dose, left
    rest = recipe.rest
    yield (
        "population_mean",
        constant_projection(maps.organs, recipe.population, rest_gy_per_gbq=rest),
        [],
    )
    yield "pet_factor", maps.suv * np.float32(recipe.factor), []
    yield "all_zero", np.zeros_like(maps.suv), []


def fwhm_between_mm(*, spect_fwhm_mm: float, pet_fwhm_mm: float) -> float:
    """Return the FWHM that takes an image from PET to SPECT resolution, mm; 0 where equal.

    Gaussian resolutions add in quadrature.

    Raises:
        BadInput: A resolution is not a finite number above 0 mm, or the SPECT's is below
            the PET's.
    """
    named = {"--spect-fwhm-mm": spect_fwhm_mm, "--pet-fwhm-mm": pet_fwhm_mm}
    for name, fwhm_mm in named.items():
        if not (math.isfinite(fwhm_mm) and fwhm_mm > 0):
            raise BadInput(f"{name} must be a finite number above 0 mm, got {fwhm_mm:g} mm.")
    if spect_fwhm_mm < pet_fwhm_mm:
        raise BadInput(
            f"--spect-fwhm-mm must not be below --pet-fwhm-mm, got {spect_fwhm_mm:g} mm and "
            f"{pet_fwhm_mm:g} mm. A PET cannot be sharpened; were the two swapped?"
        )
    return math.sqrt((spect_fwhm_mm - pet_fwhm_mm) * (spect_fwhm_mm + pet_fwhm_mm))


def blurred(
    suv: Float32[np.ndarray, "x y z"], spacing_mm: tuple[float, float, float], *, fwhm_mm: float
) -> Float32[np.ndarray, "x y z"]:
    """Blur a PET with a gaussian; beyond the volume its edge goes on.

    Args:
        suv: PET, g/mL.
        spacing_mm: Distance between voxel centres along each axis, mm.
        fwhm_mm: Full width at half maximum, mm; 0 leaves the PET as it is.
    """
    sigma_voxels = [fwhm_mm / FWHM_PER_SIGMA / mm for mm in spacing_mm]
    smooth: Float32[np.ndarray, "x y z"] = gaussian_filter(suv, sigma_voxels, mode="nearest")
    return smooth


def least_squares_sums(
    suv: Float32[np.ndarray, "x y z"],
    dose: Float32[np.ndarray, "x y z"],
    where: Bool[np.ndarray, "x y z"],
) -> tuple[float, float]:
    """Return Σ SUV·dose and Σ SUV² over ``where``; their quotient is the PET factor.

    The factor that minimises Σ (factor·SUV − dose)², Gy/GBq per g/mL; the sums of several
    cycles add up before the division.
    """
    x, y = (map_[where].astype(np.float64) for map_ in (suv, dose))
    return float(x @ y), float(x @ x)


def organ_projection(
    suv: Float32[np.ndarray, "x y z"],
    where: Mapping[str, Bool[np.ndarray, "x y z"]],
    organ_dose_gy_per_gbq: Mapping[str, float],
    *,
    over: Bool[np.ndarray, "x y z"],
    factor: float,
) -> tuple[Float32[np.ndarray, "x y z"], list[str]]:
    """Scale the PET to dose, each organ by its own mean dose, the rest by one factor.

    Args:
        suv: PET, sharp or blurred, g/mL.
        where: Each organ's voxels.
        organ_dose_gy_per_gbq: Mean dose of the organs that are to be scaled, Gy/GBq.
        over: The part of each organ over which the map's mean is to be that dose.
        factor: Elsewhere, Gy/GBq per g/mL.

    Returns:
        Dose, Gy/GBq, and the organs that could not be scaled, because their mean SUV is 0
        over that part; ``factor`` stands in them.
    """
    dose = suv * np.float32(factor)
    left: list[str] = []
    for name, mean_gy_per_gbq in organ_dose_gy_per_gbq.items():
        part = suv[where[name] & over]
        mean_suv = float(part.mean(dtype=np.float64)) if part.size else 0.0
        if mean_suv > 0:
            # The quotient of SUVs first: both may be tiny.
            dose[where[name]] = mean_gy_per_gbq * (suv[where[name]] / mean_suv)
        else:
            left.append(name)
    return dose, left


def constant_projection(
    organs: Integer[np.ndarray, "x y z"],
    organ_dose_gy_per_gbq: Mapping[str, float],
    *,
    rest_gy_per_gbq: float,
) -> Float32[np.ndarray, "x y z"]:
    """Give each organ one dose, the rest of the body another, and nothing outside, Gy/GBq."""
    dose = np.where(organs > 0, np.float32(rest_gy_per_gbq), np.float32(0.0))
    for name, mean_gy_per_gbq in organ_dose_gy_per_gbq.items():
        dose[np.isin(organs, ORGANS[name])] = mean_gy_per_gbq
    return dose
