"""``activity``: a quantitative PET or SPECT series becomes activity at its own time."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rpt_cohort import json_bytes, nifti_bytes, write_together
from rpt_cohort.command import Overwrite, say

from rpt_dosimetry.commands.one_series import (
    ListSeries,
    SeriesDir,
    SeriesUid,
    chosen_series,
    list_series,
    show_progress,
    warn_of_each,
)
from rpt_dosimetry.commands.targets import out_and_json
from rpt_dosimetry.concentration import activity_report, read_concentration


def activity(
    series_dir: SeriesDir,
    out: Annotated[
        Path | None,
        typer.Argument(
            metavar="OUT.nii.gz",
            help="Activity concentration to write, Bq/mL; OUT.json comes beside it.",
        ),
    ] = None,
    only_list: ListSeries = False,
    series: SeriesUid = None,
    overwrite: Overwrite = False,
) -> None:
    """Read a quantitative PET or SPECT series as activity concentration (Bq/mL) at mid-scan.

    Reads Units BQML in PET images, which SPECT scanners write too. The vendor's correction
    for decay (ADMIN, START or NONE) is undone with the series' own half-life, in s, so that
    the values are those of the middle of the scan; OUT.json tells its time in h after the
    begin of the administration. SUV and counts are refused: Bq/mL is never guessed.
    """
    if only_list:
        list_series(series_dir)
        return
    target, beside = out_and_json(out, overwrite=overwrite)
    found: list[str] = []
    chosen = chosen_series(series_dir, series, found)
    result = read_concentration(chosen, warnings=found, progress=show_progress)
    told = activity_report(result, series=chosen)
    volume = result.volume
    write_together(
        {
            target: nifti_bytes(volume.data, volume.affine, dtype=np.float32),
            beside: json_bytes(told),
        }
    )
    warn_of_each(result.warnings)
    when_h = told["injection_to_mid_scan_h"]
    when = "time unknown" if when_h is None else f"{when_h:.3f} h after the injection"
    say(
        f"{target.name}: {told['decay_branch']}; {when}; "
        f"{told['activity_in_field_of_view_mbq']:.1f} MBq in the field of view."
    )
