"""A quantitative PET or SPECT series becomes activity at its own time, and a CT series HU.

A time–activity fit needs what was there when it was measured, so the vendor's correction for decay
is undone, with the half-life that it was made with: the series' own tag, not a table's.

Source: DICOM PS3.3, C.8.9.1.1.5 (Decay Correction) and C.8.9.4.1.6 (Actual Frame Duration).
The middle of the scan as the one moment of a volume is ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
from jaxtyping import Float
from rpt_cohort import BadInput, Volume

from rpt_dosimetry.dicom.decay import (
    check_total,
    decay_factor_told,
    decayed_activity_bq,
    no_injection,
    refuse_before_injection,
    refuse_half_lives,
)
from rpt_dosimetry.dicom.header import PetHeader, seconds_after
from rpt_dosimetry.dicom.reading import Moment, missing, shown
from rpt_dosimetry.dicom.reference_time import EARLIEST_REFERENCE_S, Reference, find_reference
from rpt_dosimetry.dicom.series import Progress, Series, no_progress
from rpt_dosimetry.dicom.slices import (
    SeriesVolume,
    check_values,
    in_order,
    one_or_list,
    read_values,
    to_ras,
)

_LARGEST_GUESS_MBQ = 30_000.0  # ours: of a therapy; more is likely kBq or µCi


@dataclass(frozen=True)
class DecayToMidScan:
    """What turns a concentration as stored into that at mid-scan.

    Attributes:
        decay_branch: Decay Correction, and where the reference time came from.
        half_life_s: As the series gives it, s.
        elapsed_s: Reference time to mid-scan, s, one a slice; below 0 where a slice was
            measured later and not corrected.
        factor: 2^(−elapsed / half-life), one a slice.
        mid_scan: The middle of the scan, on the series' clock.
    """

    decay_branch: str
    half_life_s: float
    elapsed_s: list[float]
    factor: list[float]
    mid_scan: datetime
    administered: datetime | None
    reference: Reference


def decay_to_mid_scan(header: PetHeader) -> DecayToMidScan:
    """Find the factor that expresses a series' values at the middle of its scan.

    The middle lies between the begin of the first frame and the end of the last, one moment
    for all slices; each slice is taken there from its own reference time. Of a scan in
    several beds this leaves out what moved between a bed and the middle, physical decay
    apart. ADMIN refers to the begin of the administration. How a vendor treats the decay
    within a frame is not told; the whole of it, for 25 min of Lu-177, is 0.2 %.

    Raises:
        BadInput: Decay Correction is missing or unknown, a time or the half-life is missing
            or cannot be right.
    """
    correction, life_s = header.decay_correction, header.half_life_s
    middle = _need_mid_scan(header)
    if correction == "ADMIN":  # only it cannot do without
        administered = header.injection
        if administered is None:
            raise no_injection(correction)
    else:
        administered = header.if_readable(lambda: header.injection)
    reference = find_reference(header, life_s, administered)
    elapsed_s = [(middle - moment).total_seconds() for moment in reference.moments]
    if correction != "NONE" and min(elapsed_s) < EARLIEST_REFERENCE_S:
        raise BadInput(
            f"{shown(reference.attribute)} must not be after the scan, and by the rule "
            f"'{reference.branch}' the values refer to {-min(elapsed_s):.0f} s after its middle. "
            "Check the dates and clocks."
        )
    refuse_half_lives(elapsed_s, life_s, what="The middle of the scan", of="reference time")
    if administered is not None:
        refuse_before_injection(reference, administered)
        header.warn_of_unknown_day(life_s)
    factor = [
        decayed_activity_bq(activity_bq=1.0, elapsed_s=one_s, half_life_s=life_s)
        for one_s in elapsed_s
    ]
    branch = f"{correction}: {reference.branch}"
    return DecayToMidScan(branch, life_s, elapsed_s, factor, middle, administered, reference)


def _need_mid_scan(header: PetHeader) -> datetime:
    why = "in every slice to know the middle of the scan"
    for keyword in ("AcquisitionDate", "AcquisitionTime", "ActualFrameDuration"):
        if not all(header.texts(keyword)):
            raise missing(keyword, why)
    shortest_ms = min(header.numbers("ActualFrameDuration"))
    if shortest_ms <= 0:
        raise BadInput(
            f"{shown('ActualFrameDuration')} must be above 0 ms, got {shortest_ms:g} ms."
        )
    middle = header.mid_scan
    if middle is None:
        raise missing("AcquisitionTime", why)
    return middle


@dataclass(frozen=True, kw_only=True)
class Concentration(SeriesVolume):
    """Activity concentration, Bq/mL at mid-scan, float32.

    Attributes:
        decay: The factor to mid-scan, in the order of the slices in ``volume``.
        nuclide: The coded one, such as ``Lu-177``; ``None`` where nothing known is coded.
        injected_activity_bq: As the series gives it, Bq; ``None`` where it is not told.
        stored_activity_bq: In the field of view, Bq, with the values as stored.
        activity_bq: In the field of view, Bq, at mid-scan.
        injection_to_mid_scan_s: From the begin of the administration, s, if told.
    """

    decay: DecayToMidScan
    nuclide: str | None
    injected_activity_bq: float | None
    stored_activity_bq: float
    activity_bq: float
    injection_to_mid_scan_s: float | None
    administered: Moment | None


def read_concentration(
    series: Series, *, warnings: Sequence[str] = (), progress: Progress = no_progress
) -> Concentration:
    """Read one series as activity concentration at mid-scan.

    Args:
        series: Single-frame images in Bq/mL: PET, or SPECT stored as PET.
        warnings: What was told when the series was found, to be told first.

    Returns:
        The volume and what it rests on. Weight, height and injected activity are not needed.

    Raises:
        BadInput: The series is not in Bq/mL, or its correction for decay cannot be undone;
            the sentence names the tag or the slices.
    """
    told = list(warnings)
    slices = in_order(series, told)
    header, voxel_ml = slices.header, slices.grid.voxel_ml
    header.refuse_zone_jump()
    _check_units(header.units)
    # UNIF is what nuclear medicine calls the correction that PET calls NORM.
    others = [(("NORM", "UNIF"), "detector uniformity"), (("SCAT",), "scatter")]
    header.check_corrections("concentration", others)
    if header.coded_nuclide is None:
        told.append(
            f"{shown('RadionuclideCodeSequence')} names no nuclide known here; the half-life was "
            "used."
        )
    decay = decay_to_mid_scan(header)
    data, hashes = read_values(slices, [1.0] * len(header), progress)
    check_values(data, told, noun="concentration", unit="Bq/mL", note=" as stored")
    stored_bq = float(data.sum()) * voxel_ml
    data *= decay.factor
    activity_bq = float(data.sum()) * voxel_ml
    injected_bq = header.if_readable(
        lambda: header.injected_bq(largest_guess_mbq=_LARGEST_GUESS_MBQ)
    )
    elapsed_s = seconds_after(decay.administered, decay.mid_scan)
    if injected_bq is not None:
        left_bq = decayed_activity_bq(
            activity_bq=injected_bq, elapsed_s=elapsed_s or 0.0, half_life_s=decay.half_life_s
        )
        sentence = (
            f"The field of view holds {activity_bq / 1e6:.4g} MBq at mid-scan, and of the injected "
            f"activity {left_bq / 1e6:.4g} MBq are left"
        )
        share = activity_bq / left_bq if left_bq > 0 else float("inf")
        check_total(share, sentence, told, field_ml=data.size * voxel_ml)
    volume, slice_axis, reverse = to_ras(data, slices.grid)
    return Concentration(
        volume=volume,
        slice_axis=slice_axis,
        decay=(
            replace(decay, elapsed_s=decay.elapsed_s[::-1], factor=decay.factor[::-1])
            if reverse
            else decay
        ),
        nuclide=header.coded_nuclide,
        injected_activity_bq=injected_bq,
        stored_activity_bq=stored_bq,
        activity_bq=activity_bq,
        injection_to_mid_scan_s=elapsed_s,
        administered=header.administration(decay.administered),
        tags_used=header.record(decay.administered),
        slice_sha256=hashes[::-1] if reverse else hashes,
        warnings=told,
    )


_NO_CONCENTRATION = {
    "CNTS": "counts are no activity. Calibrate them first, or export",
    **dict.fromkeys(
        ("GML", "CM2ML"), "to undo a SUV its weight and dose would have to be guessed. Export"
    ),
}


def _check_units(units: str) -> None:
    if units != "BQML":
        why = _NO_CONCENTRATION.get(units)
        told = f"got {units}: {why}" if why else "and it is not. Export"
        raise BadInput(f"{shown('Units')} must be BQML, {told} the series in BQML.")


def activity_report(concentration: Concentration, *, series: Series) -> dict[str, Any]:
    """Tell how a volume of activity concentration was made, for ``OUT.json``.

    Times are differences only, in h to 6 digits.

    Args:
        series: The source; of its UIDs only hashes are told.

    Returns:
        A JSON-ready mapping. A quantity that differs between slices is a list in the order
        of the slices along ``slice_axis``; one that nothing tells is ``None``.
    """
    decay, data = concentration.decay, concentration.volume.data
    injected_bq = concentration.injected_activity_bq
    after_s = concentration.injection_to_mid_scan_s
    return {
        "quantity": "activity concentration at mid-scan, Bq/mL",
        "nuclide": concentration.nuclide,
        "half_life_s": decay.half_life_s,
        "units_branch": "BQML",
        "decay_branch": decay.decay_branch,
        "decay_factor": one_or_list(decay.factor),
        "reference_to_mid_scan_h": one_or_list([_hours(one_s) for one_s in decay.elapsed_s]),
        "scanner_decay_factor": decay_factor_told(decay.reference),
        "injection_to_mid_scan_h": None if after_s is None else _hours(after_s),
        "injected_activity_mbq": None if injected_bq is None else injected_bq / 1e6,
        "activity_in_field_of_view_as_stored_mbq": concentration.stored_activity_bq / 1e6,
        "activity_in_field_of_view_mbq": concentration.activity_bq / 1e6,
        "bq_per_ml_min": float(data.min()),
        "bq_per_ml_max": float(data.max()),
        "voxels_below_0": int((data < 0).sum()),
        **concentration.told(series, command="activity"),
    }


def _hours(seconds: float) -> float:
    return round(seconds / 3600.0, 6)


AIR_HU = -1024.0
"""What padding outside the scanner's circle becomes."""
INT16 = np.iinfo(np.int16)


