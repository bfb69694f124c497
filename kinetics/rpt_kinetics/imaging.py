"""What PET and SPECT make of the true SUV and dose: blur, then noise.

The dose map comes from SPECT, whose blur is the same at each time point; so blurring the dose is
blurring each image. A scanner's resolution is taken as an isotropic Gaussian.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from rpt_cohort.correlation import pearson_r
from scipy.ndimage import gaussian_filter

from rpt_kinetics.curves import Floats
from rpt_kinetics.parameters import Surroundings
from rpt_kinetics.simulation import PET_NOISE, SPECT_NOISE, Organ, Simulation, field_of

FWHM_PER_STD = 2.0 * np.sqrt(2.0 * np.log(2.0))


@dataclass(frozen=True, eq=False)
class Images:
    """SUV and dose as images show them, at the organ's voxels.

    Attributes:
        suv_g_per_ml: Shape (n,).
        dose_gy: Gy, shape (n,).
    """

    suv_g_per_ml: Floats
    dose_gy: Floats

    def pearson_r(self) -> float:
        """Return their r over the organ."""
        return pearson_r(self.suv_g_per_ml, self.dose_gy)


@dataclass(frozen=True)
class Decomposition:
    """Where 1 − r² of the images comes from, in the order in which it arises.

    1 − r² is the share of the dose's variance that a straight line through the SUV leaves open.
    ``kinetics`` is 1 − r² of the true SUV and dose. ``resolution`` is what blur adds to it: below
    0 where blur averages away differences between voxels that PET and dose do not share.
    ``noise`` is what noise adds to the blurred images' 1 − r². The three add up to 1 − r² of the
    images. (The order matters: another one would share it out otherwise. This one is nature's.)
    """

    kinetics: float
    resolution: float
    noise: float

    @property
    def total(self) -> float:
        """1 − r² of the images."""
        return self.kinetics + self.resolution + self.noise


def blurred(volume: Floats, *, fwhm_mm: float, spacing_mm: float) -> Floats:
    """Blur with an isotropic Gaussian on a periodic grid, so that the sum stays.

    Args:
        fwhm_mm: Full width at half maximum, mm; 0 leaves the volume as it is.
    """
    if fwhm_mm == 0:
        return volume
    return np.asarray(gaussian_filter(volume, fwhm_mm / FWHM_PER_STD / spacing_mm, mode="wrap"))


def blurred_images(
    simulation: Simulation, *, pet_fwhm_mm: float, spect_fwhm_mm: float, surroundings: Surroundings
) -> Images:
    """Return SUV and dose at the resolution of PET and SPECT, without noise.

    Args:
        surroundings: "cold": 0 outside the organ, which dims its rim in PET and SPECT alike;
            "alike": as if the organ went on, see :func:`rim_restored`.
    """
    organ = simulation.organ

    def seen(values: Floats, fwhm_mm: float) -> Floats:
        volume = organ.volume(values)
        return organ.values(blurred(volume, fwhm_mm=fwhm_mm, spacing_mm=organ.spacing_mm))

    images = Images(
        suv_g_per_ml=seen(simulation.suv_g_per_ml, pet_fwhm_mm),
        dose_gy=seen(simulation.dose_gy, spect_fwhm_mm),
    )
    if surroundings == "cold":
        return images
    return rim_restored(organ, images, pet_fwhm_mm=pet_fwhm_mm, spect_fwhm_mm=spect_fwhm_mm)


def rim_restored(
    organ: Organ, images: Images, *, pet_fwhm_mm: float, spect_fwhm_mm: float
) -> Images:
    """Divide images in cold surroundings by the equally blurred mask of the organ."""
    return Images(
        suv_g_per_ml=images.suv_g_per_ml / _blurred_mask(organ, pet_fwhm_mm),
        dose_gy=images.dose_gy / _blurred_mask(organ, spect_fwhm_mm),
    )


@lru_cache(maxsize=32)
def _blurred_mask(organ: Organ, fwhm_mm: float) -> Floats:
    mask = organ.volume(np.ones(len(organ.subtissue)))
    return organ.values(blurred(mask, fwhm_mm=fwhm_mm, spacing_mm=organ.spacing_mm))


def with_noise(simulation: Simulation, images: Images) -> Images:
    """Add noise of the parameters' SD, as smooth as an image of that resolution makes it.

    White noise that went through the same blur is a Gaussian field whose correlation length is
    two of the blur's standard deviations. Values may fall below 0, as in reconstructed images.
    """
    parameters = simulation.parameters

    def noisy(values: Floats, cv: float, fwhm_mm: float, purpose: int) -> Floats:
        field = field_of(
            simulation.organ,
            (simulation.seed, purpose),
            correlation_length_mm=2.0 * fwhm_mm / FWHM_PER_STD,
        )
        return np.asarray(values + cv * values.mean() * field)

    return Images(
        suv_g_per_ml=noisy(
            images.suv_g_per_ml, parameters.pet_noise_cv, parameters.pet_fwhm_mm, PET_NOISE
        ),
        dose_gy=noisy(
            images.dose_gy, parameters.spect_noise_cv, parameters.spect_fwhm_mm, SPECT_NOISE
        ),
    )


def imaged(simulation: Simulation) -> tuple[Images, Decomposition]:
    """Return SUV and dose as the parameters' scanners show them, and where 1 − r² comes from."""
    parameters = simulation.parameters
    sharp = blurred_images(
        simulation,
        pet_fwhm_mm=parameters.pet_fwhm_mm,
        spect_fwhm_mm=parameters.spect_fwhm_mm,
        surroundings=parameters.surroundings,
    )
    images = with_noise(simulation, sharp)
    left = [1.0 - one.pearson_r() ** 2 for one in (simulation, sharp, images)]
    return images, Decomposition(
        kinetics=left[0], resolution=left[1] - left[0], noise=left[2] - left[1]
    )
