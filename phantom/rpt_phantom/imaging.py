"""The SPECT/CTs of a cycle, as scanned, and registered to the first, in either mode.

Full: by the physics of the camera. Fast: the camera's chain in short, one blur for all depths, an
iterative recovery of resolution with a too narrow response, the filter after it, a wide trough
around hot places, as scatter correction by energy windows leaves, and noise. ``FAST`` was matched
to the full mode; README.md tells how well, and what is left out.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float32, Int16, UInt8
from rpt_cohort import Volume
from rpt_dosimetry.ingest.alignment import STAYS
from rpt_dosimetry.registration.pair import Scan
from rpt_dosimetry.registration.transform import Rigid

from rpt_phantom.anatomy import ct_image
from rpt_phantom.grid import Grid, Vector, blurred_and_shifted, gaussian_field
from rpt_phantom.measured import CALIBRATION_LOG_STD, carried, find_motions, where_known
from rpt_phantom.motion import STILL, Motion, breathed, draw_motion, moved
from rpt_phantom.person import Generators, Purpose, Record
from rpt_phantom.settings import CohortSettings
from rpt_phantom.spect import LU177_ME, Counts, Expected, count, mu_per_cm, project, reconstruct
from rpt_phantom.truth import END_SLICES, Box, VirtualTruth, averaged_by_volume

FOV_EDGE_SLICES = 2
"""At either end, not known at all times because the patient moves; ours."""
LEAST_BQ_PER_ML = 1e-3
"""Below is nothing, so that nothing is divided by it."""
Map = Float32[np.ndarray, "x y z"]
Coarse = Float32[np.ndarray, "a b c"]
CPS_PER_MBQ = 9.272
"""Of ``LU177_ME`` with our reconstruction, all heads together, measured on a cylinder by
``spect.measure_factor``; see the test that measures it again."""
AIR_HU = -1000.0


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


def _activities(
    truth: VirtualTruth, record: Record, breaths_mm: Sequence[float]
) -> Iterator[Float32[np.ndarray, "a b c"]]:
    """Return the activity at each time, smeared by breath, Bq/mL on voxels of 2.4 mm."""
    for time_h, breath_mm in zip(record.spect_times_h, breaths_mm, strict=True):
        activity = truth.activity_bq_per_ml(
            time_h=time_h, administered_mbq=record.administered_activity_mbq
        )
        yield breathed(activity, truth.anatomy, amplitude_mm=breath_mm)


def recovered(bq_per_ml: Coarse, box: Box) -> Coarse:
    """Blur by the camera and recover by iterations, Bq/mL on voxels of 4.8 mm.

    Source: Richardson, J Opt Soc Am 62 (1972) 55; Lucy, Astron J 79 (1974) 745: the same update
    as MLEM, with a blur for the projection.
    """
    seen = _blurred(bq_per_ml, box, FAST.seen_fwhm_mm)
    image = np.full_like(seen, max(float(seen.mean()), np.finfo(np.float32).tiny))
    for _ in range(FAST.iterations):
        expected = np.maximum(_blurred(image, box, FAST.assumed_fwhm_mm), LEAST_BQ_PER_ML)
        image = image * _blurred(seen / expected, box, FAST.assumed_fwhm_mm)
    return image


def fast_image(
    recovered: Coarse, box: Box, rng: np.random.Generator, *, shift_mm: Vector = (0.0, 0.0, 0.0)
) -> Map:
    """Filter and shift a recovered image, and add noise.

    Args:
        shift_mm: What the registration to the first SPECT left, mm.

    Returns:
        Bq/mL on the case's grid.
    """
    return with_noise(fast_mean(recovered, box, shift_mm=shift_mm), box.case, rng)


def fast_mean(recovered: Coarse, box: Box, *, shift_mm: Vector = (0.0, 0.0, 0.0)) -> Map:
    """Return the image without noise, Bq/mL on the case's grid; see ``fast_image``."""
    filtered = _blurred(recovered, box, FAST.filter_fwhm_mm, shift_mm)
    around = _blurred(filtered, box, FAST.trough_fwhm_mm)
    share = np.float32(FAST.trough)
    mean: Map = box.on_case(np.maximum((1 + share) * filtered - share * around, np.float32(0)))
    return mean


