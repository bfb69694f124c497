"""Fits of region curves: recovery, uncertainty, choice of the model, refusals, and the CSV."""

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rpt_kinetics.basis import Scan, best_amplitudes
from rpt_kinetics.curves import RegionCurve, read_fit_input, read_region_curve
from rpt_kinetics.errors import BadInput
from rpt_kinetics.fit_problem import K1, K2, K3, K4, MODELS, VB
from rpt_kinetics.fitting import Fit, fit_model
from rpt_kinetics.frames import Frames, to_injection
from rpt_kinetics.inputs import kabasakal, percent_ia_per_l_to_suv
from rpt_kinetics.macro import macro_parameter
from rpt_kinetics.rates import Rates
from scipy.integrate import quad
from scipy.optimize import curve_fit, nnls

GA68_MIN = 67.71
WIDTHS = np.array([0.25] * 8 + [0.5] * 4 + [1.0] * 4 + [2.0] * 4 + [5.0] * 8)
BLOOD = percent_ia_per_l_to_suv(kabasakal(), weight_kg=80)
ONE = {K1: 0.3, K2: 0.1, K3: 0.0, K4: 0.0, VB: 0.08}
KEPT = {K1: 0.3, K2: 0.2, K3: 0.1, K4: 0.0, VB: 0.08}
TWO = {K1: 0.4, K2: 0.3, K3: 0.15, K4: 0.03, VB: 0.08}


def frames(*, late_min: float = 0.0, injection_min: float = 0.0) -> Frames:
    end = np.cumsum(WIDTHS) + late_min
    return Frames(end - WIDTHS, end, injection_min)


SCAN = Scan.of(frames(), BLOOD, half_life_min=GA68_MIN)


def deviations(activity: np.ndarray, share: float) -> np.ndarray:
    return share * activity.max() * np.sqrt(WIDTHS.min() / WIDTHS)


def curve_of(true: dict[str, float], *, share: float, seed: int | None = None) -> RegionCurve:
    """A curve whose first frames have ``share`` of the maximum as deviation; no seed, no noise."""
    activity = SCAN.pet(Rates(**true))
    deviation = deviations(activity, share)
    if seed is not None:
        activity = activity + np.random.default_rng(seed).normal(size=len(activity)) * deviation
    return RegionCurve(
        frames=SCAN.frames, activity=activity, standard_deviation=deviation, unit=BLOOD.unit
    )


def within(fits: list[Fit], true: dict[str, float]) -> None:
    """No bias beyond 3 standard errors of the mean; 68 and 95 % of intervals hold the truth."""
    names = fits[0].free
    estimates = np.array([[fit.estimates[name] for name in names] for fit in fits])
    errors = np.array([[fit.standard_errors[name] for name in names] for fit in fits])
    truth = np.array([true[name] for name in names])
    n = len(fits)
    of_mean = estimates.std(axis=0, ddof=1) / math.sqrt(n)
    assert np.all(np.abs(estimates.mean(axis=0) - truth) < 3.0 * of_mean)
    off = np.abs(estimates - truth) / errors
    for reach, share in ((1.0, 0.6827), (1.96, 0.95)):
        # A proportion's own spread, three times.
        tolerance = 3.0 * math.sqrt(share * (1.0 - share) / n)
        assert np.all(np.abs((off < reach).mean(axis=0) - share) < tolerance)


@pytest.mark.slow
def test_one_tissue_is_recovered_without_bias_and_with_true_standard_errors() -> None:
    fits = [
        fit_model(curve_of(ONE, share=0.05, seed=seed), SCAN, model="1tcm") for seed in range(200)
    ]
    within(fits, ONE)
    reduced = np.mean([fit.chi_square / fit.degrees_of_freedom for fit in fits])
    # The mean of 200 χ² of 25 degrees of freedom over 25 spreads by 0.02.
    assert reduced == pytest.approx(1.0, abs=0.06)


