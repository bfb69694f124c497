"""SPECT/CT series by the physics of the camera: what a virtual patient's scans record."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float32, Int16

from rpt_phantom.anatomy import Anatomy, ct_image
from rpt_phantom.box import END_SLICES, Box, case_axes
from rpt_phantom.breathing import breathed
from rpt_phantom.motion import Motion, moved
from rpt_phantom.spect import LU177_ME, Counts, Expected, count, mu_per_cm, project, reconstruct
from rpt_phantom.truth import VirtualTruth

CPS_PER_MBQ = 9.272
"""Of ``LU177_ME`` with our reconstruction, all heads together, measured on a cylinder by
``spect.measure_factor``; see the test that measures it again."""
AIR_HU = -1000.0


@dataclass(frozen=True)
class SpectView:
    """One SPECT before its counts are drawn.

    Attributes:
        expected: Counts per second.
        ct_hu: The CT beside it, on the case's grid, HU.
        motion: How the patient lies.
    """

    expected: Expected
    ct_hu: Int16[np.ndarray, "x y z"]
    motion: Motion


def view_series(
    truth: VirtualTruth,
    rng_ct: np.random.Generator,
    *,
    times_h: Sequence[float],
    breaths_mm: Sequence[float],
    administered_mbq: float,
    motions: Sequence[Motion],
) -> list[SpectView]:
    """Simulate what the heads see at each time.

    Args:
        truth: The patient.
        rng_ct: Source of the CTs' noise.
        times_h: From the start of the infusion, h.
        breaths_mm: How deep the patient breathes at each; attenuation is the CT's.
        administered_mbq: MBq.
        motions: How the patient lies at each time.
    """
    views = []
    for time_h, breath_mm, motion in zip(times_h, breaths_mm, motions, strict=True):
        activity = breathed(
            truth.activity_bq_per_ml(time_h=time_h, administered_mbq=administered_mbq),
            truth.anatomy,
            amplitude_mm=breath_mm,
        )
        lies = _lying(truth.anatomy, motion)
        views.append(
            SpectView(
                _expected(moved(activity, truth.box.fine, motion), lies, truth.box),
                ct_image(lies, rng_ct, grid=case_axes(truth.box.case)),
                motion,
            )
        )
    return views


def image_view(view: SpectView, rng: np.random.Generator) -> Float32[np.ndarray, "x y z"]:
    """Count a SPECT and reconstruct it.

    Args:
        view: What the heads see.
        rng: Source of chance.

    Returns:
        Bq/mL on the case's grid, as the patient lies at that time.
    """
    camera = LU177_ME
    counts = count(view.expected, rng, view_s=camera.view_s)
    seen = Counts(counts.counts[..., END_SLICES:-END_SLICES], counts.views)
    image = reconstruct(seen, mu_per_cm(view.ct_hu))
    voxel_ml = camera.pixel_mm**3 / 1000.0
    bq_per_count = 1e6 / CPS_PER_MBQ / camera.duration_s / voxel_ml
    return np.asarray(image * np.float32(bq_per_count), dtype=np.float32)


def _lying(anatomy: Anatomy, motion: Motion) -> Anatomy:
    hu = moved(anatomy.hu.astype(np.float32), anatomy.grid, motion)
    return replace(anatomy, hu=np.rint(hu).astype(np.int16))


def _expected(
    activity_bq_per_ml: Float32[np.ndarray, "a b c"], lies: Anatomy, box: Box
) -> Expected:
    spacing_mm = box.fine.spacing_mm[0]
    mu = mu_per_cm(box.square(lies.hu.astype(np.float32), outside=AIR_HU))
    return project(box.square(activity_bq_per_ml), mu, spacing_mm=spacing_mm)
