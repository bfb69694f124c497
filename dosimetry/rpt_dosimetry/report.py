"""The JSON beside a SUV volume."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from rpt_cohort import provenance

from rpt_dosimetry.dicom.reference_time import Verdict
from rpt_dosimetry.dicom.series import Series
from rpt_dosimetry.nifti import VOXELS_SHA256, voxels_sha256
from rpt_dosimetry.suv import Suv

FRAME_SHA256 = "frame_of_reference_uid_sha256"
"""Key of the JSON beside a volume: in whose world it stands, by which regions find it."""

_LIBRARIES = (
    "rpt-cohort",
    "pydicom",
    "numpy",
    "nibabel",
    "pylibjpeg",
    "pylibjpeg-libjpeg",
    "pylibjpeg-openjpeg",
)


def report(suv: Suv, *, series: Series, command: str = "suv") -> dict[str, Any]:
    """Tell how a SUV volume was made, for ``OUT.json``.

    Times are differences only, slices go by their number and hash, and the series by the
    hash of its UID: file names, UIDs and dates can tell who the patient is.

    Args:
        suv: The conversion.
        series: The source; of its UIDs only hashes are told.
        command: The command that made it.

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
        "shape": list(data.shape),
        "spacing_mm": list(suv.volume.spacing_mm),
        "slice_axis": suv.slice_axis,
        FRAME_SHA256: uid_sha256(series.frame_of_reference_uid),
        VOXELS_SHA256: voxels_sha256(suv.volume),
        "warnings": suv.warnings,
        "tags_used": suv.tags_used,
        "provenance": series_provenance(suv.slice_sha256, series=series, command=command),
    }


def series_provenance(
    slice_sha256: Sequence[str], *, series: Series, command: str
) -> dict[str, Any]:
    """Build the provenance of a volume made of one series.

    Args:
        slice_sha256: The files, in the order of the slices.
        series: The source; of its UID only the hash is told.
        command: The command that made the volume.

    Returns:
        A JSON-ready mapping.
    """
    return provenance(
        package="rpt-dosimetry",
        command=command,
        parameters={"series_uid_sha256": uid_sha256(series.uid)},
        # File names of an export often hold the patient's name; a slice's number does not.
        inputs={f"slice {index + 1}": digest for index, digest in enumerate(slice_sha256)},
        libraries=_LIBRARIES,
    )


def uid_sha256(uid: str) -> str | None:
    """Return the hash by which a UID is told; ``None`` where there is none."""
    return sha256(uid.encode()).hexdigest() if uid else None


def decay_factor_told(verdict: Verdict, implied_after_s: float | None) -> dict[str, Any]:
    """Tell what Decay Factor (0054,1321) says of the reference time that was taken, s."""
    apart_s = None if implied_after_s is None else round(implied_after_s, 3)
    return {"verdict": verdict, "implied_reference_after_taken_s": apart_s}


def one_or_list(values: list[float]) -> float | list[float]:
    """Tell what is the same in every slice once."""
    return values[0] if min(values) == max(values) else values