def test_irreversible_binding_is_recovered_without_bias() -> None:
    fits = [
        fit_model(
            curve_of(KEPT, share=0.01, seed=seed), SCAN, model="2tcm_irreversible", vb=KEPT[VB]
        )
        for seed in range(80)
    ]
    within(fits, KEPT)


@pytest.mark.slow
def test_irreversible_binding_with_blood_free_is_recovered_without_bias() -> None:
    fits = [
        fit_model(curve_of(KEPT, share=0.01, seed=seed), SCAN, model="2tcm_irreversible")
        for seed in range(80)
    ]
    assert fits[0].free == (K1, K2, K3, VB)
    within(fits, KEPT)


@pytest.mark.slow
def test_reversible_binding_is_recovered_without_bias_where_noise_is_small() -> None:
    # Five free parameters: at 1 % the estimates' distribution is visibly skew.
    fits = [
        fit_model(curve_of(TWO, share=0.002, seed=seed), SCAN, model="2tcm") for seed in range(50)
    ]
    assert fits[0].free == (K1, K2, K3, K4, VB)
    within(fits, TWO)


@pytest.mark.parametrize("seed", range(4))
def test_exact_curves_of_any_rates_are_found_again(seed: int) -> None:
    rng = np.random.default_rng(seed)
    k1, k2, k3, k4 = np.exp(rng.uniform(np.log([0.1, 0.1, 0.05, 0.02]), np.log([1, 1, 0.3, 0.08])))
    true = {K1: k1, K2: k2, K3: k3, K4: k4, VB: rng.uniform(0.02, 0.2)}
    fit = fit_model(curve_of(true, share=1e-4), SCAN, model="2tcm")
    for name, value in true.items():
        assert fit.estimates[name] == pytest.approx(value, rel=1e-4)


def test_estimates_and_covariance_agree_with_an_independent_fit() -> None:
    # A convolution on a fine grid and curve_fit: nothing of ours but the numbers of the input.
    step = 0.01
    grid = np.arange(0.0, WIDTHS.sum() + step / 2, step)
    input_suv = 0.8 * (19.0 * np.exp(-math.log(2) / 9.6 * grid) + np.exp(-math.log(2) / 648 * grid))
    decay = np.exp(-math.log(2) / GA68_MIN * grid)
    edges = np.rint(np.concatenate([[0.0], np.cumsum(WIDTHS)]) / step).astype(int)

    def model(_: object, k1: float, k2: float, vb: float) -> np.ndarray:
        # The trapezium rule of C_T, as a recursion.
        tissue = np.zeros(len(grid))
        kept = math.exp(-k2 * step)
        fed = 0.5 * step * k1 * (kept * input_suv[:-1] + input_suv[1:])
        for index in range(len(fed)):
            tissue[index + 1] = kept * tissue[index] + fed[index]
        pet = ((1.0 - vb) * tissue + vb * input_suv) * decay
        return np.array(
            [
                np.trapezoid(pet[a : b + 1]) / np.trapezoid(decay[a : b + 1])
                for a, b in pairwise(edges)
            ]
        )

    curve = curve_of(ONE, share=0.05, seed=7)
    point, covariance = curve_fit(
        model,
        None,
        curve.activity,
        p0=[0.2, 0.2, 0.05],
        sigma=curve.standard_deviation,
        absolute_sigma=True,
    )
    fit = fit_model(curve, SCAN, model="1tcm")
    assert [fit.estimates[name] for name in fit.free] == pytest.approx(point, rel=1e-4)
    assert fit.covariance == pytest.approx(covariance, rel=1e-3)


