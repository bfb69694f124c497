"""``ct``: a CT series becomes a volume of HU."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rpt_cohort import json_bytes, nifti_bytes, write_together
from rpt_cohort.command import Overwrite, naming, say

from rpt_dosimetry.commands.one_series import (
    ListSeries,
    SeriesDir,
    list_series,
    show_progress,
    warn_of_each,
)
from rpt_dosimetry.commands.targets import out_and_json
from rpt_dosimetry.concentration import read_ct
from rpt_dosimetry.dicom.series import choose_ct, find_series
from rpt_dosimetry.nifti import HU, VOXELS_SHA256, voxels_sha256
from rpt_dosimetry.suv import FRAME_SHA256, series_provenance, uid_sha256


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
    target, beside = out_and_json(out, overwrite=overwrite)
    found: list[str] = []
    with naming(series_dir):
        chosen = choose_ct(find_series(series_dir, warnings=found, progress=show_progress), series)
    result = read_ct(chosen, warnings=found, progress=show_progress)
    volume = result.volume
    told = {
        "quantity": HU,
        "hu_min": int(volume.data.min()),
        "hu_max": int(volume.data.max()),
        "shape": list(volume.data.shape),
        "spacing_mm": list(volume.spacing_mm),
        "slice_axis": result.slice_axis,
        FRAME_SHA256: uid_sha256(chosen.frame_of_reference_uid),
        VOXELS_SHA256: voxels_sha256(volume),
        "warnings": result.warnings,
        "tags_used": result.tags_used,
        "provenance": series_provenance(result.slice_sha256, series=chosen, command="ct"),
    }
    write_together(
        {
            target: nifti_bytes(volume.data, volume.affine, dtype=np.int16),
            beside: json_bytes(told),
        }
    )
    warn_of_each(result.warnings)
    say(f"{target.name}: {told['hu_min']} to {told['hu_max']} HU.")
