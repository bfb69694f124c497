"""The parts of a calibration by closed forms: dead time, scatter, paths, excretion, the factor."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import ValidationError
from rpt_cohort import BadInput, Volume
from rpt_dosimetry.calibration.counts import (
    check_scatter,
    choose_windows,
    live_fraction,
    primary_counts,
    sweep_live_fraction,
    true_over_observed,
)
from rpt_dosimetry.calibration.factor import (
    CalibrationFactor,
    SpectCounts,
    concentration_bq_per_ml,
    image_based_factor,
)
from rpt_dosimetry.calibration.image_based import Retention, biological_half_life_h, retention
from rpt_dosimetry.calibration.planar import (
    FrontalPlane,
    align,
    attenuation_path,
    binned,
    counts_at_edges,
    field_fraction,
    geometric_mean,
    held_by_views,
    linear_attenuation_per_cm,
    overlap,
    path_on,
)
from rpt_dosimetry.dicom.nm import EnergyWindow
from rpt_dosimetry.dicom.planar import ANTERIOR, Plane
from rpt_dosimetry.options import CalibrationOptions, DeadTime

PEAK, LOWER, UPPER = (
    EnergyWindow(187.5, 229.2),
    EnergyWindow(166.7, 187.5),
    EnergyWindow(229.2, 250),
)
PARALYZABLE, NON_PARALYZABLE = MODELS = ("paralyzable", "non-paralyzable")
LU = {"net_administered_mbq": 7400.0, "elapsed_h": 24.0, "half_life_h": 159.528}


# --- dead time ---


@given(
    st.sampled_from(MODELS),
    st.floats(0.0, 20.0),
    st.floats(0.0, 40000.0),
)
def test_dead_time_is_undone(model, tau_us, true_cps) -> None:
    """Whatever is lost, the correction of the recorded rate gives the true rate back."""
    assume(true_cps * tau_us < 0.95e6)  # beyond the paralyzable maximum two rates look alike
    dead_time = DeadTime(tau_us=tau_us, model=model)
    recorded = true_cps * float(live_fraction(np.array([true_cps]), dead_time)[0])
    assert recorded * true_over_observed(recorded, dead_time) == pytest.approx(true_cps, rel=1e-6)


def test_dead_time_by_hand() -> None:
    five, other = (DeadTime(tau_us=5, model=model) for model in MODELS)
    assert true_over_observed(20000, other) == pytest.approx(1 / 0.9)
    assert true_over_observed(20000 * math.exp(-0.1), five) == pytest.approx(math.exp(0.1))
    # At the 208 keV peak of a Symbia, 4.60 µs (Uribe 2018), 20,000 cps lose 8.8 %.
    live = live_fraction(np.array([20000.0]), DeadTime(tau_us=4.60))[0]
    assert 1 - live == pytest.approx(0.0879, abs=1e-4)


@pytest.mark.parametrize(
    ("tau_us", "model", "cps", "told"),
    [
        (5, PARALYZABLE, 74000, "below 7.358e[+]04 1/s"),
        (5, NON_PARALYZABLE, 200000, "below 2e[+]05 1/s"),
        (5, PARALYZABLE, -1, "0 1/s or above"),
    ],
)
def test_rates_that_cannot_be(tau_us, model, cps, told) -> None:
    with pytest.raises(BadInput, match=told):
        true_over_observed(cps, DeadTime(tau_us=tau_us, model=model))


@pytest.mark.parametrize(
    ("model", "choices", "key"),
    [
        (DeadTime, {"tau_us": 5, "model": "dead"}, "model"),
        (DeadTime, {"tau_us": -1}, "tau_us"),
        (DeadTime, {"tau_us": 4600}, "tau_us"),
        (DeadTime, {"tau_us": 5, "sd_pct": 100}, "sd_pct"),
        (CalibrationOptions, {"scatter": "esse"}, "scatter"),
        (CalibrationOptions, {"dew_factor": -1}, "dew_factor"),
        (CalibrationOptions, {"outside_views_at_most": 20.0}, "outside_views_at_most"),
        (CalibrationOptions, {"excreted": 5}, "excreted"),
        (CalibrationOptions, {"excreted_at_most": 1}, "excreted_at_most"),
        (CalibrationOptions, {"excretion_sd": -1}, "excretion_sd"),
        (CalibrationOptions, {"biological_h": 0}, "biological_h"),
        (CalibrationOptions, {"detector_mm": 4000}, "detector_mm"),
    ],
)
def test_options_that_cannot_be(model, choices, key) -> None:
    with pytest.raises(ValidationError) as refused:
        model(**choices)
    assert refused.value.errors()[0]["loc"] == (key,)


@pytest.mark.parametrize("model", MODELS)
def test_a_sweep_over_a_uniform_body(model) -> None:
    """Far from its ends every position sees one rate, and the closed form holds."""
    dead_time, row_cps, rows = DeadTime(tau_us=5, model=model), 200.0, 50
    true_cps = row_cps * rows
    live = float(live_fraction(np.array([true_cps]), dead_time)[0])
    found = sweep_live_fraction(
        np.full(400, row_cps * live * 12.0), dead_time=dead_time, rows_in_view=rows, exposure_s=12.0
    )
    assert found[200] == pytest.approx(live, rel=1e-3)
    assert found[0] > found[200]  # the detector hangs over the end, and loses less


def test_a_sweep_without_dead_time_loses_nothing() -> None:
    found = sweep_live_fraction(
        np.arange(30.0), dead_time=DeadTime(tau_us=0), rows_in_view=5, exposure_s=1.0
    )
    np.testing.assert_array_equal(found, 1.0)


def test_a_sweep_that_is_paralyzed() -> None:
    with pytest.raises(BadInput, match="less activity"):
        sweep_live_fraction(
            np.full(50, 1e5), dead_time=DeadTime(tau_us=10), rows_in_view=20, exposure_s=1.0
        )


# --- scatter ---


def plane(value: float, window: EnergyWindow) -> Plane:
    return Plane(ANTERIOR, window, np.full((3, 4), float(value)), (5.0, 5.0))


def test_triple_energy_window() -> None:
    """The trapezoid is exact where scatter falls linearly, the windows even about the peak."""

    def scatter(window: EnergyWindow) -> float:
        middle = (window.lower_kev + window.upper_kev) / 2
        return (30 - 0.08 * middle) * window.width_kev

    found = primary_counts(
        plane(1000 + scatter(PEAK), PEAK),
        plane(scatter(LOWER), LOWER),
        plane(scatter(UPPER), UPPER),
        CalibrationOptions(scatter="tew"),
    )
    np.testing.assert_allclose(found, 1000, rtol=1e-3)


def test_other_scatter_corrections() -> None:
    peak, lower = plane(1000, PEAK), plane(100, LOWER)
    none, dew = (
        CalibrationOptions(scatter="none"),
        CalibrationOptions(scatter="dew", dew_factor=1.1),
    )
    assert primary_counts(peak, lower, None, none)[0, 0] == 1000
    assert primary_counts(peak, lower, None, dew)[0, 0] == 890
    half = 100 / LOWER.width_kev * PEAK.width_kev / 2
    tew = CalibrationOptions(scatter="tew")
    assert primary_counts(peak, lower, None, tew)[0, 0] == pytest.approx(1000 - half)


def test_windows_of_lutetium() -> None:
    """Two peaks with windows at their sides: each photon finds its own."""
    first = [EnergyWindow(90.6, 101.7), EnergyWindow(101.7, 124.3), EnergyWindow(124.3, 135.4)]
    found = choose_windows([*first, LOWER, PEAK, UPPER], photon_kev=208.37)
    assert (found.peak, found.lower, found.upper) == (PEAK, LOWER, UPPER)
    found = choose_windows([*first, LOWER, PEAK, UPPER], photon_kev=112.95)
    assert (found.lower, found.peak, found.upper) == tuple(first)
    assert choose_windows([first[1], PEAK], photon_kev=208.37).lower is None


@pytest.mark.parametrize(
    ("windows", "method", "factor", "told"),
    [
        ([PEAK], "tew", None, "within 5 keV below the peak"),
        ([LOWER], "tew", None, "must hold the photon of 208.37 keV"),
        ([PEAK, LOWER], "dew", None, "must be given with dew"),
        ([PEAK, LOWER], "tew", 0.5, "not without it"),
    ],
)
def test_scatter_that_cannot_be_corrected(windows, method, factor, told) -> None:
    options = CalibrationOptions(scatter=method, dew_factor=factor)
    with pytest.raises(BadInput, match=told):
        check_scatter(choose_windows(windows, photon_kev=208.37), options)


# --- paths and views ---


def test_attenuation_near_that_of_water() -> None:
    """μ of water at 208.37 keV is 0.1351 1/cm, at 112.95 keV 0.1644 (XCOM); 14 HU is 1.03 g/mL."""
    for photon_kev, water in ((208.37, 0.1351), (112.95, 0.1644)):
        found = linear_attenuation_per_cm(np.full((1, 1, 1), 14.0), photon_kev=photon_kev)
        assert found[0, 0, 0] / 1.03 == pytest.approx(water, rel=0.02)
    assert linear_attenuation_per_cm(np.full((1, 1, 1), -1000.0), photon_kev=208.0)[0, 0, 0] == 0


def slab(depth: int = 20) -> Volume:
    hu = np.full((30, 40, 25), -1000.0)
    hu[5:25, 10 : 10 + depth] = 14.0
    affine = np.diag([4.0, 5.0, 6.0, 1.0])
    affine[:3, 3] = -60, -100, -72
    return Volume(hu, affine)


@pytest.mark.parametrize("flip", [(1, 1, 1), (-1, -1, 1), (-1, 1, -1)])
def test_path_through_a_slab(flip) -> None:
    """20 voxels of 5 mm: 10 cm of soft tissue, whichever way the axes of the file run."""
    ct = slab()
    turn = np.diag([*flip, 1.0])
    turn[:3, 3] = [(n - 1) if f < 0 else 0 for n, f in zip(ct.data.shape, flip, strict=True)]
    data = ct.data[tuple(slice(None, None, f) for f in flip)]
    found = attenuation_path(Volume(data, ct.affine @ turn), photon_kev=208.37)
    expected = 10 * linear_attenuation_per_cm(np.full((1, 1, 1), 14.0), photon_kev=208.37)[0, 0, 0]
    np.testing.assert_allclose(found.values[5:25], expected, rtol=1e-12)
    np.testing.assert_array_equal(found.values[:5], 0)
    assert (found.x_mm[0], found.z_mm[0]) == (-60, -72)


def test_a_tilted_ct() -> None:
    ct = slab()
    ct.affine[0, 1] = 0.5
    with pytest.raises(BadInput, match="tilted"):
        attenuation_path(ct, photon_kev=208.0)
    with pytest.raises(BadInput, match="30 to 800 keV"):
        attenuation_path(slab(), photon_kev=5.0)


@given(st.floats(0.0, 1.0), st.floats(0.0, 5.0))
def test_conjugate_views_know_no_depth(depth, whole_path) -> None:
    """A point source at any depth: √(A P) e^(μL/2) is what it sent out."""
    front = np.full((1, 1), 900 * math.exp(-depth * whole_path))
    back = np.full((1, 1), 900 * math.exp(-(1 - depth) * whole_path))
    mean = geometric_mean(front, back) * math.exp(whole_path / 2)
    assert mean[0, 0] == pytest.approx(900, rel=1e-9)


def test_bins_keep_the_counts() -> None:
    counts = np.random.default_rng(3).random((23, 31))
    sums, sizes = binned(counts, pixel_mm=(2.4, 4.8))
    assert sizes == (4, 2)
    assert sums.sum() == pytest.approx(counts.sum())
    assert sums[1, 2] == pytest.approx(counts[4:8, 4:6].sum())


def test_path_on_other_pixels() -> None:
    x_mm, z_mm = np.arange(40.0), np.arange(60.0)
    path = FrontalPlane(x_mm[:, None] + 10 * z_mm[None], x_mm, z_mm)
    like = FrontalPlane(np.zeros((3, 8)), np.array([-10.5, 9.5, 29.5]), np.arange(8) * 10 + 4.5)
    found = path_on(path, like)
    np.testing.assert_allclose(found[2, :6], 29.5 + 10 * like.z_mm[:6])
    np.testing.assert_array_equal(found[0], [0] * 6 + [np.nan] * 2)
    with pytest.raises(BadInput, match="covers none"):
        path_on(path, FrontalPlane(like.values, like.x_mm, like.z_mm + 500))


def test_overlap() -> None:
    share = overlap(np.arange(10.0) * 10, np.array([30.0, 35, 40, 45, 50]))
    np.testing.assert_allclose(share, [0, 0, 0, 0.75, 1, 0.75, 0, 0, 0, 0])


def plane_of(values, *, step_mm: float = 10.0) -> FrontalPlane:
    x, z = values.shape
    return FrontalPlane(values, np.arange(float(x)) * step_mm, np.arange(float(z)) * step_mm)


FIELD = FrontalPlane(np.zeros((10, 5)), np.arange(10) * 10.0, 30 + np.arange(5) * 10.0)


def test_fraction_without_attenuation() -> None:
    mean = plane_of(np.ones((10, 20)))
    found = field_fraction(mean, np.zeros((10, 20)), spect=FIELD)
    assert found.fraction == pytest.approx(5 / 20)
    assert found.attenuation_sd == 0
    assert found.alignment_sd == pytest.approx(0, abs=1e-12)
    assert found.counts_beyond_ct == 0


def test_fraction_of_what_the_ct_shows_in_part() -> None:
    """Bounds by hand: half the rows known, at a path of 2, and 5 of 20 rows in the field."""
    path = np.full((10, 20), 2.0)
    path[:, 10:] = np.nan
    found = field_fraction(plane_of(np.ones((10, 20))), path, spect=FIELD)
    low, high = 5 * math.e / (10 * math.e + 10 * math.sqrt(math.e)), 5 / 20
    assert found.fraction == pytest.approx((low + high) / 2)
    assert found.attenuation_sd * found.fraction == pytest.approx((low - high) / 2 / math.sqrt(3))
    assert found.counts_beyond_ct == pytest.approx(0.5)


@pytest.mark.parametrize("shift_mm", [(-31.0, -402.0), (12.4, 55.0)])
def test_alignment_of_different_pixels(shift_mm) -> None:
    """Blobs drawn by formula on both grids; found to a pixel."""

    def blobs(x_mm, z_mm) -> np.ndarray:
        total = np.zeros((len(x_mm), len(z_mm)))
        for x0, z0, width, height in ((0, 0, 60, 3), (-50, 60, 20, 30), (60, 50, 20, 25)):
            total += height * np.exp(
                -((x_mm[:, None] - x0) ** 2 + (z_mm[None] - z0) ** 2) / (2 * width**2)
            )
        return total + 2 * np.exp(-((x_mm[:, None] / 120) ** 4)) * (np.abs(z_mm[None] + 50) < 600)

    spect_x, spect_z = np.arange(-240, 241, 4.8), np.arange(-200, 190, 4.8)
    view_x = shift_mm[0] - 240 + 2.4 * np.arange(200)
    view_z = shift_mm[1] - 700 + 3.1 * np.arange(520)
    found = align(
        blobs(view_x, view_z),
        pixel_mm=(2.4, 3.1),
        spect=FrontalPlane(blobs(spect_x, spect_z), spect_x, spect_z),
    )
    assert found.correlation > 0.95
    assert found.x_mm == pytest.approx(view_x[0], abs=2.4)
    assert found.z_mm == pytest.approx(view_z[0], abs=3.1)


def test_views_of_something_else() -> None:
    rng = np.random.default_rng(8)
    spect = plane_of(rng.random((20, 20)) ** 4)
    with pytest.raises(BadInput, match="must look like the SPECT"):
        align(rng.random((30, 80)), pixel_mm=(10.0, 10.0), spect=spect)
    with pytest.raises(BadInput, match="longer than the SPECT"):
        align(rng.random((30, 10)), pixel_mm=(10.0, 10.0), spect=spect)


def test_edges_that_hold_counts() -> None:
    """Of lines of 10: 2 at the left, 0.1 at the right's last 3, blank ones above, full below."""
    peak = np.full((12, 30), 10.0)
    peak[0], peak[-3:] = 20.0, 0.1
    peak[:, 25:] = 0
    found = {name.split()[0]: share for name, share in counts_at_edges(peak, peak).items()}
    assert found == pytest.approx({"left": 20 / (100.3 / 12), "lower": 1, "upper": 1})
    assert counts_at_edges(np.zeros((3, 3)), np.zeros((3, 3))) == {}


