"""The files of one cohort cycle: volumes, ``cycle.json``, and the report beside them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32
from pydantic import ValidationError
from rpt_cohort import BadInput, CycleInfo, json_bytes, nifti_bytes, provenance
from rpt_cohort.seal import OUTPUTS, output_sha256, sealed_bytes

from rpt_dosimetry.dose.activity_series import Therapy
from rpt_dosimetry.dose.calculation import CycleDose
from rpt_dosimetry.dose.cumulative import REPORT, SUMMARY, TABLE
from rpt_dosimetry.dose.rows import table_csv
from rpt_dosimetry.ingest.alignment import Aligned
from rpt_dosimetry.ingest.dosing import CycleImages
from rpt_dosimetry.ingest.page import cycle_page
from rpt_dosimetry.ingest.plan import Plan, Scans
from rpt_dosimetry.registration.pair import SEED

LIBRARIES = (
    *("rpt-cohort", "pydicom", "numpy", "scipy", "nibabel", "SimpleITK", "matplotlib"),
    *("icrp107-database", "xraydb", "pylibjpeg", "pylibjpeg-libjpeg", "pylibjpeg-openjpeg"),
)
FINGERPRINT = "fingerprint"
"""Of the provenance's parameters: by which a finished cycle is known."""


def write_volumes(
    folder: Path,
    images: CycleImages,
    pet_suv: Float32[np.ndarray, "x y z"],
    result: CycleDose,
    therapy: Therapy,
) -> None:
    """Write the contract's volumes; outside the field of view dose and activity are set to 0."""
    dose_gy = np.where(images.known, result.dose_gy, 0.0)
    volumes: dict[str, tuple[np.ndarray, type[np.generic]]] = {
        "pet.nii.gz": (pet_suv, np.float32),
        "ct.nii.gz": (images.ct_hu, np.int16),
        "organs.nii.gz": (images.organs, np.uint8),
        "fov.nii.gz": (images.known.astype(np.uint8), np.uint8),
        "dose.nii.gz": (dose_gy / therapy.net_gbq, np.float32),
        "dose_gy.nii.gz": (dose_gy, np.float32),
        "tia.nii.gz": (np.where(images.known, result.tia.mbq_h_per_ml, 0.0), np.float32),
    }
    if images.lesions is not None:
        volumes["lesions.nii.gz"] = images.lesions, np.uint16
    for name, (data, dtype) in volumes.items():
        (folder / name).write_bytes(nifti_bytes(data, images.affine, dtype=dtype))


def write_cycle_json(folder: Path, plan: Plan, scans: Scans, therapy: Therapy) -> None:
    """Write ``cycle.json``, the last file of a cycle: it holds the hashes of the others.

    Raises:
        BadInput: A value is out of the contract's bounds.
    """
    cycle, pet = plan.cycle, scans.pet
    content: dict[str, Any] = {
        "patient": cycle.patient,
        "cycle": cycle.cycle,
        "tracer": pet.tracer,
        "therapy": cycle.therapy,
        "pet_activity_mbq": pet.activity_mbq,
        "administered_activity_mbq": therapy.net_mbq,
        "weight_kg": pet.weight_kg,
        "height_cm": pet.height_cm if cycle.height_cm is None else cycle.height_cm,
        "age_y": cycle.age_y,
        "laboratory": cycle.laboratory,
        "pet_time_min": pet.time_min,
        "spect_times_h": list(therapy.time_h),
        "how": _how(plan, scans),
        "provenance": _provenance(plan) | {OUTPUTS: output_sha256(folder)},
    }
    try:
        sealed = sealed_bytes(CycleInfo.model_validate(content))
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(map(str, fault["loc"]))
        raise BadInput(
            f"cycle.json: {place}: {fault['msg']}, got {fault['input']!r}. Correct the study or "
            "the header that it comes from."
        ) from error
    (folder / "cycle.json").write_bytes(sealed)


def write_report(
    folder: Path,
    plan: Plan,
    aligned: Mapping[str, Aligned],
    images: CycleImages,
    result: CycleDose,
    summary: dict[str, Any],
) -> None:
    """Write how the dose came about: table, curves, registrations, and a page of it all."""
    report = folder / REPORT
    report.mkdir()
    (report / TABLE).write_bytes(table_csv(result.rows))
    stories = {role: one.story for role, one in aligned.items() if one.story is not None}
    told = summary | {
        "origin": plan.study.origin,
        "registrations": stories,
        "provenance": _provenance(plan),
    }
    (report / SUMMARY).write_bytes(json_bytes(told))
    (report / "index.html").write_bytes(cycle_page(plan.cycle.name, aligned, images, result, told))


def _provenance(plan: Plan) -> dict[str, Any]:
    return provenance(
        package="rpt-dosimetry",
        command="ingest",
        parameters=plan.parameters | {FINGERPRINT: plan.fingerprint},
        inputs=plan.inputs,
        seed=SEED,
        libraries=LIBRARIES,
    )


def _how(plan: Plan, scans: Scans) -> dict[str, str]:
    """Tell per file what made it."""
    spects = "; ".join(spect.branch for spect in scans.spects)
    carried = "registered rigidly to the first SPECT/CT and resampled once"
    how = {
        "pet.nii.gz": f"SUV by {scans.pet.branch}, {carried}",
        "ct.nii.gz": "CT of the first SPECT/CT, mean HU of each voxel",
        "organs.nii.gz": _organs(plan) + "; remaining body from the CT, above -300 HU",
        "fov.nii.gz": "circle of every SPECT and the first one's CT",
        "dose.nii.gz": f"{plan.study.engine}, {plan.study.voxel_curve} curves; SPECT: {spects}",
        "dose_gy.nii.gz": "as dose.nii.gz, times the administered activity",
        "tia.nii.gz": "what dose.nii.gz was computed from",
    }
    if plan.cycle.lesions is not None:
        how["lesions.nii.gz"] = f"drawn on {plan.cycle.lesions.drawn_on}, nearest neighbour"
    return how


def _organs(plan: Plan) -> str:
    source = plan.cycle.organs
    if source is None:
        return "no organs"
    by = "drawn" if source.totalsegmentator is None else "by TotalSegmentator"
    return f"{by} on {source.drawn_on}, nearest neighbour"
