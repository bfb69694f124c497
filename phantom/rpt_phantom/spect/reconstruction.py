"""From counts to an image corrected for attenuation, scatter and, in part, blur.

What it assumes is on purpose not what was simulated: attenuation from the CT image on voxels of a
pixel's width, scatter from the triple energy window, and a sharper response. The calibration
factor is measured on a phantom by the same chain.
"""

import numpy as np
from jaxtyping import Float, Float32
from rpt_dosimetry.calibration.factor import CalibrationFactor
from scipy.ndimage import gaussian_filter

from rpt_phantom.grid import FWHM_PER_STD, Grid
from rpt_phantom.spect.camera import LU177_ME, PHOTON_KEV, Camera
from rpt_phantom.spect.projection import (
    BODY_ABOVE_PER_CM,
    Counts,
    Map,
    body_width,
    check_map,
    coarser,
    count,
    cropped,
    one_thread,
    pixels_per_voxel,
    project,
    tomography,
)
from rpt_phantom.spect.scatter_kernel import water_per_cm

ITERATIONS, SUBSETS = 4, 10
"""Ours: 40 updates, as clinical protocols with resolution recovery have 30 to 60."""
FILTER_FWHM_MM = 7.0
"""Of the Gaussian after reconstruction; ours: hot spheres of 10 and 16 mm in a trunk then recover
0.33 and 0.56, around the 0.43 of 13 mm in Hippeläinen et al., EJNMMI Res 6 (2016) 16."""
RESPONSE_SHARE = 0.85
"""Of the assumed collimator's width; ours, see ``assumed_fwhm_mm``."""
SCATTER_FWHM_MM = 12.0
"""Scatter is smoothed by the resolution of the camera, which it has no detail below; ours."""
CYLINDER_RADIUS_MM, CYLINDER_LENGTH_MM = 108.0, 186.0
"""Inside of a Jaszczak phantom: 21.6 cm wide and 18.6 cm high."""
CYLINDER_MBQ = 1000.0
"""Ours: as much as calibrations use, and far from dead time."""
AIR_AROUND_MM = 38.4
"""Beyond the cylinder's ends, ours: what the blur carries out is counted."""
_BQ_PER_MBQ = 1e6


def assumed_fwhm_mm(
    distance_mm: Float[np.ndarray, " n"], camera: Camera = LU177_ME
) -> Float[np.ndarray, " n"]:
    """Return the resolution that the reconstruction assumes, FWHM, mm.

    A straight line: ``RESPONSE_SHARE`` of the collimator's, its holes as long as they are (no
    photon passes a corner of lead), and no intrinsic part. Between 10 and 30 cm it is a fifth
    below what is simulated; ours. A response that is too narrow recovers less and keeps clear of
    the edge overshoot that a too wide one gives.
    """
    holes = camera.collimator
    return RESPONSE_SHARE * holes.hole_mm * (1.0 + distance_mm / holes.length_mm)


def reconstruct(
    measured: Counts,
    mu_per_cm: Map,
    *,
    camera: Camera = LU177_ME,
    iterations: int = ITERATIONS,
    subsets: int = SUBSETS,
    filter_fwhm_mm: float = FILTER_FWHM_MM,
) -> Float32[np.ndarray, "x y z"]:
    """Reconstruct a tomogram by ordered subsets expectation maximisation.

    Args:
        measured: Counts of every window and view.
        mu_per_cm: Attenuation coefficient at 208 keV from the CT, 1/cm, on voxels of the camera's
            pixel.
        subsets: Of the views; each holds every ``subsets``-th.
        filter_fwhm_mm: Of the Gaussian filter after it, mm; 0 for none.

    Returns:
        Counts of all views a voxel, corrected for attenuation and scatter, RAS+ as the maps were:
        activity is counts / ``duration_s`` / calibration factor.

    Raises:
        ValueError: Counts and CT are not on one grid, the subsets do not divide the views, or the
            filter is below 0 mm.
        BadInput: PyTomography is not installed.
    """
    check_map(mu_per_cm, "mu_per_cm")
    view, r, z = measured.counts.shape[1:]
    if mu_per_cm.shape != (r, r, z):
        raise ValueError(
            f"mu_per_cm must be on the camera's pixels {(r, r, z)}, got {mu_per_cm.shape}. "
            "Resample the CT to them."
        )
    if not 0 <= filter_fwhm_mm < np.inf:
        raise ValueError(f"filter_fwhm_mm must be 0 mm or above, got {filter_fwhm_mm!r} mm.")
    if subsets < 1 or view % subsets:
        raise ValueError(f"subsets must divide the {view} views, got {subsets}.")
    width = body_width(mu_per_cm > BODY_ABOVE_PER_CM, spacing_mm=camera.pixel_mm, multiple=2)
    with one_thread():
        image = _reconstructed(measured, mu_per_cm, camera, width, iterations, subsets)
    around = (r - width) // 2
    whole = np.pad(image * np.float32(view), ((around, around), (around, around), (0, 0)))
    std = filter_fwhm_mm / FWHM_PER_STD / camera.pixel_mm
    # In z the body goes on beyond the field of view.
    return np.asarray(gaussian_filter(whole, std, mode="nearest"), dtype=np.float32)


def _reconstructed(
    measured: Counts, mu_per_cm: Map, camera: Camera, width: int, iterations: int, subsets: int
) -> Float32[np.ndarray, "w w z"]:
    parts = tomography()
    matrix = parts.system_matrix(
        cropped(mu_per_cm, width),
        spacing_mm=camera.pixel_mm,
        angles_deg=measured.views.angles_deg,
        radii_mm=measured.views.radii_mm,
        blur=parts.DepthBlur(
            lambda distance_mm: assumed_fwhm_mm(distance_mm, camera), pixel_mm=camera.pixel_mm
        ),
    )
    first = (measured.counts.shape[2] - width) // 2
    counts = measured.counts[:, :, first : first + width].astype(np.float32)
    scatter = parts.triple_energy_window(counts, camera, matrix, smoothing_fwhm_mm=SCATTER_FWHM_MM)
    image: Float32[np.ndarray, "w w z"] = parts.osem(
        matrix, counts[0], scatter, iterations=iterations, subsets=subsets
    )
    return image


def cylinder(grid: Grid) -> tuple[Map, Map]:
    """Fill a cylinder along z with water and activity.

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
        spacing_mm: Edge of a voxel of the simulation, mm; by default half a pixel.

    Returns:
        The factor, with the uncertainty of counting.
    """
    spacing_mm = spacing_mm or camera.pixel_mm / 2.0
    ratio = pixels_per_voxel(spacing_mm, camera)
    wide = 8 * ratio * round(2.6 * CYLINDER_RADIUS_MM / spacing_mm / (8 * ratio))
    long = 2 * ratio * round((CYLINDER_LENGTH_MM / 2 + AIR_AROUND_MM) / spacing_mm / ratio)
    activity_bq_per_ml, mu_per_cm = cylinder(Grid.centred((wide, wide, long), spacing_mm))
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
    x, y, z = grid.shape
    fine = Grid.centred((3 * x, 3 * y, 3 * z), grid.spacing_mm[0] / 3)
    x_mm, y_mm, z_mm = fine.axes_mm()
    disc = np.hypot(x_mm, y_mm) <= CYLINDER_RADIUS_MM
    within = disc & (np.abs(z_mm) <= CYLINDER_LENGTH_MM / 2)
    return coarser(within, 3)
