"""Receptors that fill up: the linear limit, the direction, and the kidney of a therapy."""

from dataclasses import replace

import numpy as np
import pytest
from compartments import plasma_of
from rpt_kinetics.dose import LU177_HALF_LIFE_MIN
from rpt_kinetics.errors import BadInput
from rpt_kinetics.inputs import feng, percent_ia_per_l_to_suv, siebinga
from rpt_kinetics.models import pet_concentration, time_integrated_activity
from rpt_kinetics.saturable import (
    KIDNEY,
    SaturableRates,
    binding_with_internalisation,
    change_by_mass,
    saturable_pet_concentration,
    saturable_time_integrated_activity,
)
from scipy.integrate import solve_ivp

TIMES_MIN = [0.0, 0.5, 10.0, 60.0, 1440.0, 10000.0]
FAST = SaturableRates(
    k1_ml_per_min_per_ml=0.5,
    k2_per_min=0.4,
    binding_l_per_nmol_per_min=0.002,
    receptor_density_nmol_per_l=60.0,
    k4_per_min=0.01,
    vb=0.05,
)


@pytest.mark.parametrize("rates", [KIDNEY, FAST])
def test_without_mass_it_is_the_linear_model(rates: SaturableRates) -> None:
    ours = saturable_pet_concentration(rates, siebinga(), TIMES_MIN, ligand_nmol=0.0)
    linear = pet_concentration(rates.linear(), siebinga(), TIMES_MIN)
    np.testing.assert_allclose(ours, linear, rtol=1e-7)
    area = saturable_time_integrated_activity(
        rates, siebinga(), ligand_nmol=0.0, half_life_min=LU177_HALF_LIFE_MIN
    )
    expected = time_integrated_activity(
        rates.linear(), siebinga(), half_life_min=LU177_HALF_LIFE_MIN
    )
    assert area == pytest.approx(float(expected), rel=1e-7)


def test_difference_shrinks_with_the_mass() -> None:
    linear = saturable_pet_concentration(KIDNEY, siebinga(), 1440.0, ligand_nmol=0.0)[0]
    lost = [
        1 - saturable_pet_concentration(KIDNEY, siebinga(), 1440.0, ligand_nmol=mass)[0] / linear
        for mass in (0.02, 0.2, 2.0)
    ]
    assert lost[1] / lost[0] == pytest.approx(10.0, rel=0.01)
    assert lost[2] / lost[1] == pytest.approx(10.0, rel=0.05)


def test_against_the_equations_in_nmol() -> None:
    """The same in amounts of substance, written out with the receptors' occupation."""
    mass, plasma = 500.0, plasma_of("siebinga")

    def change(time: float, state: np.ndarray) -> list[float]:
        free, bound = state
        nmol_per_l = mass * plasma(time) / 100.0
        binding = FAST.binding_l_per_nmol_per_min * (60.0 - bound) * free
        return [0.5 * nmol_per_l - 0.4 * free - binding + 0.01 * bound, binding - 0.01 * bound]

    expected = solve_ivp(change, (0, 600), [0, 0], method="Radau", rtol=1e-9, atol=1e-12).y[:, -1]
    assert expected[1] > 20.0  # a third of the receptors
    ours = saturable_pet_concentration(FAST, siebinga(), 600.0, ligand_nmol=mass)[0]
    assert ours == pytest.approx(
        0.95 * expected.sum() / mass * 100 + 0.05 * plasma(600.0), rel=1e-6
    )


def test_kidney_of_a_therapy_takes_up_less() -> None:
    """150 against 3 nmol: −13 % in a whole-body PBPK model; this single tissue gives −11 %."""
    change = change_by_mass(
        KIDNEY, siebinga(), ligand_nmol=150.0, half_life_min=LU177_HALF_LIFE_MIN
    )
    assert -0.16 < change < -0.08


def test_more_mass_less_uptake() -> None:
    area = [
        saturable_time_integrated_activity(
            KIDNEY, siebinga(), ligand_nmol=mass, half_life_min=LU177_HALF_LIFE_MIN
        )
        for mass in (0.0, 3.0, 150.0, 1e7)
    ]
    assert area[0] > area[1] > area[2] > area[3]
    # When all receptors are taken, almost nothing but free ligand is left.
    without = replace(KIDNEY, binding_l_per_nmol_per_min=1e-12).linear()
    free = time_integrated_activity(without, siebinga(), half_life_min=LU177_HALF_LIFE_MIN)
    assert area[3] == pytest.approx(float(free), rel=0.01)


def test_delayed_injection_is_not_stepped_over() -> None:
    late = siebinga().delayed(1000.0)
    ours = saturable_pet_concentration(FAST, late, [999.0, 1060.0], ligand_nmol=100.0)
    assert ours[0] == 0.0
    at_once = saturable_pet_concentration(FAST, siebinga(), 60.0, ligand_nmol=100.0)[0]
    assert ours[1] == pytest.approx(at_once, rel=1e-7)


def test_internalisation_holds_a_small_share() -> None:
    assert binding_with_internalisation(
        on_l_per_nmol_per_min=0.046, off_per_min=0.368, internalisation_per_min=0.001
    ) == pytest.approx(0.046 / 369)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: replace(KIDNEY, k2_per_min=-1.0), "k2_per_min must be"),
        (lambda: replace(KIDNEY, receptor_density_nmol_per_l=0.0), "receptor_density_nmol_per_l"),
        (
            lambda: saturable_pet_concentration(KIDNEY, siebinga(), 1.0, ligand_nmol=-1.0),
            "ligand_nmol must be finite and at least 0 nmol, got -1.0 nmol",
        ),
        (
            lambda: saturable_pet_concentration(KIDNEY, feng(), 1.0, ligand_nmol=3.0),
            "must be in %IA/L .* got uCi/mL",
        ),
        (
            lambda: saturable_pet_concentration(
                KIDNEY, percent_ia_per_l_to_suv(siebinga(), weight_kg=80), 1.0, ligand_nmol=3.0
            ),
            "must be in %IA/L",
        ),
        (
            lambda: saturable_time_integrated_activity(
                KIDNEY, siebinga(), ligand_nmol=3.0, half_life_min=np.inf
            ),
            "half_life_min must be a finite number above 0 min",
        ),
    ],
)
def test_bad_input(call, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        call()
