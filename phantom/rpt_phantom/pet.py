"""The PET of a virtual patient: resolution, and noise that falls with the counts.

Noise grows with the depth of tissue that both photons must cross: correcting for it multiplies
what few counts are left. So it is largest in the middle of a large body.

Source: half-lives and positron yields from ICRP Publication 107; attenuation of water at 511 keV,
NIST XCOM; the resolution, usual of clinical scanners, the noise's level and length, and that two
directions stand for all, are ours.
"""

import numpy as np
from jaxtyping import Float32
from rpt_cohort.schema import TRACERS, Tracer
from rpt_dosimetry.radiation.nuclide import half_life_s

from rpt_phantom.grid import Grid, Vector, blurred_and_shifted, gaussian_field
from rpt_phantom.truth import Box, averaged_by_volume

PET_FWHM_MM = 5.5
PET_NOISE_LENGTH_MM = 6.0
PET_NOISE_SUV = 0.072
"""Variance per mean at the paper's scan: 12 % at a liver of SUV 5 in a patient of usual size."""
MU_CM2_PER_G = 0.096
"""Attenuation of soft tissue and, per mass, of lung and bone nearly so, 511 keV, cm²/g."""
USUAL_CORRECTION = 17.4
"""Mean of :func:`attenuation_correction` over the livers of 30 virtual patients."""
PET_AIR_SUV = 0.005
"""Stands for scatter and randoms, so that air is not perfectly still."""
PET_MISALIGNMENT_STD_MM = (1.0, 1.0, 1.0)
"""What the registration of another scanner's PET/CT to the SPECT leaves."""

POSITRONS_PER_DECAY = {"Ga-68": 0.891, "F-18": 0.967}
PAPER_NUCLIDE = "Ga-68"
PAPER_ACTIVITY_MBQ, PAPER_TIME_MIN, PAPER_WEIGHT_KG = 118.4, 60.0, 78.7

Map = Float32[np.ndarray, "x y z"]


def relative_positrons(
    tracer: Tracer, *, activity_mbq: float, weight_kg: float, time_min: float
) -> float:
    """Return what a unit of SUV leaves to be counted, relative to the paper's mean scan.

    The same SUV is less activity per mL in a heavier patient. The paper's is of [68Ga]Ga-PSMA-11.

    Args:
        tracer: Of 68Ga or 18F.
        time_min: From injection to mid-scan, min.
    """
    ours = activity_mbq / weight_kg * _positrons(TRACERS[tracer].nuclide, time_min)
    paper = PAPER_ACTIVITY_MBQ / PAPER_WEIGHT_KG * _positrons(PAPER_NUCLIDE, PAPER_TIME_MIN)
    return float(ours / paper)


def _positrons(nuclide: str, time_min: float) -> float:
    """Return those per decay, times what has not decayed by then."""
    return float(POSITRONS_PER_DECAY[nuclide] * 0.5 ** (time_min * 60.0 / half_life_s(nuclide)))


def attenuation_correction(density_g_per_ml: Map, grid: Grid) -> Map:
    """Return by how much counts are multiplied where they come from; the mean of two directions.

    Args:
        density_g_per_ml: Of the patient on the case's grid, g/mL.
    """
    mu_per_voxel = MU_CM2_PER_G * grid.spacing_mm[0] / 10.0
    across, through = (
        np.exp(mu_per_voxel * density_g_per_ml.sum(axis=axis, keepdims=True)) for axis in (0, 1)
    )
    return np.asarray((across + through) / 2.0, dtype=np.float32)


def pet_image(
    suv_g_per_ml: Float32[np.ndarray, "a b c"],
    density_g_per_ml: Float32[np.ndarray, "a b c"],
    box: Box,
    rng: np.random.Generator,
    *,
    relative_counts: float,
    shift_mm: Vector = (0.0, 0.0, 0.0),
) -> Map:
    """Image a true SUV map.

    Args:
        suv_g_per_ml: True SUV on voxels of 2.4 mm, g/mL.
        density_g_per_ml: Of the patient, there, g/mL.
        shift_mm: What its registration to the SPECT leaves, mm.

    Returns:
        SUV on the case's grid, g/mL, nowhere negative.
    """
    mean = pet_mean(suv_g_per_ml, box, shift_mm=shift_mm)
    density = box.on_case(averaged_by_volume(density_g_per_ml))
    correction = attenuation_correction(density, box.case) / np.float32(USUAL_CORRECTION)
    return with_noise(mean, box.case, rng, relative_counts=relative_counts / correction)


def pet_mean(
    suv_g_per_ml: Float32[np.ndarray, "a b c"], box: Box, *, shift_mm: Vector = (0.0, 0.0, 0.0)
) -> Map:
    """Return the PET without noise, SUV on the case's grid, g/mL; see ``pet_image``."""
    seen = blurred_and_shifted(
        suv_g_per_ml, box.fine.spacing_mm, fwhm_mm=(PET_FWHM_MM,) * 3, shift_mm=shift_mm
    )
    mean: Map = box.on_case(averaged_by_volume(seen))
    return mean


def with_noise(
    mean: Map, grid: Grid, rng: np.random.Generator, *, relative_counts: float | Map
) -> Map:
    """Add noise like a post-filtered reconstruction's; its variance goes with the mean.

    Args:
        mean: SUV without noise, g/mL.
        relative_counts: See ``relative_positrons``; the variance falls with it. One, or one a
            voxel.
    """
    noise = gaussian_field(grid, rng, correlation_length_mm=PET_NOISE_LENGTH_MM)
    std = np.sqrt(np.float32(PET_NOISE_SUV) / relative_counts * (mean + np.float32(PET_AIR_SUV)))
    return np.asarray(np.maximum(mean + std * noise, 0.0), dtype=np.float32)
