"""Options that several commands share."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rpt_cohort import BadInput

from rpt_phantom.agents import THERAPIES, TRACERS
from rpt_phantom.anatomy import OwnAnatomy


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
AnatomyFiles = Annotated[
    tuple[Path, Path] | None,
    typer.Option(
        metavar="CT LABELS",
        help="A CT in HU and its organs as NIfTI (TotalSegmentator v2 numbers), in which patients "
        "are drawn.",
        show_default="the shipped anatomy",
    ),
]
AnatomyAgain = Annotated[
    tuple[Path, Path] | None,
    typer.Option(
        metavar="CT LABELS",
        help="The files that the cohort was made with, where it was made by --anatomy.",
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


def own_anatomy(files: tuple[Path, Path] | None) -> OwnAnatomy | None:
    """Name the files of ``--anatomy``.

    Raises:
        BadInput: One cannot be read.
    """
    return OwnAnatomy.of(*files) if files else None


def organ_names(text: str) -> tuple[str, ...]:
    """Split ``--organs``."""
    return () if text == "none" else tuple(part.strip() for part in text.split(","))
