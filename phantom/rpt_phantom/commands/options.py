"""Options that several commands share."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rpt_cohort import BadInput

from rpt_phantom.agents import THERAPIES, TRACERS


class ImagingOption(StrEnum):
    """The modes of imaging."""

    FAST = "fast"
    FULL = "full"


Seed = Annotated[int, typer.Option(help="Same seed, same data files.")]
Slices = Annotated[int, typer.Option(help="Slices of 4.8 mm, 16 to 256.")]
ImagingChoice = Annotated[
    ImagingOption,
    typer.Option(
        help="fast: blur and noise, seconds a cycle. full: SPECT by PyTomography, minutes a cycle."
    ),
]
HeterogeneityChoice = Annotated[
    float, typer.Option(help="Of uptake within organs, 0 for none to 1 for the usual.")
]
TracerChoice = Annotated[str, typer.Option(help=f"One of {', '.join(TRACERS)}.")]
TherapyChoice = Annotated[str, typer.Option(help=f"One of {', '.join(THERAPIES)}.")]
OrgansChoice = Annotated[
    str,
    typer.Option(
        help="Organs that the field of view must hold whole, with commas between; or none."
    ),
]
FineTruth = Annotated[
    bool, typer.Option("--fine-truth", help="Write true dose and decays on 2.4 mm too.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files that are there.")]
ORGANS_USUAL = "kidney,liver,spleen"


def refuse_existing(*paths: Path, overwrite: bool) -> None:
    """Refuse to replace files unless told so, and folders always.

    Raises:
        BadInput: One is there, or the folder above it is not.
    """
    for path in paths:
        if not path.absolute().parent.is_dir():
            raise BadInput(f"The folder of '{path}' must exist, and it does not. Create it.")
        if path.is_dir():
            raise BadInput(f"'{path}' must be a file, and it is a folder. Name another.")
        if path.exists() and not overwrite:
            raise BadInput(f"'{path}' must be new, and it is there. Give --overwrite.")


def organ_names(text: str) -> tuple[str, ...]:
    """Split ``--organs``."""
    return () if text == "none" else tuple(part.strip() for part in text.split(","))