@pytest.mark.parametrize(
    ("true", "model"), [(ONE, "1tcm"), (KEPT, "2tcm_irreversible"), (TWO, "2tcm")]
)
@pytest.mark.parametrize("seed", [None, 1, 2])
def test_the_aicc_chooses_the_right_model(
    true: dict[str, float], model: str, seed: int | None
) -> None:
    curve = curve_of(true, share=0.01, seed=seed)
    aicc = {}
    for name in MODELS:
        try:
            aicc[name] = fit_model(curve, SCAN, model=name).aicc
        except BadInput as error:
            assert name == "2tcm", "only the largest model can be too large here"
            assert "not identifiable" in str(error)  # noqa: PT017
    assert min(aicc, key=lambda name: aicc[name]) == model


def test_the_aicc_counts_free_parameters_only() -> None:
    curve = curve_of(ONE, share=0.03, seed=3)
    free = fit_model(curve, SCAN, model="1tcm")
    held = fit_model(curve, SCAN, model="1tcm", vb=free.estimates[VB])
    assert (free.free, held.free) == ((K1, K2, VB), (K1, K2))
    assert held.chi_square == pytest.approx(free.chi_square, rel=1e-8)
    n = len(curve.frames)
    for fit, p in ((free, 3), (held, 2)):
        expected = n * math.log(fit.chi_square / n) + 2 * p + 2 * p * (p + 1) / (n - p - 1)
        assert fit.aicc == pytest.approx(expected, rel=1e-12)
        assert fit.degrees_of_freedom == n - p
    assert held.aicc < free.aicc


def test_deviations_all_three_times_as_large_change_standard_errors_only() -> None:
    curve = curve_of(KEPT, share=0.01, seed=5)
    wide = RegionCurve(
        frames=curve.frames,
        activity=curve.activity,
        standard_deviation=3.0 * curve.standard_deviation,
        unit=curve.unit,
    )
    one, three = (
        {name: fit_model(each, SCAN, model=name) for name in ("1tcm", "2tcm_irreversible")}
        for each in (curve, wide)
    )
    best = "2tcm_irreversible"
    for name, value in one[best].estimates.items():
        assert three[best].estimates[name] == pytest.approx(value, rel=1e-5)
    for name, error in one[best].standard_errors.items():
        assert three[best].standard_errors[name] == pytest.approx(3.0 * error, rel=1e-4)
    apart = [fits["1tcm"].aicc - fits[best].aicc for fits in (one, three)]
    assert apart[1] == pytest.approx(apart[0], rel=1e-6)


@pytest.mark.parametrize(
    ("true", "model"), [(ONE, "1tcm"), (KEPT, "2tcm_irreversible"), (TWO, "2tcm")]
)
def test_the_macro_parameter_carries_the_covariance(true: dict[str, float], model: str) -> None:
    fit = fit_model(curve_of(true, share=0.01, seed=2), SCAN, model=model)
    macro = macro_parameter(fit)
    # Draws so near that the first order is all: an independent propagation.
    point = [fit.estimates[name] for name in fit.free]
    rng = np.random.default_rng(0)
    draws = rng.multivariate_normal(point, 1e-6 * fit.covariance, size=40_000)
    values = dict.fromkeys((K1, K2, K3, K4, VB), np.zeros(len(draws)))
    values |= dict(zip(fit.free, draws.T, strict=True))
    if model == "2tcm_irreversible":
        spread = values[K1] * values[K3] / (values[K2] + values[K3])
    elif model == "2tcm":
        spread = values[K1] / values[K2] * (1.0 + values[K3] / values[K4])
    else:
        spread = values[K1] / values[K2]
    assert macro.value == pytest.approx(spread.mean(), rel=1e-4)
    # 40,000 draws give a deviation within 0.35 %; three times that.
    assert macro.standard_error == pytest.approx(1e3 * spread.std(), rel=0.012)


def test_no_distribution_volume_where_nothing_comes_back() -> None:
    fit = fit_model(curve_of(KEPT, share=0.01), SCAN, model="2tcm")
    assert fit.at_bound == (K4,)
    macro = macro_parameter(fit)
    assert macro.value is None
    assert "k4_per_min ended at the bound 0 /min" in macro.reason


