"""``gallery``: one page of pictures of a cohort."""

from pathlib import Path
from typing import Annotated

import typer
from rpt_cohort.command import say

from rpt_phantom.commands.options import Overwrite, refuse_existing
from rpt_phantom.gallery import write_gallery


def gallery(
    cohort: Annotated[Path, typer.Option(metavar="COHORT", help="Of the command cohort.")],
    out: Annotated[Path, typer.Option(metavar="PAGE.png", help="Picture to write.")],
    cycles: Annotated[int, typer.Option(help="Cycles at most, three a row.", min=1)] = 6,
    overwrite: Overwrite = False,
) -> None:
    """Draw PET, CT with organs, measured and true dose of a cohort's patients side by side.

    PET is SUV in g/mL, CT HU, dose Gy/GBq; front views, all but the CT as the largest value along
    the line of sight.
    """
    refuse_existing(out, overwrite=overwrite)
    shown = write_gallery(cohort, out, most=cycles)
    say(f"{shown} cycles in {out}.")
