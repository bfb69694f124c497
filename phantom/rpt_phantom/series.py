"""The SPECT/CTs of a cycle, in either mode: as scanned, and registered to the first."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int16, UInt8
from rpt_cohort import Volume
from rpt_dosimetry.ingest.alignment import STAYS
from rpt_dosimetry.registration.pair import Scan
from rpt_dosimetry.registration.transform import Rigid

from rpt_phantom.anatomy import ct_image
from rpt_phantom.box import case_axes
from rpt_phantom.fast_spect import (
    FAST,
    Coarse,
    fast_image,
    field_of_view,
    misalignment_mm,
    recovered_series,
)
from rpt_phantom.full_spect import SpectView, image_view, view_series
from rpt_phantom.grid import Grid
from rpt_phantom.measured import CALIBRATION_LOG_STD, carried, find_motions, where_known
from rpt_phantom.motion import STILL, Motion, draw_motion
from rpt_phantom.person import Record
from rpt_phantom.seeds import Generators, Purpose
from rpt_phantom.settings import Settings
from rpt_phantom.truth import VirtualTruth

Map = Float32[np.ndarray, "x y z"]


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
    settings: Settings,
    truth: VirtualTruth,
    record: Record,
    generators: Generators,
    *,
    breaths_mm: Sequence[float],
) -> Series:
    """Image a patient at every time of the record.

    Args:
        settings: With the mode.
        truth: The patient.
        record: Activity and times.
        generators: Of this cycle.
        breaths_mm: How deep the patient breathes at each time, mm.

    Raises:
        BadInput: PyTomography is needed and not installed, or a registration failed.
    """
    if settings.imaging == "full":
        return _full(truth, record, generators, breaths_mm)
    return _fast(truth, record, generators, breaths_mm)


def image_again(series: Series, truth: VirtualTruth, rng: np.random.Generator) -> tuple[Map, ...]:
    """Image the same patient once more: other noise, calibration and, if fast, misalignment.

    Args:
        series: The first images.
        truth: The patient.
        rng: Source of chance.

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
    recovered = recovered_series(
        truth,
        times_h=record.spect_times_h,
        breaths_mm=breaths_mm,
        administered_mbq=record.administered_activity_mbq,
    )
    rng, rng_alignment = generators(Purpose.SPECT_IMAGE), generators(Purpose.ALIGNMENT)
    images = _calibrated(
        _fast_images(recovered, truth, rng, rng_alignment), generators(Purpose.CALIBRATION)
    )
    ct_hu = ct_image(truth.anatomy, generators(Purpose.CT_IMAGE), grid=case_axes(grid))
    return Series(
        scanned=images,
        ct_hu=(ct_hu,),
        registered=images,
        fov=field_of_view(grid),
        motions=(STILL,) * len(images),
        rigids=(STAYS,) * len(images),
        recovered=recovered,
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
    rng_motion = generators(Purpose.MOTION)
    others = [draw_motion(rng_motion) for _ in record.spect_times_h[1:]]
    views = view_series(
        truth,
        generators(Purpose.CT_IMAGE),
        times_h=record.spect_times_h,
        breaths_mm=breaths_mm,
        administered_mbq=record.administered_activity_mbq,
        motions=(STILL, *others),
    )
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
