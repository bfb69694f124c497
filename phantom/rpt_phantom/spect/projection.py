"""What the camera's heads see of a patient: expected counts per second, then counts.

Attenuated and blurred unscattered photons, and scattered ones, in each of the three windows.
PyTomography is imported late, quietly, and used on one thread.
"""

import importlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType

import numpy as np
from jaxtyping import Bool, Float, Float32, Int32, Shaped
from rpt_cohort import BadInput
from rpt_dosimetry.calibration.planar import linear_attenuation_per_cm

from rpt_phantom.spect.camera import LU177_ME, PHOTON_KEV, Camera, primary_share
from rpt_phantom.spect.scatter_kernel import scatter_kernels, water_per_cm

Map = Float32[np.ndarray, "_ _ _"]
"""Shape (x, y, z), RAS+. Whether two are of one shape is for ``check_map`` to say."""
BODY_ABOVE_PER_CM = 0.03
"""A quarter of water's: lung is body, air and cloth are not; ours."""
MARGIN_MM = 30.0
"""Around the body, for the blur: 3 standard deviations at 30 cm; ours."""
SCATTER_PIXELS = 2
"""Scatter is simulated on voxels of so many pixels' width, 9.6 mm: it has no finer detail; ours."""
PLANES_MM = 9.6
"""Depth that is blurred by one width: FWHM goes by 0.26 mm over its half; ours."""
RADIUS_STEP_MM = 10.0
"""Heads stop at a multiple of it, and no nearer than the clearance; ours."""
AIR_RADIUS_MM = 250.0
"""Of a scan without a body, about an adult's; ours."""
_ML_PER_MM3 = 1e-3
_MBQ_PER_BQ = 1e-6


def mu_per_cm(ct_hu: Shaped[np.ndarray, "x y z"]) -> Map:
    """Return the attenuation coefficient at 208 keV, 1/cm, of a CT in HU.

    See ``linear_attenuation_per_cm`` for how.
    """
    per_cm: Map = linear_attenuation_per_cm(ct_hu, photon_kev=PHOTON_KEV).astype(np.float32)
    return per_cm


def coarser(values: Shaped[np.ndarray, "x y z"], factor: int) -> Map:
    """Average over cubes of ``factor`` voxels; what is left over at the end in z gets zeros.

    Raises:
        ValueError: The voxels in x or y are no multiple of ``factor``.
    """
    x, y, z = values.shape
    if x % factor or y % factor:
        raise ValueError(
            f"x and y must be multiples of {factor} voxels, got {x} and {y}. Pad the map evenly."
        )
    padded = np.pad(values, ((0, 0), (0, 0), (0, -z % factor)))
    blocks = padded.reshape(x // factor, factor, y // factor, factor, -1, factor)
    averaged: Map = blocks.mean(axis=(1, 3, 5), dtype=np.float32)
    return averaged


def body_width(body: Bool[np.ndarray, "x y z"], *, spacing_mm: float, multiple: int) -> int:
    """Return the width of the centred square that holds the body, in voxels.

    Args:
        multiple: What the width must be a multiple of.

    Returns:
        At most the width of ``body``.
    """
    n = int(body.shape[0])
    filled = np.concatenate(np.nonzero(np.any(body, axis=2)))
    if not filled.size:
        return n
    reach = float(np.abs(filled - (n - 1) / 2).max()) + 0.5 + MARGIN_MM / spacing_mm
    width = int(np.ceil(2 * reach / multiple)) * multiple
    return min(width, n)


def cropped(values: Shaped[np.ndarray, "x y z"], width: int) -> Shaped[np.ndarray, "w w z"]:
    """Cut the centred square of ``width`` voxels out of x and y."""
    first = (values.shape[0] - width) // 2
    return values[first : first + width, first : first + width]


def pixels_per_voxel(spacing_mm: float, camera: Camera) -> int:
    """Return how many voxels a pixel of the camera is wide.

    Raises:
        ValueError: It is no whole number.
    """
    ratio = round(camera.pixel_mm / spacing_mm)
    if ratio < 1 or abs(ratio * spacing_mm - camera.pixel_mm) > 1e-3 * camera.pixel_mm:
        raise ValueError(
            f"spacing_mm must be {camera.pixel_mm} mm (the camera's pixel) or a whole part of it, "
            f"got {spacing_mm} mm. Resample the map."
        )
    return ratio


def check_map(values: Map, name: str, *, like: Map | None = None) -> None:
    """Refuse a map that cannot be projected.

    Raises:
        ValueError: It is not square, of an odd width, of another shape, negative or not finite.
    """
    x, y, _ = values.shape
    if x != y or x % 2:
        raise ValueError(f"{name} must be of one even width in x and y, got {x} and {y}. Pad it.")
    if like is not None and values.shape != like.shape:
        raise ValueError(
            f"{name} must be on the activity's grid {like.shape}, got {values.shape}. Resample it."
        )
    if not np.isfinite(values).all() or values.min() < 0:
        raise ValueError(f"{name} must be finite and nowhere negative. Set such voxels to 0.")


def tomography() -> ModuleType:
    """Import ``rpt_phantom.spect.tomography``, which needs PyTomography.

    PyTomography switches off warnings and NumPy's error state for the whole process as it is
    imported: both are put back.

    Raises:
        BadInput: PyTomography is not installed.
    """
    try:
        with warnings.catch_warnings(), np.errstate():
            return importlib.import_module("rpt_phantom.spect.tomography")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("rpt_"):
            raise
        raise BadInput(
            f"PyTomography must be installed to image by SPECT, and {error.name} is missing. "
            "Install rpt-phantom[full]."
        ) from error


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch count on one thread: sums are then in one order in whatever process."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.no_grad():
            yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True)
