"""The calibration factor, measured on a phantom by the chain that images patients."""

import numpy as np
from rpt_dosimetry.calibration.factor import CalibrationFactor

from rpt_phantom.grid import Grid
from rpt_phantom.spect.camera import LU177_ME, PHOTON_KEV, Camera
from rpt_phantom.spect.maps import Map, coarser, pixels_per_voxel
from rpt_phantom.spect.projection import count, project
from rpt_phantom.spect.reconstruction import ITERATIONS, SUBSETS, reconstruct
from rpt_phantom.spect.scatter_kernel import water_per_cm

CYLINDER_RADIUS_MM, CYLINDER_LENGTH_MM = 108.0, 186.0
"""Inside of a Jaszczak phantom: 21.6 cm wide and 18.6 cm high."""
CYLINDER_MBQ = 1000.0
"""Ours: as much as calibrations use, and far from dead time."""
AIR_AROUND_MM = 38.4
"""Beyond the cylinder's ends, ours: what the blur carries out is counted."""
_BQ_PER_MBQ = 1e6


def cylinder(grid: Grid) -> tuple[Map, Map]:
    """Fill a cylinder along z with water and activity.

    Args:
        grid: Where.

    Returns:
        Activity concentration, Bq/mL, of ``CYLINDER_MBQ`` in all, and attenuation coefficient at
        208 keV, 1/cm.
    """
    share = _inside(grid)
    activity_bq_per_ml = share * (CYLINDER_MBQ * _BQ_PER_MBQ / (share.sum() * grid.voxel_ml))
    per_cm = water_per_cm(np.array([PHOTON_KEV]), "total")[0]
    return activity_bq_per_ml.astype(np.float32), (share * per_cm).astype(np.float32)


def measure_factor(
    rng: np.random.Generator,
    *,
    camera: Camera = LU177_ME,
    spacing_mm: float | None = None,
    iterations: int = ITERATIONS,
    subsets: int = SUBSETS,
) -> CalibrationFactor:
    """Scan and reconstruct the cylinder, and compare all counts with the activity.

    cps/MBq = counts of the image / duration / activity: with it, activity concentration is
    counts / ``camera.duration_s`` / factor / mL of a voxel, whatever the bias of the scatter
    correction in this phantom.

    Args:
        rng: Source of chance.
        camera: Which.
        spacing_mm: Edge of a voxel of the simulation, mm; by default half a pixel.
        iterations: Of the reconstruction.
        subsets: Of the reconstruction.

    Returns:
        The factor, with the uncertainty of counting.
    """
    spacing_mm = spacing_mm or camera.pixel_mm / 2.0
    ratio = pixels_per_voxel(spacing_mm, camera)
    wide = 8 * ratio * round(2.6 * CYLINDER_RADIUS_MM / spacing_mm / (8 * ratio))
    long = 2 * ratio * round((CYLINDER_LENGTH_MM / 2 + AIR_AROUND_MM) / spacing_mm / ratio)
    activity_bq_per_ml, mu_per_cm = cylinder(Grid((wide, wide, long), spacing_mm))
    expected = project(activity_bq_per_ml, mu_per_cm, spacing_mm=spacing_mm, camera=camera)
    measured = count(expected, rng, view_s=camera.view_s)
    image = reconstruct(
        measured, coarser(mu_per_cm, ratio), camera=camera, iterations=iterations, subsets=subsets
    )
    cps_per_mbq = float(image.sum(dtype=np.float64)) / camera.duration_s / CYLINDER_MBQ
    counting = 1.0 / np.sqrt(float(measured.counts[0].sum()))
    return CalibrationFactor(cps_per_mbq, {"counting": float(counting)})


def _inside(grid: Grid) -> Map:
    """Return the share of each voxel that the cylinder fills, by 3 x 3 x 3 points."""
    fine = Grid((grid.shape[0] * 3, grid.shape[1] * 3, grid.shape[2] * 3), grid.spacing_mm / 3)
    x, y, z = fine.axes_mm()
    disc = np.hypot(x, y) <= CYLINDER_RADIUS_MM
    within = disc & (np.abs(z) <= CYLINDER_LENGTH_MM / 2)
    return coarser(within, 3)
