"""Where the slices of reconstructed tomography stand.

Source: DICOM PS3.3, C.8.4.15 (NM Reconstruction): Image Position and Orientation (Patient) of
the first frame stand in the Detector Information Sequence; the normal is the cross product of
the first row and the first column, a positive Spacing Between Slices stacks along it and a
negative one against it. Viewers that ignore the sign show such patients upside down
(OHIF/Viewers issue 4352, rordenlab/dcm2niix issue 885).
"""

from types import SimpleNamespace
from typing import Any

import numpy as np
from rpt_cohort import BadInput

from rpt_dosimetry.attributes import (
    COLUMNS,
    NUMBER_OF_SLICES,
    ORIENTATION,
    PIXEL_SPACING,
    POSITION,
    ROWS,
    Tag,
)
from rpt_dosimetry.decimals import BOUNDS, check_bounds, read_decimal
from rpt_dosimetry.elements import components
from rpt_dosimetry.geometry import Grid, find_grid
from rpt_dosimetry.nm.attributes import (
    DETECTOR_INFORMATION,
    SLICE_VECTOR,
    SPACING_BETWEEN_SLICES,
)
from rpt_dosimetry.nm.frames import frame_count, vector
from rpt_dosimetry.nm.reading import items

_ASSUMED_ORIENTATION = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
_ASSUMED_POSITION = (0.0, 0.0, 0.0)


def find_placement(dataset: Any, *, unplaced: bool, warnings: list[str]) -> tuple[Grid, bool]:
    """Find the grid of the frames.

    Args:
        dataset: An NM object of reconstructed slices.
        unplaced: Take an object that does not tell its position or orientation, as if it were
            transverse at the origin.
        warnings: Takes that it was so taken.

    Returns:
        The grid, whose ``order`` is that of the frames, and whether the object tells it.

    Raises:
        BadInput: Position, orientation or spacing is missing or malformed, or the frames are
            not one stack of slices.
    """
    orientation, position = _of_first_frame(dataset, unplaced=unplaced)
    placed = bool(orientation and position)
    if not placed:
        warnings.append(
            f"{DETECTOR_INFORMATION} does not tell position and orientation; the slices were "
            "taken as transverse at the origin, and left and right are not known."
        )
    cosines = np.array(orientation or _ASSUMED_ORIENTATION)
    first_mm = np.array(position or _ASSUMED_POSITION)
    normal = np.cross(cosines[:3], cosines[3:])
    step_mm = _step_mm(dataset)
    headers = [
        _header(dataset, cosines, first_mm + (number - 1) * step_mm * normal)
        for number in _slice_numbers(dataset)
    ]
    return find_grid(headers), placed


def _of_first_frame(
    dataset: Any, *, unplaced: bool
) -> tuple[list[float] | None, list[float] | None]:
    detectors = items(dataset, DETECTOR_INFORMATION)
    orientation = _numbers(detectors[0], ORIENTATION, 6) if detectors else None
    position = _numbers(detectors[0], POSITION, 3) if detectors else None
    for tag, found in ((ORIENTATION, orientation), (POSITION, position)):
        if found is None and not unplaced:
            raise BadInput(
                f"{DETECTOR_INFORMATION} must hold {tag} of the first frame to know where the "
                "slices stand, and it does not. Export the series anew from the workstation."
            )
    return (orientation, position) if orientation and position else (None, None)


def _slice_numbers(dataset: Any) -> list[int]:
    """Return the number of each frame's slice; the first frame must be slice 1."""
    count = frame_count(dataset)
    numbers = vector(dataset, SLICE_VECTOR) or list(range(1, count + 1))
    if sorted(numbers) != list(range(1, count + 1)) or numbers[0] != 1:
        raise BadInput(
            f"{SLICE_VECTOR} must number {count} frames from 1, each once, slice 1 first, and it "
            "does not: the object holds several volumes or an unknown order. Export one volume."
        )
    told = components(dataset, NUMBER_OF_SLICES)
    if told and read_decimal(told[0], NUMBER_OF_SLICES) != count:
        raise BadInput(
            f"{NUMBER_OF_SLICES} must be the number of frames, {count}, got {told[0]}. Export "
            "the whole series."
        )
    return numbers


def _step_mm(dataset: Any) -> float:
    found = _numbers(dataset, SPACING_BETWEEN_SLICES, 1)
    if found is None:
        raise BadInput(
            f"{SPACING_BETWEEN_SLICES} must be there, with its sign, to know on which side of the "
            "first slice the others stand, and it is missing. Export the series anew."
        )
    check_bounds(abs(found[0]), SPACING_BETWEEN_SLICES, BOUNDS[PIXEL_SPACING])
    return found[0]


def _header(dataset: Any, cosines: np.ndarray, position_mm: np.ndarray) -> Any:
    """Make what ``find_grid`` asks of a single-frame slice."""
    values: dict[Tag, list[Any]] = {
        ROWS: components(dataset, ROWS),
        COLUMNS: components(dataset, COLUMNS),
        PIXEL_SPACING: components(dataset, PIXEL_SPACING),
        ORIENTATION: cosines.tolist(),
        POSITION: position_mm.tolist(),
    }
    return {
        (tag.group, tag.element): SimpleNamespace(value=value)
        for tag, value in values.items()
        if value
    }


def _numbers(holder: Any, tag: Tag, count: int) -> list[float] | None:
    texts = components(holder, tag)
    if not texts:
        return None
    if len(texts) != count:
        raise BadInput(f"{tag} must be {count} numbers, got {len(texts)}. Correct the header.")
    return [read_decimal(text, tag) for text in texts]