def test_injection_offset_and_frame_clock_do_not_matter() -> None:
    curve = curve_of(ONE, share=0.02, seed=4)
    late = frames(late_min=1.5, injection_min=1.5)
    moved = RegionCurve(
        frames=late,
        activity=curve.activity,
        standard_deviation=curve.standard_deviation,
        unit=curve.unit,
    )
    there = fit_model(moved, Scan.of(late, BLOOD, half_life_min=GA68_MIN), model="1tcm")
    here = fit_model(curve, SCAN, model="1tcm")
    assert there.estimates == pytest.approx(here.estimates, rel=1e-5)
    assert there.standard_errors == pytest.approx(here.standard_errors, rel=1e-4)
    # Left out, the offset is no small matter.
    wrong = Scan.of(frames(late_min=1.5), BLOOD, half_life_min=GA68_MIN)
    assert fit_model(moved, wrong, model="1tcm").chi_square > 10 * here.chi_square


def test_a_delay_from_the_sampling_site_is_undone() -> None:
    delayed = Scan.of(frames(), BLOOD, half_life_min=GA68_MIN, delay_min=0.4)
    curve = curve_of(ONE, share=0.01)
    late = RegionCurve(
        frames=curve.frames,
        activity=delayed.pet(Rates(**ONE)),
        standard_deviation=curve.standard_deviation,
        unit=curve.unit,
    )
    assert fit_model(late, delayed, model="1tcm").estimates == pytest.approx(ONE, rel=1e-5)


def flat(value: float) -> RegionCurve:
    ones = np.ones(len(WIDTHS))
    return RegionCurve(
        frames=frames(), activity=value * ones, standard_deviation=ones, unit=BLOOD.unit
    )


def test_non_identifiable_requests_are_refused() -> None:
    clear = curve_of(ONE, share=0.01)
    few = Frames(frames().start_min[:5], frames().end_min[:5])
    short = RegionCurve(
        frames=few,
        activity=clear.activity[:5],
        standard_deviation=clear.standard_deviation[:5],
        unit=clear.unit,
    )
    with pytest.raises(BadInput, match="5 free parameters needs at least 7 frames"):
        fit_model(short, Scan.of(few, BLOOD), model="2tcm")
    with pytest.raises(BadInput, match=r"2tcm is not identifiable.*leaves .*k4_per_min"):
        fit_model(clear, SCAN, model="2tcm")
    with pytest.raises(BadInput, match="must differ from 0"):
        fit_model(flat(0.0), SCAN, model="1tcm")
    with pytest.raises(BadInput, match="must differ from 0"):
        fit_model(flat(0.1), SCAN, model="1tcm")
    with pytest.raises(BadInput, match="must change over time"):
        fit_model(flat(50.0), SCAN, model="1tcm")
    with pytest.raises(BadInput, match="model must be one of"):
        fit_model(clear, SCAN, model="3tcm")
    with pytest.raises(BadInput, match="vb must be at least 0 and below 1 mL/mL, got 5"):
        fit_model(clear, SCAN, model="1tcm", vb=5)
    only_blood = RegionCurve(
        frames=SCAN.frames,
        activity=SCAN.blood(),
        standard_deviation=clear.standard_deviation,
        unit=clear.unit,
    )
    with pytest.raises(BadInput, match="not identifiable"):
        fit_model(only_blood, SCAN, model="1tcm")


