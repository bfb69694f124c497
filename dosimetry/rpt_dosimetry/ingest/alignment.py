"""Bring the scans of a cycle to its grid, and tell where all of them are known."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32
from rpt_cohort import BadInput, Volume

from rpt_dosimetry.registration.job import check_picture, story
from rpt_dosimetry.registration.pair import Scan, Start, register
from rpt_dosimetry.registration.resampling import Resampled, covered_share, resample_emission
from rpt_dosimetry.registration.transform import GridMm, Rigid, shifted

STAYS = shifted(np.zeros(3))
WHOLLY = 0.999
"""Ours: share of a voxel that a scan must cover to know it; the rest is rounding."""


@dataclass(frozen=True)
class Aligned:
    """A scan on the cycle's grid.

    Attributes:
        data: Bq/mL or g/mL on the grid.
        rigid: Position on the grid → position in the scan.
        story: What the registration did, for a JSON; ``None`` for the first SPECT.
        picture: By which a person judges it, PNG; ``None`` for the first SPECT.
    """

    data: Float32[np.ndarray, "x y z"]
    rigid: Rigid
    story: dict[str, Any] | None
    picture: bytes | None


def align(fixed: Scan, still: Resampled, moving: Scan, grid: GridMm, *, start: Start) -> Aligned:
    """Register a scan to the first SPECT and resample it once.

    Args:
        fixed: The first SPECT/CT.
        still: The first SPECT on the grid.
        moving: What is carried to it; without a CT, emission steers.
        grid: The cycle's grid.
        start: Where the registration begins.

    Raises:
        BadInput: The registration failed.
    """
    steered = fixed if moving.ct is not None else Scan(fixed.emission)
    found = register(steered, moving, start=start)
    carried = resample_emission(moving.emission, grid, found.rigid, name="The image")
    picture = check_picture(
        found, fixed_emission=still.data, moving_emission=carried.data, grid=grid
    )
    told = story(found, still, carried, grid)
    return Aligned(carried.data, found.rigid, told, picture)


def field_of_view(
    spects: list[tuple[Volume, Rigid]], ct: Volume, grid: GridMm
) -> Bool[np.ndarray, "x y z"]:
    """Tell where the dose is known: where every SPECT and the first one's CT are.

    Args:
        spects: Each SPECT, and position on the grid → position in it.
        ct: CT of the first SPECT, for the density.
        grid: The cycle's grid.

    A turning camera sees the circle inscribed in its slices; their corners are left out (ours).

    Raises:
        BadInput: The dose is known nowhere.
    """
    known = covered_share(ct, grid, STAYS) >= WHOLLY
    for volume, rigid in spects:
        known &= covered_share(volume, grid, rigid) >= WHOLLY
        known &= _in_circle(volume, grid, rigid)
    if not known.any():
        raise BadInput(
            "All SPECTs and the first one's CT must have a field in common, and they have none. "
            "Check that they show one region."
        )
    return known


def _in_circle(volume: Volume, grid: GridMm, rigid: Rigid) -> Bool[np.ndarray, "x y z"]:
    """Tell which voxels lie in the circle of a SPECT's slices, across its third axis.

    It is an ellipse where the slices are not square.
    """
    whole = np.linalg.inv(volume.affine) @ rigid.fixed_to_moving @ grid.affine
    x, y, z = np.ogrid[tuple(slice(n) for n in grid.shape)]
    squared = np.zeros(grid.shape)
    for axis in (0, 1):
        a, b, c, start = whole[axis]
        size = volume.data.shape[axis]
        squared += ((a * x + b * y + c * z + start - (size - 1) / 2.0) / (size / 2.0)) ** 2
    inside: Bool[np.ndarray, "x y z"] = squared <= 1.0
    return inside
