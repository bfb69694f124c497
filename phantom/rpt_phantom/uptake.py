"""Sharp maps of SUV and absorbed dose: the truth, before any scanner.

A stand-in for pharmacokinetics: organ means are drawn, and within an organ both maps follow
Gaussian fields of which they share a part.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32
from rpt_cohort.labels import REMAINING_BODY

from rpt_phantom.anatomy import DENSITY_G_PER_ML, Anatomy
from rpt_phantom.lesions import Lesion, uptake_of_first
from rpt_phantom.populations import TISSUES, TissueUptake

ELECTRON_DOSE_G_GY_PER_MBQ_H = 0.08532
"""Dose of all Lu-177 electrons absorbed on the spot, 147.92 keV per decay (ICRP-107)."""

Map = Float32[np.ndarray, "x y z"]


@dataclass(frozen=True)
class Fields:
    """Gaussian fields of mean 0 and variance 1.

    Attributes:
        shared: What PET and dose have in common.
        pet: The PET's own.
        dose: The dose's own.
    """

    shared: Map
    pet: Map
    dose: Map


@dataclass(frozen=True)
class Truth:
    """Sharp and free of noise.

    Attributes:
        suv_g_per_ml: SUV, g/mL.
        dose_gy_per_gbq: Absorbed dose per administered activity, Gy/GBq.
    """

    suv_g_per_ml: Map
    dose_gy_per_gbq: Map


def paint(
    anatomy: Anatomy,
    uptake: dict[str, TissueUptake],
    lesions: list[Lesion],
    fields: Fields,
    *,
    cycle: int,
) -> Truth:
    """Give every voxel its SUV and absorbed dose.

    Args:
        anatomy: The patient on the grid.
        uptake: Means of every tissue in the table.
        lesions: The patient's lesions in the order of their numbers.
        fields: Heterogeneity; see ``populations`` for its strength in each tissue.
        cycle: Number of the cycle, from 1; lesions take up less later.

    Returns:
        Maps whose mean over a tissue, lesions aside, is that tissue's uptake. Air is 0.
    """
    suv = np.zeros(anatomy.organs.shape, np.float32)
    dose = np.zeros_like(suv)
    healthy = anatomy.lesions == 0
    for name, tissue in TISSUES.items():
        here = np.isin(anatomy.organs, tissue.labels) & healthy
        if not here.any():
            continue
        inner = (anatomy.fat if REMAINING_BODY in tissue.labels else anatomy.medulla)[here]
        means = uptake[name]
        suv[here] = means.suv_g_per_ml * _pattern(
            _mixed(fields.shared, fields.pet, here, means.shared) * tissue.pet_heterogeneity,
            inner,
            inner_uptake=tissue.inner[0],
        )
        dose[here] = means.dose_gy_per_gbq * _pattern(
            _mixed(fields.shared, fields.dose, here, means.shared) * tissue.dose_heterogeneity,
            inner,
            inner_uptake=tissue.inner[1],
        )
    for number, lesion in enumerate(lesions, start=1):
        here = anatomy.lesions == number
        suv[here] = lesion.suv_g_per_ml * uptake_of_first(cycle)
        dose[here] = lesion.dose_gy_per_gbq * uptake_of_first(cycle)
    return Truth(suv, dose)


def time_integrated_activity(dose_gy_per_gbq: Map) -> Map:
    """Return the time-integrated activity that deposits this dose on the spot.

    Args:
        dose_gy_per_gbq: Absorbed dose per administered activity, Gy/GBq.

    Returns:
        Time-integrated activity concentration, MBq·h/mL per GBq, if all electrons of Lu-177
        and no photons are absorbed where they start, in soft tissue of 1.04 g/mL.

    Source: 0.08532 g·Gy/(MBq·h) from ICRP-107.
    """
    per_dose = DENSITY_G_PER_ML / ELECTRON_DOSE_G_GY_PER_MBQ_H
    return np.asarray(dose_gy_per_gbq * np.float32(per_dose), dtype=np.float32)


def _mixed(
    shared: Map, own: Map, here: Bool[np.ndarray, "x y z"], share: float
) -> Float32[np.ndarray, " n"]:
    """Mix two fields so that the variance stays 1 and ``share`` of it is shared."""
    mixed = np.sqrt(share) * shared[here] + np.sqrt(1 - share) * own[here]
    return np.asarray(mixed, dtype=np.float32)


def _pattern(
    log_factor: Float32[np.ndarray, " n"], inner: Bool[np.ndarray, " n"], *, inner_uptake: float
) -> Float32[np.ndarray, " n"]:
    """Return relative uptake of mean 1."""
    pattern = np.exp(log_factor) * np.where(inner, inner_uptake, 1.0)
    return np.asarray(pattern / pattern.mean(), dtype=np.float32)
