"""The energy windows of an NM object."""

from dataclasses import dataclass
from typing import Any

from rpt_cohort import BadInput

from rpt_dosimetry.decimals import read_decimal
from rpt_dosimetry.elements import components
from rpt_dosimetry.nm.attributes import (
    ENERGY_LOWER,
    ENERGY_UPPER,
    ENERGY_WINDOW_INFORMATION,
    ENERGY_WINDOW_RANGE,
)
from rpt_dosimetry.nm.reading import items

LARGEST_KEV = 2000.0


@dataclass(frozen=True)
class EnergyWindow:
    """One energy window.

    Attributes:
        lower_kev: Lower limit, keV.
        upper_kev: Upper limit, keV.
    """

    lower_kev: float
    upper_kev: float

    @property
    def width_kev(self) -> float:
        """Width, keV."""
        return self.upper_kev - self.lower_kev

    def holds(self, energy_kev: float) -> bool:
        """Tell whether a photon energy lies in the window."""
        return self.lower_kev <= energy_kev <= self.upper_kev

    def __str__(self) -> str:
        """Limits, for a sentence."""
        return f"{self.lower_kev:g}–{self.upper_kev:g} keV"


def energy_windows(dataset: Any) -> tuple[EnergyWindow | None, ...]:
    """Read the energy windows in the order that Energy Window Vector counts them.

    Returns:
        The windows; ``None`` for one that tells no limits; empty without the sequence.

    Raises:
        BadInput: A window of several ranges, or limits that are not ascending keV.
    """
    return tuple(_window(item) for item in items(dataset, ENERGY_WINDOW_INFORMATION))


def _window(item: Any) -> EnergyWindow | None:
    ranges = items(item, ENERGY_WINDOW_RANGE)
    if not ranges:
        return None
    if len(ranges) > 1:
        raise BadInput(
            f"{ENERGY_WINDOW_RANGE} must hold one range a window, got {len(ranges)}: counts of "
            "several peaks were added. Export each window by itself."
        )
    limits = [components(ranges[0], tag) for tag in (ENERGY_LOWER, ENERGY_UPPER)]
    if not all(limits):
        return None
    lower_kev = read_decimal(limits[0][0], ENERGY_LOWER)
    upper_kev = read_decimal(limits[1][0], ENERGY_UPPER)
    if not 0 <= lower_kev < upper_kev <= LARGEST_KEV:
        raise BadInput(
            f"{ENERGY_LOWER} must be below {ENERGY_UPPER}, both from 0 to {LARGEST_KEV:g} keV, got "
            f"{lower_kev:g} and {upper_kev:g} keV. Correct the header."
        )
    return EnergyWindow(lower_kev, upper_kev)
