"""Compartment models solved in other ways than rpt_kinetics does: what its tests compare with."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from rpt_kinetics.inputs import InputFunction, feng, kabasakal, siebinga
from rpt_kinetics.models import Rates
from scipy.integrate import solve_ivp
from scipy.linalg import expm

Plasma = Callable[[float], float]
LN2 = float(np.log(2.0))

# (a + c·t)·e^(−bt), t in min, as published: (a, c, b) for each term.
TERMS: dict[str, list[tuple[float, float, float]]] = {
    "feng": [(-21.88 - 20.81, 851.1, 4.134), (21.88, 0.0, 0.1191), (20.81, 0.0, 0.01043)],
    "kabasakal": [(19.0, 0.0, LN2 / 9.6), (1.0, 0.0, LN2 / 648.0)],
    "siebinga": [
        (percent, 0.0, LN2 / (60.0 * hours))
        for percent, hours in zip(
            (6.53, 3.01, 0.139, 0.0231, 0.0088, 0.0004),
            (0.345, 5.24, 28.3, 51.1, 23.3, 76.9),
            strict=True,
        )
    ],
}
INPUTS: dict[str, InputFunction] = {
    "feng": feng(),
    "kabasakal": kabasakal(),
    "siebinga": siebinga(),
}


def plasma_of(name: str) -> Plasma:
    """Return a published curve, written out a second time."""
    constant, slope, rate = np.array(TERMS[name]).T
    return lambda time: float(((constant + slope * time) * np.exp(-rate * time)).sum())


def one(k1: float, k2: float, k3: float = 0.0, k4: float = 0.0, vb: float = 0.0) -> Rates:
    """Return one voxel's rates."""
    return Rates(k1_ml_per_min_per_ml=k1, k2_per_min=k2, k3_per_min=k3, k4_per_min=k4, vb=vb)


def random_rates(count: int, *, seed: int) -> Rates:
    """Return rates over four decades; every fifth k₃ and every seventh k₄ is 0."""
    rng = np.random.default_rng(seed)
    k1, k2, k3, k4 = 10.0 ** rng.uniform(
        [[-2], [-2], [-3], [-4]], [[0], [0.3], [0], [-0.5]], (4, count)
    )
    k3[::5] = 0.0
    k4[::7] = 0.0
    return Rates(
        k1_ml_per_min_per_ml=k1,
        k2_per_min=k2,
        k3_per_min=k3,
        k4_per_min=k4,
        vb=rng.uniform(0, 0.5, count),
    )


def by_lsoda(
    rates: Rates,
    plasma: Plasma,
    time_min: Sequence[float],
    *,
    corners_min: Sequence[float] = (),
    decay_per_min: float = 0.0,
) -> np.ndarray:
    """Solve C₁ and C₂ of all voxels as one banded system; return C_T, shape (n, m).

    ``decay_per_min`` is added to every loss; ``plasma`` must then decay, too.
    """
    k1, k2, k3, k4, _ = rates.in_a_row()
    count = len(k1)

    def right_hand_side(time: float, state: np.ndarray) -> np.ndarray:
        first, second = state[0::2], state[1::2]
        change = np.empty_like(state)
        change[0::2] = k1 * plasma(time) - (k2 + k3 + decay_per_min) * first + k4 * second
        change[1::2] = k3 * first - (k4 + decay_per_min) * second
        return change

    stops = np.unique([0.0, *corners_min, *time_min])
    stops = stops[stops <= max(time_min)]
    states = {0.0: np.zeros(2 * count)}
    for start, end in pairwise(stops):
        solution = solve_ivp(
            right_hand_side,
            (start, end),
            states[start],
            method="LSODA",
            rtol=1e-11,
            atol=1e-14,
            lband=1,
            uband=1,
            first_step=min(1e-4, end - start),
        )
        assert solution.success
        states[end] = solution.y[:, -1]
    return np.stack([states[t][0::2] + states[t][1::2] for t in time_min], axis=1)


def by_matrix_exponential(
    k1: float, k2: float, k3: float, k4: float, name: str, time_min: float
) -> float:
    """Return C_T at one time from e^(At) of tissue and input together; no case is special."""
    terms = TERMS[name]
    system = np.zeros((2 + 2 * len(terms), 2 + 2 * len(terms)))
    start = np.zeros(len(system))
    system[0, :2] = [-(k2 + k3), k4]
    system[1, :2] = [k3, -k4]
    for index, (constant, slope, rate) in enumerate(terms):
        # u = e^(−bt) and v = (a + c·t)·e^(−bt).
        u, v = 2 + 2 * index, 3 + 2 * index
        system[u, u] = system[v, v] = -rate
        system[v, u] = slope
        system[0, v] = k1
        start[u], start[v] = 1.0, constant
    return float((expm(system * time_min) @ start)[:2].sum())


def quadrature(
    function: Callable[[np.ndarray], np.ndarray], edges: Sequence[float], order: int = 40
) -> np.ndarray:
    """Integrate over the panels between ``edges`` after Gauss; times are the last axis."""
    node, weight = np.polynomial.legendre.leggauss(order)
    left, right = np.array(edges[:-1]), np.array(edges[1:])
    half = 0.5 * (right - left)
    time = (left + half)[:, np.newaxis] + half[:, np.newaxis] * node
    weights = (half[:, np.newaxis] * weight).reshape(-1)
    return np.asarray(function(time.reshape(-1)) @ weights)
