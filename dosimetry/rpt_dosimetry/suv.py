"""A PET series becomes a body-weight SUV volume, with the story of its conversion."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from rpt_cohort import BadInput, Volume, file_sha256

from rpt_dosimetry.activity import Injection, injected_activity_bq
from rpt_dosimetry.attributes import (
    LOSSY,
    NUMBER_OF_SLICES,
    RESCALE_INTERCEPT,
    RESCALE_SLOPE,
    SERIES_TYPE,
)
from rpt_dosimetry.folder import DicomFile, Progress, no_progress
from rpt_dosimetry.geometry import find_grid, repeated_positions, to_ras
from rpt_dosimetry.injection_time import injection_time
from rpt_dosimetry.patient import Patient, read_patient
from rpt_dosimetry.pixels import rescaled, stored_values
from rpt_dosimetry.radiopharmaceutical import (
    Radiopharmaceutical,
    coded_nuclide,
    read_radiopharmaceutical,
)
from rpt_dosimetry.reading import DICOM_ERRORS, read_whole
from rpt_dosimetry.scan_times import acquisition_times, mid_scan
from rpt_dosimetry.series import Series
from rpt_dosimetry.suv_factor import SuvFactor, check_corrections, find_suv_factor
from rpt_dosimetry.tags import Tags, if_readable

LIKELY_LARGEST_SUV = 1000.0
"""g/mL; a bladder can exceed 100, a unit taken wrongly exceeds this."""


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
    scan_start_s: float | None
    mid_scan_s: float | None
    tags_used: list[dict[str, Any]]
    slice_sha256: list[str]
    warnings: list[str] = field(default_factory=list)


def convert(
    series: Series, *, warnings: Sequence[str] = (), progress: Progress = no_progress
) -> Suv:
    """Convert one PET series to body-weight SUV.

    Args:
        series: Single-frame PET images.
        warnings: What was told when the series was found, to be told first.
        progress: Wraps the list of files, to show how far the reading is.

    Returns:
        The volume and what it rests on.

    Raises:
        BadInput: The series cannot become SUV; the sentence names the tag or the slices.
    """
    told = list(warnings)
    files = _without_copies(series.files, told)
    grid = find_grid([file.header for file in files])
    files = [files[index] for index in grid.order]
    tags = Tags([file.header for file in files])
    _check_series(tags, told)
    check_corrections(tags, told)
    patient = read_patient(tags, told)
    injection = _read_injection(tags, told)
    factor = find_suv_factor(tags, patient=patient, injection=injection, warnings=told)
    if injection.fault:
        told.append(injection.fault)
    data, hashes = _read_suv(files, tags, factor.factor, progress)
    _check_values(data, told)
    volume, slice_axis, reverse = to_ras(data, grid)
    scan_start, scan_middle = _scan_times(tags, told)
    return Suv(
        volume=volume,
        slice_axis=slice_axis,
        factor=_reversed(factor) if reverse else factor,
        patient=patient,
        radiopharmaceutical=read_radiopharmaceutical(tags, told),
        injection=injection,
        scan_start_s=_after(injection.moment, scan_start),
        mid_scan_s=_after(injection.moment, scan_middle),
        tags_used=tags.record(injection.moment),
        slice_sha256=hashes[::-1] if reverse else hashes,
        warnings=told,
    )


def _without_copies(files: Sequence[DicomFile], warnings: list[str]) -> list[DicomFile]:
    """Drop byte-identical copies of a slice; refuse several slices at one position."""
    dropped: set[int] = set()
    repeated = repeated_positions([file.header for file in files])
    for group in repeated:
        if len({_sha256(files[index].path) for index in group}) > 1:
            raise BadInput(
                f"Each position must hold one slice, and {len(repeated)} positions hold several "
                "that differ: the series has several frames or gates, or was sent twice. Give "
                "one static volume."
            )
        dropped.update(group[1:])
    if dropped:
        warnings.append(f"{len(dropped)} of {len(files)} files are copies; each was used once.")
    return [file for index, file in enumerate(files) if index not in dropped]


def _sha256(path: Path) -> str:
    try:
        return file_sha256(path)
    except BadInput as error:  # its own message would repeat the file's name
        raise BadInput("Every slice must be a readable file, and one is not.") from error


def _check_series(tags: Tags, warnings: list[str]) -> None:
    expected = tags.number(NUMBER_OF_SLICES)
    if expected is not None and expected > len(tags):
        raise BadInput(
            f"{NUMBER_OF_SLICES} tells {expected:g} slices, and the series has {len(tags)}: some "
            "are missing. Copy or export the whole series."
        )
    kind = tags.text(SERIES_TYPE).upper()
    if "REPROJECTION" in kind:
        raise BadInput(f"{SERIES_TYPE} must be IMAGE, got REPROJECTION. Give the slices.")
    if kind.startswith(("DYNAMIC", "GATED")):
        warnings.append(f"{SERIES_TYPE} is dynamic or gated; this is one frame of it.")
    if "01" in tags.texts(LOSSY):
        warnings.append(f"{LOSSY} is 01: the values were changed by lossy compression.")


def _read_injection(tags: Tags, warnings: list[str]) -> Injection:
    nuclide = coded_nuclide(tags)
    activity_bq = injected_activity_bq(tags, warnings)
    try:
        return Injection(activity_bq, injection_time(tags, warnings), nuclide)
    except BadInput as error:  # a fault only where the branch needs the time
        return Injection(activity_bq, None, nuclide, fault=str(error))


def _read_suv(
    files: Sequence[DicomFile], tags: Tags, factor: Sequence[float], progress: Progress
) -> tuple[Float[np.ndarray, "i j k"], list[str]]:
    slopes = tags.need_numbers(RESCALE_SLOPE, "to read the voxel values")
    intercepts = tags.numbers(RESCALE_INTERCEPT) or [0.0] * len(tags)
    if min(slopes) <= 0:
        raise BadInput(f"{RESCALE_SLOPE} must be above 0 in every slice, got {min(slopes):g}.")
    planes, hashes = [], []
    for index, path in enumerate(progress([file.path for file in files], "Reading slices")):
        name = f"slice {index + 1} of {len(files)}"
        try:
            dataset, sha256 = read_whole(path)
        except DICOM_ERRORS as error:
            raise BadInput(f"Every slice must be a whole DICOM file, and {name} is not.") from error
        stored = stored_values(dataset, name=name)
        with np.errstate(over="ignore", invalid="ignore"):  # refused below as not finite
            plane = rescaled(stored, dataset, slope=slopes[index], intercept=intercepts[index])
            # NumPy's [row, column] is DICOM's [j, i].
            planes.append((plane * factor[index]).T)
        hashes.append(sha256)
    return np.stack(planes, axis=2), hashes


def _check_values(data: Float[np.ndarray, "i j k"], warnings: list[str]) -> None:
    if not (np.abs(data) <= np.finfo(np.float32).max).all():  # NaN compares as false
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


def _reversed(factor: SuvFactor) -> SuvFactor:
    at = factor.at_reference
    if at is not None:
        at = type(at)(at.decay_branch, at.activity_bq[::-1], at.elapsed_s[::-1])
    return SuvFactor(factor.units_branch, factor.factor[::-1], factor.factor_unit, at)


def _scan_times(tags: Tags, warnings: list[str]) -> tuple[datetime | None, datetime | None]:
    """Return begin and middle of the scan, for information only."""
    acquired = if_readable(lambda: acquisition_times(tags), warnings)
    if acquired is None:
        return None, None
    begin = min((moment for moment in acquired if moment is not None), default=None)
    return begin, if_readable(lambda: mid_scan(tags), warnings)


def _after(injection: datetime | None, moment: datetime | None) -> float | None:
    if injection is None or moment is None:
        return None
    return (moment - injection).total_seconds()
