"""The JSON beside a volume of activity concentration."""

from typing import Any

from rpt_dosimetry.concentration import Concentration
from rpt_dosimetry.dicom.series import Series
from rpt_dosimetry.nifti import VOXELS_SHA256, voxels_sha256
from rpt_dosimetry.report import (
    FRAME_SHA256,
    decay_factor_told,
    one_or_list,
    series_provenance,
    uid_sha256,
)


def activity_report(concentration: Concentration, *, series: Series) -> dict[str, Any]:
    """Tell how a volume of activity concentration was made, for ``OUT.json``.

    Times are differences only, in h to 6 digits; slices go by their number and hash.

    Args:
        concentration: The conversion.
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
        "shape": list(data.shape),
        "spacing_mm": list(concentration.volume.spacing_mm),
        "slice_axis": concentration.slice_axis,
        FRAME_SHA256: uid_sha256(series.frame_of_reference_uid),
        VOXELS_SHA256: voxels_sha256(concentration.volume),
        "warnings": concentration.warnings,
        "tags_used": concentration.tags_used,
        "provenance": series_provenance(
            concentration.slice_sha256, series=series, command="activity"
        ),
    }


def _hours(seconds: float) -> float:
    return round(seconds / 3600.0, 6)
