"""The slices of one series: each once, in order, and their values when they are wanted."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from jaxtyping import Float
from rpt_cohort import BadInput, file_sha256

from rpt_dosimetry.attributes import (
    LOSSY,
    NUMBER_OF_SLICES,
    RESCALE_INTERCEPT,
    RESCALE_SLOPE,
    SERIES_TYPE,
)
from rpt_dosimetry.folder import DicomFile, Progress
from rpt_dosimetry.geometry import Grid, find_grid, repeated_positions
from rpt_dosimetry.pixels import rescaled, stored_values
from rpt_dosimetry.reading import DICOM_ERRORS, read_whole
from rpt_dosimetry.series import Series
from rpt_dosimetry.tags import Tags


@dataclass(frozen=True)
class Slices:
    """The slices of a series, along the normal.

    Attributes:
        files: One a slice.
        grid: Where they stand.
        tags: Their headers.
    """

    files: list[DicomFile]
    grid: Grid
    tags: Tags


def in_order(series: Series, warnings: list[str]) -> Slices:
    """Take each slice of a whole series once and put them in order.

    Args:
        series: Single-frame images.
        warnings: Takes what the user should know of the series' kind and copies.

    Returns:
        The slices; their pixels are not read yet.

    Raises:
        BadInput: Slices are missing, are several at one position, are projections, or do
            not stand on one regular grid.
    """
    files = _without_copies(series.files, warnings)
    grid = find_grid([file.header for file in files])
    files = [files[index] for index in grid.order]
    tags = Tags([file.header for file in files])
    _check_kind(tags, warnings)
    return Slices(files, grid, tags)


def read_values(
    slices: Slices, factor: Sequence[float], progress: Progress, *, padding: float = 0.0
) -> tuple[Float[np.ndarray, "i j k"], list[str]]:
    """Read the values of every slice, rescaled and multiplied by its factor.

    Args:
        slices: What to read.
        factor: One a slice, in units of the result per rescaled value.
        progress: Wraps the list of files, to show how far the reading is.
        padding: What a padded pixel becomes, before the factor.

    Returns:
        Values on the slices' grid, and the SHA-256 of each file in hex.

    Raises:
        BadInput: A file or its pixels are damaged, or the rescale slope is missing or not
            above 0.
    """
    tags = slices.tags
    slopes = tags.need_numbers(RESCALE_SLOPE, "to read the voxel values")
    intercepts = tags.numbers(RESCALE_INTERCEPT) or [0.0] * len(tags)
    if min(slopes) <= 0:
        raise BadInput(f"{RESCALE_SLOPE} must be above 0 in every slice, got {min(slopes):g}.")
    planes, hashes = [], []
    paths = [file.path for file in slices.files]
    for index, path in enumerate(progress(paths, "Reading slices")):
        name = f"slice {index + 1} of {len(paths)}"
        try:
            dataset, sha256 = read_whole(path)
        except DICOM_ERRORS as error:
            raise BadInput(f"Every slice must be a whole DICOM file, and {name} is not.") from error
        stored = stored_values(dataset, name=name)
        with np.errstate(over="ignore", invalid="ignore"):  # the caller refuses what is not finite
            plane = rescaled(
                stored,
                dataset,
                slope=slopes[index],
                intercept=intercepts[index],
                padding=padding,
            )
            # NumPy's [row, column] is DICOM's [j, i].
            planes.append((plane * factor[index]).T)
        hashes.append(sha256)
    return np.stack(planes, axis=2), hashes


def fits_float32(data: Float[np.ndarray, "i j k"]) -> bool:
    """Tell whether every value is a finite number that a volume can store."""
    return bool((np.abs(data) <= np.finfo(np.float32).max).all())  # NaN compares as false


def seconds_after(injection: datetime | None, moment: datetime | None) -> float | None:
    """Return the time from injection to a moment, s; ``None`` where one is not told."""
    if injection is None or moment is None:
        return None
    return (moment - injection).total_seconds()


def _without_copies(files: Sequence[DicomFile], warnings: list[str]) -> list[DicomFile]:
    """Drop byte-identical copies of a slice; refuse several slices at one position."""
    dropped: set[int] = set()
    repeated = repeated_positions([file.header for file in files])
    for group in repeated:
        if len({_sha256(files[index].path) for index in group}) > 1:
            raise BadInput(
                f"Each position must hold one slice, and {len(repeated)} positions hold several "
                "that differ: the series has several frames or gates, or was sent twice. Give "
                "one static volume."
            )
        dropped.update(group[1:])
    if dropped:
        warnings.append(f"{len(dropped)} of {len(files)} files are copies; each was used once.")
    return [file for index, file in enumerate(files) if index not in dropped]


def _sha256(path: Path) -> str:
    try:
        return file_sha256(path)
    except BadInput as error:  # its own message would repeat the file's name
        raise BadInput("Every slice must be a readable file, and one is not.") from error


def _check_kind(tags: Tags, warnings: list[str]) -> None:
    expected = tags.number(NUMBER_OF_SLICES)
    if expected is not None and expected > len(tags):
        raise BadInput(
            f"{NUMBER_OF_SLICES} tells {expected:g} slices, and the series has {len(tags)}: some "
            "are missing. Copy or export the whole series."
        )
    kind = tags.text(SERIES_TYPE).upper()
    if "REPROJECTION" in kind:
        raise BadInput(f"{SERIES_TYPE} must be IMAGE, got REPROJECTION. Give the slices.")
    if kind.startswith(("DYNAMIC", "GATED")):
        warnings.append(f"{SERIES_TYPE} is dynamic or gated; this is one frame of it.")
    if "01" in tags.texts(LOSSY):
        warnings.append(f"{LOSSY} is 01: the values were changed by lossy compression.")
