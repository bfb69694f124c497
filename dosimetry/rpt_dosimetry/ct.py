"""A CT series becomes a volume of HU."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float
from rpt_cohort import BadInput, Volume

from rpt_dosimetry.dicom.attributes import RESCALE_TYPE
from rpt_dosimetry.dicom.reading import Progress, no_progress
from rpt_dosimetry.dicom.series import Series
from rpt_dosimetry.dicom.slices import in_order, read_values, to_ras

AIR_HU = -1024.0
"""What padding outside the scanner's circle becomes."""
INT16 = np.iinfo(np.int16)


@dataclass(frozen=True)
class Ct:
    """A CT and what it rests on.

    Attributes:
        volume: HU, float32 of whole numbers that fit int16, RAS+.
        slice_axis: The axis of ``volume`` along which the slices stand, 0, 1 or 2.
        tags_used: Every tag asked for and found.
        slice_sha256: The files, in the order of the slices.
        warnings: What the user should know, a sentence each.
    """

    volume: Volume
    slice_axis: int
    tags_used: list[dict[str, Any]]
    slice_sha256: list[str]
    warnings: list[str] = field(default_factory=list)


def read_ct(
    series: Series, *, warnings: Sequence[str] = (), progress: Progress = no_progress
) -> Ct:
    """Read one CT series.

    Args:
        series: Single-frame CT images.
        warnings: What was told when the series was found, to be told first.
        progress: Wraps the list of files, to show how far the reading is.

    Returns:
        The volume, rounded to whole HU, and what it rests on.

    Raises:
        BadInput: The series is not in HU, or its slices are no regular volume; the sentence
            names the tag or the slices.
    """
    told = list(warnings)
    slices = in_order(series, told)
    tags = slices.tags
    unit = tags.text(RESCALE_TYPE).upper()
    if unit not in ("", "HU"):
        raise BadInput(f"{RESCALE_TYPE} must be HU, and it is not. Export the CT in HU.")
    data, hashes = read_values(slices, [1.0] * len(tags), progress, padding=AIR_HU)
    _check_values(data)
    volume, slice_axis, reverse = to_ras(data, slices.grid)
    return Ct(
        volume=Volume(np.rint(volume.data), volume.affine),
        slice_axis=slice_axis,
        tags_used=tags.record(None),
        slice_sha256=hashes[::-1] if reverse else hashes,
        warnings=told,
    )


def _check_values(data: Float[np.ndarray, "i j k"]) -> None:
    if not ((data >= INT16.min) & (data <= INT16.max)).all():  # NaN compares as false
        raise BadInput(
            f"Every HU must be from {INT16.min} to {INT16.max}, got {data.min():g} to "
            f"{data.max():g}. Check Rescale Slope and Intercept."
        )
