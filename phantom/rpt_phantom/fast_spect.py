"""SPECT without photons: blur, recovery and noise as the simulated SPECT has them.

The chain is the camera's in short: one blur for all depths, an iterative recovery of resolution
with a too narrow response, the filter after it, and a wide trough around hot places, as scatter
correction by energy windows leaves. ``FAST`` was matched to ``full_spect``; README.md tells how
well, and what is left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, UInt8

from rpt_phantom.anatomy.axis_grid import Vector
from rpt_phantom.box import Box, averaged_by_volume
from rpt_phantom.breathing import breathed
from rpt_phantom.fields import blurred_and_shifted, gaussian_field
from rpt_phantom.grid import Grid
from rpt_phantom.truth import VirtualTruth

FOV_EDGE_SLICES = 2
"""At either end, not known at all times because the patient moves; ours."""
LEAST_BQ_PER_ML = 1e-3
"""Below is nothing, so that nothing is divided by it."""

Map = Float32[np.ndarray, "x y z"]
Coarse = Float32[np.ndarray, "a b c"]


@dataclass(frozen=True)
class FastSpect:
    """How the fast SPECT differs from the truth.

    Attributes:
        seen_fwhm_mm: Of the camera, one for all depths, mm.
        assumed_fwhm_mm: Of the recovery, mm.
        iterations: Of the recovery (Richardson and Lucy's).
        filter_fwhm_mm: After it, mm.
        trough_fwhm_mm: Of what is taken away around hot places, mm.
        trough: Share of it.
        noise_bq_per_ml: Variance per mean, Bq/mL.
        noise_length_mm: At which the noise's autocorrelation is 1/e, mm.
        misalignment_std_mm: Along x, y and z, what registration leaves, mm.
    """

    seen_fwhm_mm: float
    assumed_fwhm_mm: float
    iterations: int
    filter_fwhm_mm: float
    trough_fwhm_mm: float
    trough: float
    noise_bq_per_ml: float
    noise_length_mm: float
    misalignment_std_mm: Vector


FAST = FastSpect(
    seen_fwhm_mm=15.5,
    assumed_fwhm_mm=13.5,
    iterations=10,
    filter_fwhm_mm=7.0,
    trough_fwhm_mm=80.0,
    trough=0.05,
    noise_bq_per_ml=4500.0,
    noise_length_mm=8.0,
    misalignment_std_mm=(0.1, 0.1, 0.1),
)
"""Matched to ``LU177_ME`` and its reconstruction, scans of 12.5 min. The rigid registration of
the full mode's CTs was off by 0.01 to 0.09 mm along an axis; rounded up."""


def recovered_series(
    truth: VirtualTruth,
    *,
    times_h: Sequence[float],
    breaths_mm: Sequence[float],
    administered_mbq: float,
    how: FastSpect = FAST,
) -> tuple[Coarse, ...]:
    """Blur and recover the activity at each time: what all noise realisations share.

    Args:
        truth: The patient.
        times_h: From the start of the infusion, h.
        breaths_mm: How deep the patient breathes at each.
        administered_mbq: MBq.
        how: Blur and recovery.

    Returns:
        Bq/mL on voxels of 4.8 mm, before the filter.
    """
    return tuple(
        recovered(
            averaged_by_volume(
                breathed(
                    truth.activity_bq_per_ml(time_h=time_h, administered_mbq=administered_mbq),
                    truth.anatomy,
                    amplitude_mm=breath_mm,
                )
            ),
            truth.box,
            how=how,
        )
        for time_h, breath_mm in zip(times_h, breaths_mm, strict=True)
    )


def recovered(bq_per_ml: Coarse, box: Box, *, how: FastSpect = FAST) -> Coarse:
    """Blur by the camera and recover by iterations, Bq/mL on voxels of 4.8 mm.

    Source: Richardson, J Opt Soc Am 62 (1972) 55; Lucy, Astron J 79 (1974) 745: the same update
    as MLEM, with a blur for the projection.
    """
    seen = _blurred(bq_per_ml, box, how.seen_fwhm_mm)
    image = np.full_like(seen, max(float(seen.mean()), np.finfo(np.float32).tiny))
    for _ in range(how.iterations):
        expected = np.maximum(_blurred(image, box, how.assumed_fwhm_mm), LEAST_BQ_PER_ML)
        image = image * _blurred(seen / expected, box, how.assumed_fwhm_mm)
    return image


def fast_image(
    recovered: Coarse,
    box: Box,
    rng: np.random.Generator,
    *,
    shift_mm: Vector = (0.0, 0.0, 0.0),
    how: FastSpect = FAST,
) -> Map:
    """Filter and shift a recovered image, and add noise.

    Args:
        recovered: See ``recovered``.
        box: The grids.
        rng: Source of the noise.
        shift_mm: What the registration to the first SPECT left, mm.
        how: Filter and noise.

    Returns:
        Bq/mL on the case's grid.
    """
    return with_noise(fast_mean(recovered, box, shift_mm=shift_mm, how=how), box.case, rng, how=how)


def fast_mean(
    recovered: Coarse, box: Box, *, shift_mm: Vector = (0.0, 0.0, 0.0), how: FastSpect = FAST
) -> Map:
    """Return the image without noise, Bq/mL on the case's grid; see ``fast_image``."""
    filtered = _blurred(recovered, box, how.filter_fwhm_mm, shift_mm)
    around = _blurred(filtered, box, how.trough_fwhm_mm)
    share = np.float32(how.trough)
    mean: Map = box.on_case(np.maximum((1 + share) * filtered - share * around, np.float32(0)))
    return mean


def with_noise(mean: Map, grid: Grid, rng: np.random.Generator, *, how: FastSpect = FAST) -> Map:
    """Add noise that keeps the mean, whose variance goes with it and which is never negative.

    Log-normal, as an iterative reconstruction's is. Source: Barrett, Wilson & Tsui, Phys Med Biol
    39 (1994) 833.

    Args:
        mean: Bq/mL.
        grid: Its grid.
        rng: Source of chance.
        how: The noise's variance and length.
    """
    field = gaussian_field(grid, rng, correlation_length_mm=how.noise_length_mm)
    relative = np.float32(how.noise_bq_per_ml) / np.maximum(mean, np.float32(LEAST_BQ_PER_ML))
    log_variance = np.log1p(relative)
    noisy: Map = mean * np.exp(np.sqrt(log_variance) * field - log_variance / 2)
    return noisy


def _blurred(image: Coarse, box: Box, fwhm_mm: float, shift_mm: Vector = (0.0, 0.0, 0.0)) -> Coarse:
    return blurred_and_shifted(
        image, box.coarse.spacing_mm, fwhm_mm=(fwhm_mm,) * 3, shift_mm=shift_mm
    )


def misalignment_mm(rng: np.random.Generator, *, std_mm: Vector) -> Vector:
    """Draw what a registration leaves, mm; deviates beyond ± 2.5 SD are moved there.

    Args:
        rng: Source of chance.
        std_mm: Along x, y and z, mm.
    """
    x, y, z = np.clip(rng.standard_normal(3), -2.5, 2.5) * std_mm
    return float(x), float(y), float(z)


def field_of_view(grid: Grid) -> UInt8[np.ndarray, "x y z"]:
    """Return 1 where SPECT knows the dose: the detector's circle, not the end slices."""
    x, y, _ = grid.axes_mm()
    circle = np.hypot(x, y) <= grid.shape[0] * grid.spacing_mm / 2
    fov = np.repeat(circle.astype(np.uint8), grid.shape[2], axis=2)
    fov[:, :, :FOV_EDGE_SLICES] = 0
    fov[:, :, -FOV_EDGE_SLICES:] = 0
    return fov
