"""Checks of numbers that come from outside, each refusal one sentence with the fix."""

import numpy as np
from numpy.typing import ArrayLike

from rpt_kinetics.exponentials import Floats

# Ours: beyond (2,000 years), a unit is wrong.
LARGEST_TIME_MIN = 1e9


def positive(name: str, value: float, *, unit: str) -> float:
    """Return ``value`` if it is finite and above 0.

    Raises:
        ValueError: It is not.
    """
    if not (np.isfinite(value) and value > 0):
        of_unit = f" {unit}" if unit else ""
        raise ValueError(
            f"{name} must be a finite number above 0{of_unit}, got {value!r}{of_unit}. "
            "Check its sign and unit."
        )
    return float(value)


def times_min(name: str, value: ArrayLike) -> Floats:
    """Return times as an array of shape (m,), min, if they are finite, at least 0 and ascending.

    Raises:
        ValueError: They are not, or are beyond :data:`LARGEST_TIME_MIN`.
    """
    time = np.atleast_1d(np.asarray(value, dtype=np.float64))
    if time.ndim != 1 or not time.size:
        raise ValueError(
            f"{name} must be a row of at least one time in min, got shape {time.shape}. "
            "Give one time or a list of times."
        )
    if not np.all(np.isfinite(time) & (time >= 0)):
        wrong = time[~(np.isfinite(time) & (time >= 0))][0]
        raise ValueError(
            f"{name} must be finite and at least 0 min after the injection, got {wrong:g} min. "
            "Leave such times out, or move the time zero to the injection."
        )
    if time.max() > LARGEST_TIME_MIN:
        raise ValueError(
            f"{name} must be at most {LARGEST_TIME_MIN:g} min after the injection, got "
            f"{time.max():g} min. Check the unit of the times."
        )
    if np.any(np.diff(time) < 0):
        index = int(np.argmax(np.diff(time) < 0))
        raise ValueError(
            f"{name} must ascend, got {time[index]:g} min before {time[index + 1]:g} min. "
            "Sort the times."
        )
    return time


def frames_min(start_min: ArrayLike, end_min: ArrayLike) -> tuple[Floats, Floats]:
    """Return starts and ends of frames, min, shape (m,), if each frame lasts.

    Raises:
        ValueError: Times are unsorted or negative, or a frame does not end after its start.
    """
    start, end = times_min("start_min", start_min), times_min("end_min", end_min)
    if start.shape != end.shape:
        raise ValueError(
            f"start_min and end_min must be of one length, got {len(start)} and {len(end)} times "
            "in min. Give a start and an end for each frame."
        )
    if np.any(end <= start):
        index = int(np.argmax(end <= start))
        raise ValueError(
            f"end_min must be after start_min, got a frame from {start[index]:g} to "
            f"{end[index]:g} min. Exchange the two, or leave the frame out."
        )
    return start, end
