"""STUDY.yaml and the camera's calibration, for ``python -m rpt_dosimetry ingest``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from rpt_cohort import json_bytes, provenance
from rpt_dosimetry.calibration.factor import QUANTITY, CalibrationFactor, factor_story
from rpt_dosimetry.ingest.study import read_study

from rpt_phantom.dicom.clinic import ClinicCycle, SpectCt

STUDY, CALIBRATION, ORGANS, LESIONS = "STUDY.yaml", "camera.json", "organs.dcm", "lesions.dcm"


def cycle_entry(cycle: ClinicCycle, *, folder: str = "") -> dict[str, Any]:
    """Return a cycle's entry under ``cycles`` of a study.

    Args:
        cycle: As it was written.
        folder: Where it was written, relative to the study, with a slash at its end; empty for
            beside it.
    """
    entry: dict[str, Any] = {
        "patient": cycle.patient.name,
        "cycle": cycle.cycle,
        "therapy": cycle.therapy,
        "administered_mbq": float(cycle.administered_mbq),
        "residual_mbq": float(cycle.residual_mbq),
        "infusion_h": float(cycle.infusion_h),
        "laboratory": {name: one.model_dump() for name, one in cycle.laboratory.items()},
        "pet": {"folder": f"{folder}pet_ct"},
        "spect": [
            _spect(one, f"{folder}spect_ct_{number}", f"{folder}{CALIBRATION}")
            for number, one in enumerate(cycle.spects, start=1)
        ],
        "organs": {"file": f"{folder}{ORGANS}", "drawn_on": "spect_ct"},
    }
    if cycle.patient.age_y is not None:
        entry["age_y"] = float(cycle.patient.age_y)
    if cycle.has_lesions:
        entry["lesions"] = {"file": f"{folder}{LESIONS}", "drawn_on": "spect_ct"}
    return entry


def write_study(
    path: Path,
    entries: Sequence[dict[str, Any]],
    *,
    name: str,
    engine: str,
    slice_voxels: int,
    calibration_sd_pct: float,
) -> None:
    """Write a STUDY.yaml of cycles.

    Args:
        path: The file.
        entries: Of :func:`cycle_entry`.
        name: Of the cohort.
        engine: Dose engine.
        slice_voxels: Voxels along a slice of the cohort.
        calibration_sd_pct: Standard uncertainty of the calibration, %.

    Raises:
        BadInput: ``ingest`` would refuse it; the file is there nevertheless.
    """
    content = {
        "name": name,
        "origin": "virtual",
        "engine": engine,
        "slice_voxels": slice_voxels,
        "calibration_sd_pct": float(calibration_sd_pct),
        "cycles": list(entries),
    }
    path.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")
    read_study(path)


def calibration_bytes(cycle: ClinicCycle) -> bytes:
    """Encode the camera's factor as ``rpt_dosimetry.calibration.factor.read_factor`` reads it.

    Raises:
        BadInput: The factor or its uncertainty cannot be.
    """
    parts = {"virtual": cycle.calibration_sd_pct / 100.0}
    factor = CalibrationFactor(cycle.cps_per_mbq, parts)
    return json_bytes(
        {
            "quantity": QUANTITY,
            **factor_story(factor),
            "method": "virtual: the factor that made the counts, of no camera",
            "provenance": provenance(
                package="rpt-phantom",
                command="dicom",
                parameters={"cps_per_mbq": factor.cps_per_mbq},
            ),
        }
    )


def _spect(spect: SpectCt, folder: str, calibration: str) -> dict[str, Any]:
    return {"folder": folder, "calibration": calibration, "heads": spect.timing.heads}
