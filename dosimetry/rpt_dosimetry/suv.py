"""A PET series becomes a body-weight SUV volume, with the story of its conversion.

Source of the branches by Units: Vácha et al., Comprehensive manual for SUV computation (IBSI-SUV,
2026); QIBA FDG-PET/CT profile, vendor-neutral pseudo-code for SUV; DICOM PS3.3, C.8.9.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

import numpy as np
from jaxtyping import Float
from rpt_cohort import BadInput
from rpt_cohort.schema import Tracer

from rpt_dosimetry.dicom.attributes import (
    CORRECTED_IMAGE,
    DECAY_CORRECTION,
    HALF_LIFE,
    HEIGHT,
    PHILIPS_ACTIVITY_FACTOR,
    PHILIPS_SUV_FACTOR,
    SEX,
    START_DATETIME,
    START_TIME,
    SUV_TYPE,
    UNITS,
    WEIGHT,
    Tag,
)
from rpt_dosimetry.dicom.reading import Bounds, Progress, check_bounds, no_progress
from rpt_dosimetry.dicom.reference_time import (
    EARLIEST_REFERENCE_S,
    LARGEST_HALF_LIVES,
    Reference,
    Verdict,
    check_total,
    decay_correction,
    decay_factor_told,
    decayed_activity_bq,
    injected_activity_bq,
    need_half_life_s,
    reference_of_admin,
    reference_of_none,
    reference_of_start,
    refuse_before_injection,
    warn_of_unknown_day,
)
from rpt_dosimetry.dicom.series import Series
from rpt_dosimetry.dicom.slices import (
    SeriesVolume,
    check_values,
    in_order,
    one_or_list,
    read_values,
    seconds_after,
    to_ras,
)
from rpt_dosimetry.dicom.tags import (
    Moment,
    Tags,
    acquisition_times,
    administration_moment,
    if_readable,
    injection_time,
    mid_scan,
    missing,
    refuse_zone_jump,
)
from rpt_dosimetry.dicom.tracer import Radiopharmaceutical, coded_nuclide, read_radiopharmaceutical

Sex = Literal["M", "F", "O"]


_LARGEST_WEIGHT_KG = 1000.0  # above it the value is taken as grams
_LEAST_KG, _MOST_KG = 20.0, 400.0  # the bounds of cycle.json
_LARGEST_HEIGHT_M = 3.0  # above it the value is taken as centimetres
# Ours. A small phantom weighs 1 kg; no scanner's table bears 500 kg.
_WEIGHT_BOUNDS = Bounds(1.0, 500.0, "kg")
_HEIGHT_BOUNDS = Bounds(0.3, 2.5, "m")
_SEXES: dict[str, Sex] = {"M": "M", "F": "F", "O": "O"}


@dataclass(frozen=True)
class Patient:
    """Body measures."""

    weight_kg: float
    height_cm: float | None
    sex: Sex | None


def read_patient(tags: Tags, warnings: list[str]) -> Patient:
    """Read the body measures.

    Raises:
        BadInput: The weight is missing or not plausible. A height or sex that cannot be
            read counts as not told: no branch needs them.
    """
    height_m = if_readable(lambda: _height_m(tags, warnings), warnings)
    return Patient(
        weight_kg=_weight_kg(tags, warnings),
        height_cm=None if height_m is None else round(height_m * 100.0, 6),
        sex=_SEXES.get((if_readable(lambda: tags.text(SEX), warnings) or "").upper()),
    )


def _weight_kg(tags: Tags, warnings: list[str]) -> float:
    weight = tags.number(WEIGHT)
    if weight is None:
        raise missing(WEIGHT, "to normalise to body weight")
    if weight <= 0:
        raise BadInput(f"{WEIGHT} must be above 0 kg, got {weight:g}. Correct the header.")
    if weight > _LARGEST_WEIGHT_KG:
        warnings.append(f"{WEIGHT} is {weight:g}, too large for kg; it was taken as g.")
        weight /= 1000.0
    check_bounds(weight, WEIGHT, _WEIGHT_BOUNDS)
    if not _LEAST_KG <= weight <= _MOST_KG:
        warnings.append(f"{WEIGHT} is {weight:g} kg, which is not plausible for an adult.")
    return weight


def _height_m(tags: Tags, warnings: list[str]) -> float | None:
    height = tags.number(HEIGHT)
    if not height:
        return None
    if height > _LARGEST_HEIGHT_M:
        warnings.append(f"{HEIGHT} is {height:g}, too large for m; it was taken as cm.")
        height /= 100.0
    check_bounds(height, HEIGHT, _HEIGHT_BOUNDS)
    return height


_LARGEST_SPREAD_S = 60.0


@dataclass(frozen=True)
class Injection:
    """What was injected.

    Attributes:
        fault: Why ``moment`` could not be read, a sentence; empty where it could or where
            no tag tells it.
    """

    activity_bq: float
    moment: datetime | None
    coded_nuclide: str | None
    fault: str = ""


@dataclass(frozen=True)
class ActivityAtReference:
    """The activity that the voxel values refer to.

    Attributes:
        decay_branch: Decay Correction, and where the reference time came from.
        activity_bq: Injected activity decayed to the reference time, Bq, one a slice.
        elapsed_s: Injection to reference time, s, one a slice; all 0 for ADMIN.
        verdict: What Decay Factor says of the reference time.
        implied_after_s: From the reference time to the one that Decay Factor implies, s.
    """

    decay_branch: str
    activity_bq: list[float]
    elapsed_s: list[float]
    verdict: Verdict
    implied_after_s: float | None


def activity_at_reference(
    tags: Tags, injection: Injection, warnings: list[str]
) -> ActivityAtReference:
    """Decay the injected activity to the time that the voxel values refer to.

    Raises:
        BadInput: Decay Correction is missing or unknown, a time or the half-life that it
            needs is missing, or the half-life or the elapsed time cannot be right.
    """
    correction = decay_correction(tags, warnings)
    if correction == "ADMIN":
        return _as_administered(tags, injection, warnings)
    return _decayed(tags, injection, correction, warnings)


def _as_administered(tags: Tags, injection: Injection, warnings: list[str]) -> ActivityAtReference:
    """Take the injected activity as it is; the times serve to hold Decay Factor against it."""
    reference = Reference("administration", START_DATETIME, [])
    if injection.moment is not None:
        life_s = if_readable(lambda: tags.number(HALF_LIFE), warnings)
        reference = reference_of_admin(tags, life_s, injection.moment, warnings)
    return ActivityAtReference(
        "ADMIN",
        [injection.activity_bq] * len(tags),
        [0.0] * len(tags),
        reference.verdict,
        reference.implied_after_s,
    )


def _decayed(
    tags: Tags, injection: Injection, correction: str, warnings: list[str]
) -> ActivityAtReference:
    life_s = need_half_life_s(tags, injection.coded_nuclide)
    if injection.fault:
        raise BadInput(injection.fault)
    if injection.moment is None:
        raise missing(START_DATETIME, f"(or {START_TIME}) with {DECAY_CORRECTION} {correction}")
    if correction == "START":
        earliest = injection.moment + timedelta(seconds=EARLIEST_REFERENCE_S)
        reference = reference_of_start(tags, life_s, earliest, warnings)
    else:
        reference = reference_of_none(tags, life_s, warnings)
    elapsed_s = [(moment - injection.moment).total_seconds() for moment in reference.moments]
    refuse_before_injection(reference, injection.moment)
    _check_elapsed(elapsed_s, life_s)
    _warn_of_times(tags, elapsed_s, life_s, correction, warnings)
    injected_bq = injection.activity_bq
    left_bq = [
        decayed_activity_bq(activity_bq=injected_bq, elapsed_s=one_s, half_life_s=life_s)
        for one_s in elapsed_s
    ]
    return ActivityAtReference(
        f"{correction}: {reference.branch}",
        left_bq,
        elapsed_s,
        reference.verdict,
        reference.implied_after_s,
    )


def _check_elapsed(elapsed_s: list[float], life_s: float) -> None:
    worst_s = max(elapsed_s, key=abs)
    if abs(worst_s) > LARGEST_HALF_LIVES * life_s:
        raise BadInput(
            f"The reference time must be within {LARGEST_HALF_LIVES:g} half-lives of the "
            f"injection, and it is {worst_s / 3600.0:.1f} h away at a half-life of "
            f"{life_s / 3600.0:.2f} h. Check {START_DATETIME}, {START_TIME} and the dates."
        )


def _warn_of_times(
    tags: Tags, elapsed_s: list[float], life_s: float, correction: str, warnings: list[str]
) -> None:
    spread_s = max(elapsed_s) - min(elapsed_s)
    if correction == "START" and spread_s > _LARGEST_SPREAD_S:
        warnings.append(
            f"The reference times of the slices differ by {spread_s:.0f} s, and a series has one."
        )
    warn_of_unknown_day(tags, life_s, warnings)


@dataclass(frozen=True)
class SuvFactor:
    """What turns rescaled values into body-weight SUV, g/mL.

    Attributes:
        units_branch: Units, and the vendor's factor where one was used.
        factor: g/mL per rescaled value, one a slice.
        at_reference: Activity and decay, where the branch needs them.
    """

    units_branch: str
    factor: list[float]
    factor_unit: str
    at_reference: ActivityAtReference | None = None


def check_corrections(tags: Tags, warnings: list[str]) -> None:
    """Refuse a series without the corrections that make its values quantitative.

    Args:
        warnings: Takes that NORM is not told: some vendors, and SPECT in the PET object,
            leave it out of a normalised series.

    Raises:
        BadInput: Corrected Image lacks ATTN.
    """
    corrections = tags.text(CORRECTED_IMAGE).upper().split("\\")
    if "ATTN" not in corrections:
        raise BadInput(
            f"{CORRECTED_IMAGE} must contain ATTN, and it does not: without correction for "
            "attenuation a value is no SUV. Give the corrected series."
        )
    if "NORM" not in corrections:
        warnings.append(
            f"{CORRECTED_IMAGE} does not contain NORM: make sure that the series is corrected "
            "for detector normalisation, for without it a value is no SUV."
        )


def find_suv_factor(
    tags: Tags, *, patient: Patient, injection: Injection, warnings: list[str]
) -> SuvFactor:
    """Find the factor by the series' Units.

    Raises:
        BadInput: Units that hold no SUV, or a tag that their branch needs is missing or
            impossible.
    """
    units = tags.text(UNITS).upper()
    if not units:
        raise missing(UNITS, "to know what the values are")
    if units == "GML":
        return _of_gml(tags)
    if units == "CNTS":
        return _of_counts(tags, patient, injection, warnings)
    if units == "BQML":
        return _of_bqml(tags, patient, injection, warnings)
    raise BadInput(
        f"{UNITS} must be BQML, GML or CNTS, got {_shown(units)}: such values cannot "
        "become SUV. Export the series in BQML."
    )


def _of_bqml(tags: Tags, patient: Patient, injection: Injection, warnings: list[str]) -> SuvFactor:
    at_reference = activity_at_reference(tags, injection, warnings)
    factor = [patient.weight_kg * 1000.0 / activity_bq for activity_bq in at_reference.activity_bq]
    return SuvFactor("BQML", factor, "g/mL per Bq/mL", at_reference)


def _of_counts(
    tags: Tags, patient: Patient, injection: Injection, warnings: list[str]
) -> SuvFactor:
    suv_factor = _philips(tags, PHILIPS_SUV_FACTOR, warnings)
    if suv_factor is not None:
        return SuvFactor("CNTS: Philips SUV factor", suv_factor, "g/mL per count")
    activity_factor = _philips(tags, PHILIPS_ACTIVITY_FACTOR, warnings)
    if activity_factor is None:
        raise BadInput(
            f"{UNITS} CNTS need {PHILIPS_SUV_FACTOR} or {PHILIPS_ACTIVITY_FACTOR}, not 0, and "
            "there is none: counts alone cannot become SUV. Export with private tags or in BQML."
        )
    bqml = _of_bqml(tags, patient, injection, warnings)
    factor = [a * b for a, b in zip(bqml.factor, activity_factor, strict=True)]
    branch = "CNTS: Philips activity factor, then BQML"
    return SuvFactor(branch, factor, "g/mL per count", bqml.at_reference)


def _of_gml(tags: Tags) -> SuvFactor:
    suv_type = tags.text(SUV_TYPE).upper() or "BW"
    if suv_type != "BW":
        raise BadInput(
            f"{SUV_TYPE} must be BW or empty with {UNITS} GML, got {_shown(suv_type)}: only SUV by "
            "body weight is read. Export the series in BQML."
        )
    return SuvFactor("GML: BW", [1.0] * len(tags), "g/mL per g/mL")


def _philips(tags: Tags, tag: Tag, warnings: list[str]) -> list[float] | None:
    # A private tag need not be what it seems; one that is no number leaves the next rule.
    factor = if_readable(lambda: tags.numbers(tag), warnings)
    if factor is None or not any(factor):
        return None
    if min(factor) <= 0:
        raise BadInput(f"{tag} must be above 0 in every slice, got {min(factor):g}.")
    return factor


def _shown(code: str) -> str:
    """Show a code string; whatever else stands in its place is not repeated."""
    return code if len(code) <= 16 and code.replace("_", "").isalnum() else "no code of DICOM"


LIKELY_LARGEST_SUV = 1000.0
"""g/mL; a bladder can exceed 100, a unit taken wrongly exceeds this."""

_LARGEST_GUESS_MBQ = 3_000.0  # ours: of a PET tracer; more is likely kBq or µCi


@dataclass(frozen=True, kw_only=True)
class Suv(SeriesVolume):
    """A body-weight SUV volume, g/mL, float32.

    Attributes:
        factor: The factor, in the order of the slices in ``volume``.
        injected: When, on the series' clock, if told.
        scan_start_s: Injection to the begin of the first frame, s, if told.
        mid_scan_s: Injection to the middle of the scan, s, if told.
    """

    factor: SuvFactor
    patient: Patient
    radiopharmaceutical: Radiopharmaceutical
    injection: Injection
    injected: Moment | None
    scan_start_s: float | None
    mid_scan_s: float | None


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
    check_values(data, told, noun="SUV", unit="g/mL")
    if data.max() > LIKELY_LARGEST_SUV:
        told.append(
            f"The largest SUV is {data.max():.3g} g/mL: dose, weight or a time may be wrong."
        )
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


def report(suv: Suv, *, series: Series, command: str = "suv") -> dict[str, Any]:
    """Tell how a SUV volume was made, for ``OUT.json``.

    Times are differences only: dates can tell who the patient is.

    Args:
        series: The source; of its UIDs only hashes are told.

    Returns:
        A JSON-ready mapping. A quantity that differs between slices is a list in the
        order of the slices along ``slice_axis``; one that nothing tells is ``None``.
    """
    factor, injection = suv.factor, suv.injection
    at = factor.at_reference
    data = suv.volume.data
    return {
        "quantity": "SUV, body weight, g/mL",
        "tracer": suv.radiopharmaceutical.tracer,
        "tracer_told_by": suv.radiopharmaceutical.tracer_told_by,
        "nuclide": suv.radiopharmaceutical.nuclide,
        "branch": f"{factor.units_branch}, {at.decay_branch}" if at else factor.units_branch,
        "units_branch": factor.units_branch,
        "decay_branch": at.decay_branch if at else None,
        "suv_factor": one_or_list(factor.factor),
        "suv_factor_unit": factor.factor_unit,
        "weight_kg": suv.patient.weight_kg,
        "height_cm": suv.patient.height_cm,
        "sex": suv.patient.sex,
        "half_life_s": suv.radiopharmaceutical.half_life_s,
        "injected_activity_mbq": injection.activity_bq / 1e6,
        "activity_at_reference_mbq": (
            one_or_list([activity_bq / 1e6 for activity_bq in at.activity_bq]) if at else None
        ),
        "injection_to_reference_s": one_or_list(at.elapsed_s) if at else None,
        "scanner_decay_factor": decay_factor_told(at.verdict, at.implied_after_s) if at else None,
        "injection_to_scan_start_s": suv.scan_start_s,
        "pet_time_min": None if suv.mid_scan_s is None else suv.mid_scan_s / 60.0,
        "suv_min": float(data.min()),
        "suv_max": float(data.max()),
        "voxels_below_0": int((data < 0).sum()),
        **suv.told(series, command=command),
    }