class Views:
    """Where heads stand.

    Attributes:
        angles_deg: Angle of each view, degrees. At 0 the head is behind the patient, at 90 to the
            patient's left (−x), at 180 in front, at 270 to the right.
        radii_mm: From the axis of the grid to the collimator's face, mm.
    """

    angles_deg: Float[np.ndarray, " view"]
    radii_mm: Float[np.ndarray, " view"]

    @property
    def toward(self) -> Float[np.ndarray, "view 2"]:
        """Unit vectors (x, y) from the axis to each head."""
        turn = np.deg2rad(self.angles_deg)
        return -np.stack([np.sin(turn), np.cos(turn)], axis=1)


@dataclass(frozen=True)
class Expected:
    """Expected counts per second of one head at each view.

    Attributes:
        cps: In each window, shape (window, view, r, z).
        scatter_cps: The scattered share of ``cps``.
    """

    cps: Float32[np.ndarray, "window view r z"]
    scatter_cps: Float32[np.ndarray, "window view r z"]
    views: Views


@dataclass(frozen=True)
class Counts:
    """What a scan recorded.

    Attributes:
        counts: Shape (window, view, r, z).
    """

    counts: Int32[np.ndarray, "window view r z"]
    views: Views


def project(
    activity_bq_per_ml: Map,
    mu_per_cm: Map,
    *,
    spacing_mm: float,
    camera: Camera = LU177_ME,
    views: Views | None = None,
) -> Expected:
    """Simulate the views of a patient.

    Args:
        activity_bq_per_ml: True activity concentration, Bq/mL. RAS+, the axis of rotation in the
            middle of x and y.
        mu_per_cm: True attenuation coefficient at 208 keV, 1/cm, on the same grid.
        spacing_mm: Edge of a voxel, mm; a whole part of the camera's pixel.
        views: Where the heads stand; by default ``contour``.

    Returns:
        Expected counts per second on the camera's pixels.

    Raises:
        ValueError: A map is not finite, negative, of another shape, not square or of a
            width that the coarser voxels of the scatter do not divide.
        BadInput: PyTomography is not installed.
    """
    check_map(activity_bq_per_ml, "activity_bq_per_ml")
    check_map(mu_per_cm, "mu_per_cm", like=activity_bq_per_ml)
    ratio = pixels_per_voxel(spacing_mm, camera)
    views = views or contour(mu_per_cm, spacing_mm=spacing_mm, camera=camera)
    body = (activity_bq_per_ml > 0) | (mu_per_cm > BODY_ABOVE_PER_CM)
    multiple = 2 * SCATTER_PIXELS * ratio
    if activity_bq_per_ml.shape[0] % multiple:
        raise ValueError(
            f"The maps must be a multiple of {multiple} voxels wide at {spacing_mm} mm, got "
            f"{activity_bq_per_ml.shape[0]}. Pad them evenly."
        )
    width = body_width(body, spacing_mm=spacing_mm, multiple=multiple)
    per_bq_ml = _MBQ_PER_BQ * _ML_PER_MM3 * camera.sensitivity_cps_per_mbq / camera.heads
    activity_cps = cropped(activity_bq_per_ml, width) * np.float32(per_bq_ml * spacing_mm**3)
    mu = cropped(mu_per_cm, width)
    with one_thread():
        primary = _primary_cps(activity_cps, mu, views, spacing_mm, camera, ratio)
        scatter = _scatter_cps(activity_cps, mu, views, spacing_mm, camera, ratio)
    scatter = scatter[..., : primary.shape[-1]]
    share = primary_share(camera).astype(np.float32)[:, None, None, None]
    pixels = activity_bq_per_ml.shape[0] // ratio
    cps = _widened(share * primary + scatter, pixels)
    return Expected(cps, _widened(scatter, pixels), views)


