"""Which factor makes a series' values body-weight SUV: the branches by Units.

Source: Vácha et al., Comprehensive manual for SUV computation (IBSI-SUV, 2026); QIBA
FDG-PET/CT profile, vendor-neutral pseudo-code for SUV; DICOM PS3.3, C.8.9.
"""

from collections.abc import Callable
from dataclasses import dataclass

from rpt_cohort import BadInput

from rpt_dosimetry.body_size import (
    body_surface_area_m2,
    ideal_body_weight_kg,
    lean_body_mass_james_kg,
    lean_body_mass_janmahasatian_kg,
)
from rpt_dosimetry.dicom.attributes import (
    CORRECTED_IMAGE,
    PHILIPS_ACTIVITY_FACTOR,
    PHILIPS_SUV_FACTOR,
    SUV_TYPE,
    UNITS,
    Tag,
)
from rpt_dosimetry.dicom.decay_correction import (
    ActivityAtReference,
    Injection,
    activity_at_reference,
)
from rpt_dosimetry.dicom.tags import Tags, if_readable, missing
from rpt_dosimetry.patient import Patient, need_height_cm, need_sex


@dataclass(frozen=True)
class SuvFactor:
    """What turns rescaled values into body-weight SUV, g/mL.

    Attributes:
        units_branch: Units, and the vendor's factor or SUV type where one was used.
        factor: g/mL per rescaled value, one a slice.
        factor_unit: The unit of ``factor``.
        at_reference: Activity and decay, where the branch needs them.
    """

    units_branch: str
    factor: list[float]
    factor_unit: str
    at_reference: ActivityAtReference | None = None


def check_corrections(tags: Tags, warnings: list[str]) -> None:
    """Refuse a series without the corrections that make its values quantitative.

    Args:
        tags: The series.
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

    Args:
        tags: The series.
        patient: Weight, and height and sex where told.
        injection: What was injected.
        warnings: Takes what the user should know.

    Returns:
        The factor, one a slice, and the branches taken.

    Raises:
        BadInput: Units that hold no SUV, or a tag that their branch needs is missing or
            impossible.
    """
    units = tags.text(UNITS).upper()
    if not units:
        raise missing(UNITS, "to know what the values are")
    if units == "GML":
        return _of_gml(tags, patient)
    if units == "CM2ML":
        return _of_cm2ml(tags, patient)
    if units == "CNTS":
        return _of_counts(tags, patient, injection, warnings)
    if units == "BQML":
        return _of_bqml(tags, patient, injection, warnings)
    raise BadInput(
        f"{UNITS} must be BQML, GML, CM2ML or CNTS, got {_shown(units)}: such values cannot "
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


def _of_gml(tags: Tags, patient: Patient) -> SuvFactor:
    suv_type = tags.text(SUV_TYPE).upper() or "BW"
    if suv_type == "BW":
        return SuvFactor("GML: BW", [1.0] * len(tags), "g/mL per g/mL")
    if suv_type not in _NORMS_KG:
        raise BadInput(
            f"{SUV_TYPE} must be BW, {', '.join(_NORMS_KG)} or empty with {UNITS} GML, got "
            f"{_shown(suv_type)}."
        )
    norm_kg = _NORMS_KG[suv_type](patient)
    if not norm_kg > 0:
        raise BadInput(
            f"The body size of {SUV_TYPE} {suv_type} must be above 0 kg, got {norm_kg:.1f} kg "
            f"from weight and height. Check Patient's Weight and Patient's Size."
        )
    factor = [patient.weight_kg / norm_kg] * len(tags)
    return SuvFactor(f"GML: {suv_type}", factor, "g/mL per g/mL")


def _of_cm2ml(tags: Tags, patient: Patient) -> SuvFactor:
    suv_type = tags.text(SUV_TYPE).upper()
    if suv_type not in ("", "BSA"):
        raise BadInput(
            f"{SUV_TYPE} must be BSA or empty with {UNITS} CM2ML, got {_shown(suv_type)}."
        )
    surface_m2 = body_surface_area_m2(
        weight_kg=patient.weight_kg, height_cm=need_height_cm(patient)
    )
    factor = [patient.weight_kg * 1e3 / (surface_m2 * 1e4)] * len(tags)
    return SuvFactor("CM2ML: BSA", factor, "g/mL per cm2/mL")


def _james(male_term: float) -> Callable[[Patient], float]:
    return lambda patient: lean_body_mass_james_kg(
        weight_kg=patient.weight_kg,
        height_cm=need_height_cm(patient),
        sex=need_sex(patient),
        male_term=male_term,
    )


def _janmahasatian(patient: Patient) -> float:
    return lean_body_mass_janmahasatian_kg(
        weight_kg=patient.weight_kg, height_cm=need_height_cm(patient), sex=need_sex(patient)
    )


def _ideal(patient: Patient) -> float:
    return ideal_body_weight_kg(height_cm=need_height_cm(patient), sex=need_sex(patient))


_NORMS_KG: dict[str, Callable[[Patient], float]] = {
    "LBM": _james(120.0),
    "LBMJAMES128": _james(128.0),
    "LBMJANMA": _janmahasatian,
    "IBW": _ideal,
}


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
