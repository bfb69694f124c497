"""A PET series becomes a body-weight SUV volume, with the story of its conversion.

Source of the branches by Units: Vácha et al., Comprehensive manual for SUV computation (IBSI-SUV,
2026); QIBA FDG-PET/CT profile, vendor-neutral pseudo-code for SUV; DICOM PS3.3, C.8.9.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from rpt_cohort import BadInput
from rpt_cohort.schema import Tracer

from rpt_dosimetry.dicom import vendors
from rpt_dosimetry.dicom.decay import (
    ActivityAtReference,
    Injection,
    activity_at_reference,
    check_total,
    decay_factor_told,
    read_injection,
)
from rpt_dosimetry.dicom.header import Patient, PetHeader, seconds_after
from rpt_dosimetry.dicom.reading import Moment, shown
from rpt_dosimetry.dicom.series import Progress, Series, no_progress
from rpt_dosimetry.dicom.slices import (
    SeriesVolume,
    check_values,
    in_order,
    one_or_list,
    read_values,
    to_ras,
)
from rpt_dosimetry.dicom.tracer import Radiopharmaceutical, read_radiopharmaceutical


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


def find_suv_factor(header: PetHeader, patient: Patient, injection: Injection) -> SuvFactor:
    """Find the factor by the series' Units.

    Raises:
        BadInput: Units that hold no SUV, or an attribute that their branch needs is missing or
            impossible.
    """
    units, told = header.units, shown("Units")
    if units == "GML":
        suv_type = header.text("SUVType").upper() or "BW"
        if suv_type != "BW":
            raise BadInput(
                f"{shown('SUVType')} must be BW or empty with {told} GML, got {_shown(suv_type)}: "
                "only SUV by body weight is read. Export the series in BQML."
            )
        return SuvFactor("GML: BW", [1.0] * len(header), "g/mL per g/mL")
    if units not in ("BQML", "CNTS"):
        raise BadInput(
            f"{told} must be BQML, GML or CNTS, got {_shown(units)}: such values cannot "
            "become SUV. Export the series in BQML."
        )
    branch, per_count = "BQML", [1.0] * len(header)
    if units == "CNTS":
        name, quantity, per_count = _of_counts(header)
        branch = f"CNTS: {name}"
        if quantity == "g/mL":
            return SuvFactor(branch, per_count, "g/mL per count")
        branch = f"{branch}, then BQML"
    at = activity_at_reference(header, injection)
    factor = [
        patient.weight_kg * 1000.0 / activity_bq * one
        for activity_bq, one in zip(at.activity_bq, per_count, strict=True)
    ]
    return SuvFactor(branch, factor, f"g/mL per {'Bq/mL' if units == 'BQML' else 'count'}", at)


def _of_counts(header: PetHeader) -> tuple[str, str, list[float]]:
    """Return what makes a quantity of counts: its name, the quantity, and one a slice."""
    for private, told in vendors.COUNT_FACTORS.items():
        if factor := vendors.count_factor(header, private):
            return (*told, factor)
    needed = " or ".join(map(shown, vendors.COUNT_FACTORS))
    raise BadInput(
        f"{shown('Units')} CNTS need {needed}, not 0, and there is none: counts alone cannot "
        "become SUV. Export with private tags or in BQML."
    )


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
    header = slices.header
    header.refuse_zone_jump()
    header.check_corrections("SUV", [(("NORM",), "detector normalisation")])
    patient = header.patient
    _ = header.coded_nuclide
    injection = read_injection(header)
    factor = find_suv_factor(header, patient, injection)
    if injection.fault:
        told.append(injection.fault)
    radiopharmaceutical = read_radiopharmaceutical(header, tracer=tracer)
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
    scan_start, scan_middle = header.scan_times()
    return Suv(
        volume=volume,
        slice_axis=slice_axis,
        factor=factor,
        patient=patient,
        radiopharmaceutical=radiopharmaceutical,
        injection=injection,
        injected=header.if_readable(lambda: header.administration(injection.moment)),
        scan_start_s=seconds_after(injection.moment, scan_start),
        mid_scan_s=seconds_after(injection.moment, scan_middle),
        tags_used=header.record(injection.moment),
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
        "scanner_decay_factor": decay_factor_told(at.reference) if at else None,
        "injection_to_scan_start_s": suv.scan_start_s,
        "pet_time_min": None if suv.mid_scan_s is None else suv.mid_scan_s / 60.0,
        "suv_min": float(data.min()),
        "suv_max": float(data.max()),
        "voxels_below_0": int((data < 0).sum()),
        **suv.told(series, command=command),
    }
