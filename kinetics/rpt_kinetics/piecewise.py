"""Curves that are sums of exponentials, and their exact convolution with e^(−θt)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from rpt_kinetics.exponentials import Floats, through_systems


@dataclass(frozen=True, eq=False)
class Curve:
    """A concentration Σ (constant + slope·t)·e^(−rate·t) from t = 0 on; shapes (terms,).

    Attributes:
        constant: Amplitudes of e^(−rate·t), the curve's unit.
        slope: Amplitudes of t·e^(−rate·t), the curve's unit per min.
        rate_per_min: 1/min.
    """

    constant: Floats
    slope: Floats
    rate_per_min: Floats

    def value(self, time_min: ArrayLike) -> Floats:
        """Return the curve at ``time_min`` (min, at least 0, any shape)."""
        return np.asarray(self._seen_from(np.asarray(time_min, np.float64)).constant.sum(axis=-1))

    def integral(self, start_min: ArrayLike, end_min: ArrayLike) -> Floats:
        """Return ∫ C(t) dt from start to end of each frame (min, shape (m,)), unit·min."""
        start, end = np.asarray(start_min, np.float64), np.asarray(end_min, np.float64)
        return self._seen_from(start)._fed(poles=(0.0,), time=end - start)

    def laplace(self, rate_per_min: float) -> float:
        """Return ∫₀^∞ e^(−s·t) C(t) dt at s = ``rate_per_min``, unit·min.

        Raises:
            ValueError: The integral diverges: the curve does not fall faster than e^(+s·t).
        """
        rate = self.rate_per_min + rate_per_min
        lasting = (self.constant != 0) | (self.slope != 0)
        if np.any(rate[lasting] <= 0):
            raise ValueError(
                "The input function must fall to 0 for its integral to infinity to exist, and a "
                "term of it does not (rate and physical decay together "
                f"{rate[lasting].min():g} per min). Give half_life_min, the isotope's half-life "
                "in min, or an input that decays."
            )
        safe = np.where(lasting, rate, 1.0)
        return float((self.constant / safe + self.slope / safe**2).sum())

    def response(self, theta_per_min: Floats, time_min: ArrayLike) -> Floats:
        """Return ∫₀ᵗ e^(−θ(t−s)) C(s) ds.

        Args:
            theta_per_min: θ, 1/min. Shape (n,).
            time_min: t, min, at least 0. Shape (m,).

        Returns:
            The curve's unit·min, shape (n, m).
        """
        time = np.asarray(time_min, dtype=np.float64)
        return self._fed(poles=(theta_per_min[:, np.newaxis],), time=time)

    def response_integral(
        self, theta_per_min: Floats, start_min: ArrayLike, end_min: ArrayLike
    ) -> Floats:
        """Return ∫ from start to end of :meth:`response`, for each frame.

        A frame begins with what the tissue holds at its start; a difference of two integrals
        from 0 would cancel the digits of a short frame.

        Args:
            theta_per_min: θ, 1/min. Shape (n,).
            start_min: Start of each frame, min. Shape (m,).
            end_min: End of each frame, min, after its start. Shape (m,).

        Returns:
            The curve's unit·min², shape (n, m).
        """
        start = np.asarray(start_min, dtype=np.float64)
        width = np.asarray(end_min, dtype=np.float64) - start
        theta = theta_per_min[:, np.newaxis]
        held = through_systems(
            constant=self.response(theta_per_min, start),
            slope=np.zeros(1),
            rate=theta,
            poles=(0.0,),
            time=width,
        )
        return held + self._seen_from(start)._fed(poles=(0.0, theta), time=width)

    def scaled(self, factor: float) -> "Curve":
        """Return the curve times ``factor``."""
        return Curve(factor * self.constant, factor * self.slope, self.rate_per_min)

    def decayed(self, rate_per_min: float) -> "Curve":
        """Return the curve times e^(−rate·t)."""
        return Curve(self.constant, self.slope, self.rate_per_min + rate_per_min)

    def _seen_from(self, time: Floats) -> "Curve":
        # The same curve with each instant as its time 0; shapes (*time, terms).
        since = time[..., np.newaxis]
        fallen = np.exp(-self.rate_per_min * since)
        constant = (self.constant + self.slope * since) * fallen
        return Curve(constant, self.slope * fallen, self.rate_per_min)

    def _fed(self, *, poles: tuple[Floats | float, ...], time: Floats) -> Floats:
        # All terms sent through the systems and added up; one by one is faster than a short axis.
        added = np.zeros(())
        for term in range(len(self.rate_per_min)):
            added = added + through_systems(
                constant=self.constant[..., term],
                slope=self.slope[..., term],
                rate=self.rate_per_min[term],
                poles=poles,
                time=time,
            )
        return np.asarray(added)


def exponential_curve(
    *, constant: ArrayLike, rate_per_min: ArrayLike, slope: ArrayLike = 0.0
) -> Curve:
    """Return Σ (constant + slope·t)·e^(−rate·t) from t = 0 on, shapes (terms,)."""
    arrays = (np.atleast_1d(np.asarray(one, np.float64)) for one in (constant, slope, rate_per_min))
    return Curve(*np.broadcast_arrays(*arrays))
