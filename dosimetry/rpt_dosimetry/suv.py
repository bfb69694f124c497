"""A PET series becomes a body-weight SUV volume, with the story of its conversion.

Source of the branches by Units: Vácha et al., Comprehensive manual for SUV computation (IBSI-SUV,
2026); QIBA FDG-PET/CT profile, vendor-neutral pseudo-code for SUV; DICOM PS3.3, C.8.9.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from rpt_cohort import BadInput
from rpt_cohort.schema import Tracer

from rpt_dosimetry.dicom import attributes as dcm
from rpt_dosimetry.dicom.decay import (
    ActivityAtReference,
    activity_at_reference,
    check_total,
    decay_factor_told,
)
from rpt_dosimetry.dicom.header import (
    Injection,
    Patient,
    Tags,
    administration_moment,
    check_corrections,
    if_readable,
    missing,
    philips_factor,
    read_injection,
    read_patient,
    refuse_zone_jump,
    scan_times,
    seconds_after,
)
from rpt_dosimetry.dicom.reading import Moment, Progress, no_progress
from rpt_dosimetry.dicom.series import Series
from rpt_dosimetry.dicom.slices import (
    SeriesVolume,
    check_values,
    in_order,
    one_or_list,
    read_values,
    to_ras,
)
from rpt_dosimetry.dicom.tracer import (
    Radiopharmaceutical,
    coded_nuclide,
    read_radiopharmaceutical,
)


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


def find_suv_factor(
    tags: Tags, *, patient: Patient, injection: Injection, warnings: list[str]
) -> SuvFactor:
    """Find the factor by the series' Units.

    Raises:
        BadInput: Units that hold no SUV, or a tag that their branch needs is missing or
            impossible.
    """
    units = tags.text(dcm.UNITS).upper()
    if not units:
        raise missing(dcm.UNITS, "to know what the values are")
    if units not in ("BQML", "GML", "CNTS"):
        raise BadInput(
            f"{dcm.UNITS} must be BQML, GML or CNTS, got {_shown(units)}: such values cannot "
            "become SUV. Export the series in BQML."
        )
    if units == "GML":
        suv_type = tags.text(dcm.SUV_TYPE).upper() or "BW"
        if suv_type != "BW":
            raise BadInput(
                f"{dcm.SUV_TYPE} must be BW or empty with {dcm.UNITS} GML, got {_shown(suv_type)}: "
                "only SUV by body weight is read. Export the series in BQML."
            )
        return SuvFactor("GML: BW", [1.0] * len(tags), "g/mL per g/mL")
    bqml_per_count = None
    if units == "CNTS":
        suv_per_count = philips_factor(tags, dcm.PHILIPS_SUV_FACTOR, warnings)
        if suv_per_count is not None:
            return SuvFactor("CNTS: Philips SUV factor", suv_per_count, "g/mL per count")
        bqml_per_count = philips_factor(tags, dcm.PHILIPS_ACTIVITY_FACTOR, warnings)
        if bqml_per_count is None:
            raise BadInput(
                f"{dcm.UNITS} CNTS need {dcm.PHILIPS_SUV_FACTOR} or {dcm.PHILIPS_ACTIVITY_FACTOR}, "
                "not 0, and there is none: counts alone cannot become SUV. Export with private "
                "tags or in BQML."
            )
    at = activity_at_reference(tags, injection, warnings)
    factor = [patient.weight_kg * 1000.0 / activity_bq for activity_bq in at.activity_bq]
    if bqml_per_count is None:
        return SuvFactor("BQML", factor, "g/mL per Bq/mL", at)
    factor = [a * b for a, b in zip(factor, bqml_per_count, strict=True)]
    return SuvFactor("CNTS: Philips activity factor, then BQML", factor, "g/mL per count", at)


def _shown(code: str) -> str:
    """Show a code string; whatever else stands in its place is not repeated."""
    return code if len(code) <= 16 and code.replace("_", "").isalnum() else "no code of DICOM"


LIKELY_LARGEST_SUV = 1000.0
"""g/mL; a bladder can exceed 100, a unit taken wrongly exceeds this."""


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
    injection = read_injection(tags, told, nuclide=coded_nuclide(tags))
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
    # SUV times volume, 1 g/mL being the body's mean, sums to the weight at most.
    suv_volume_kg = float(data.sum()) * slices.grid.voxel_ml / 1e3
    check_total(
        suv_volume_kg / patient.weight_kg,
        f"SUV times volume sums to {suv_volume_kg:.4g} kg in the field of view, and the patient "
        f"weighs {patient.weight_kg:g} kg",
        told,
        field_ml=data.size * slices.grid.voxel_ml,
    )
    volume, slice_axis, reverse = to_ras(data, slices.grid)
    if reverse:
        at = factor.at_reference
        if at is not None:
            at = replace(at, activity_bq=at.activity_bq[::-1], elapsed_s=at.elapsed_s[::-1])
        factor = replace(factor, factor=factor.factor[::-1], at_reference=at)
    scan_start, scan_middle = scan_times(tags, told)
    return Suv(
        volume=volume,
        slice_axis=slice_axis,
        factor=factor,
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
