"""Options that several commands share."""

from enum import StrEnum
from typing import Annotated

import typer

from rpt_phantom.agents import THERAPIES, TRACERS


class ImagingOption(StrEnum):
    """The modes of imaging."""

    FAST = "fast"
    FULL = "full"


Seed = Annotated[int, typer.Option(help="Same seed, same data files.")]
Slices = Annotated[int, typer.Option(help="Slices of 4.8 mm, 16 to 224.")]
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
ORGANS_USUAL = "kidney,liver,spleen"


def organ_names(text: str) -> tuple[str, ...]:
    """Split ``--organs``."""
    return () if text == "none" else tuple(part.strip() for part in text.split(","))
