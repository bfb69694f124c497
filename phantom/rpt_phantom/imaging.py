"""What the scanners make of the truth: blur, noise and field of view, without their physics.

Source: resolutions from `reference/clinical.md` (PET 5–6 mm, SPECT of 208 keV 10–15 mm
FWHM); HU are usual values; noise levels are ours.
"""

import numpy as np
from jaxtyping import Float32, Int16, UInt8
from rpt_cohort.labels import KIDNEY_LEFT, KIDNEY_RIGHT, LIVER, REMAINING_BODY, SPLEEN

from rpt_phantom.anatomy import Anatomy
from rpt_phantom.fields import blurred, gaussian_field
from rpt_phantom.grid import Grid
from rpt_phantom.spine import SACRUM, T1

PET_FWHM_MM = 6.0
PET_NOISE_LENGTH_MM = 6.0
PET_NOISE_SUV = 0.072  # variance per mean at the paper's 118.4 MBq: 12 % at a liver of SUV 5
PET_REFERENCE_MBQ = 118.4
PET_AIR_SUV = 0.005  # stands for scatter and randoms, so that air is not perfectly still

SPECT_FWHM_MM = 12.0
DOSE_NOISE_LENGTH_MM = 12.0
DOSE_NOISE_GY_PER_GBQ = 3e-4  # variance per mean: 2 % at a kidney of 0.7 Gy/GBq
DOSE_BIAS_STD = 0.03  # log SD of one cycle's calibration
FOV_EDGE_SLICES = 2  # at either end the SPECT is not known

AIR_HU, FAT_HU, SOFT_TISSUE_HU, BONE_HU, SCLEROTIC_HU = -1000, -100, 40, 300, 450
ORGAN_HU = {LIVER: 55, SPLEEN: 50, KIDNEY_RIGHT: 30, KIDNEY_LEFT: 30, REMAINING_BODY: 40}
CT_FWHM_MM = 4.0
CT_NOISE_HU = 12.0

Map = Float32[np.ndarray, "x y z"]


def pet_image(
    suv_g_per_ml: Map, grid: Grid, rng: np.random.Generator, *, activity_mbq: float
) -> Map:
    """Image a sharp SUV map: blurred, with noise like a post-filtered reconstruction's.

    Args:
        suv_g_per_ml: True SUV, g/mL.
        grid: Its grid.
        rng: Source of chance.
        activity_mbq: Injected activity, MBq; the noise's variance falls with it.

    Returns:
        SUV, g/mL, nowhere negative; the noise's variance is proportional to the mean.
    """
    mean = blurred(suv_g_per_ml, grid, fwhm_mm=PET_FWHM_MM)
    per_mean = PET_NOISE_SUV * PET_REFERENCE_MBQ / activity_mbq
    noise = gaussian_field(grid, rng, correlation_length_mm=PET_NOISE_LENGTH_MM)
    return _noisy(mean, noise, variance_per_mean=per_mean, background=PET_AIR_SUV)


def dose_image(dose_gy_per_gbq: Map, grid: Grid, rng: np.random.Generator) -> Map:
    """Measure a sharp dose map as SPECT would: smoother, a little noisy and miscalibrated.

    Args:
        dose_gy_per_gbq: True absorbed dose, Gy/GBq.
        grid: Its grid.
        rng: Source of chance.

    Returns:
        Absorbed dose, Gy/GBq, nowhere negative; 0 where ``field_of_view`` is 0.
    """
    bias = np.exp(DOSE_BIAS_STD * rng.standard_normal())
    mean = blurred(dose_gy_per_gbq, grid, fwhm_mm=SPECT_FWHM_MM) * np.float32(bias)
    noise = gaussian_field(grid, rng, correlation_length_mm=DOSE_NOISE_LENGTH_MM)
    dose = _noisy(mean, noise, variance_per_mean=DOSE_NOISE_GY_PER_GBQ, background=0.0)
    dose[field_of_view(grid) == 0] = 0.0
    return dose


def field_of_view(grid: Grid) -> UInt8[np.ndarray, "x y z"]:
    """Return 1 where SPECT knows the dose: the detector's circle, not the two end slices."""
    x, y, _ = grid.axes_mm()
    circle = np.hypot(x, y) <= grid.shape[0] * grid.spacing_mm / 2
    fov = np.repeat(circle.astype(np.uint8), grid.shape[2], axis=2)
    fov[:, :, :FOV_EDGE_SLICES] = 0
    fov[:, :, -FOV_EDGE_SLICES:] = 0
    return fov


def ct_image(anatomy: Anatomy, grid: Grid, rng: np.random.Generator) -> Int16[np.ndarray, "x y z"]:
    """Image the anatomy by CT.

    Args:
        anatomy: The patient on the grid.
        grid: Its grid.
        rng: Source of chance.

    Returns:
        Hounsfield units, −1024 and above.
    """
    hu_of_label = np.full(256, SOFT_TISSUE_HU, np.float32)
    hu_of_label[0] = AIR_HU
    hu_of_label[SACRUM : T1 + 1] = BONE_HU
    for organ, organ_hu in ORGAN_HU.items():
        hu_of_label[organ] = organ_hu
    hu = hu_of_label[anatomy.organs]
    hu[anatomy.fat] = FAT_HU
    hu[(anatomy.lesions > 0) & (hu == BONE_HU)] = SCLEROTIC_HU
    hu = blurred(hu, grid, fwhm_mm=CT_FWHM_MM)
    hu += np.float32(CT_NOISE_HU) * rng.standard_normal(grid.shape, dtype=np.float32)
    whole: Int16[np.ndarray, "x y z"] = np.maximum(np.rint(hu), -1024).astype(np.int16)
    return whole


def _noisy(mean: Map, noise: Map, *, variance_per_mean: float, background: float) -> Map:
    """Add ``noise`` of unit variance, scaled so that its variance grows with the mean."""
    std = np.sqrt(variance_per_mean * (mean + background))
    return np.asarray(np.maximum(mean + std * noise, 0.0), dtype=np.float32)
