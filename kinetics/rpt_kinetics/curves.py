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
        time = np.asarray(time_min, dtype=np.float64)[..., np.newaxis]
        terms = (self.constant + self.slope * time) * np.exp(-self.rate_per_min * time)
        return np.asarray(terms.sum(axis=-1))

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
        arrived = np.zeros((len(theta_per_min), len(time)))
        # Term by term: a short axis of terms is slower.
        for constant, slope, rate in zip(*vars(self).values(), strict=True):
            arrived += through_systems(
                constant=constant,
                slope=slope,
                rate=rate,
                poles=(theta_per_min[:, np.newaxis],),
                time=time,
            )
        return arrived

    def scaled(self, factor: float) -> "Curve":
        """Return the curve times ``factor``."""
        return Curve(factor * self.constant, factor * self.slope, self.rate_per_min)


def exponential_curve(
    *, constant: ArrayLike, rate_per_min: ArrayLike, slope: ArrayLike = 0.0
) -> Curve:
    """Return Σ (constant + slope·t)·e^(−rate·t) from t = 0 on, shapes (terms,)."""
    arrays = (np.atleast_1d(np.asarray(one, np.float64)) for one in (constant, slope, rate_per_min))
    return Curve(*np.broadcast_arrays(*arrays))
