"""``dicom``: the DICOM that a clinic would hold of a cohort's cycle."""

from pathlib import Path
from typing import Annotated

import typer
from rpt_cohort.command import at_work, say

from rpt_phantom.clinic import write_dicom
from rpt_phantom.commands.options import AnatomyAgain, own_anatomy


def dicom(
    cohort: Annotated[Path, typer.Option(metavar="COHORT", help="Of the command cohort.")],
    case: Annotated[str, typer.Option(help="Patient and cycle, such as P001/C1.")],
    out: Annotated[Path, typer.Option(help="Folder of the DICOM; new or empty.")],
    anatomy: AnatomyAgain = None,
) -> None:
    """Write a cycle's PET/CT, SPECT/CTs in counts, whole-body views, contours and STUDY.yaml.

    The cycle is made again from the cohort's seed and settings; python -m rpt_dosimetry ingest
    reads what is written. The whole-body views need PyTomography.
    """
    with at_work("Scans"):
        study = write_dicom(cohort, case, out, anatomy=own_anatomy(anatomy))
    say(f"{case} as DICOM, with {study.name} for ingest, in {out}.")
