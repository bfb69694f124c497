"""The JSON beside a volume that was read from an RT Dose object."""

from typing import Any

from rpt_cohort import Volume, provenance

from rpt_dosimetry.rtdose.reading import RtDose

WHOLE = ("PLAN", "MULTI_PLAN", "PLAN_OVERVIEW")
"""Dose Summation Types that stand for a therapy and not for a part of it."""


def rtdose_report(dose_gy: Volume, told: RtDose) -> dict[str, Any]:
    """Tell what an RT Dose object held, without UIDs, dates and free text.

    Args:
        dose_gy: Absorbed dose, Gy.
        told: What the file tells of it.

    Returns:
        A JSON-ready mapping.
    """
    warnings = []
    if told.summation_type not in WHOLE:
        warnings.append(
            f"Dose Summation Type is {told.summation_type or 'missing'}: the dose may be that of "
            "a part of the therapy."
        )
    return {
        "quantity": "absorbed dose, Gy",
        "summation_type": told.summation_type,
        "predicted": told.is_prediction,
        "scaling_gy": told.scaling_gy,
        "bits": told.bits,
        "gy_max": float(dose_gy.data.max()),
        "gy_mean": float(dose_gy.data.mean()),
        "shape": list(dose_gy.data.shape),
        "spacing_mm": list(dose_gy.spacing_mm),
        "warnings": warnings,
        "provenance": provenance(
            package="rpt-dosimetry",
            command="rtdose",
            parameters={},
            inputs={"rtdose": told.sha256},
            libraries=("nibabel", "numpy", "pydicom"),
        ),
    }
