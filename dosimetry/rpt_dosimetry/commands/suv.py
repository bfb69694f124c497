"""``suv``: a PET series becomes a SUV volume."""

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
from rpt_dosimetry.dicom.tracer import KNOWN_TRACERS, known_tracer
from rpt_dosimetry.suv import convert, report


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
            f"{', '.join(KNOWN_TRACERS)}. Its nuclide must be the header's.",
            show_default=False,
        ),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Convert a PET series to body-weight SUV (g/mL) with the story of the conversion.

    Reads Units BQML (Bq/mL, decay-corrected to ADMIN, START or NONE), GML and CM2ML (SUV of
    any body size) and CNTS (counts with Philips' factors); refuses in one sentence what
    cannot become SUV. Weight in kg, height in m, dose in Bq and half-life in s are read from
    the series; the residual in the syringe is not known to DICOM and not subtracted.
    """
    if only_list:
        list_series(series_dir)
        return
    target, beside = out_and_json(out, overwrite=overwrite)
    found: list[str] = []
    chosen = chosen_series(series_dir, series, found)
    result = convert(chosen, tracer=known_tracer(tracer), warnings=found, progress=show_progress)
    told = report(result, series=chosen)
    volume = result.volume
    write_together(
        {
            target: nifti_bytes(volume.data, volume.affine, dtype=np.float32),
            beside: json_bytes(told),
        }
    )
    warn_of_each(result.warnings)
    say(
        f"{target.name}: {told['branch']}; tracer {told['tracer']}; "
        f"SUV {told['suv_min']:.4g} to {told['suv_max']:.4g} g/mL."
    )
