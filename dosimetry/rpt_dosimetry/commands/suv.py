"""``suv``: a PET series becomes a SUV volume."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rpt_cohort import json_bytes, nifti_bytes, write_together
from rpt_cohort.command import progress, say, warn

from rpt_dosimetry.commands.targets import out_and_json
from rpt_dosimetry.report import report
from rpt_dosimetry.series import choose_pet, find_series
from rpt_dosimetry.suv import convert


def suv(
    series_dir: Annotated[
        Path,
        typer.Argument(
            metavar="SERIES_DIR",
            help="Folder with the DICOM files of a PET; subfolders are searched.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Argument(
            metavar="OUT.nii.gz", help="SUV volume to write, g/mL; OUT.json comes beside it."
        ),
    ] = None,
    list_series: Annotated[
        bool, typer.Option("--list", help="List the series of the folder and write nothing.")
    ] = False,
    series: Annotated[
        str | None,
        typer.Option(
            help="Series Instance UID, or its unique beginning. Default: the only PET series.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Convert a PET series to body-weight SUV (g/mL) with the story of the conversion.

    Reads Units BQML (Bq/mL, decay-corrected to ADMIN, START or NONE), GML and CM2ML (SUV of
    any body size) and CNTS (counts with Philips' factors); refuses in one sentence what
    cannot become SUV. Weight in kg, height in m, dose in Bq and half-life in s are read from
    the series; the residual in the syringe is not known to DICOM and not subtracted.
    """
    found: list[str] = []
    if list_series:
        for one in find_series(series_dir, warnings=found, despite_damage=True, progress=_progress):
            typer.echo(str(one))
        _warn_of_each(found)
        return
    target, beside = out_and_json(out)
    chosen = choose_pet(find_series(series_dir, warnings=found, progress=_progress), series)
    result = convert(chosen, warnings=found, progress=_progress)
    told = report(result, series_uid=chosen.uid)
    volume = result.volume
    write_together(
        {
            target: nifti_bytes(volume.data, volume.affine, dtype=np.float32),
            beside: json_bytes(told),
        }
    )
    _warn_of_each(result.warnings)
    say(
        f"{target.name}: {told['branch']}; tracer {told['tracer']}; "
        f"SUV {told['suv_min']:.4g} to {told['suv_max']:.4g} g/mL."
    )


def _warn_of_each(sentences: Sequence[str]) -> None:
    for sentence in sentences:
        warn(sentence)


def _progress(paths: Sequence[Path], description: str) -> Iterable[Path]:
    return progress(paths, description)