def with_noise(mean: Map, grid: Grid, rng: np.random.Generator) -> Map:
    """Add noise that keeps a mean in Bq/mL; its variance goes with it, and nothing is negative.

    Log-normal, as an iterative reconstruction's is. Source: Barrett, Wilson & Tsui, Phys Med Biol
    39 (1994) 833.
    """
    field = gaussian_field(grid, rng, correlation_length_mm=FAST.noise_length_mm)
    relative = np.float32(FAST.noise_bq_per_ml) / np.maximum(mean, np.float32(LEAST_BQ_PER_ML))
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
        std_mm: Along x, y and z, mm.
    """
    x, y, z = np.clip(rng.standard_normal(3), -2.5, 2.5) * std_mm
    return float(x), float(y), float(z)


def field_of_view(grid: Grid) -> UInt8[np.ndarray, "x y z"]:
    """Return 1 where SPECT knows the dose: the detector's circle, not the end slices."""
    x, y, _ = grid.axes_mm()
    circle = np.hypot(x, y) <= grid.shape[0] * grid.spacing_mm[0] / 2
    fov = np.repeat(circle.astype(np.uint8), grid.shape[2], axis=2)
    fov[:, :, :FOV_EDGE_SLICES] = 0
    fov[:, :, -FOV_EDGE_SLICES:] = 0
    return fov


@dataclass(frozen=True)
class SpectView:
    """One SPECT before its counts are drawn.

    Attributes:
        expected: Counts per second.
        ct_hu: The CT beside it, on the case's grid, HU.
    """

    expected: Expected
    ct_hu: Int16[np.ndarray, "x y z"]
    motion: Motion


def _view(
    activity_bq_per_ml: Float32[np.ndarray, "a b c"],
    truth: VirtualTruth,
    motion: Motion,
    rng_ct: np.random.Generator,
) -> SpectView:
    """Simulate what the heads see; attenuation is by the CT, which does not breathe."""
    box, anatomy = truth.box, truth.anatomy
    hu = moved(anatomy.hu.astype(np.float32), anatomy.grid, motion)
    lies = replace(anatomy, hu=np.rint(hu).astype(np.int16))
    mu = mu_per_cm(box.square(lies.hu.astype(np.float32), outside=AIR_HU))
    activity = box.square(moved(activity_bq_per_ml, box.fine, motion))
    expected = project(activity, mu, spacing_mm=box.fine.spacing_mm[0])
    return SpectView(expected, ct_image(lies, rng_ct, grid=box.case), motion)


