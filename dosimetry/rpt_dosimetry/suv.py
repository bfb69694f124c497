"""A PET series becomes a body-weight SUV volume, with the story of its conversion."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import numpy as np
from jaxtyping import Float
from rpt_cohort import BadInput, Volume
from rpt_cohort.schema import Tracer

from rpt_dosimetry.dicom.decay_correction import Injection, check_total, injected_activity_bq
from rpt_dosimetry.dicom.reading import Progress, no_progress
from rpt_dosimetry.dicom.series import Series
from rpt_dosimetry.dicom.slices import fits_float32, in_order, read_values, seconds_after, to_ras
from rpt_dosimetry.dicom.tags import Moment, Tags, if_readable
from rpt_dosimetry.dicom.times import (
    acquisition_times,
    administration_moment,
    injection_time,
    mid_scan,
    refuse_zone_jump,
)
from rpt_dosimetry.dicom.tracer import (
    Radiopharmaceutical,
    coded_nuclide,
    read_radiopharmaceutical,
)
from rpt_dosimetry.patient import Patient, read_patient
from rpt_dosimetry.suv_factor import SuvFactor, check_corrections, find_suv_factor

LIKELY_LARGEST_SUV = 1000.0
"""g/mL; a bladder can exceed 100, a unit taken wrongly exceeds this."""

_LARGEST_GUESS_MBQ = 3_000.0  # ours: of a PET tracer; more is likely kBq or µCi


@dataclass(frozen=True)
class Suv:
    """A body-weight SUV volume and what it rests on.

    Attributes:
        volume: SUV, g/mL, float32, RAS+.
        slice_axis: The axis of ``volume`` along which the slices stand, 0, 1 or 2.
        factor: The factor, in the order of the slices in ``volume``.
        patient: Body measures used.
        radiopharmaceutical: Tracer, nuclide and half-life.
        injection: What was injected.
        injected: When, on the series' clock, if told.
        scan_start_s: Injection to the begin of the first frame, s, if told.
        mid_scan_s: Injection to the middle of the scan, s, if told.
        tags_used: Every tag asked for and found.
        slice_sha256: The files, in the order of the slices.
        warnings: What the user should know, a sentence each.
    """

    volume: Volume
    slice_axis: int
    factor: SuvFactor
    patient: Patient
    radiopharmaceutical: Radiopharmaceutical
    injection: Injection
    injected: Moment | None
    scan_start_s: float | None
    mid_scan_s: float | None
    tags_used: list[dict[str, Any]]
    slice_sha256: list[str]
    warnings: list[str] = field(default_factory=list)


def convert(
    series: Series,
    *,
    tracer: Tracer | None = None,
    warnings: Sequence[str] = (),
    progress: Progress = no_progress,
) -> Suv:
    """Convert one PET series to body-weight SUV.

    Args:
        series: Single-frame PET images.
        tracer: As the user tells it, where the header does not name one clearly.
        warnings: What was told when the series was found, to be told first.
        progress: Wraps the list of files, to show how far the reading is.

    Returns:
        The volume and what it rests on.

    Raises:
        BadInput: The series cannot become SUV; the sentence names the tag or the slices. Or
            its header names another tracer or nuclide than ``tracer``.
    """
    told = list(warnings)
    slices = in_order(series, told)
    tags = slices.tags
    refuse_zone_jump(tags)
    check_corrections(tags, told)
    patient = read_patient(tags, told)
    injection = _read_injection(tags, told)
    factor = find_suv_factor(tags, patient=patient, injection=injection, warnings=told)
    if injection.fault:
        told.append(injection.fault)
    radiopharmaceutical = read_radiopharmaceutical(tags, told, tracer=tracer)
    data, hashes = read_values(slices, factor.factor, progress)
    _check_values(data, told)
    _check_total(data, slices.grid.voxel_ml, patient, told)
    volume, slice_axis, reverse = to_ras(data, slices.grid)
    scan_start, scan_middle = _scan_times(tags, told)
    return Suv(
        volume=volume,
        slice_axis=slice_axis,
        factor=_reversed(factor) if reverse else factor,
        patient=patient,
        radiopharmaceutical=radiopharmaceutical,
        injection=injection,
        injected=if_readable(lambda: administration_moment(tags, injection.moment), told),
        scan_start_s=seconds_after(injection.moment, scan_start),
        mid_scan_s=seconds_after(injection.moment, scan_middle),
        tags_used=tags.record(injection.moment),
        slice_sha256=hashes[::-1] if reverse else hashes,
        warnings=told,
    )


def _read_injection(tags: Tags, warnings: list[str]) -> Injection:
    nuclide = coded_nuclide(tags)
    activity_bq = injected_activity_bq(tags, warnings, largest_guess_mbq=_LARGEST_GUESS_MBQ)
    try:
        return Injection(activity_bq, injection_time(tags, warnings), nuclide)
    except BadInput as error:  # a fault only where the branch needs the time
        return Injection(activity_bq, None, nuclide, fault=str(error))


def _check_values(data: Float[np.ndarray, "i j k"], warnings: list[str]) -> None:
    if not fits_float32(data):
        raise BadInput("Every SUV must be a finite number, and some are not. Check Rescale Slope.")
    negative = int((data < 0).sum())
    if negative:
        warnings.append(
            f"{negative} voxels have a SUV below 0, down to {data.min():.3g} g/mL; they were kept."
        )
    if data.max() > LIKELY_LARGEST_SUV:
        warnings.append(
            f"The largest SUV is {data.max():.3g} g/mL: dose, weight or a time may be wrong."
        )
    if data.max() <= 0:
        warnings.append("No voxel has a SUV above 0 g/mL: the image is empty.")


def _check_total(
    data: Float[np.ndarray, "i j k"], voxel_ml: float, patient: Patient, warnings: list[str]
) -> None:
    """Hold the sum of SUV times volume (1 g/mL being the body's mean) against the weight."""
    suv_volume_kg = float(data.sum()) * voxel_ml / 1e3
    told = (
        f"SUV times volume sums to {suv_volume_kg:.4g} kg in the field of view, and the patient "
        f"weighs {patient.weight_kg:g} kg"
    )
    share = suv_volume_kg / patient.weight_kg
    check_total(share, told, warnings, field_ml=data.size * voxel_ml)


def _reversed(factor: SuvFactor) -> SuvFactor:
    at = factor.at_reference
    if at is not None:
        at = replace(at, activity_bq=at.activity_bq[::-1], elapsed_s=at.elapsed_s[::-1])
    return replace(factor, factor=factor.factor[::-1], at_reference=at)


def _scan_times(tags: Tags, warnings: list[str]) -> tuple[datetime | None, datetime | None]:
    """Return begin and middle of the scan, for information only."""
    acquired = if_readable(lambda: acquisition_times(tags), warnings)
    if acquired is None:
        return None, None
    begin = min((moment for moment in acquired if moment is not None), default=None)
    return begin, if_readable(lambda: mid_scan(tags), warnings)