def test_an_input_that_is_zero_or_in_another_unit_is_refused() -> None:
    with pytest.raises(BadInput, match="must bring activity before the last frame ends at 56 min"):
        Scan.of(frames(), BLOOD, delay_min=100.0)
    with pytest.raises(BadInput, match="one unit"):
        fit_model(curve_of(ONE, share=0.1), Scan.of(frames(), kabasakal()), model="1tcm")
    with pytest.raises(BadInput, match="one unit"):
        curve_of(ONE, share=0.1).in_unit("kBq/mL")


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 3))
def test_amplitudes_are_those_of_non_negative_least_squares(seed: int, columns: int) -> None:
    rng = np.random.default_rng(seed)
    design, target = rng.normal(size=(8, columns)), rng.normal(size=8)
    amplitudes, lowered = best_amplitudes(design.T @ design, design.T @ target)
    expected, norm = nnls(design, target)
    assert amplitudes == pytest.approx(expected, abs=1e-8)
    assert float(target @ target - lowered) == pytest.approx(norm**2, abs=1e-8)


# --- the CSV ---

HEADER = "frame_start_min,frame_end_min,activity_kbq_per_ml,standard_deviation_kbq_per_ml"


def written(folder: Path, text: str) -> Path:
    path = folder / "curve.csv"
    path.write_text(text)
    return path


def test_seconds_and_units_are_read(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "frame_start_s,frame_end_s,activity_kbq_per_ml,standard_deviation_bq_per_ml,"
        "decay_correction\n0,30,1.5,150,injection\n30,90,2.5,250,injection\n",
    )
    curve = read_region_curve(path).in_unit("Bq/mL")
    assert curve.frames.start_min.tolist() == [0.0, 0.5]
    assert curve.frames.end_min.tolist() == [0.5, 1.5]
    assert curve.activity == pytest.approx([1500.0, 2500.0])
    assert curve.standard_deviation == pytest.approx([150.0, 250.0])


def test_each_decay_correction_leads_to_the_same_curve(tmp_path: Path) -> None:
    # Corrected to the injection: C(t) = 5 + t. The injection is 2 min into the clock, the scan
    # starts at 3 min, and the counts are integrals of C(t)·e^(−λt).
    decay = math.log(2) / GA68_MIN
    starts, ends, injection = (3.0, 13.0), (13.0, 40.0), 2.0
    counted, corrected = [], []
    for start, end in zip(starts, ends, strict=True):
        a, b = start - injection, end - injection
        decays = quad(lambda t: (5.0 + t) * math.exp(-decay * t), a, b)[0]
        counted.append(decays / (b - a))
        corrected.append(decays / quad(lambda t: math.exp(-decay * t), a, b)[0])
    late = math.exp(-decay * (starts[0] - injection))
    given = {
        "injection": corrected,
        "none": counted,
        "scan_start": [value * late for value in corrected],
    }
    for word, values in given.items():
        rows = [
            f"{start},{end},{value!r},{value / 10!r}"
            for start, end, value in zip(starts, ends, values, strict=True)
        ]
        path = written(tmp_path, "\n".join([HEADER, *rows]))
        curve = read_region_curve(
            path, decay_correction=word, half_life_min=GA68_MIN, injection_min=injection
        )
        assert curve.activity == pytest.approx(corrected, rel=1e-12)
        assert curve.standard_deviation == pytest.approx(np.array(corrected) / 10, rel=1e-12)


def test_a_scan_that_starts_after_the_injection_may_count_from_its_start(tmp_path: Path) -> None:
    path = written(tmp_path, f"{HEADER}\n0,5,2,1\n5,10,3,1\n")
    curve = read_region_curve(path, decay_correction="injection", injection_min=-30.0)
    assert curve.frames.start_min.tolist() == [30.0, 35.0]
    assert curve.frames.injection_min == 0.0


