"""Plasma, tissues and excreta as sums of exponentials, against an ODE solver and against laws."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rpt_kinetics import Rates
from rpt_kinetics.inputs import decay_rate_per_min
from rpt_phantom.agents.agent import BILE_RESIDENCE_MIN, BLOOD_TO_PLASMA, URINE_RESIDENCE_MIN, Agent
from rpt_phantom.agents.balance import Balance, whole_body_balance
from scipy.integrate import quad, solve_ivp

AGENT = Agent("test", 1.0, renal_ml_per_min=60.0, biliary_ml_per_min=8.0)
BLOOD_ML = 5000.0
TIMES_MIN = np.array([0.5, 5.0, 60.0, 240.0, 1440.0, 10000.0])


def drawn(seed: int, n: int) -> tuple[Rates, np.ndarray]:
    rng = np.random.default_rng(seed)

    def between(low: float, high: float) -> np.ndarray:
        return np.exp(rng.uniform(np.log(low), np.log(high), n))

    rates = Rates(
        k1_ml_per_min_per_ml=between(1e-3, 0.5),
        k2_per_min=between(0.02, 0.5),
        k3_per_min=between(1e-4, 0.3),
        k4_per_min=between(5e-5, 0.02),
        vb=rng.uniform(0.01, 0.2, n),
    )
    return rates, between(5.0, 20000.0)


def kidneys(n: int) -> np.ndarray:
    return np.arange(n) % 3 == 1


def solved(seed: int, n: int) -> Balance:
    rates, tissue_ml = drawn(seed, n)
    return whole_body_balance(AGENT, rates, tissue_ml, kidneys(n), blood_ml=BLOOD_ML, clearance=1.0)


def total(balance: Balance, time_min: float) -> float:
    body = balance.in_blood(time_min) + balance.in_tissues(time_min)
    return body + sum(balance.pools(time_min).values()) + balance.excreted(time_min)


def test_agrees_with_an_ode_solver() -> None:
    """The equations, written out again and integrated by LSODA, rtol 1e-10."""
    rates, tissue_ml = drawn(3, 6)
    k1, k2, k3, k4, _ = rates.in_a_row()
    plasma_ml = BLOOD_TO_PLASMA * BLOOD_ML
    pelvis, bladder = (1 / minutes for minutes in URINE_RESIDENCE_MIN)
    gall, colon = (1 / minutes for minutes in BILE_RESIDENCE_MIN)

    def slope(_: float, state: np.ndarray) -> np.ndarray:
        plasma, free, bound = state[0] / plasma_ml, state[1:7], state[7:13]
        u1, u2, b1, b2 = state[13:17]
        into, back, out = k1 * tissue_ml * plasma, k2 * free, k4 * bound
        trapped, returned = k3 * free, np.where(kidneys(6), 0.0, out)
        urine, bile = 60.0 * plasma, 8.0 * plasma
        excreta = [urine + (out - returned).sum() - pelvis * u1, pelvis * u1 - bladder * u2]
        excreta += [bile - gall * b1, gall * b1 - colon * b2, bladder * u2 + colon * b2]
        return np.concatenate(
            [
                [(back - into).sum() - urine - bile],
                into - back - trapped + returned,
                trapped - out,
                excreta,
            ]
        )

    start = np.zeros(18)
    start[0] = 1.0
    end = TIMES_MIN[-1]
    reference = solve_ivp(
        slope, (0, end), start, "LSODA", t_eval=TIMES_MIN, rtol=1e-10, atol=1e-14
    ).y
    balance = solved(3, 6)
    for column, time_min in enumerate(TIMES_MIN):
        state = reference[:, column]
        assert balance.in_blood(time_min) == pytest.approx(state[0], rel=1e-6, abs=1e-11)
        ours = balance.tissues_per_ml(time_min) / (1 - rates.vb) * tissue_ml
        assert ours == pytest.approx(state[1:7] + state[7:13], rel=1e-6, abs=1e-11)
        pools = list(balance.pools(time_min).values())
        assert pools == pytest.approx(state[13:17].tolist(), rel=1e-6, abs=1e-11)
        assert balance.excreted(time_min) == pytest.approx(state[17], rel=1e-6, abs=1e-11)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 12))
def test_activity_is_conserved_and_excretion_never_falls(seed: int, n: int) -> None:
    balance = solved(seed, n)
    times = np.concatenate([[0.0], np.geomspace(0.01, 50000.0, 40)])
    totals = np.array([total(balance, t) for t in times])
    assert np.abs(totals - 1.0).max() < 1e-9
    excreted = np.array([balance.excreted(t) for t in times])
    assert excreted[0] == 0
    assert np.diff(excreted).min() > -1e-12
    plasma = np.array([balance.blood_per_ml(t) for t in times])
    assert np.diff(plasma).max() < 0
    assert plasma[0] * BLOOD_ML == pytest.approx(1.0, rel=1e-12)


def test_areas_are_the_integrals_of_the_curves() -> None:
    balance = solved(5, 4)
    half_life_min = 9571.0
    decay = decay_rate_per_min(half_life_min)

    def area(curve) -> float:
        edges = [0.0, 1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 3e5]
        pieces = itertools.pairwise(edges)
        return sum(
            quad(lambda t: curve(t) * np.exp(-decay * t), a, b, epsrel=1e-9)[0] for a, b in pieces
        )

    areas = balance.tissue_areas_min_per_ml(half_life_min)
    for k in range(4):
        numeric = area(lambda t, k=k: balance.tissues_per_ml(t)[k])
        assert areas[k] == pytest.approx(numeric, rel=1e-6)
    for region, closed in balance.pool_areas_min(decay).items():
        numeric = area(lambda t, region=region: balance.pools(t)[region])
        assert closed == pytest.approx(numeric, rel=1e-6)


def test_a_sink_starves_the_rest() -> None:
    """Limit: a second tissue of volume V that binds for good takes what is cleared in parallel."""
    rates = Rates(
        k1_ml_per_min_per_ml=[0.1, 0.1],
        k2_per_min=0.1,
        k3_per_min=[0.1, 0.1],
        k4_per_min=[1e-12, 1e-12],
    )
    ends = []
    for sink_ml in (1e-6, 1000.0):
        volumes = np.array([300.0, sink_ml])
        balance = whole_body_balance(
            AGENT, rates, volumes, np.zeros(2, bool), blood_ml=BLOOD_ML, clearance=1.0
        )
        ends.append(balance.tissues_per_ml(50000.0)[0] * 300.0)
    influx = 0.05  # K₁k₃/(k₂ + k₃), mL/min/mL
    excretion = 68.0
    assert ends[0] == pytest.approx(300 * influx / (300 * influx + excretion), rel=1e-5)
    assert ends[1] == pytest.approx(300 * influx / (1300 * influx + excretion), rel=1e-5)
