"""A quantitative PET or SPECT series becomes activity at its own time, and a CT series HU.

A time–activity fit needs what was there when it was measured, so the vendor's correction for decay
is undone, with the half-life that it was made with: the series' own tag, not a table's.

Source: DICOM PS3.3, C.8.9.1.1.5 (Decay Correction) and C.8.9.4.1.6 (Actual Frame Duration).
The middle of the scan as the one moment of a volume is ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from jaxtyping import Float
from rpt_cohort import BadInput, Volume

from rpt_dosimetry.dicom import attributes as dcm
from rpt_dosimetry.dicom.decay import (
    LARGEST_HALF_LIVES,
    check_total,
    decay_factor_told,
    decayed_activity_bq,
    refuse_before_injection,
)
from rpt_dosimetry.dicom.header import (
    Tags,
    administration_moment,
    decay_correction,
    if_readable,
    injected_activity_bq,
    injection_time,
    mid_scan,
    missing,
    refuse_zone_jump,
    seconds_after,
    warn_of_unknown_day,
)
from rpt_dosimetry.dicom.reading import Moment, Progress, no_progress
from rpt_dosimetry.dicom.reference_time import (
    EARLIEST_REFERENCE_S,
    Reference,
    Verdict,
    reference_of_admin,
    reference_of_none,
    reference_of_start,
)
from rpt_dosimetry.dicom.series import Series
from rpt_dosimetry.dicom.slices import (
    SeriesVolume,
    Slices,
    check_values,
    in_order,
    one_or_list,
    read_values,
    to_ras,
)
from rpt_dosimetry.dicom.tracer import coded_nuclide, need_half_life_s

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
        implied_after_s: From the reference time to the one that Decay Factor implies, s.
    """

    decay_branch: str
    half_life_s: float
    elapsed_s: list[float]
    factor: list[float]
    mid_scan: datetime
    administered: datetime | None
    verdict: Verdict
    implied_after_s: float | None


def decay_to_mid_scan(
    tags: Tags, *, coded_nuclide: str | None, warnings: list[str]
) -> DecayToMidScan:
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
    correction = decay_correction(tags, warnings)
    life_s = need_half_life_s(tags, coded_nuclide)
    middle = _need_mid_scan(tags)
    administered = _administered(tags, correction, warnings)
    reference = _reference(tags, correction, life_s, administered, warnings)
    elapsed_s = [(middle - moment).total_seconds() for moment in reference.moments]
    _check_mid_scan(elapsed_s, life_s, correction, reference)
    if administered is not None:
        refuse_before_injection(reference, administered)
        warn_of_unknown_day(tags, life_s, warnings)
    factor = [
        decayed_activity_bq(activity_bq=1.0, elapsed_s=one_s, half_life_s=life_s)
        for one_s in elapsed_s
    ]
    return DecayToMidScan(
        f"{correction}: {reference.branch}",
        life_s,
        elapsed_s,
        factor,
        middle,
        administered,
        reference.verdict,
        reference.implied_after_s,
    )


def _need_mid_scan(tags: Tags) -> datetime:
    why = "in every slice to know the middle of the scan"
    for tag in (dcm.ACQUISITION_DATE, dcm.ACQUISITION_TIME, dcm.FRAME_DURATION):
        if not all(tags.texts(tag)):
            raise missing(tag, why)
    shortest_ms = min(tags.need_numbers(dcm.FRAME_DURATION, why))
    if shortest_ms <= 0:
        raise BadInput(f"{dcm.FRAME_DURATION} must be above 0 ms, got {shortest_ms:g} ms.")
    middle = mid_scan(tags)
    if middle is None:
        raise missing(dcm.ACQUISITION_TIME, why)
    return middle


def _administered(tags: Tags, correction: str, warnings: list[str]) -> datetime | None:
    """Return the begin of the administration, which only ADMIN cannot do without."""
    if correction != "ADMIN":
        return if_readable(lambda: injection_time(tags, warnings), warnings)
    moment = injection_time(tags, warnings)
    if moment is None:
        raise missing(
            dcm.START_DATETIME, f"(or {dcm.START_TIME}) with {dcm.DECAY_CORRECTION} ADMIN"
        )
    return moment


def _reference(
    tags: Tags,
    correction: str,
    life_s: float,
    administered: datetime | None,
    warnings: list[str],
) -> Reference:
    if correction == "NONE":
        return reference_of_none(tags, life_s, warnings)
    if correction == "ADMIN" and administered is not None:
        return reference_of_admin(tags, life_s, administered, warnings)
    earliest = datetime.min
    if administered is not None:
        earliest = administered + timedelta(seconds=EARLIEST_REFERENCE_S)
    return reference_of_start(tags, life_s, earliest, warnings)


