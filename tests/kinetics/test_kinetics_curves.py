"""Divided differences of the exponential against 60 digits; curves."""

import mpmath
import numpy as np
import pytest
from helpers.compartments import INPUTS, one, plasma_of
from hypothesis import given
from hypothesis import strategies as st
from rpt_kinetics.curves import exponential_curve, exponential_difference, through_systems
from rpt_kinetics.models import tissue_concentration


def exact(nodes: list[float]) -> float:
    """The divided difference of e^(−x) with 60 digits; equal nodes are parted by 1e-15."""
    with mpmath.workdps(120):
        table = [
            mpmath.mpf(node) + mpmath.mpf(10) ** -15 * i * 1e-15 for i, node in enumerate(nodes)
        ]
        values = [mpmath.exp(-node) for node in table]
        for width in range(1, len(table)):
            values = [
                (values[i] - values[i + 1]) / (table[i + width] - table[i])
                for i in range(len(values) - 1)
            ]
        return float(values[0])


node = st.one_of(st.just(0.0), st.floats(1e-12, 300.0), st.floats(0.0, 2.0))


@given(nodes=st.lists(node, min_size=1, max_size=4), equal=st.booleans())
def test_against_many_digits(nodes: list[float], equal: bool) -> None:
    if equal:
        nodes = [*nodes[:3], nodes[-1]]
    ours = float(exponential_difference(*map(np.float64, nodes)))
    assert ours == pytest.approx(exact(nodes), rel=3e-13, abs=1e-250)


@pytest.mark.parametrize(("count", "value"), [(1, 1.0), (2, 1.0), (3, 1 / 2), (4, 1 / 6)])
def test_nodes_at_zero(count: int, value: float) -> None:
    assert exponential_difference(*[np.zeros(3)] * count) == pytest.approx([value] * 3, rel=1e-15)


@pytest.mark.parametrize("gap", [0.0, 1e-300, 1e-16, 1e-8, 1e-3, 0.999999, 1.0, 1.000001, 50.0])
def test_no_step_where_the_series_ends(gap: float) -> None:
    for nodes in ([0.0, gap, gap], [0.0, 0.0, gap], [2.0, 2.0 + gap, 2.0, 2.0 + gap]):
        assert float(exponential_difference(*nodes)) == pytest.approx(exact(nodes), rel=1e-13)


def test_two_integrators_make_a_ramp() -> None:
    time = np.array([0.0, 0.5, 3.0])
    ramp = through_systems(
        constant=np.array(2.0),
        slope=np.array(0.0),
        rate=np.array(0.0),
        poles=(0.0,),
        time=time,
    )
    np.testing.assert_allclose(ramp, 2.0 * time, rtol=1e-15)


def _given(curve):
    return type(INPUTS["feng"])(**{**vars(INPUTS["feng"]), "plasma": curve, "blood": curve})


def test_steady_infusion_has_its_textbook_curve() -> None:
    """A constant input: C_T = K₁/k₂ · (1 − e^(−k₂t))."""
    steady = _given(exponential_curve(constant=[2.0], rate_per_min=[0.0]))
    rates = one(0.3, 0.1)
    assert tissue_concentration(rates, steady, 7.0) == pytest.approx(
        6.0 * (1 - np.exp(-0.7)), rel=1e-14
    )


def test_rectangle_rule_is_as_wrong_as_reported() -> None:
    """At 60 min the rectangle rule errs by 1e-4 (step 0.01 min) to 2e-2 (1 min)."""
    k1, k2, k3, k4 = 0.3, 0.3, 0.2, 0.01
    exact = float(tissue_concentration(one(k1, k2, k3, k4), INPUTS["feng"], 60.0))
    error = []
    for step in (0.01, 1.0):
        time = np.arange(0.0, 60.0, step)
        plasma = np.array([plasma_of("feng")(t) for t in time])
        root = np.roots([1.0, k2 + k3 + k4, k2 * k4])
        shares = np.array([(k3 + k4 + r) / (r - root[::-1][i]) for i, r in enumerate(root)])
        answer = k1 * (shares[:, None] * np.exp(root[:, None] * (60.0 - time))).sum(axis=0)
        error.append(abs((answer * plasma).sum() * step / exact - 1.0))
    assert 1e-5 < error[0] < 1e-3
    assert 1e-3 < error[1] < 0.1
