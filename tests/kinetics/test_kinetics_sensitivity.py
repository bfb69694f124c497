"""Sobol indices against closed forms, and what they say of SUV and dose."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rpt_kinetics.errors import BadInput
from rpt_kinetics.presets import read_preset
from rpt_kinetics.sensitivity import (
    PET_OVER_THERAPY,
    RANGES,
    dose_gy_of_therapy,
    elasticities,
    sobol_indices,
    suv_of_pet,
)
from rpt_kinetics.sensitivity_command import write_sensitivity
from rpt_kinetics.sensitivity_plot import indices_plot
from rpt_kinetics.simulation import simulate
from rpt_kinetics.study_parameters import NONE
from scipy.integrate import quad


def ishigami(x: np.ndarray, *, a: float = 7.0, b: float = 0.1) -> np.ndarray:
    return np.sin(x[:, 0]) + a * np.sin(x[:, 1]) ** 2 + b * x[:, 2] ** 4 * np.sin(x[:, 0])


def test_the_ishigami_function_has_its_closed_form() -> None:
    # Ishigami & Homma 1990: V₁ = (1 + bπ⁴/5)²/2, V₂ = a²/8, V₁₃ = b²π⁸·8/225.
    a, b = 7.0, 0.1
    first = np.array([0.5 * (1.0 + b * np.pi**4 / 5.0) ** 2, a**2 / 8.0, 0.0])
    together = b**2 * np.pi**8 * 8.0 / 225.0
    variance = first.sum() + together
    ranges = dict.fromkeys(("x1", "x2", "x3"), (-np.pi, np.pi))
    found = sobol_indices(ishigami, ranges, samples=8192, seed=0)
    assert found.first_order == pytest.approx(first / variance, abs=0.01)
    total = (first + together * np.array([1.0, 0.0, 1.0])) / variance
    assert found.total == pytest.approx(total, abs=0.015)
    assert found.standard_deviation**2 == pytest.approx(variance, rel=0.02)
    assert found.mean == pytest.approx(a / 2.0, abs=0.05)
    assert found.evaluations == 5 * 8192


def test_a_linear_model_has_the_shares_of_its_variances() -> None:
    slopes, widths = np.array([1.0, -2.0, 3.0]), np.array([1.0, 2.0, 0.5])
    ranges = {str(i): (5.0, 5.0 + width) for i, width in enumerate(widths)}
    found = sobol_indices(lambda x: x @ slopes, ranges, samples=4096, seed=1)
    share = (slopes * widths) ** 2 / np.sum((slopes * widths) ** 2)
    assert found.first_order == pytest.approx(share, abs=0.01)
    assert found.total == pytest.approx(share, abs=0.01)


def test_a_product_of_log_uniform_parameters() -> None:
    # f = x·y: E[f²] and E[f] factorise, so the indices follow from each parameter's moments.
    ranges = {"x": (0.5, 2.0), "y": (1.0, 10.0)}

    def moments(low: float, high: float) -> tuple[float, float]:
        width = np.log(high / low)
        mean = quad(lambda u: np.exp(u), np.log(low), np.log(high))[0] / width
        square = quad(lambda u: np.exp(2 * u), np.log(low), np.log(high))[0] / width
        return mean, square - mean**2

    (mean_x, var_x), (mean_y, var_y) = (moments(*ranges[name]) for name in "xy")
    variance = (var_x + mean_x**2) * (var_y + mean_y**2) - (mean_x * mean_y) ** 2
    found = sobol_indices(lambda p: p.prod(axis=1), ranges, samples=8192, seed=2, log_uniform=True)
    expected = [var_x * mean_y**2 / variance, var_y * mean_x**2 / variance]
    assert found.first_order == pytest.approx(expected, abs=0.01)
    assert found.total == pytest.approx([1 - expected[1], 1 - expected[0]], abs=0.01)


@pytest.mark.parametrize("seed", [0, 3])
def test_the_same_seed_gives_the_same_indices_and_intervals(seed: int) -> None:
    ranges = dict.fromkeys(("x1", "x2", "x3"), (-np.pi, np.pi))
    one, two = (sobol_indices(ishigami, ranges, samples=64, seed=seed) for _ in range(2))
    for name in ("first_order", "first_order_confidence", "total", "total_confidence"):
        assert np.array_equal(getattr(one, name), getattr(two, name))
    other = sobol_indices(ishigami, ranges, samples=64, seed=seed + 1)
    assert not np.array_equal(one.first_order, other.first_order)


@pytest.mark.parametrize(
    ("model", "k4_elasticity"),
    # The elasticities of kinetics' reference: an SUV at one time is nearly blind to k4.
    [(lambda p: suv_of_pet(p, time_min=60.0), -0.17), (dose_gy_of_therapy, -0.79)],
)
def test_suv_and_dose_follow_their_elasticities(
    model: Callable[[np.ndarray], np.ndarray], k4_elasticity: float
) -> None:
    # All ranges are a factor 4: were the model a product of powers, each parameter's share of
    # the variance of the logarithm would be its elasticity squared over the sum.
    centre = np.array([np.sqrt(low * high) for low, high in RANGES.values()])
    steps = np.eye(5) * 0.5 * np.log(2.0)
    above, below = (np.log(model(centre * np.exp(sign * steps))) for sign in (1, -1))
    elasticity = (above - below) / np.log(2.0)
    assert elasticity[3] == pytest.approx(k4_elasticity, abs=0.01)
    share = elasticity**2 / np.sum(elasticity**2)
    found = sobol_indices(model, RANGES, samples=1024, seed=0, log_uniform=True)
    assert np.all(found.first_order - found.first_order_confidence < share)
    assert np.all(found.total + found.total_confidence > share)


def test_elasticities_of_a_product_of_powers_are_its_exponents() -> None:
    found = elasticities(lambda p: p[:, 0] ** 2.0 / p[:, 1] ** 0.5, {"x": 3.0, "y": 0.01})
    assert found == pytest.approx({"x": 2.0, "y": -0.5}, rel=1e-9)


def test_the_assumptions_are_the_presets() -> None:
    preset = read_preset("homogeneous").parameters
    assert vars(preset.pet_to_therapy_ratio) == dict(
        zip(("k1", "k2", "k3", "k4", "vb"), PET_OVER_THERAPY.values(), strict=True)
    )
    rates = preset.pet_rates.row()
    assert np.sqrt(np.prod(list(RANGES.values()), axis=1)) == pytest.approx(rates)
    # At the rim of the first sub-tissue, without any spread, study and sensitivity are one model.
    organ = simulate(replace(preset, voxel_cv=NONE, gradient_amplitude=NONE, voxels=40), seed=0)
    one = rates[np.newaxis]
    assert suv_of_pet(one, time_min=60.0)[0] == pytest.approx(organ.suv_g_per_ml[0])
    assert dose_gy_of_therapy(one)[0] == pytest.approx(organ.dose_gy[0])


def test_the_command_gives_the_local_elasticities(tmp_path: Path) -> None:
    write_sensitivity(out=tmp_path / "out", samples=16)
    local = json.loads((tmp_path / "out" / "sensitivity.json").read_text())["local_elasticities"]
    assert local["at"]["k4_per_min"] == 0.01
    # The elasticities of kinetics' reference.
    assert local["suv"]["k4_per_min"] == pytest.approx(-0.165, abs=0.001)
    assert local["dose"]["k4_per_min"] == pytest.approx(-0.788, abs=0.001)


def test_k4_is_the_least_of_the_four_rates_for_the_dose_too() -> None:
    found = sobol_indices(dose_gy_of_therapy, RANGES, samples=1024, seed=0, log_uniform=True)
    assert np.argmin(found.total[:4]) == 3


def test_bad_requests_are_refused() -> None:
    ranges = {"x": (0.0, 1.0), "y": (0.0, 1.0)}
    with pytest.raises(BadInput, match=r"samples must be a power of 2.*got 1000"):
        sobol_indices(ishigami, ranges, samples=1000, seed=0)
    with pytest.raises(BadInput, match="samples must be a power of 2"):
        sobol_indices(ishigami, ranges, samples=0, seed=0)
    with pytest.raises(BadInput, match="seed must be at least 0"):
        sobol_indices(ishigami, ranges, samples=64, seed=-1)
    with pytest.raises(BadInput, match=r"range of x must be finite.*above 0, got 0 to 1"):
        sobol_indices(ishigami, ranges, samples=64, seed=0, log_uniform=True)
    with pytest.raises(BadInput, match="range of y must be finite"):
        sobol_indices(ishigami, ranges | {"y": (1.0, 1.0)}, samples=64, seed=0)
    with pytest.raises(BadInput, match="must be finite and vary"):
        sobol_indices(lambda p: np.ones(len(p)), ranges, samples=64, seed=0)
    with pytest.raises(BadInput, match="must be finite and vary"):
        sobol_indices(lambda p: np.full(len(p), np.nan), ranges, samples=64, seed=0)


def test_the_figure_shows_every_parameter_twice() -> None:
    from matplotlib.figure import Figure

    found = sobol_indices(dose_gy_of_therapy, RANGES, samples=64, seed=0, log_uniform=True)
    ax = Figure().subplots()
    assert indices_plot(ax, found, title="Dose") is ax
    assert len(ax.patches) == 10
    assert [label.get_text() for label in ax.get_xticklabels()] == [
        "$K_1$",
        "$k_2$",
        "$k_3$",
        "$k_4$",
        "$V_b$",
    ]
