"""SPECT without photons: blur, bias and noise as the simulated and reconstructed SPECT has them.

``FAST`` was matched to ``full_spect``; README.md tells how well, and how to measure it again.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, UInt8

from rpt_phantom.box import Box, averaged_by_volume
from rpt_phantom.fields import blurred_and_shifted, gaussian_field
from rpt_phantom.grid import Grid
from rpt_phantom.stylised.solids import Vector
from rpt_phantom.truth import VirtualTruth

FOV_EDGE_SLICES = 2
"""At either end, not known at all times because the patient moves; ours."""

Map = Float32[np.ndarray, "x y z"]


@dataclass(frozen=True)
class FastSpect:
    """How the fast SPECT differs from the truth.

    Attributes:
        fwhm_mm: Of the Gaussian along x, y and z, on voxels of 4.8 mm, mm.
        bias: What is seen over what is there.
        noise_bq_per_ml: Variance per mean, Bq/mL.
        noise_length_mm: At which the noise's autocorrelation is 1/e, mm.
        misalignment_std_mm: Along x, y and z, what registration leaves, mm.
    """

    fwhm_mm: Vector
    bias: float
    noise_bq_per_ml: float
    noise_length_mm: float
    misalignment_std_mm: Vector


FAST = FastSpect((11.0, 11.0, 11.0), 1.0, 100.0, 9.0, (0.5, 0.5, 0.5))


def fast_series(
    truth: VirtualTruth,
    rng: np.random.Generator,
    rng_alignment: np.random.Generator,
    *,
    times_h: Sequence[float],
    administered_mbq: float,
    how: FastSpect = FAST,
) -> list[Map]:
    """Image a patient at each time, registered to the first.

    Args:
        truth: The patient.
        rng: Source of the noise.
        rng_alignment: Source of what the registration leaves.
        times_h: From the start of the infusion, h.
        administered_mbq: MBq.
        how: Blur, bias and noise.

    Returns:
        Bq/mL on the case's grid at each time.
    """
    seen = []
    for number, time_h in enumerate(times_h):
        activity = truth.activity_bq_per_ml(time_h=time_h, administered_mbq=administered_mbq)
        shift_mm = misalignment_mm(rng_alignment, how) if number else (0.0, 0.0, 0.0)
        mean = fast_mean(averaged_by_volume(activity), truth.box, how=how, shift_mm=shift_mm)
        seen.append(with_noise(mean, truth.box.case, rng, how=how))
    return seen


def fast_mean(
    bq_per_ml: Float32[np.ndarray, "a b c"],
    box: Box,
    *,
    how: FastSpect = FAST,
    shift_mm: Vector = (0.0, 0.0, 0.0),
) -> Map:
    """Return the image without noise, Bq/mL on the case's grid.

    Args:
        bq_per_ml: True activity on voxels of 4.8 mm, Bq/mL.
        box: The grids.
        how: Blur and bias.
        shift_mm: Of the patient against the first SPECT, mm.
    """
    spacing_mm = box.coarse.spacing_mm
    seen = blurred_and_shifted(bq_per_ml, spacing_mm, fwhm_mm=how.fwhm_mm, shift_mm=shift_mm)
    mean: Map = box.on_case(seen * np.float32(how.bias))
    return mean


def with_noise(mean: Map, grid: Grid, rng: np.random.Generator, *, how: FastSpect = FAST) -> Map:
    """Add noise, Bq/mL, whose variance goes with the mean."""
    noise = gaussian_field(grid, rng, correlation_length_mm=how.noise_length_mm)
    std = np.sqrt(np.float32(how.noise_bq_per_ml) * mean)
    return np.asarray(np.maximum(mean + std * noise, 0.0), dtype=np.float32)


def misalignment_mm(rng: np.random.Generator, how: FastSpect = FAST) -> Vector:
    """Draw what a registration leaves, mm; deviates beyond ± 2.5 SD are moved there."""
    x, y, z = np.clip(rng.standard_normal(3), -2.5, 2.5) * how.misalignment_std_mm
    return float(x), float(y), float(z)


def field_of_view(grid: Grid) -> UInt8[np.ndarray, "x y z"]:
    """Return 1 where SPECT knows the dose: the detector's circle, not the end slices."""
    x, y, _ = grid.axes_mm()
    circle = np.hypot(x, y) <= grid.shape[0] * grid.spacing_mm / 2
    fov = np.repeat(circle.astype(np.uint8), grid.shape[2], axis=2)
    fov[:, :, :FOV_EDGE_SLICES] = 0
    fov[:, :, -FOV_EDGE_SLICES:] = 0
    return fov
