"""``segment``: organs of a CT by TotalSegmentator, where it is installed."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rpt_cohort import (
    BadInput,
    file_sha256,
    json_bytes,
    nifti_bytes,
    provenance,
    read_volume,
    write_together,
)
from rpt_cohort.command import Overwrite, naming, say

from rpt_dosimetry.commands.targets import out_and_json
from rpt_dosimetry.dose.density import check_hu
from rpt_dosimetry.masks.totalsegmentator import PROGRAM, find_totalsegmentator, segment_organs


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
    target, beside = out_and_json(out, overwrite=overwrite)
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
    write_together(
        {
            target: nifti_bytes(organs.data, organs.affine, dtype=np.uint8),
            beside: json_bytes(told),
        }
    )
    say(f"{target.name}: {found.size} organs.")