@pytest.mark.parametrize("edge", [[0.01], [0.01, 0.01], [0.01, 2.0, 5.0]])
def test_a_blank_line_or_a_ramp_at_an_edge_hides_no_counts(edge) -> None:
    peak = np.full((40, 200), 10.0)
    peak[:6], peak[-6:] = 0.0, 0.0  # the body ends before both sides
    peak[:, -len(edge) :] *= np.array(edge[::-1]) / 10.0
    peak[:, :12] = 0.001  # and at the feet
    found = {name.split()[0]: share for name, share in counts_at_edges(peak, peak).items()}
    lines = peak.sum(axis=0)
    assert found == {"upper": pytest.approx(lines[-3:].mean() / lines.mean())}
    assert found["upper"] > 0.2


def test_what_the_views_hold() -> None:
    assert held_by_views(at_most_outside=None, edges={}) == (1, 0)
    assert held_by_views(at_most_outside=None, edges={"lower": 0.3}) == (1, None)
    held, sd = held_by_views(at_most_outside=0.4, edges={"lower": 0.3})
    assert (held, sd) == pytest.approx((0.8, 0.2 / math.sqrt(3) / 0.8))


# --- excretion ---


def retained(*, between_h: float | None = None, **choices: float) -> Retention:
    return retention(CalibrationOptions(**choices), between_h=between_h, physical_h=159.528)