def image_view(view: SpectView, rng: np.random.Generator) -> Float32[np.ndarray, "x y z"]:
    """Count a SPECT and reconstruct it.

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


@dataclass(frozen=True)
class Series:
    """SPECT/CTs of a cycle on the case's grid.

    Attributes:
        scanned: Bq/mL at each time, as the patient lay then.
        ct_hu: CT of each; in the fast mode of the first alone, HU.
        registered: ``scanned`` as the patient lay at first, Bq/mL.
        fov: 1 where every SPECT is.
        motions: How the patient lay; in the fast mode the drawn rest of a registration is in the
            images instead.
        rigids: What the registration found: position at the first → position at each.
        views: What the heads saw; in the full mode only.
        recovered: What the fast mode's noise comes upon, Bq/mL on voxels of 4.8 mm.
    """

    scanned: tuple[Map, ...]
    ct_hu: tuple[Int16[np.ndarray, "x y z"], ...]
    registered: tuple[Map, ...]
    fov: UInt8[np.ndarray, "x y z"]
    motions: tuple[Motion, ...]
    rigids: tuple[Rigid, ...]
    views: tuple[SpectView, ...] = ()
    recovered: tuple[Coarse, ...] = ()


def image_series(
    settings: CohortSettings,
    truth: VirtualTruth,
    record: Record,
    generators: Generators,
    *,
    breaths_mm: Sequence[float],
) -> Series:
    """Image a patient at every time of the record.

    Args:
        breaths_mm: How deep the patient breathes at each time, mm.

    Raises:
        BadInput: PyTomography is needed and not installed, or a registration failed.
    """
    if settings.imaging == "full":
        return _full(truth, record, generators, breaths_mm)
    return _fast(truth, record, generators, breaths_mm)


def image_again(series: Series, truth: VirtualTruth, rng: np.random.Generator) -> tuple[Map, ...]:
    """Image the same patient once more: other noise, calibration and, if fast, misalignment.

    Returns:
        Bq/mL at each time, registered; in the full mode as the first images were.
    """
    if series.views:
        images = _calibrated([image_view(view, rng) for view in series.views], rng)
        return tuple(carried(images, series.rigids, truth.box.case))
    return _calibrated(_fast_images(series.recovered, truth, rng, rng), rng)


def _fast(
    truth: VirtualTruth, record: Record, generators: Generators, breaths_mm: Sequence[float]
) -> Series:
    grid = truth.box.case
    recovered_at = tuple(
        recovered(averaged_by_volume(activity), truth.box)
        for activity in _activities(truth, record, breaths_mm)
    )
    rng, rng_alignment = generators(Purpose.SPECT_IMAGE), generators(Purpose.ALIGNMENT)
    images = _calibrated(
        _fast_images(recovered_at, truth, rng, rng_alignment), generators(Purpose.CALIBRATION)
    )
    ct_hu = ct_image(truth.anatomy, generators(Purpose.CT_IMAGE), grid=grid)
    return Series(
        scanned=images,
        ct_hu=(ct_hu,),
        registered=images,
        fov=field_of_view(grid),
        motions=(STILL,) * len(images),
        rigids=(STAYS,) * len(images),
        recovered=recovered_at,
    )


def _fast_images(
    recovered: Sequence[Coarse],
    truth: VirtualTruth,
    rng: np.random.Generator,
    rng_alignment: np.random.Generator,
) -> list[Map]:
    """Return the images, all but the first off by what a registration leaves."""
    std_mm = FAST.misalignment_std_mm
    others = [misalignment_mm(rng_alignment, std_mm=std_mm) for _ in recovered[1:]]
    shifts_mm = [(0.0, 0.0, 0.0), *others]
    return [
        fast_image(one, truth.box, rng, shift_mm=shift_mm)
        for one, shift_mm in zip(recovered, shifts_mm, strict=True)
    ]


def _full(
    truth: VirtualTruth, record: Record, generators: Generators, breaths_mm: Sequence[float]
) -> Series:
    grid = truth.box.case
    rng_motion, rng_ct = generators(Purpose.MOTION), generators(Purpose.CT_IMAGE)
    others = [draw_motion(rng_motion) for _ in record.spect_times_h[1:]]
    views = [
        _view(activity, truth, motion, rng_ct)
        for activity, motion in zip(
            _activities(truth, record, breaths_mm), (STILL, *others), strict=True
        )
    ]
    rng = generators(Purpose.SPECT_IMAGE)
    scanned = _calibrated(
        [image_view(view, rng) for view in views], generators(Purpose.CALIBRATION)
    )
    scans = [_scan(image, view, grid) for image, view in zip(scanned, views, strict=True)]
    rigids = find_motions(scans)
    return Series(
        scanned=scanned,
        ct_hu=tuple(view.ct_hu for view in views),
        registered=tuple(carried(scanned, rigids, grid)),
        fov=where_known(scans, rigids, grid).astype(np.uint8),
        motions=tuple(view.motion for view in views),
        rigids=tuple(rigids),
        views=tuple(views),
    )


def _calibrated(images: Sequence[Map], rng: np.random.Generator) -> tuple[Map, ...]:
    """Scale all images of a cycle by one error of calibration."""
    factor = np.float32(np.exp(CALIBRATION_LOG_STD * np.clip(rng.standard_normal(), -2.5, 2.5)))
    return tuple(image * factor for image in images)


def _scan(image: Map, view: SpectView, grid: Grid) -> Scan:
    ct = Volume(view.ct_hu.astype(np.float64), grid.affine)
    return Scan(Volume(image, grid.affine), ct)
