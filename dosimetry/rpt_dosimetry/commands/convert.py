"""Commands that convert: ``suv``, ``ct``, ``segment`` and ``rtdose``."""

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rpt_cohort import (
    BadInput,
    file_sha256,
    provenance,
    read_volume,
    write_together,
)
from rpt_cohort.command import Overwrite, naming, progress, say
from rpt_cohort.schema import TRACERS

from rpt_dosimetry.commands.shared import SUFFIX, out_and_json, warn_of_each, write_volume
from rpt_dosimetry.concentration import read_ct
from rpt_dosimetry.dicom.series import Series, choose_ct, choose_pet, find_series
from rpt_dosimetry.dicom.tracer import known_tracer
from rpt_dosimetry.nifti import HU
from rpt_dosimetry.suv import convert, report

SeriesDir = Annotated[
    Path,
    typer.Argument(
        metavar="SERIES_DIR",
        help="Folder with the DICOM files; its subfolders are searched.",
    ),
]
ListSeries = Annotated[
    bool, typer.Option("--list", help="List the series of the folder and write nothing.")
]
SeriesUid = Annotated[
    str | None,
    typer.Option(
        help="Series Instance UID, or its unique beginning. Default: the only PET series.",
        show_default=False,
    ),
]


def list_series(series_dir: Path) -> None:
    """Print the series of a folder."""
    found: list[str] = []
    with naming(series_dir):
        series = find_series(
            series_dir, warnings=found, despite_damage=True, progress=show_progress
        )
    for one in series:
        typer.echo(str(one))
    warn_of_each(found)


def chosen_series(
    series_dir: Path,
    wanted: str | None,
    warnings: list[str],
    choose: Callable[[Sequence[Series], str | None], Series] = choose_pet,
) -> Series:
    """Find the series that a command is to read."""
    with naming(series_dir):
        return choose(find_series(series_dir, warnings=warnings, progress=show_progress), wanted)


def show_progress(paths: Sequence[Path], description: str) -> Iterable[Path]:
    """Yield ``paths`` under a progress bar."""
    return progress(paths, description)


def suv(
    series_dir: SeriesDir,
    out: Annotated[
        Path | None,
        typer.Argument(
            metavar="OUT.nii.gz", help="SUV volume to write, g/mL; OUT.json comes beside it."
        ),
    ] = None,
    only_list: ListSeries = False,
    series: SeriesUid = None,
    tracer: Annotated[
        str | None,
        typer.Option(
            help="The tracer, where the header does not name it clearly: "
            f"{', '.join(TRACERS)}. Its nuclide must be the header's.",
            show_default=False,
        ),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Convert a PET series to body-weight SUV (g/mL) with the story of the conversion.

    Reads Units BQML (Bq/mL, decay-corrected to ADMIN, START or NONE), GML (SUV by body weight)
    and CNTS (counts with Philips' factors); refuses in one sentence what cannot become SUV.
    Weight in kg, height in m, dose in Bq and half-life in s are read from the series; the
    residual in the syringe is not known to DICOM and not subtracted.
    """
    if only_list:
        list_series(series_dir)
        return
    targets = out_and_json(out, overwrite=overwrite)
    found: list[str] = []
    chosen = chosen_series(series_dir, series, found)
    result = convert(chosen, tracer=known_tracer(tracer), warnings=found, progress=show_progress)
    told = report(result, series=chosen)
    write_volume(targets, result.volume, told, dtype=np.float32)
    warn_of_each(result.warnings)
    say(
        f"{targets[0].name}: {told['branch']}; tracer {told['tracer']}; "
        f"SUV {told['suv_min']:.4g} to {told['suv_max']:.4g} g/mL."
    )


def ct(
    series_dir: SeriesDir,
    out: Annotated[
        Path | None,
        typer.Argument(metavar="OUT.nii.gz", help="CT to write, HU; OUT.json comes beside it."),
    ] = None,
    only_list: ListSeries = False,
    series: Annotated[
        str | None,
        typer.Option(
            help="Series Instance UID, or its unique beginning. Default: the only CT series.",
            show_default=False,
        ),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Read a CT series as HU (int16); padding outside the scanner's circle becomes -1024 HU."""
    if only_list:
        list_series(series_dir)
        return
    targets = out_and_json(out, overwrite=overwrite)
    found: list[str] = []
    chosen = chosen_series(series_dir, series, found, choose_ct)
    result = read_ct(chosen, warnings=found, progress=show_progress)
    volume = result.volume
    told = {
        "quantity": HU,
        "hu_min": int(volume.data.min()),
        "hu_max": int(volume.data.max()),
        **result.told(chosen, command="ct"),
    }
    write_volume(targets, volume, told, dtype=np.int16)
    warn_of_each(result.warnings)
    say(f"{targets[0].name}: {told['hu_min']} to {told['hu_max']} HU.")


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
    from rpt_dosimetry.rtdose.writing import (
        read_dose_gy,
        read_dose_per_activity,
        read_reference,
        rtdose_bytes,
    )

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
    from rpt_dosimetry.rtdose.reading import read_rtdose
    from rpt_dosimetry.rtdose.writing import rtdose_report

    targets = out_and_json(out, overwrite=True)
    for path in targets:
        _check_free(path)
    with naming(dose):
        volume, told = read_rtdose(dose)
    report = rtdose_report(volume, told)
    write_volume(targets, volume, report, dtype=np.float32)
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


def segment(
    ct: Annotated[Path, typer.Argument(metavar="CT.nii.gz", help="CT, HU.")],
    out: Annotated[Path, typer.Argument(metavar="ORGANS.nii.gz", help="Organ numbers to write.")],
    fast: Annotated[
        bool,
        typer.Option("--fast", help="The model of 3 mm: coarser, for a machine without a GPU."),
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Segment the organs of a CT by TotalSegmentator (class map total, numbers 1 to 117).

    The program must be installed and have its weights; nothing is fetched by this command.
    """
    from rpt_dosimetry.dose.anatomy import check_hu
    from rpt_dosimetry.masks.labels import PROGRAM, find_totalsegmentator, segment_organs

    targets = out_and_json(out, overwrite=overwrite)
    find_totalsegmentator()
    with naming(ct):
        volume = read_volume(ct, name="The CT")
        check_hu(volume, name="The CT")
    say(f"{PROGRAM} works, minutes without a GPU …")
    organs = segment_organs(volume, fast=fast)
    found = np.unique(organs.data[organs.data > 0])
    if not found.size:
        raise BadInput(f"{PROGRAM} must find an organ, and it found none. Check that it is a CT.")
    told = {
        "quantity": "organ number, TotalSegmentator v2 total",
        "organs": found.tolist(),
        "provenance": provenance(
            package="rpt-dosimetry",
            command="segment",
            parameters={"fast": fast},
            inputs={"ct": file_sha256(ct)},
            libraries=("rpt-cohort", "numpy", "nibabel"),
        ),
    }
    write_volume(targets, organs, told, dtype=np.uint8)
    say(f"{targets[0].name}: {found.size} organs.")
