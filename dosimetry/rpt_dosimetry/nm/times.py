"""When an NM object was measured, and for how long.

Actual Frame Duration is the time of one angular position (DICOM PS3.3, C.8.4.11) or of a whole
view (C.8.4.9). Number of Detectors of reconstructed slices is 1 however many heads the camera
has, and the frames of several heads count as one set where they were interleaved (C.8.4.8.1.3):
how long the scan took needs the number of heads, which no tag tells. Reading it off the scan
arc is ours.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from rpt_cohort import BadInput

from rpt_dosimetry.attributes import ACQUISITION_DATE, ACQUISITION_TIME, FRAME_DURATION, Tag
from rpt_dosimetry.decimals import read_decimal
from rpt_dosimetry.elements import components
from rpt_dosimetry.nm.attributes import (
    ANGULAR_STEP,
    FRAMES_IN_ROTATION,
    ROTATION_INFORMATION,
    SCAN_ARC,
)
from rpt_dosimetry.nm.reading import items
from rpt_dosimetry.tags import Tags

_LARGEST_HEADS = 16
_ANGLE_TOLERANCE = 0.05
"""Relative; 59 and 60 views of one arc are told apart from half of them."""


@dataclass(frozen=True)
class ScanTimes:
    """When was scanned.

    Attributes:
        start: Begin of the acquisition, on the series' clock; ``None`` where not told.
        duration_s: From begin to end, s; ``None`` where not told.
        branch: How the duration was found; empty where it was not.
    """

    start: datetime | None
    duration_s: float | None
    branch: str

    @property
    def middle(self) -> datetime | None:
        """The middle of the scan, where begin and duration are told."""
        if self.start is None or self.duration_s is None:
            return None
        return self.start + timedelta(seconds=self.duration_s / 2.0)


def tomography_times(dataset: Any, tags: Tags, *, heads: int) -> ScanTimes:
    """Find when reconstructed tomography was measured.

    Args:
        dataset: The NM object.
        tags: Its header.
        heads: How many detector heads of the camera acquired it at a time.

    Returns:
        The duration is frame duration times stops. Where the frames fill a whole turn by
        themselves they are those of all heads; where they fill it only times ``heads`` they are
        those of one. It is not told where several heads saw a smaller arc, which vendors mean of
        one head or of all (UCL/STIR issue 1184), and where there are several rotations, which may
        be as many beds.

    Raises:
        BadInput: A value is malformed, ``heads`` is not plausible, or frames, step and arc
            contradict each other.
    """
    if not 1 <= heads <= _LARGEST_HEADS:
        raise BadInput(f"heads must be from 1 to {_LARGEST_HEADS}, got {heads}.")
    rotations = items(dataset, ROTATION_INFORMATION)
    told = _rotation(rotations[0], heads) if len(rotations) == 1 else None
    return ScanTimes(_start(tags), *(told or (None, "")))


def planar_times(dataset: Any, tags: Tags) -> ScanTimes:
    """Find when a planar view was measured; the duration is Actual Frame Duration.

    Raises:
        BadInput: A value is malformed.
    """
    duration_ms = _number(dataset, FRAME_DURATION)
    if not duration_ms:
        return ScanTimes(_start(tags), None, "")
    return ScanTimes(_start(tags), duration_ms / 1000.0, "actual frame duration")


def _rotation(rotation: Any, heads: int) -> tuple[float, str] | None:
    duration_ms = _number(rotation, FRAME_DURATION)
    frames = _number(rotation, FRAMES_IN_ROTATION)
    if not duration_ms or not frames:
        return None
    whole_s = duration_ms * frames / 1000.0
    if heads == 1:
        return whole_s, "frame duration x frames in rotation"
    arc, step = _number(rotation, SCAN_ARC), _number(rotation, ANGULAR_STEP)
    if not arc or not step:
        return whole_s / heads, f"frame duration x frames in rotation / {heads} heads"
    turns = abs(step) * frames / arc
    if abs(turns - 1.0) <= _ANGLE_TOLERANCE and abs(arc / 360.0 - 1.0) > _ANGLE_TOLERANCE:
        return None
    if abs(turns - 1.0) <= _ANGLE_TOLERANCE:
        return whole_s / heads, f"frame duration x frames in rotation / {heads} heads"
    if abs(turns * heads - 1.0) <= _ANGLE_TOLERANCE:
        return whole_s, "frame duration x frames of one head"
    raise BadInput(
        f"{FRAMES_IN_ROTATION} times {ANGULAR_STEP} must be {SCAN_ARC}, or that by {heads} heads, "
        f"got {frames:g} x {abs(step):g}° for {arc:g}°. Give the duration and the number of heads."
    )


def _start(tags: Tags) -> datetime | None:
    begins = [moment for moment in tags.moments(ACQUISITION_DATE, ACQUISITION_TIME) if moment]
    return min(begins) if begins else None


def _number(holder: Any, tag: Tag) -> float | None:
    texts = components(holder, tag)
    return read_decimal("\\".join(texts), tag) if texts else None
