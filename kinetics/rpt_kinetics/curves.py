"""Sums of exponentials sent through first-order systems: the curves that tissues are fed with.

Everything that linear compartments ask of an input (a + c·t)·e^(−bt) is a divided difference
of the exponential, safe at equal and at vanishing rates: its value, its integral, its
convolution with e^(−θt), and the integral of that convolution differ only in the nodes.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

# Nodes nearer than this are summed as a series, where the quotient would cancel digits.
NEAR = 1.0
SERIES_TERMS = 20


def exponential_difference(*nodes: Floats | float) -> Floats:
    """Return the mean-value form of the divided difference of e^(−x) at the nodes.

    That is ∫ e^(−u₀x₀ − u₁x₁ − …) over the unit simplex (uᵢ ≥ 0, Σuᵢ = 1), which is positive
    and smooth where nodes coincide: e^(−x₀) for one node, (e^(−x₀) − e^(−x₁)) / (x₁ − x₀) for
    two, 1/m! for m + 1 nodes at 0.

    Args:
        nodes: Dimensionless; arrays that broadcast together.

    Returns:
        Array of the broadcast shape, within a few 1e-15 of its value.
    """
    if len(nodes) == 1:
        return np.exp(-np.asarray(nodes[0], dtype=np.float64))
    if len(nodes) == 2:
        return _of_two(np.minimum(*nodes), np.abs(np.subtract(*nodes)))
    return _of_ordered(np.sort(np.stack(np.broadcast_arrays(*nodes)), axis=0))


def _of_two(low: Floats, gap: Floats) -> Floats:
    # e^(−low) · φ(gap), φ(x) = (1 − e^(−x))/x: expm1 keeps the digits, x = 0 stands alone.
    level = np.exp(-low)
    safe = np.where(gap == 0.0, 1.0, gap)
    return np.where(gap == 0.0, level, level * (np.expm1(-safe) / -safe))


def _of_ordered(nodes: Floats) -> Floats:
    """The same of nodes that ascend along the first axis."""
    gap = nodes[-1] - nodes[0]
    if len(nodes) == 2:
        return _of_two(nodes[0], gap)
    near = gap < NEAR
    far = (_of_ordered(nodes[:-1]) - _of_ordered(nodes[1:])) / np.where(near, 1.0, gap)
    if near.any():
        far = np.asarray(far)
        far[near] = _series(nodes[:, near])
    return far


def _series(nodes: Floats) -> Floats:
    # e^(−x₀) Σₙ (−1)ⁿ hₙ(x − x₀) / (n + m)!, hₙ the complete homogeneous symmetric polynomial.
    offsets = nodes[1:] - nodes[0]
    order = len(offsets)
    polynomial = np.ones_like(offsets)
    factor = 1.0
    for divisor in range(2, order + 1):
        factor /= divisor
    total = np.full(offsets.shape[1:], factor)
    for degree in range(1, SERIES_TERMS):
        factor /= -(degree + order)
        below = np.zeros(offsets.shape[1:])
        for index in range(order):
            polynomial[index] = below = offsets[index] * polynomial[index] + below
        total += factor * below
    return np.asarray(np.exp(-nodes[0]) * total)


def through_systems(
    *,
    constant: Floats,
    slope: Floats,
    rate: Floats,
    poles: tuple[Floats | float, ...],
    time: Floats,
) -> Floats:
    """Send (constant + slope·t)·e^(−rate·t), from t = 0 on, through first-order systems.

    A system of pole θ turns f into ∫₀ᵗ e^(−θ(t−s)) f(s) ds; θ = 0 is an integrator. No pole
    leaves the input as it is.

    Args:
        constant: Amplitudes, any unit.
        slope: Amplitudes of t·e^(−rate·t), that unit per min.
        rate: 1/min.
        poles: Rates of the systems, 1/min.
        time: min, at least 0. All broadcast together.

    Returns:
        The output at ``time``: the amplitudes' unit times min for each pole.
    """
    nodes = [np.asarray(pole * time) for pole in (*poles, rate)]
    power = len(poles)
    output = constant * time**power * exponential_difference(*nodes)
    if np.any(slope):
        output = output + slope * time ** (power + 1) * exponential_difference(*nodes, nodes[-1])
    return np.asarray(output)


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
