"""``resemblance``: a virtual cohort beside what is published of patients."""

from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Annotated

import typer
from rpt_cohort import BadInput, json_bytes, provenance, read_cohort, write_together
from rpt_cohort.command import say
from rpt_dosimetry.ingest.cohort_folder import COHORT, DATALIST
from rpt_dosimetry.ingest.job import spread

from rpt_phantom.case_files import libraries
from rpt_phantom.clinic import check_remade, read_settings
from rpt_phantom.commands.options import AnatomyAgain, Overwrite, own_anatomy, refuse_existing
from rpt_phantom.resemblance import LEAST_PATIENTS, between_patients, cohort_values, table


def resemblance(
    cohort: Annotated[
        Path, typer.Option(metavar="COHORT", help="Cohort that rpt_phantom made, imaged fast.")
    ],
    out: Annotated[
        Path, typer.Option(metavar="TABLE.md", help="Table to write; TABLE.json beside it.")
    ],
    workers: Annotated[
        int | None, typer.Option(help="Processes.", show_default="one for each core")
    ] = None,
    anatomy: AnatomyAgain = None,
    overwrite: Overwrite = False,
) -> None:
    """Compare SUV (g/mL), dose (Gy/GBq), half-lives (h), excretion (%) and r with publications.

    Every cycle is made again from its seed, for its truth and for images without noise.
    """
    if out.suffix != ".md":
        raise BadInput(f"--out must end in .md, got '{out}'.")
    refuse_existing(out, out.with_suffix(".json"), overwrite=overwrite)
    settings = read_settings(cohort, anatomy=own_anatomy(anatomy))
    if settings.imaging != "fast":
        raise BadInput("The cohort must be imaged fast: without noise the full mode has no images.")
    cases = [case.name for case in read_cohort(cohort).cases]
    check_remade(cohort, settings, cases)
    over = partial(spread, description="Virtual cycles", workers=workers, dask=None)
    values = cohort_values(settings, cases, over)
    text = table(values)
    first = [one for case, one in zip(cases, values, strict=True) if case.endswith("/C1")]
    if len(first) >= LEAST_PATIENTS:
        text += "\n" + between_patients(first)
    told = {
        "cycles": dict(zip(cases, values, strict=True)),
        "provenance": provenance(
            package="rpt-phantom",
            command="resemblance",
            parameters=settings.parameters(),
            inputs={
                name: sha256((cohort / name).read_bytes()).hexdigest()
                for name in (COHORT, DATALIST)
            },
            seed=settings.seed,
            libraries=libraries(settings),
        ),
    }
    write_together({out: text.encode(), out.with_suffix(".json"): json_bytes(told)})
    say(f"{out.name}: {len(cases)} virtual cycles.")