@given(st.floats(0.5, 150.0), st.floats(0.0, 200.0))
def test_half_lives_agree(effective_h, elapsed_h) -> None:
    """Retention by the biological half-life times decay is decay by the effective one."""
    physical_h = 159.528
    biological_h = biological_half_life_h(effective_h=effective_h, physical_h=physical_h)
    kept = retained(between_h=elapsed_h, biological_h=biological_h).fraction
    assert kept * 2 ** (-elapsed_h / physical_h) == pytest.approx(2 ** (-elapsed_h / effective_h))
    assert retained(between_h=elapsed_h, effective_h=effective_h).fraction == pytest.approx(kept)


def test_no_excretion() -> None:
    assert biological_half_life_h(effective_h=159.528, physical_h=159.528) == math.inf
    assert retained(between_h=50, effective_h=159.528).fraction == 1
    assert retained(excreted=0).fraction == 1
    assert retained(excreted_at_most=0).fraction == 1


def test_uncertainty_of_retention() -> None:
    within = retained(excreted_at_most=0.4)
    assert within.fraction == 0.8
    assert within.relative_sd == pytest.approx(0.2 / math.sqrt(3) / 0.8)
    assert retained(excreted=0.2, excretion_sd=0.04).relative_sd == pytest.approx(0.05)
    step = 1e-6  # of the half-life: the derivative by difference
    low, high = (retained(between_h=20, biological_h=40 * (1 + s)).fraction for s in (0, step))
    kept = retained(between_h=20, biological_h=40, excretion_sd=1e-6)
    assert kept.relative_sd == pytest.approx((high - low) / low, rel=1e-4)


