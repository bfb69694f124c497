"""``gallery``: one page of pictures of a cohort."""

from pathlib import Path
from typing import Annotated

import typer
from rpt_cohort.command import say

from rpt_phantom.commands.options import AnatomyAgain, Overwrite, own_anatomy, refuse_existing
from rpt_phantom.gallery import write_gallery


def gallery(
    cohort: Annotated[Path, typer.Option(metavar="COHORT", help="Of the command cohort.")],
    out: Annotated[Path, typer.Option(metavar="PAGE.png", help="Picture to write.")],
    cycles: Annotated[int, typer.Option(help="Cycles at most, a row each.", min=1)] = 6,
    anatomy: AnatomyAgain = None,
    overwrite: Overwrite = False,
) -> None:
    """Draw PET, CT with organs, SPECT, measured and true dose of a cohort's cycles on one page.

    PET is SUV in g/mL, SPECT kBq/mL, CT HU, dose Gy/GBq; front views, all but the CT as the
    largest value along the line of sight. Every cycle is made again for its SPECT: seconds each,
    minutes where it was imaged in full.
    """
    refuse_existing(out, overwrite=overwrite)
    shown = write_gallery(cohort, out, most=cycles, anatomy=own_anatomy(anatomy))
    say(f"{shown} cycles in {out}.")
