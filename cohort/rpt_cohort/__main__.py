"""``python -m rpt_cohort check | describe``."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from rpt_cohort.checking import cohort_table, find_faults, unrecorded_cycles
from rpt_cohort.command import fail, new_app, run_app, say, stderr, warn
from rpt_cohort.reading import read_cohort

app = new_app("The cohort folder of rpt-dosegan: check it, describe it.", distribution="rpt-cohort")
Folder = Annotated[Path, typer.Argument(metavar="COHORT", help="The cohort folder.")]


@app.command(short_help="Name every fault of a cohort folder.")
def check(cohort: Folder) -> None:
    """Name every fault of COHORT; exit status 0 means there is none, 2 that there are.

    A file that is not as it was made, by the hashes in cycle.json, is a fault.
    """
    with stderr.status("checking"):
        faults = find_faults(cohort)
        unrecorded, count = unrecorded_cycles(cohort)
    for fault in faults:
        stderr.print(fault, markup=False)
    if unrecorded:
        warn(
            f"{len(unrecorded)} of {count} cycles, {unrecorded[0]} first, record no hashes of "
            "their files: whether these were changed since they were made is not known."
        )
    if faults:
        noun = "fault" if len(faults) == 1 else "faults"
        fail(f"the cohort has {len(faults)} {noun}, named above, and is '{cohort}'.")
    content = read_cohort(cohort)
    cases = content.cases
    say(f"sound: {len(cases)} cycles of {len({case.patient for case in cases})} patients")


@app.command(short_help="Print the cohort table.")
def describe(cohort: Folder) -> None:
    """Print the cohort table (Table 1 of Xue et al. 2024) of COHORT, units in its rows."""
    content = read_cohort(cohort)
    table = Table(show_header=False)
    for name, value in cohort_table(content):
        table.add_row(name, value)
    Console(highlight=False).print(table, markup=False)


if __name__ == "__main__":
    run_app(app)
