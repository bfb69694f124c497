"""What commands on one DICOM series share: their arguments, the listing, the manners."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rpt_cohort.command import naming, progress, warn

from rpt_dosimetry.dicom.series import Series, choose_pet, find_series

SeriesDir = Annotated[
    Path,
    typer.Argument(
        metavar="SERIES_DIR",
        help="Folder with the DICOM files; its subfolders are searched.",
    ),
]
ListSeries = Annotated[
    bool, typer.Option("--list", help="List the series of the folder and write nothing.")
]
SeriesUid = Annotated[
    str | None,
    typer.Option(
        help="Series Instance UID, or its unique beginning. Default: the only PET series.",
        show_default=False,
    ),
]


def list_series(series_dir: Path) -> None:
    """Print the series of a folder."""
    found: list[str] = []
    with naming(series_dir):
        series = find_series(
            series_dir, warnings=found, despite_damage=True, progress=show_progress
        )
    for one in series:
        typer.echo(str(one))
    warn_of_each(found)


def chosen_series(series_dir: Path, wanted: str | None, warnings: list[str]) -> Series:
    """Find the series that a command is to read."""
    with naming(series_dir):
        found = find_series(series_dir, warnings=warnings, progress=show_progress)
        return choose_pet(found, wanted)


def warn_of_each(sentences: Sequence[str]) -> None:
    """Say each warning on stderr."""
    for sentence in sentences:
        warn(sentence)


def show_progress(paths: Sequence[Path], description: str) -> Iterable[Path]:
    """Yield ``paths`` under a progress bar."""
    return progress(paths, description)
