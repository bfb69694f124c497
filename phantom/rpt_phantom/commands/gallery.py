"""``gallery``: one page of pictures of a cohort."""

from pathlib import Path
from typing import Annotated

import typer
from rpt_cohort.command import say

from rpt_phantom.gallery import write_gallery


def gallery(
    cohort: Annotated[Path, typer.Option(metavar="COHORT", help="A virtual cohort.")],
    out: Annotated[Path, typer.Option(help="Picture to write, .png.")],
    cycles: Annotated[int, typer.Option(help="Cycles at most, a row each.", min=1)] = 8,
) -> None:
    """Draw PET, CT with organs, measured and true dose of a cohort's cycles on one page.

    PET is SUV in g/mL, dose is Gy/GBq; front views, PET and doses as the largest value along
    the line of sight.
    """
    shown = write_gallery(cohort, out, most=cycles)
    say(f"{shown} cycles in {out}.")
