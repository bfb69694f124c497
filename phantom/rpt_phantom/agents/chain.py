"""Excretion: from plasma through pools, one after the other, and out."""

from dataclasses import dataclass

import numpy as np
from rpt_kinetics.curves import through_systems

from rpt_phantom.agents.exchange import PlasmaCurve


@dataclass(frozen=True)
class Chain:
    """A clearance and the well-stirred pools that it runs through.

    Pools drain steadily: what has left is never negative and never falls. (A bladder that is
    voided at set times differs in the hour of a scan, not in the balance.)

    Attributes:
        plasma: The plasma curve.
        clearance_ml_per_min: From plasma into the first pool, mL/min.
        residence_min: Mean time in each pool, min.
    """

    plasma: PlasmaCurve
    clearance_ml_per_min: float
    residence_min: tuple[float, ...]

    def in_pool(self, pool: int, time_min: float) -> float:
        """Return what is in a pool, of the injected activity, corrected for decay."""
        poles = self._poles()[: pool + 1]
        return self._through(poles, time_min)

    def left(self, time_min: float) -> float:
        """Return what has left the last pool, of the injected activity, corrected for decay."""
        return self._through((*self._poles(), 0.0), time_min)

    def area_min(self, pool: int, decay_per_min: float) -> float:
        """Return a pool's content integrated to infinity with physical decay, min."""
        content = self.clearance_ml_per_min * self.plasma.area_min_per_ml(decay_per_min)
        for pole in self._poles()[:pool]:
            content *= pole / (pole + decay_per_min)
        return content / (self._poles()[pool] + decay_per_min)

    def _poles(self) -> tuple[float, ...]:
        return tuple(1.0 / residence for residence in self.residence_min)

    def _through(self, poles: tuple[float, ...], time_min: float) -> float:
        # Each pool passes on its content times its rate; the last pole's own rate is left out.
        flow = self.clearance_ml_per_min * float(np.prod(poles[:-1]))
        terms = through_systems(
            constant=self.plasma.amplitude_per_ml,
            slope=np.zeros(1),
            rate=self.plasma.rate_per_min,
            poles=poles,
            time=np.asarray(time_min, dtype=np.float64),
        )
        return flow * float(terms.sum())