@pytest.mark.parametrize(
    ("choices", "told"),
    [
        ({"between_h": -1, "biological_h": 5}, "not be after the SPECT, got -1 h"),
        ({"between_h": 1, "effective_h": 200}, "effective_h .* at most the physical 159.528 h"),
        ({"biological_h": 5}, "planar_time_h"),
        ({"excreted": 0, "biological_h": 5, "between_h": 1}, "by one of biological_h"),
    ],
)
def test_excretion_that_cannot_be(choices, told) -> None:
    with pytest.raises(BadInput, match=told):
        retained(**choices)


# --- factor ---


@given(st.floats(0.1, 1000.0), st.floats(0.01, 1.0), st.floats(0.01, 1.0), st.floats(1.0, 1.5))
def test_factor_and_back(cps_per_mbq, in_field, retained, lost) -> None:
    """Counts made with a factor give it back, and by it the activity that made them."""
    activity_mbq = 7400 * 2 ** (-24 / 159.528) * in_field * retained
    counts = np.full((2, 2, 2), activity_mbq * cps_per_mbq * 900 / lost / 8)
    spect = SpectCounts(float(counts.sum()), 900.0, lost)
    factor = image_based_factor(spect, **LU, in_field=in_field, retained=retained, relative_sd={})
    assert factor.cps_per_mbq == pytest.approx(cps_per_mbq, rel=1e-9)
    volume = Volume(counts, np.diag([-4.8, 4.8, 4.8, 1.0]))
    found = concentration_bq_per_ml(volume, factor=factor, spect=spect)
    assert found.sum() * 0.48**3 / 1e6 == pytest.approx(activity_mbq, rel=1e-9)


