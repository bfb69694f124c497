"""Input functions: published values, units and decay."""

import numpy as np
import pytest
from helpers.compartments import INPUTS, TERMS, plasma_of
from rpt_kinetics.inputs import (
    decay_rate_per_min,
    feng,
    kabasakal,
    percent_ia_per_l_to_suv,
    siebinga,
)


def test_feng_has_the_published_pairing() -> None:
    """20.81 falls slowly and 21.88 in minutes; the public copy that swaps them gives 11.72."""
    assert feng().plasma.value(60.0) == pytest.approx(
        21.88 * np.exp(-7.146) + 20.81 * np.exp(-0.6258), rel=1e-14
    )
    assert feng().plasma.value(60.0) == pytest.approx(11.147, abs=5e-4)
    assert feng().plasma.value(0.0) == 0.0
    # Its peak is where the first term's is: the others hardly change so early.
    time = np.linspace(0, 2, 2001)
    peak_min = time[feng().plasma.value(time).argmax()]
    assert peak_min == pytest.approx(1 / 4.134 + 42.69 / 851.1, abs=0.005)


@pytest.mark.parametrize("name", INPUTS)
def test_value_and_area_as_published(name: str) -> None:
    for time in (0.0, 0.3, 7.0, 1000.0):
        assert INPUTS[name].plasma.value(time) == pytest.approx(plasma_of(name)(time), rel=1e-13)
    for rate in (0.0, 0.01):
        area = sum(a / (b + rate) + c / (b + rate) ** 2 for a, c, b in TERMS[name])
        assert INPUTS[name].plasma.laplace(rate) == pytest.approx(area, rel=1e-13)


def test_siebinga_blood() -> None:
    assert siebinga().blood.value(60.0) == pytest.approx(3.7, abs=0.05)
    assert siebinga().blood.value(24 * 60.0) == pytest.approx(0.22, abs=0.005)


def test_kabasakal_half_lives() -> None:
    assert kabasakal().blood.value(0.0) == pytest.approx(20.0)
    # One slow half-life later, when the fast phase is over.
    late, later = kabasakal().blood.value([1440.0, 1440.0 + 10.8 * 60])
    assert later / late == pytest.approx(0.5, rel=1e-9)
    # The fast phase, one of its half-lives later, without the slow one.
    slow = late * 2 ** ((1440.0 - np.array([0.0, 9.6])) / 648.0)
    first, second = kabasakal().blood.value([0.0, 9.6]) - slow
    assert second / first == pytest.approx(0.5, rel=1e-6)


def test_each_says_what_it_is() -> None:
    assert (feng().measured, feng().unit) == ("plasma", "uCi/mL")
    for one in (kabasakal(), siebinga()):
        assert (one.measured, one.unit) == ("blood", "%IA/L")
    for one in INPUTS.values():
        assert one.decay_corrected
        assert one.source
        assert "plasma and blood are equal" in one.assumptions
    assert any("amplitudes" in sentence for sentence in kabasakal().assumptions)


def test_suv_of_a_share() -> None:
    """All activity in 80 L of an 80 kg patient is an SUV of 1: 1.25 %IA/L."""
    suv = percent_ia_per_l_to_suv(siebinga(), weight_kg=80.0)
    assert suv.unit == "SUV (g/mL)"
    assert suv.blood.value(60.0) == pytest.approx(siebinga().blood.value(60.0) / 1.25)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            lambda: percent_ia_per_l_to_suv(siebinga(), weight_kg=-1.0),
            "from 0.001 to 10000 kg, got -1.0 kg",
        ),
        (lambda: percent_ia_per_l_to_suv(siebinga(), weight_kg=1e308), "from 0.001 to 10000 kg"),
        (lambda: percent_ia_per_l_to_suv(feng(), weight_kg=80.0), "must be in %IA/L .* uCi/mL"),
    ],
)
def test_input_that_cannot_be(call, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        call()


@pytest.mark.parametrize("half_life_min", [1e-160, 9.9e-4, 1.1e12, 0.0, -np.inf, np.nan])
def test_half_lives_of_no_isotope_are_refused(half_life_min: float) -> None:
    with pytest.raises(ValueError, match=r"half_life_min must be .* 18F 109.77 min"):
        decay_rate_per_min(half_life_min)


def test_half_lives_up_to_none_are_taken() -> None:
    assert decay_rate_per_min(np.inf) == 0.0
    assert decay_rate_per_min(1e12) > 0.0
    assert decay_rate_per_min(1e-3) == pytest.approx(1000 * np.log(2))
