"""``rtdose``: a dose map becomes an RT Dose object, or comes from one."""

import os
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rpt_cohort import BadInput, json_bytes, nifti_bytes, write_together
from rpt_cohort.command import naming, say

from rpt_dosimetry.commands.one_series import show_progress, warn_of_each
from rpt_dosimetry.commands.targets import SUFFIX, out_and_json
from rpt_dosimetry.rtdose.reading import read_rtdose
from rpt_dosimetry.rtdose.writing import (
    read_dose_gy,
    read_dose_per_activity,
    read_reference,
    rtdose_bytes,
    rtdose_report,
)

DICOM_SUFFIX = ".dcm"


def rtdose(
    dose: Annotated[
        Path,
        typer.Argument(metavar="DOSE", help="Absorbed dose, Gy: NIfTI to write, RTDOSE to read."),
    ],
    out: Annotated[
        Path,
        typer.Option(
            metavar="OUT.dcm|OUT.nii.gz",
            help="File to write, new; its suffix says which way. OUT.json comes beside a volume.",
        ),
    ],
    reference: Annotated[
        Path | None,
        typer.Option(
            metavar="DICOM_DIR",
            help="Folder with the images that the dose was computed on, or whose frame of "
            "reference they share: CT, PT or MR. Needed to write OUT.dcm.",
            show_default=False,
        ),
    ] = None,
    series: Annotated[
        str | None,
        typer.Option(
            help="Series Instance UID of the reference, or its unique beginning.",
            show_default="the only series of images",
        ),
    ] = None,
    administered_gbq: Annotated[
        float | None,
        typer.Option(
            help="Net administered activity, GBq, where DOSE is in Gy/GBq, as a prediction is.",
            show_default="DOSE is in Gy",
        ),
    ] = None,
    predicted: Annotated[
        bool, typer.Option("--predicted", help="Mark as predicted and for research only.")
    ] = False,
) -> None:
    """Write absorbed dose (Gy) as a DICOM RT Dose object, or read one back to a volume.

    OUT.dcm belongs to the patient, study and frame of reference of the images in DICOM_DIR and
    names the patient as they do; OUT.nii.gz and messages do not. Dose per activity (Gy/GBq) needs
    --administered-gbq.
    """
    if out.name.endswith(DICOM_SUFFIX) and out.name != DICOM_SUFFIX:
        _write(dose, out, reference, series, administered_gbq, predicted=predicted)
    elif out.name.endswith(SUFFIX):
        told = (reference, series, administered_gbq)
        if predicted or any(one is not None for one in told):
            raise BadInput(
                "--reference, --series, --administered-gbq and --predicted are for writing an RT "
                "Dose, and --out is a volume. Leave them out, or name OUT.dcm."
            )
        _read(dose, out)
    else:
        raise BadInput(f"--out must end in {DICOM_SUFFIX} or {SUFFIX}, got '{out.suffix}'.")


def _write(
    dose: Path,
    out: Path,
    reference: Path | None,
    series: str | None,
    administered_gbq: float | None,
    *,
    predicted: bool,
) -> None:
    if reference is None:
        raise BadInput(
            "--reference must be named to write an RT Dose: the folder of the images that the "
            "dose was computed on."
        )
    _check_free(out)
    with naming(dose):
        if administered_gbq is None:
            dose_gy = read_dose_gy(dose)
        else:
            dose_gy = read_dose_per_activity(dose, administered_gbq=administered_gbq)
    found: list[str] = []
    with naming(reference):
        images = read_reference(
            reference, series_uid=series, warnings=found, progress=show_progress
        )
    write_together({out: rtdose_bytes(dose_gy, images, predicted=predicted)})
    warn_of_each(found)
    say(
        f"RT Dose written: {'predicted, research only; ' if predicted else ''}up to "
        f"{dose_gy.data.max():.4g} Gy, refers to {len(images.instances)} images."
    )


def _read(dose: Path, out: Path) -> None:
    target, beside = out_and_json(out, overwrite=True)
    for path in (target, beside):
        _check_free(path)
    with naming(dose):
        volume, told = read_rtdose(dose)
    report = rtdose_report(volume, told)
    write_together(
        {
            target: nifti_bytes(volume.data, volume.affine, dtype=np.float32),
            beside: json_bytes(report),
        }
    )
    warn_of_each(report["warnings"])
    kind = told.summation_type or "no summation type"
    say(f"RT Dose read: {kind}, up to {report['gy_max']:.4g} Gy.")


def _check_free(out: Path) -> None:
    """Refuse a target that cannot be written, before the work."""
    if not out.parent.is_dir() or not os.access(out.parent, os.W_OK | os.X_OK):
        raise BadInput(
            f"The folder of --out must exist and be writable, got '{out}'. Create it first."
        )
    if out.exists():
        raise BadInput(
            f"--out must be new, and '{out}' is there already. Remove it or name another."
        )
