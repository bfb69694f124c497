"""Curves made of pieces, and their exact convolution with e^(−θt) by a recursion over the pieces.

A measured curve is linear between its samples, a bolus model is one piece that lasts for ever,
a delayed injection starts later: all are rows of pieces (constant + slope·τ)·e^(−rate·τ), τ
counted from the piece's own start.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rpt_kinetics.errors import BadInput
from rpt_kinetics.exponentials import Floats, through_systems


@dataclass(frozen=True, eq=False)
class Curve:
    """A concentration over time, 0 before its first piece; the last piece lasts for ever.

    Attributes:
        start_min: Start of each piece, min, increasing, at least 0. Shape (pieces,).
        constant: Amplitudes of e^(−rate·τ), the curve's unit. Shape (pieces, terms).
        slope: Amplitudes of τ·e^(−rate·τ), the curve's unit per min. Shape (pieces, terms).
        rate_per_min: 1/min. Shape (pieces, terms).
    """

    start_min: Floats
    constant: Floats
    slope: Floats
    rate_per_min: Floats

    def value(self, time_min: ArrayLike) -> Floats:
        """Return the curve at ``time_min`` (min, any shape)."""
        time = np.asarray(time_min, dtype=np.float64)
        return np.asarray(self._seen_from(time)[0].sum(axis=-1))

    def integral(self, start_min: ArrayLike, end_min: ArrayLike) -> Floats:
        """Return ∫ C(t) dt from start to end of each frame (min, shape (m,)), unit·min."""
        start, end = np.atleast_1d(start_min), np.atleast_1d(end_min)
        walk = _Walk.over(self, np.concatenate([start, end]))
        return np.asarray(walk.summed(walk.fed(self, poles=(0.0,))[np.newaxis], start, end)[0])

    def laplace(self, rate_per_min: float) -> float:
        """Return ∫₀^∞ e^(−s·t) C(t) dt at s = ``rate_per_min``, unit·min.

        Raises:
            BadInput: The integral diverges: the curve does not fall faster than e^(+s·t).
        """
        decayed = self.decayed(rate_per_min)
        last = decayed.rate_per_min[-1]
        lasting = (decayed.constant[-1] != 0) | (decayed.slope[-1] != 0)
        if np.any(last[lasting] <= 0):
            raise BadInput(
                "The input function must fall to 0 for its integral to infinity to exist, and its "
                "last term does not (rate and physical decay together "
                f"{last[lasting].min():g} per min). Give half_life_min, the isotope's half-life "
                "in min, or an input that decays."
            )
        safe = np.where(lasting, last, 1.0)
        tail = decayed.constant[-1] / safe + decayed.slope[-1] / safe**2
        if len(self.start_min) == 1:
            return float(tail.sum())
        return float(decayed.integral(0.0, self.start_min[-1])[0] + tail.sum())

    def response(self, theta_per_min: Floats, time_min: ArrayLike) -> Floats:
        """Return ∫₀ᵗ e^(−θ(t−s)) C(s) ds.

        Args:
            theta_per_min: θ, 1/min. Shape (n,).
            time_min: t, min, at least 0, ascending. Shape (m,).

        Returns:
            The curve's unit·min, shape (n, m).
        """
        time = np.asarray(time_min, dtype=np.float64)
        walk = _Walk.over(self, time)
        at_stops = walk.states(self, theta_per_min)
        return np.asarray(at_stops[:, np.searchsorted(walk.stops, time)])

    def response_integral(
        self, theta_per_min: Floats, start_min: ArrayLike, end_min: ArrayLike
    ) -> Floats:
        """Return ∫ from start to end of :meth:`response`, for each frame.

        Args:
            theta_per_min: θ, 1/min. Shape (n,).
            start_min: Start of each frame, min. Shape (m,).
            end_min: End of each frame, min, after its start. Shape (m,).

        Returns:
            The curve's unit·min², shape (n, m).
        """
        start = np.asarray(start_min, dtype=np.float64)
        end = np.asarray(end_min, dtype=np.float64)
        walk = _Walk.over(self, np.concatenate([start, end]))
        theta = theta_per_min[:, np.newaxis]
        left = through_systems(
            constant=walk.states(self, theta_per_min)[:, :-1],
            slope=np.zeros(1),
            rate=theta,
            poles=(0.0,),
            time=np.diff(walk.stops),
        )
        return walk.summed(left + walk.fed(self, poles=(0.0, theta)), start, end)

    def scaled(self, factor: float) -> "Curve":
        """Return the curve times ``factor``."""
        return replace(self, constant=factor * self.constant, slope=factor * self.slope)

    def delayed(self, delay_min: float) -> "Curve":
        """Return the curve ``delay_min`` later, 0 before."""
        return replace(self, start_min=self.start_min + delay_min)

    def decayed(self, rate_per_min: float) -> "Curve":
        """Return the curve times e^(−rate·t), t from 0; a negative rate corrects for decay."""
        factor = np.exp(-rate_per_min * self.start_min)[:, np.newaxis]
        return replace(
            self,
            constant=self.constant * factor,
            slope=self.slope * factor,
            rate_per_min=self.rate_per_min + rate_per_min,
        )

    def _seen_from(self, time: Floats) -> tuple[Floats, Floats, Floats]:
        # The terms that govern the curve from each instant on, τ counted from that instant.
        piece = np.searchsorted(self.start_min, time, side="right") - 1
        since = (time - self.start_min[piece])[..., np.newaxis]
        rate = self.rate_per_min[piece]
        # Before the first piece there is nothing, and the last one's terms must not overflow.
        inside = (piece >= 0)[..., np.newaxis]
        fallen = np.where(inside, np.exp(-rate * np.where(inside, since, 0.0)), 0.0)
        constant = (self.constant[piece] + self.slope[piece] * since) * fallen
        return constant, self.slope[piece] * fallen, rate


def linear_curve(time_min: Floats, value: Floats, *, tail_rate_per_min: float) -> Curve:
    """Return the curve that is linear between samples and falls exponentially after the last.

    Args:
        time_min: Sample times, min, increasing, from 0. Shape (m,).
        value: Samples, any unit. Shape (m,).
        tail_rate_per_min: Rate after the last sample, 1/min; 0 holds the last value.
    """
    rise = np.append(np.diff(value) / np.diff(time_min), 0.0)
    rate = np.zeros(len(time_min))
    rate[-1] = tail_rate_per_min
    return Curve(
        start_min=np.asarray(time_min, dtype=np.float64),
        constant=np.asarray(value, dtype=np.float64)[:, np.newaxis],
        slope=rise[:, np.newaxis],
        rate_per_min=rate[:, np.newaxis],
    )


def exponential_curve(
    *, constant: ArrayLike, rate_per_min: ArrayLike, slope: ArrayLike = 0.0
) -> Curve:
    """Return Σ (constant + slope·t)·e^(−rate·t) from t = 0 on, shapes (terms,)."""
    arrays = np.broadcast_arrays(
        *(np.atleast_1d(np.asarray(one, np.float64)) for one in (constant, slope, rate_per_min))
    )
    return Curve(np.zeros(1), *(array[np.newaxis] for array in arrays))


@dataclass(frozen=True)
class _Walk:
    # The instants where something happens: 0, the pieces' starts, the times asked for.
    stops: Floats

    @staticmethod
    def over(curve: Curve, time: Floats) -> "_Walk":
        last = time.max(initial=0.0)
        starts = curve.start_min[curve.start_min < last]
        return _Walk(np.unique(np.concatenate([[0.0], starts, time])))

    def fed(self, curve: Curve, *, poles: tuple[Floats | float, ...]) -> Floats:
        # What the input adds between one stop and the next, shape (n, stops − 1).
        constant, slope, rate = curve._seen_from(self.stops[:-1])
        width = np.diff(self.stops)
        added = np.zeros(())
        for term in range(constant.shape[-1]):
            added = added + through_systems(
                constant=constant[:, term],
                slope=slope[:, term],
                rate=rate[:, term],
                poles=poles,
                time=width,
            )
        return np.asarray(added)

    def summed(self, between: Floats, start: Floats, end: Floats) -> Floats:
        # What lies between stops, shape (n, stops − 1), added up for each frame, shape (n, m).
        first, last = np.searchsorted(self.stops, start), np.searchsorted(self.stops, end)
        frames = [between[:, a:b].sum(axis=1) for a, b in zip(first, last, strict=True)]
        return np.stack(frames, axis=1)

    def states(self, curve: Curve, theta_per_min: Floats) -> Floats:
        # y' = −θy + C, y(0) = 0, at each stop: y ← y·e^(−θΔ) + what is fed. Shape (n, stops).
        theta = theta_per_min[:, np.newaxis]
        state = np.zeros((len(theta_per_min), len(self.stops)))
        if len(self.stops) == 1:
            return state
        state[:, 1:] = self.fed(curve, poles=(theta,))
        if len(self.stops) > 2:
            kept: NDArray[np.float64] = np.exp(-theta * np.diff(self.stops))
            for stop in range(1, len(self.stops) - 1):
                state[:, stop + 1] += kept[:, stop] * state[:, stop]
        return state
