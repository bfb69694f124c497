"""The calibration factor: counts per second and activity, and what it is uncertain by."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from rpt_cohort import BadInput

LARGEST_CPS_PER_MBQ = 1e4
"""Ours: a collimator passes about 1 photon in 10⁴, some 10 to 100 cps/MBq with two heads."""


@dataclass(frozen=True)
class CalibrationFactor:
    """A calibration factor.

    Attributes:
        cps_per_mbq: Counts of the reconstructed image per second and MBq.
        relative_sd: Part → standard uncertainty over the factor; ``None`` where it is not known.
    """

    cps_per_mbq: float
    relative_sd: Mapping[str, float | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a factor or an uncertainty that cannot be."""
        if not 0 < self.cps_per_mbq <= LARGEST_CPS_PER_MBQ:
            raise BadInput(
                f"The factor must be above 0 and at most {LARGEST_CPS_PER_MBQ:g} cps/MBq, got "
                f"{self.cps_per_mbq!r} cps/MBq."
            )
        for part, sd in self.relative_sd.items():
            if sd is not None and not 0 <= sd <= 1:
                raise BadInput(f"The uncertainty of {part} must be from 0 to 100 %, got {sd:.1%}.")

    @property
    def total_relative_sd(self) -> float | None:
        """Root of the sum of the squares of the parts; ``None`` where one is not known."""
        known = [sd for sd in self.relative_sd.values() if sd is not None]
        return math.hypot(*known) if known and len(known) == len(self.relative_sd) else None

    @property
    def why_no_total(self) -> str | None:
        """Why there is no total, a sentence; ``None`` where there is one."""
        if self.total_relative_sd is not None:
            return None
        unknown = [part for part, sd in self.relative_sd.items() if sd is None]
        return (
            "The factor's uncertainty has no total, because it is not told what it is uncertain "
            f"by through {' and '.join(unknown) or 'anything'}; the parts that are known stand by "
            "themselves."
        )


@dataclass(frozen=True)
class SpectCounts:
    """A SPECT as the factor sees it.

    Attributes:
        counts: Sum over the reconstructed image, corrected for attenuation and scatter.
        duration_s: Of the scan, s.
        dead_time_correction: True over recorded counts, 1 or above.
    """

    counts: float
    duration_s: float
    dead_time_correction: float = 1.0

    def __post_init__(self) -> None:
        """Refuse counts and durations that cannot be."""
        if not 0 < self.counts < math.inf:
            raise BadInput(f"The SPECT must hold counts above 0, got {self.counts!r}.")
        if not 0 < self.duration_s < math.inf:
            raise BadInput(f"duration_s must be above 0 s, got {self.duration_s!r} s.")
        if not self.dead_time_correction >= 1:
            raise BadInput(
                f"The dead-time correction must be 1 or above, got {self.dead_time_correction!r}."
            )

    @property
    def true_cps(self) -> float:
        """Counts per second, had none been lost."""
        return self.counts * self.dead_time_correction / self.duration_s


def image_based_factor(
    spect: SpectCounts,
    *,
    net_administered_mbq: float,
    elapsed_h: float,
    half_life_h: float,
    in_field: float,
    retained: float,
    relative_sd: Mapping[str, float | None],
) -> CalibrationFactor:
    """Calibrate a SPECT by the activity in its field of view.

    cps/MBq = counts / duration / (A₀ · 2^(−t/T) · retained · in_field).

    Args:
        spect: Counts, duration and dead time.
        net_administered_mbq: A₀, residual subtracted, at the start of infusion, MBq.
        elapsed_h: t, start of infusion to mid-scan, h.
        half_life_h: T, physical, h.
        in_field: Fraction of the body's activity in the field of view.
        retained: Fraction not excreted.
        relative_sd: Part → standard uncertainty over the factor; counting is added.

    Returns:
        The factor with its parts.

    Raises:
        BadInput: A value is out of range.

    Source: Halty et al., EJNMMI Phys 5 (2018) 11. Counting is 1/√counts, which reconstruction and
    corrections raise somewhat; it is below 0.1 % in therapy.
    """
    for name, value in (("in_field", in_field), ("retained", retained)):
        if not 0 < value <= 1:
            raise BadInput(f"{name} must be a fraction above 0 and at most 1, got {value!r}.")
    if not 0 < net_administered_mbq < math.inf:
        raise BadInput(f"net_administered_mbq must be above 0 MBq, got {net_administered_mbq!r}.")
    if not 0 <= elapsed_h < math.inf:
        raise BadInput(f"elapsed_h must be 0 h or above, got {elapsed_h!r} h.")
    if not 0 < half_life_h < math.inf:
        raise BadInput(f"half_life_h must be above 0 h, got {half_life_h!r} h.")
    left_mbq = net_administered_mbq * math.pow(2.0, -elapsed_h / half_life_h)
    parts = dict(relative_sd) | {"counting": 1.0 / math.sqrt(spect.counts)}
    return CalibrationFactor(spect.true_cps / (left_mbq * retained * in_field), parts)
