"""Whole-body views from front and back, as the heads sweep along the patient."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int32

from rpt_phantom.spect.camera import LU177_ME, Camera
from rpt_phantom.spect.projection import Expected, Map, contour, count, project

VELOCITY_MM_PER_S = 2.5
"""15 cm/min, usual for whole-body scans of Lu-177; ours."""
ANTERIOR_DEG, POSTERIOR_DEG = 180.0, 0.0


@dataclass(frozen=True)
class PlanarScan:
    """What a whole-body scan recorded.

    Attributes:
        counts: Shape (window, view, x, z): peak, lower and upper; anterior and posterior; x runs
            to the patient's right and z to the head in both views, as ``rpt_dosimetry``'s planes.
        exposure_s: How long each row was seen, s.
        duration_s: Of the sweep: the detector passes the whole length, s.
    """

    counts: Int32[np.ndarray, "window 2 x z"]
    pixel_mm: float
    velocity_mm_per_s: float
    exposure_s: float
    duration_s: float


def scan_planar(
    activity_bq_per_ml: Map,
    mu_per_cm: Map,
    rng: np.random.Generator,
    *,
    spacing_mm: float,
    camera: Camera = LU177_ME,
    velocity_mm_per_s: float = VELOCITY_MM_PER_S,
) -> PlanarScan:
    """Scan a patient from front and back.

    Both heads keep one height, the clearance above the thickest part. Every row is seen for one
    detector's length over the velocity. Dead time and the couch are left out.

    Args:
        activity_bq_per_ml: True activity concentration of the whole body, Bq/mL, RAS+.
        mu_per_cm: True attenuation coefficient at 208 keV, 1/cm, on the same grid.
        spacing_mm: Edge of a voxel, mm; a whole part of the camera's pixel.

    Returns:
        The scan.

    Raises:
        ValueError: A map cannot be projected, or the velocity is not above 0 mm/s.
        BadInput: PyTomography is not installed.
    """
    if not 0 < velocity_mm_per_s < np.inf:
        raise ValueError(
            f"velocity_mm_per_s must be above 0 mm/s, got {velocity_mm_per_s!r} mm/s. "
            "15 cm/min is 2.5 mm/s."
        )
    expected = expected_planar(activity_bq_per_ml, mu_per_cm, spacing_mm=spacing_mm, camera=camera)
    exposure_s = camera.detector_length_mm / velocity_mm_per_s
    counts = count(expected, rng, view_s=exposure_s).counts.copy()
    counts[:, 0] = counts[:, 0, ::-1]  # seen from in front, r runs to the patient's left
    length_mm = counts.shape[-1] * camera.pixel_mm + camera.detector_length_mm
    return PlanarScan(
        counts, camera.pixel_mm, velocity_mm_per_s, exposure_s, length_mm / velocity_mm_per_s
    )


def expected_planar(
    activity_bq_per_ml: Map, mu_per_cm: Map, *, spacing_mm: float, camera: Camera = LU177_ME
) -> Expected:
    """Return what both heads see while a row is in view; see ``scan_planar``."""
    angles_deg = np.array([ANTERIOR_DEG, POSTERIOR_DEG])
    views = contour(mu_per_cm, spacing_mm=spacing_mm, camera=camera, angles_deg=angles_deg)
    return project(activity_bq_per_ml, mu_per_cm, spacing_mm=spacing_mm, camera=camera, views=views)
