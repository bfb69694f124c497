"""The commands ``simulate`` and ``study``: their options, and what they say when done."""

from math import isnan
from pathlib import Path
from typing import Annotated

import typer
from rpt_cohort.command import as_typed, say

from rpt_kinetics.presets import preset_names

NewFolder = Annotated[Path, typer.Option(help="Folder to write; new or empty.")]


def simulate(
    preset: Annotated[
        str,
        typer.Option(
            metavar="NAME|FILE.toml",
            help=f"One of {', '.join(preset_names())}; or a file of the same form.",
        ),
    ],
    out: NewFolder,
    seed: Annotated[int, typer.Option(help="Same seed, same results.")] = 0,
    voxels: Annotated[
        int | None,
        typer.Option(
            help="Voxels of both sub-tissues together, at least 40; the organ keeps its size.",
            show_default="the preset's",
        ),
    ] = None,
) -> None:
    """Simulate PET (SUV, g/mL) and dose (Gy) of a virtual organ with two sub-tissues.

    Writes summary.json (Pearson's r overall and per sub-tissue), voxels.csv, NIfTI maps of SUV,
    dose and sub-tissue, and scatter.png.
    """
    from rpt_kinetics.simulate_command import write_simulation
    from rpt_kinetics.study_text import NOT_DEFINED

    with as_typed():
        simulation = write_simulation(preset, out, seed=seed, voxels=voxels)
    r = simulation.pearson_r()
    say(f"{out.name}: a virtual organ, r {NOT_DEFINED if isnan(r) else f'= {r:.3f}'}")


def study(
    out: NewFolder,
    seeds: Annotated[int, typer.Option(help="How many: 0, 1, …; at least 1.")] = 10,
) -> None:
    """Study why PET (SUV, g/mL) and dose (Gy) disagree inside a virtual organ.

    Writes study.json (for all presets: Pearson's r over the seeds, against resolution and
    correlation length in mm, at other PET times in min, with each parameter moved by 20 %, with
    every other choice, and 1 - r² by cause) and figures, among them the panels of the paper's
    Fig. S3.
    """
    from rpt_kinetics.study_command import write_study

    with as_typed():
        write_study(out, seeds=seeds)
    say(f"{out.name}: study.json and figures, all of virtual organs")