def test_parts_add_in_squares() -> None:
    factor = CalibrationFactor(9.0, {"a": 0.03, "b": 0.04})
    assert factor.total_relative_sd == pytest.approx(0.05)
    spect = SpectCounts(1e4, 900.0)
    made = image_based_factor(spect, **LU, in_field=0.5, retained=1.0, relative_sd={"a": 0.03})
    assert made.relative_sd == {"a": 0.03, "counting": 0.01}


@pytest.mark.parametrize("parts", [{}, {"a": None}, {"a": 0.03, "b": None}])
def test_no_total_of_what_is_not_known(parts) -> None:
    factor = CalibrationFactor(9.0, parts)
    assert factor.total_relative_sd is None
    assert all(name in factor.why_no_total for name, sd in parts.items() if sd is None)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"in_field": 0.0}, "in_field must be a fraction"),
        ({"in_field": 50.0}, "in_field must be a fraction"),
        ({"retained": 1.2}, "retained must be a fraction"),
        ({"elapsed_h": -1.0}, "elapsed_h must be 0 h or above"),
        ({"net_administered_mbq": 0.0}, "above 0 MBq"),
        ({"half_life_h": 0.0}, "half_life_h must be above 0 h"),
        ({"net_administered_mbq": 1e-6}, "at most 10000 cps/MBq"),
        ({"relative_sd": {"camera": 2.0}}, "camera must be from 0 to 100 %, got 200.0%"),
    ],
)
def test_factor_that_cannot_be(changes, told) -> None:
    values = LU | {"in_field": 0.5, "retained": 1.0, "relative_sd": {}} | changes
    with pytest.raises(BadInput, match=told):
        image_based_factor(SpectCounts(1e7, 900.0), **values)


@pytest.mark.parametrize("values", [(0.0, 900.0), (1e6, 0.0), (1e6, 900.0, 0.9)])
def test_counts_that_cannot_be(values) -> None:
    with pytest.raises(BadInput):
        SpectCounts(*values)
