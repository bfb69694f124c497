"""Frames of a dynamic scan: when they were, and how their values are brought to the injection."""

from dataclasses import dataclass

import numpy as np

from rpt_kinetics.checking import frames_min
from rpt_kinetics.errors import BadInput
from rpt_kinetics.exponentials import Floats, exponential_difference
from rpt_kinetics.inputs import HALF_LIVES, check_correction, decay_rate_per_min

# Seconds turned into minutes do not meet to the last digit.
CLOCK_TOLERANCE_MIN = 1e-6


@dataclass(frozen=True, eq=False)
class Frames:
    """Frames of a dynamic scan, in order; between two there may be a gap.

    Attributes:
        start_min: min on the scan's clock. Shape (m,).
        end_min: min on the scan's clock. Shape (m,).
        injection_min: When the injection was, min on that clock, at least 0.

    Raises:
        BadInput: A time is negative, frames are unsorted, do not last or overlap.
    """

    start_min: Floats
    end_min: Floats
    injection_min: float = 0.0

    def __post_init__(self) -> None:
        """Refuse frames that no scanner makes."""
        start, end = frames_min(self.start_min, self.end_min)
        overlap = start[1:] < end[:-1] - CLOCK_TOLERANCE_MIN
        if np.any(overlap):
            index = int(np.argmax(overlap))
            raise BadInput(
                f"Frames must not overlap, got one to {end[index]:g} min and the next from "
                f"{start[index + 1]:g} min. Check frame_start and frame_end and their units."
            )
        if not (np.isfinite(self.injection_min) and self.injection_min >= 0):
            raise BadInput(
                f"injection_min must be finite and at least 0 min on the frames' clock, got "
                f"{self.injection_min!r} min. Leave it out for 0; count frames "
                "from the injection if it came first."
            )
        object.__setattr__(self, "start_min", start)
        object.__setattr__(self, "end_min", end)

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.start_min)

    def mean_decay_factor(self, half_life_min: float) -> Floats:
        """Return the mean of e^(−λ(t − injection)) over each frame, shape (m,)."""
        decay = decay_rate_per_min(half_life_min)
        return np.asarray(
            exponential_difference(
                decay * (self.start_min - self.injection_min),
                decay * (self.end_min - self.injection_min),
            )
        )


def to_injection(frames: Frames, decay_correction: str, *, half_life_min: float) -> Floats:
    """Return the factors that turn frames' values into values corrected to the injection.

    A frame that is not corrected is divided by the mean of e^(−λt) over the frame, as scanners
    do; one corrected to the first frame's start has e^(λ(start − injection)) still to come.

    Args:
        frames: Shape (m,).
        decay_correction: ``injection``, ``scan_start`` or ``none``: what was done already.
        half_life_min: Physical half-life, min.

    Raises:
        BadInput: There is a correction to do, and the half-life is not given, or so short that
            nothing is left to correct.
    """
    if decay_correction == "injection":
        return np.ones(len(frames))
    if not np.isfinite(half_life_min):
        raise BadInput(
            f"half_life_min must be given, in min, where the decay correction is "
            f"'{decay_correction}'. {HALF_LIVES}."
        )
    late_min = float(frames.start_min[0] - frames.injection_min)
    if decay_correction == "none":
        check_correction(half_life_min, float(frames.start_min[-1] - frames.injection_min))
        return np.asarray(1.0 / frames.mean_decay_factor(half_life_min))
    check_correction(half_life_min, late_min)
    return np.full(len(frames), np.exp(decay_rate_per_min(half_life_min) * late_min))
