"""BED: G against the integral that defines it, published special cases, limits."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rpt_cohort import BadInput
from rpt_dosimetry.dose.rows import KIDNEY, OTHER, Tissues, bed_gy, lea_catcheside, parse_by_region
from scipy.integrate import quad

RATES = st.floats(0.003, 2.0)


def g_by_integration(terms, repair_half_time_h) -> float:
    """2/D² ∫ Ḋ(t) ∫₀ᵗ Ḋ(w) e^(−μ(t−w)) dw dt, each integral by quadrature."""
    mu = math.log(2) / repair_half_time_h

    def rate(time_h: float) -> float:
        return sum(a * math.exp(-k * time_h) for a, k in terms)

    def unrepaired(time_h: float) -> float:
        # Past 60 repair times nothing is left; the window keeps the integrand in sight.
        start = max(0.0, time_h - 60 / mu)
        return quad(lambda w: rate(w) * math.exp(-mu * (time_h - w)), start, time_h)[0]

    end_h = 40 / min(k for _, k in terms)
    points = [1 / k for _, k in terms] + [5 / k for _, k in terms]
    dose = quad(rate, 0, end_h, points=points, limit=200)[0]
    both = quad(lambda t: rate(t) * unrepaired(t), 0, end_h, points=points, limit=200)[0]
    return 2 * both / dose**2


@pytest.mark.parametrize(
    "terms",
    [
        [(100.0, 0.0141)],
        [(108.742, 0.0140814), (-108.742, 0.845429)],  # the challenge patient's left kidney
        [(5.0, 0.01), (20.0, 0.2)],
        [(3.0, 0.02), (4.0, 0.1), (-7.0, 1.5)],
    ],
)
def test_g_is_the_double_integral(terms) -> None:
    expected = g_by_integration(terms, 2.8)
    assert lea_catcheside(terms, repair_half_time_h=2.8) == pytest.approx(expected, rel=1e-6)


@given(half_life_h=st.floats(1, 160), repair_h=st.floats(0.1, 10), amplitude=st.floats(1e-3, 1e6))
def test_one_exponential_is_the_published_ratio(half_life_h, repair_h, amplitude) -> None:
    # MIRD Pamphlet 20: T_rep / (T_rep + T_eff)
    g = lea_catcheside([(amplitude, math.log(2) / half_life_h)], repair_half_time_h=repair_h)
    assert g == pytest.approx(repair_h / (repair_h + half_life_h), rel=1e-12)


@given(a=st.floats(0.1, 10), fast=RATES, slow=RATES, repair_h=st.floats(0.1, 20))
def test_g_is_between_none_and_all(a, fast, slow, repair_h) -> None:
    g = lea_catcheside([(1.0, slow), (a, fast)], repair_half_time_h=repair_h)
    assert 0 < g <= 1
    assert lea_catcheside([(1.0, slow), (a, fast)], repair_half_time_h=2 * repair_h) > g


def test_g_limits() -> None:
    terms = [(1.0, 0.01), (2.0, 0.3)]
    assert lea_catcheside(terms, repair_half_time_h=1e9) == pytest.approx(1.0)  # no repair
    assert lea_catcheside(terms, repair_half_time_h=1e-9) == pytest.approx(0.0, abs=1e-9)


def test_splitting_a_term_changes_nothing() -> None:
    whole = lea_catcheside([(5.0, 0.02), (-5.0, 1.0)], repair_half_time_h=2.8)
    split = lea_catcheside([(2.0, 0.02), (3.0, 0.02), (-5.0, 1.0)], repair_half_time_h=2.8)
    assert split == pytest.approx(whole, rel=1e-12)


def test_bed_of_a_kidney() -> None:
    # By hand: 5 Gy, T_eff 49.2 h: G = 2.8 / 52; 5 (1 + 5 · 0.053846 / 2.5)
    g = lea_catcheside([(1.0, math.log(2) / 49.2)], repair_half_time_h=KIDNEY.repair_half_time_h)
    bed = bed_gy(dose_gy=5.0, g=g, alpha_beta_gy=KIDNEY.alpha_beta_gy)
    assert bed == pytest.approx(5.538462, rel=1e-6)


def test_parameters_by_region() -> None:
    tissues = Tissues({"kidney": 2.6, "lesion": 10.0, "lesion_2": 2.0}, {"kidney_left": 2.5})
    assert tissues.of("kidney_right").alpha_beta_gy == 2.6
    assert tissues.of("kidney_right").repair_half_time_h == KIDNEY.repair_half_time_h
    assert tissues.of("kidney_left").repair_half_time_h == 2.5
    assert tissues.of("kidney_cyst_left").alpha_beta_gy == OTHER.alpha_beta_gy
    assert tissues.of("lesion_1").alpha_beta_gy == 10.0
    assert tissues.of("lesion_2").alpha_beta_gy == 2.0
    assert tissues.of("liver") == OTHER


@pytest.mark.parametrize("word", ["kidney", "=2", "kidney=", "kidney=-1", "kidney=0", "kidney=nan"])
def test_bad_words(word) -> None:
    with pytest.raises(BadInput, match=r"--alpha-beta must be .* above 0 Gy, such as kidney=2.5"):
        parse_by_region([word], option="--alpha-beta", unit="Gy")


def test_a_region_twice() -> None:
    with pytest.raises(BadInput, match="once, got 'liver' twice"):
        parse_by_region(["liver=2", "liver=3"], option="--alpha-beta", unit="Gy")


@pytest.mark.parametrize(
    ("terms", "repair_h"), [([], 1.0), ([(1.0, 0.0)], 1.0), ([(1.0, 0.1)], 0.0), ([(-1, 0.1)], 1.0)]
)
def test_impossible_rates(terms, repair_h) -> None:
    with pytest.raises(ValueError, match="must"):
        lea_catcheside(terms, repair_half_time_h=repair_h)