def _check_mid_scan(
    elapsed_s: list[float], life_s: float, correction: str, reference: Reference
) -> None:
    if correction != "NONE" and min(elapsed_s) < EARLIEST_REFERENCE_S:
        raise BadInput(
            f"{reference.tag} must not be after the scan, and by the rule '{reference.branch}' "
            f"the values refer to {-min(elapsed_s):.0f} s after its middle. Check the dates and "
            "clocks."
        )
    worst_s = max(elapsed_s, key=abs)
    if abs(worst_s) > LARGEST_HALF_LIVES * life_s:
        raise BadInput(
            f"The middle of the scan must be within {LARGEST_HALF_LIVES:g} half-lives of the "
            f"reference time, and it is {worst_s / 3600.0:.1f} h away at a half-life of "
            f"{life_s / 3600.0:.2f} h. Check {dcm.START_DATETIME}, {dcm.START_TIME} and the dates."
        )


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
    tags = slices.tags
    refuse_zone_jump(tags)
    _check_units(tags)
    _check_corrections(tags, told)
    nuclide = coded_nuclide(tags)
    if nuclide is None:
        told.append(f"{dcm.RADIONUCLIDE_CODE} names no nuclide known here; the half-life was used.")
    decay = decay_to_mid_scan(tags, coded_nuclide=nuclide, warnings=told)
    data, hashes = read_values(slices, [1.0] * len(tags), progress)
    check_values(data, told, noun="concentration", unit="Bq/mL", note=" as stored")
    stored_bq = _total_bq(data, slices)
    data *= decay.factor
    activity_bq = _total_bq(data, slices)
    injected_bq = if_readable(
        lambda: injected_activity_bq(tags, told, largest_guess_mbq=_LARGEST_GUESS_MBQ), told
    )
    elapsed_s = seconds_after(decay.administered, decay.mid_scan)
    field_ml = data.size * slices.grid.voxel_ml
    _compare_with_injected(activity_bq, injected_bq, elapsed_s, decay.half_life_s, field_ml, told)
    volume, slice_axis, reverse = to_ras(data, slices.grid)
    return Concentration(
        volume=volume,
        slice_axis=slice_axis,
        decay=_reversed(decay) if reverse else decay,
        nuclide=nuclide,
        injected_activity_bq=injected_bq,
        stored_activity_bq=stored_bq,
        activity_bq=activity_bq,
        injection_to_mid_scan_s=elapsed_s,
        administered=administration_moment(tags, decay.administered),
        tags_used=tags.record(decay.administered),
        slice_sha256=hashes[::-1] if reverse else hashes,
        warnings=told,
    )


def _check_units(tags: Tags) -> None:
    units = tags.text(dcm.UNITS).upper()
    if not units:
        raise missing(dcm.UNITS, "to know what the values are")
    if units == "CNTS":
        raise BadInput(
            f"{dcm.UNITS} must be BQML, got CNTS: counts are no activity. Calibrate them first, or "
            "export the series in BQML."
        )
    if units in ("GML", "CM2ML"):
        raise BadInput(
            f"{dcm.UNITS} must be BQML, got {units}: to undo a SUV its weight and dose would have "
            "to be guessed. Export the series in BQML."
        )
    if units != "BQML":
        raise BadInput(f"{dcm.UNITS} must be BQML, and it is not. Export the series in BQML.")


def _check_corrections(tags: Tags, warnings: list[str]) -> None:
    """Refuse a series without ATTN; warn of the others, which vendors leave out at times.

    UNIF is what nuclear medicine calls the correction that PET calls NORM.
    """
    corrections = set(tags.text(dcm.CORRECTED_IMAGE).upper().split("\\"))
    if "ATTN" not in corrections:
        raise BadInput(
            f"{dcm.CORRECTED_IMAGE} must contain ATTN, and it does not: without correction for "
            "attenuation a value is no concentration. Give the corrected series."
        )
    for names, of_what in ((("NORM", "UNIF"), "detector uniformity"), (("SCAT",), "scatter")):
        if not corrections & set(names):
            warnings.append(
                f"{dcm.CORRECTED_IMAGE} does not contain {' or '.join(names)}: make sure that the "
                f"series is corrected for {of_what}, for without it a value is no concentration."
            )


def _total_bq(data: Float[np.ndarray, "i j k"], slices: Slices) -> float:
    return float(data.sum()) * slices.grid.voxel_ml


def _compare_with_injected(
    activity_bq: float,
    injected_bq: float | None,
    elapsed_s: float | None,
    life_s: float,
    field_ml: float,
    warnings: list[str],
) -> None:
    if injected_bq is None:
        return
    left_bq = injected_bq
    if elapsed_s is not None:
        left_bq = decayed_activity_bq(
            activity_bq=injected_bq, elapsed_s=elapsed_s, half_life_s=life_s
        )
    told = (
        f"The field of view holds {activity_bq / 1e6:.4g} MBq at mid-scan, and of the injected "
        f"activity {left_bq / 1e6:.4g} MBq are left"
    )
    check_total(activity_bq / left_bq, told, warnings, field_ml=field_ml)


def _reversed(decay: DecayToMidScan) -> DecayToMidScan:
    return replace(decay, elapsed_s=decay.elapsed_s[::-1], factor=decay.factor[::-1])


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
        "scanner_decay_factor": decay_factor_told(decay.verdict, decay.implied_after_s),
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
    tags = slices.tags
    unit = tags.text(dcm.RESCALE_TYPE).upper()
    if unit not in ("", "HU"):
        raise BadInput(f"{dcm.RESCALE_TYPE} must be HU, and it is not. Export the CT in HU.")
    data, hashes = read_values(slices, [1.0] * len(tags), progress, padding=AIR_HU)
    _check_hu(data)
    volume, slice_axis, reverse = to_ras(data, slices.grid)
    return SeriesVolume(
        volume=Volume(np.rint(volume.data), volume.affine),
        slice_axis=slice_axis,
        tags_used=tags.record(None),
        slice_sha256=hashes[::-1] if reverse else hashes,
        warnings=told,
    )


def _check_hu(data: Float[np.ndarray, "i j k"]) -> None:
    if not ((data >= INT16.min) & (data <= INT16.max)).all():  # NaN compares as false
        raise BadInput(
            f"Every HU must be from {INT16.min} to {INT16.max}, got {data.min():g} to "
            f"{data.max():g}. Check Rescale Slope and Intercept."
        )