def count(expected: Expected, rng: np.random.Generator, *, view_s: float) -> Counts:
    """Draw the counts of a scan.

    Args:
        expected: Counts per second.

    Returns:
        Counts of Poisson's distribution.

    Raises:
        ValueError: ``view_s`` is not above 0 s.
    """
    if not 0 < view_s < np.inf:
        raise ValueError(f"view_s must be above 0 s, got {view_s!r} s.")
    mean = expected.cps.astype(np.float64) * view_s
    return Counts(rng.poisson(mean).astype(np.int32), expected.views)


def contour(
    mu_per_cm: Map,
    *,
    spacing_mm: float,
    camera: Camera = LU177_ME,
    angles_deg: Float[np.ndarray, " view"] | None = None,
) -> Views:
    """Lead the heads around the body, as near as the clearance allows.

    Args:
        angles_deg: Of the views, degrees; by default the camera's.

    Returns:
        The views; on a circle of ``AIR_RADIUS_MM`` where there is no body.
    """
    n = mu_per_cm.shape[0]
    x, y = np.nonzero((mu_per_cm > BODY_ABOVE_PER_CM).any(axis=2))
    angles_deg = camera.angles_deg if angles_deg is None else angles_deg
    views = Views(angles_deg, np.full(len(angles_deg), AIR_RADIUS_MM))
    if not x.size:
        return views
    position_mm = (np.stack([x, y]) - (n - 1) / 2) * spacing_mm
    reach_mm = (views.toward @ position_mm).max(axis=1) + spacing_mm / 2 + camera.clearance_mm
    return Views(views.angles_deg, np.ceil(reach_mm / RADIUS_STEP_MM) * RADIUS_STEP_MM)


def _primary_cps(
    activity_cps: Map, mu_per_cm: Map, views: Views, spacing_mm: float, camera: Camera, ratio: int
) -> Float32[np.ndarray, "view r z"]:
    parts = tomography()
    planes = max(1, round(PLANES_MM / spacing_mm))
    blur = parts.DepthBlur(camera.fwhm_mm, pixel_mm=spacing_mm, planes_at_once=planes)
    matrix = parts.system_matrix(
        mu_per_cm,
        spacing_mm=spacing_mm,
        angles_deg=views.angles_deg,
        radii_mm=views.radii_mm,
        blur=blur,
    )
    fine = parts.forward(matrix, activity_cps)
    view, r, z = fine.shape
    fine = np.pad(fine, ((0, 0), (0, 0), (0, -z % ratio)))
    return np.asarray(fine.reshape(view, r // ratio, ratio, -1, ratio).sum(axis=(2, 4)))


def _scatter_cps(
    activity_cps: Map, mu_per_cm: Map, views: Views, spacing_mm: float, camera: Camera, ratio: int
) -> Float32[np.ndarray, "window view r z"]:
    parts = tomography()
    factor = SCATTER_PIXELS * ratio
    activity = coarser(activity_cps, factor) * np.float32(factor**3)
    mu = coarser(mu_per_cm, factor)
    density = mu / np.float32(water_per_cm(np.array([PHOTON_KEV]), "total")[0])
    voxel_mm = spacing_mm * factor
    kernels = scatter_kernels(camera, voxel_mm=voxel_mm)
    blur = parts.DepthBlur(camera.fwhm_mm, pixel_mm=voxel_mm)
    seen = []
    for kernel, attenuation in zip(kernels.counts, kernels.attenuation, strict=True):
        matrix = parts.system_matrix(
            mu * np.float32(attenuation),
            spacing_mm=voxel_mm,
            angles_deg=views.angles_deg,
            radii_mm=views.radii_mm,
            blur=blur,
            scatter=parts.EffectiveScatterSource(kernel, density),
        )
        seen.append(_finer(parts.forward(matrix, activity)))
    return np.stack(seen)


def _finer(coarse: Float32[np.ndarray, "view r z"]) -> Float32[np.ndarray, "view r2 z2"]:
    """Spread counts to pixels of half the width, linearly between the middles."""
    for axis in (1, 2):
        ends = [(1, 1) if one == axis else (0, 0) for one in range(3)]
        padded = np.moveaxis(np.pad(coarse, ends, mode="edge"), axis, 0)
        middle = padded[1:-1]
        halves = [0.75 * middle + 0.25 * padded[:-2], 0.75 * middle + 0.25 * padded[2:]]
        both = np.stack(halves, axis=1).reshape(-1, *padded.shape[1:]) / 2.0
        coarse = np.moveaxis(both, 0, axis)
    return np.ascontiguousarray(coarse, dtype=np.float32)


def _widened(
    values: Float32[np.ndarray, "window view r z"], width: int
) -> Float32[np.ndarray, "window view wide z"]:
    lacking = width - values.shape[2]
    before = lacking // 2
    return np.pad(values, ((0, 0), (0, 0), (before, lacking - before), (0, 0)))
