"""``cumulate``: dose over the cycles of one patient."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer
from rpt_cohort import BadInput, json_bytes, provenance, write_together
from rpt_cohort.command import say, warn

from rpt_dosimetry.dose.bed import parse_by_region
from rpt_dosimetry.dose.cumulative import PARTS, cumulate_cycles, read_cycle_table


def cumulate(
    dose_dirs: Annotated[
        list[Path],
        typer.Argument(
            metavar="DOSE_DIR…",
            help="Folders that `dose` wrote, or a cohort's cycles (COHORT/P001/C1) that `ingest` "
            "wrote, one a cycle of the same patient, the last one last.",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="OUT.json", help="File to write.")],
    limit: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=GY",
            help="Limit of a region's cumulative mean dose, Gy, such as kidney=23. Repeat it.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Sum mean dose and BED (Gy) over cycles; tell the activity (MBq) that reaches a limit.

    A further cycle is taken to give the dose per activity of the last one. The interval of the
    activity has about 95 % and holds the dose's uncertainty, as far as it is known, and the spread
    between cycles. Lesion numbers must mean the same lesion in all cycles.
    """
    limits_gy = parse_by_region(limit or [], option="--limit", unit="Gy")
    _refuse_out(out, dose_dirs)
    cycles = [read_cycle_table(folder) for folder in dose_dirs]
    told = cumulate_cycles(cycles, limits_gy)
    inputs = {
        f"cycle_{number}/{file}": sha256
        for number, cycle in enumerate(cycles, start=1)
        for file, sha256 in cycle.inputs.items()
    }
    told["provenance"] = provenance(
        package="rpt-dosimetry",
        command="cumulate",
        parameters={"limit_gy": limits_gy},
        inputs=inputs,
    )
    write_together({out: json_bytes(told)})
    if len(set(told["engines"])) > 1:
        warn("The cycles' doses come from different engines, which may differ by some percent.")
    if told["not_in_every_cycle"]:
        warn(f"Left out, not in every cycle: {', '.join(told['not_in_every_cycle'])}.")
    for name, reach in told["limits"].items():
        say(_sentence(name, reach))


def _sentence(name: str, reach: dict[str, Any]) -> str:
    start = f"{name}: {reach['dose_gy']:.4g} of {reach['limit_gy']:g} Gy; "
    if not reach["activity_to_limit_mbq"]:
        return start + "the limit is reached."
    interval = reach["interval_95_mbq"]
    spread = "unknown interval"
    if interval is not None:
        spread = "{:.4g} to {:.4g}".format(*interval) + _known_parts(reach["unknown_parts"])
    return start + f"the limit is {reach['activity_to_limit_mbq']:.4g} MBq away ({spread})."


def _known_parts(unknown: tuple[str, ...]) -> str:
    if not unknown:
        return ""
    known = " and ".join(part for part in PARTS if part not in unknown)
    return f", of {known} alone; {', '.join(unknown)} unknown"


def _refuse_out(out: Path, dose_dirs: list[Path]) -> None:
    if out.suffix != ".json":
        raise BadInput(f"--out must end in .json, got '{out}'.")
    if not out.parent.is_dir() or not os.access(out.parent, os.W_OK | os.X_OK):
        raise BadInput(
            f"The folder of --out must exist and be writable, got '{out}'. Create it first."
        )
    if out.is_dir():
        raise BadInput(f"--out must be a file, got the folder '{out}'. Name a file inside it.")
    if any(out.resolve().is_relative_to(folder.resolve()) for folder in dose_dirs):
        raise BadInput(
            f"--out '{out}' must not be inside a DOSE_DIR, whose files it may replace. Name "
            "another folder."
        )