def test_an_input_csv_is_corrected_once(tmp_path: Path) -> None:
    path = tmp_path / "input.csv"
    path.write_text("time_min,plasma_kbq_per_ml\n0,8\n10,4\n67.71,1\n")
    raw = read_fit_input(path, decay_correction="none", half_life_min=GA68_MIN)
    assert raw.decay_corrected
    assert float(raw.plasma.value(GA68_MIN)) == pytest.approx(2.0)
    kept = read_fit_input(path, decay_correction="injection", half_life_min=GA68_MIN)
    assert float(kept.plasma.value(GA68_MIN)) == pytest.approx(1.0)
    with pytest.raises(BadInput, match="must say whether it is corrected for decay"):
        read_fit_input(path)
    with pytest.raises(BadInput, match="half_life_min must be given"):
        read_fit_input(path, decay_correction="none")
    with pytest.raises(BadInput, match=r"must be injection, none, got 'scan_start'\. Say none if"):
        read_fit_input(path, decay_correction="scan_start")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{HEADER}\n0,5,2,0\n", "standard_deviation must be above 0 kBq/mL, got 0"),
        (f"{HEADER}\n0,5,2,1e-300\n", "must be above 0 and at least 2e-15 kBq/mL, got 1e-300"),
        (f"{HEADER}\n0,5,1e308,1\n", r"activity must be finite and at most 1e\+15 kBq/mL, got"),
        (f"{HEADER}\n0,5,2,-1\n", "standard_deviation must be above 0 kBq/mL, got -1"),
        (f"{HEADER}\n0,5,nan,1\n", "'activity_kbq_per_ml' must hold finite numbers, got 'nan'"),
        (f"{HEADER}\n0,5,,1\n", "'activity_kbq_per_ml' must hold finite numbers"),
        (f"{HEADER}\n-1,5,2,1\n", "frame_start must be at least 0, got -1 min"),
        (f"{HEADER}\n0,5,2,1\n4,9,2,1\n", "must not overlap, got one to 5 min and the next from 4"),
        (f"{HEADER}\n5,9,2,1\n0,5,2,1\n", "start_min must ascend"),
        (f"{HEADER}\n5,5,2,1\n", "end_min must be after start_min"),
        (
            "frame_end_min,activity_suv\n1,1\n",
            "named frame_start_min, frame_start_s or frame_start_h",
        ),
        (HEADER.replace("_kbq", "_mci") + "\n0,5,2,1\n", "activity_UNIT, UNIT one of suv"),
        (HEADER.rpartition(",")[0] + "\n0,5,2\n", "one column standard_deviation_UNIT"),
        (
            HEADER.replace("deviation_kbq_per_ml", "deviation_suv") + "\n0,5,2,1\n",
            "must be in one unit, got SUV",
        ),
    ],
)
def test_a_bad_curve_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        read_region_curve(written(tmp_path, text), decay_correction="injection")


def test_the_decay_correction_must_be_stated_once(tmp_path: Path) -> None:
    path = written(tmp_path, f"{HEADER}\n0,5,2,1\n")
    with pytest.raises(BadInput, match="must say whether it is corrected for decay, and does not"):
        read_region_curve(path)
    with pytest.raises(BadInput, match="must be injection, scan_start, none, got 'yes'"):
        read_region_curve(path, decay_correction="yes")
    with pytest.raises(BadInput, match="half_life_min must be given, in min"):
        read_region_curve(path, decay_correction="none")
    both = written(tmp_path, f"{HEADER},decay_correction\n0,5,2,1,none\n")
    with pytest.raises(BadInput, match="must have one decay correction, got injection and none"):
        read_region_curve(both, decay_correction="injection")


def test_frames_refuse_an_impossible_injection() -> None:
    with pytest.raises(BadInput, match="injection_min must be finite and at least 0 min"):
        frames(injection_min=-1.0)
    for word, half_life_min in (("none", 1e-3), ("scan_start", 1e-2)):
        with pytest.raises(BadInput, match="half_life_min must leave activity to correct for"):
            to_injection(frames(late_min=5.0), word, half_life_min=half_life_min)
    with pytest.raises(BadInput, match="half_life_min must leave activity in every frame"):
        Scan.of(frames(), BLOOD, half_life_min=1e-2)
    assert to_injection(frames(), "injection", half_life_min=np.inf).tolist() == [1.0] * len(WIDTHS)