def read_ct(
    series: Series, *, warnings: Sequence[str] = (), progress: Progress = no_progress
) -> SeriesVolume:
    """Read one CT series as HU, float32 of whole numbers that fit int16.

    Returns:
        The volume, rounded to whole HU, and what it rests on.

    Raises:
        BadInput: The series is not in HU, or its slices are no regular volume; the sentence
            names the tag or the slices.
    """
    told = list(warnings)
    slices = in_order(series, told)
    header = slices.header
    if header.text("RescaleType").upper() not in ("", "HU"):
        raise BadInput(f"{shown('RescaleType')} must be HU, and it is not. Export the CT in HU.")
    data, hashes = read_values(slices, [1.0] * len(header), progress, padding=AIR_HU)
    _check_hu(data)
    volume, slice_axis, reverse = to_ras(data, slices.grid)
    return SeriesVolume(
        volume=Volume(np.rint(volume.data), volume.affine),
        slice_axis=slice_axis,
        tags_used=header.record(None),
        slice_sha256=hashes[::-1] if reverse else hashes,
        warnings=told,
    )


def _check_hu(data: Float[np.ndarray, "i j k"]) -> None:
    if not ((data >= INT16.min) & (data <= INT16.max)).all():  # NaN compares as false
        raise BadInput(
            f"Every HU must be from {INT16.min} to {INT16.max}, got {data.min():g} to "
            f"{data.max():g}. Check Rescale Slope and Intercept."
        )
