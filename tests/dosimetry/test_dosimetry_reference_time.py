"""Decay Factor, Frame Reference Time and the clocks held against each other."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rpt_cohort import BadInput
from rpt_dosimetry import choose_pet, convert, find_series
from rpt_dosimetry.concentration import read_concentration
from rpt_dosimetry.dicom.reference_time import average_activity_time_s

LIFE_S = 6586.2  # the synthetic series' F-18
FRAME_S = 300.0
AVERAGE_S = 149.605  # 300 s of F-18: ln(x / (1 − e^(−x))) / x · 300 s, x = 0.031573
GALLIUM = {"RadionuclideHalfLife": "4062.6", "RadionuclideCodeSequence": None}


def clock(after_s: float) -> str:
    """HHMMSS so long after 11:00:00, when the scan of the synthetic series begins."""
    at = 11 * 3600 + round(after_s)
    return f"{at // 3600:02}{at // 60 % 60:02}{at % 60:02}"


def decay_factor(corrected_s: float, *, life_s: float = LIFE_S, late_s: float = AVERAGE_S) -> str:
    """What a slice is multiplied by whose frame began so long after the reference time."""
    return f"{2.0 ** ((corrected_s + late_s) / life_s):.6g}"


def beds(
    begins_s: tuple[float, float], *, reference_s: float = 0.0, one_clock: bool = False
) -> Callable[[Any, int], None]:
    """Two beds corrected to one time, whose scanner gives each its own clock, or does not."""

    def change(dataset: Any, index: int) -> None:
        begin_s = begins_s[index // 2]
        dataset.AcquisitionTime = clock(begins_s[0] if one_clock else begin_s)
        dataset.DecayFactor = decay_factor(begin_s - reference_s)
        late_s = 0.0 if one_clock else AVERAGE_S  # GE counts from the bed's begin
        dataset.FrameReferenceTime = f"{1000 * (begin_s - reference_s + late_s):.6g}"

    return change


@pytest.fixture(params=["suv", "activity"])
def reference_s(request, tmp_path) -> Callable[..., tuple[float, list[str], str]]:
    """Write a series and tell its reference time after 11:00, the warnings and the verdict."""
    count = itertools.count()

    def run(series: Any) -> tuple[float, list[str], str]:
        chosen = choose_pet(find_series(series.write(tmp_path / str(next(count)))), None)
        if request.param == "suv":
            suv = convert(chosen)
            at = suv.factor.at_reference
            assert at is not None
            return at.elapsed_s[0] - 3600.0, suv.warnings, at.reference.verdict
        read = read_concentration(chosen)
        assert read.injection_to_mid_scan_s is not None
        after_s = read.injection_to_mid_scan_s - 3600.0 - read.decay.elapsed_s[0]
        return after_s, read.warnings, read.decay.reference.verdict

    return run


@pytest.mark.parametrize("early_s", [12, 60, 240, 1800])  # 0.1 % of F-18 are 9.5 s
@pytest.mark.parametrize(("late_s", "verdict"), [(AVERAGE_S, "agrees"), (0.0, "placeholder")])
def test_a_series_time_that_others_refute(
    early_s, late_s, verdict, pet_series, reference_s
) -> None:
    # A factor of 1 may be a placeholder; here Frame Reference Time tells the same.
    told = {"SeriesTime": clock(-early_s), "DecayFactor": decay_factor(0.0, late_s=late_s)}
    found_s, warnings, found = reference_s(pet_series(set=told))
    assert (found_s, found) == (0.0, verdict)
    wrong = 100 * (1 - 2 ** (-early_s / LIFE_S))
    assert any(f"values would be {wrong:.3g} % too low" in one for one in warnings)
    assert any("'earliest acquisition, by Decay Factor" in one for one in warnings)


def test_a_series_time_of_the_same_seconds(pet_series, reference_s) -> None:
    told = {"SeriesTime": clock(-2), "DecayFactor": decay_factor(0.0)}
    assert reference_s(pet_series(set=told)) == (-2.0, [], "agrees")


def test_half_an_hour_of_gallium_is_a_quarter(pet_series, reference_s) -> None:
    factor = decay_factor(0.0, life_s=4062.6, late_s=149.36)
    series = pet_series(set={"SeriesTime": "103000", "DecayFactor": factor}, inject=GALLIUM)
    found_s, warnings, _ = reference_s(series)
    assert found_s == 0.0
    assert any("26.4 % too low" in one for one in warnings)


@pytest.mark.parametrize("one_clock", [True, False])
@pytest.mark.parametrize("series_s", [0, -600, -1800, 900])
def test_two_beds_refer_to_the_first(one_clock, series_s, pet_series, reference_s) -> None:
    change = beds((0.0, 600.0), one_clock=one_clock)
    found_s, warnings, verdict = reference_s(
        pet_series(set={"SeriesTime": clock(series_s)}, change=change)
    )
    assert (found_s, verdict) == (0.0, "agrees")
    assert len(warnings) == (0 if series_s == 0 else 1)


def test_an_image_of_the_end_of_a_scan(pet_series, reference_s) -> None:
    # Siemens corrects to the begin of the scan, Series Time, 50 min before this image's own.
    change = beds((3000.0, 3300.0), reference_s=0.0)
    found_s, warnings, verdict = reference_s(pet_series(change=change))
    assert (found_s, warnings, verdict) == (0.0, [], "agrees")


def test_decay_factor_and_frame_reference_time_against_a_later_series_time(
    pet_series, reference_s
) -> None:
    # The same image, sent on by a workstation that wrote its own Series Time.
    change = beds((3000.0, 3300.0), reference_s=0.0)
    found_s, warnings, verdict = reference_s(
        pet_series(set={"SeriesTime": "130000"}, change=change)
    )
    assert found_s == pytest.approx(0.0, abs=0.1)
    assert verdict == "agrees"
    assert any("'Decay Factor and Frame Reference Time'" in one for one in warnings)


def test_a_scan_time_of_ge_that_decay_factor_refutes(pet_series, reference_s) -> None:
    def change(dataset, index) -> None:
        dataset.add_new((0x0009, 0x0010), "LO", "GEMS_PETD_01")
        dataset.add_new((0x0009, 0x100D), "DT", "20240229103000.00")
        dataset.DecayFactor = decay_factor(0.0)

    found_s, warnings, _ = reference_s(pet_series(change=change))
    assert found_s == 0.0
    assert any("by 'GE private scan date and time' is contradicted" in one for one in warnings)


def test_ones_of_several_beds_are_a_placeholder(pet_series, reference_s) -> None:
    def change(dataset, index) -> None:
        beds((0.0, 600.0))(dataset, index)
        dataset.DecayFactor = "1"

    assert reference_s(pet_series(change=change)) == (0.0, [], "placeholder")


def test_nothing_confirms_an_early_series_time(pet_series, reference_s) -> None:
    bare = {"SeriesTime": "103000", "FrameReferenceTime": None}
    found_s, warnings, verdict = reference_s(pet_series(set=bare))
    assert (found_s, verdict) == (-1800.0, "not told")
    assert any(
        "1800 s before the scan began" in one and "17.3 % too low" in one for one in warnings
    )


def test_frame_reference_time_alone_decides_nothing(pet_series, reference_s) -> None:
    # As on CPS: 633 s off and all else in order.
    odd = {"FrameReferenceTime": str(1000 * (633 + 150))}
    found_s, warnings, _ = reference_s(pet_series(set=odd))
    assert found_s == 0.0
    assert any("633 s before" in one and "6.89 % too high" in one for one in warnings)
    odd["DecayFactor"] = decay_factor(0.0)
    assert reference_s(pet_series(set=odd)) == (0.0, [], "agrees")


@pytest.mark.parametrize("early_s", [0, 30, 300])
@pytest.mark.parametrize("factor", [None, "1"])
def test_frame_reference_time_alone_refuses_nothing(
    factor, early_s, pet_series, reference_s
) -> None:
    # As on GE: 1,095 s off, 17 % of Ga-68. The scan's begin confirms a Series Time just before it.
    odd = {
        "SeriesTime": clock(-early_s),
        "FrameReferenceTime": str(1000 * (1095 + 150)),
        "DecayFactor": factor,
    }
    found_s, warnings, _ = reference_s(pet_series(set=odd, inject=GALLIUM))
    assert found_s == -early_s
    wrong = 100 * (2 ** ((1095 - early_s) / 4062.6) - 1)
    off = "(0054,1300) tells a reference time "
    assert any(off in one and f"{wrong:.3g} % too high" in one for one in warnings)


def test_a_wrong_decay_factor_is_told(pet_series, reference_s) -> None:
    found_s, warnings, verdict = reference_s(pet_series(set={"DecayFactor": decay_factor(1200.0)}))
    assert (found_s, verdict) == (0.0, "contradicts")
    assert any(
        "Decay Factor (0054,1321) tells a reference time 1200 s before" in w for w in warnings
    )
    assert any("13.5 % too high" in one for one in warnings)


@pytest.mark.parametrize(
    ("off_s", "wrong"), [(-1800.0, "20.9 % too high"), (60.0, "0.63 % too low")]
)
def test_one_slice_does_not_outvote_the_others_untold(
    off_s, wrong, pet_series, reference_s
) -> None:
    def change(dataset, index) -> None:
        dataset.DecayFactor = decay_factor(0.0 if index == 2 else -off_s)

    found_s, warnings, verdict = reference_s(pet_series(change=change))
    assert (found_s, verdict) == (0.0, "agrees")
    assert len(warnings) == 1
    assert f"in 1 of 4 slices, and in 3 it tells one {abs(off_s):.0f} s" in warnings[0]
    assert wrong in warnings[0]


def test_one_slice_does_not_move_the_reference_time_untold(pet_series, reference_s) -> None:
    def change(dataset, index) -> None:
        dataset.DecayFactor = decay_factor(0.0 if index == 2 else 900.0)

    _, warnings, _ = reference_s(pet_series(set={"SeriesTime": "103000"}, change=change))
    assert any("in 3 it tells one 900 s before" in one for one in warnings)


def test_slices_off_to_either_side_outvote_nothing(pet_series, reference_s) -> None:
    def change(dataset, index) -> None:
        dataset.DecayFactor = decay_factor((0.0, 0.0, 60.0, -60.0)[index])

    assert reference_s(pet_series(change=change)) == (0.0, [], "agrees")


REFUSED = {
    "series time and frame reference time": (
        {"SeriesTime": "103000"},
        r"\(0054,1300\) tells a reference time 1650 s after .* 15.9 % too low",
    ),
    "decay factor and nothing else": (
        {"SeriesTime": "110000", "FrameReferenceTime": None, "DecayFactor": "1.5"},
        r"\(0054,1321\) tells .* 3703 s before the one by 'series date and time'.* too high",
    ),
    "not corrected, and a factor": (
        {"DecayCorrection": "NONE", "DecayFactor": "1.2"},
        r"\(0054,1321\) tells .* before .*'acquisition time \+ T_average'.* 20 % too high",
    ),
    "to the administration, and the scan's factor": (
        {"DecayCorrection": "ADMIN", "DecayFactor": "1.01587"},
        r"\(0054,1321\) tells .* after the one by 'administration'.* too low",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_where_nothing_decides(case, pet_series, reference_s) -> None:
    told, message = REFUSED[case]
    with pytest.raises(BadInput, match=message):
        reference_s(pet_series(set=told))


def test_to_the_administration(pet_series, reference_s) -> None:
    right = {"DecayCorrection": "ADMIN", "DecayFactor": decay_factor(3600.0)}
    assert reference_s(pet_series(set=right))[2] == "agrees"
    ones = {"DecayCorrection": "ADMIN", "DecayFactor": "1.0"}
    _, warnings, verdict = reference_s(pet_series(set=ones))
    assert verdict == "placeholder"
    assert any("a correction to the administration is 1.484" in one for one in warnings)


@pytest.mark.parametrize("told", [{}, {"DecayFactor": None}, {"DecayFactor": decay_factor(7200)}])
def test_a_series_time_before_the_injection_is_refused(told, pet_series, reference_s) -> None:
    series = pet_series(set={"SeriesTime": "090000", **told})
    with pytest.raises(BadInput, match=r"\(0008,0031\) must not be before the inj.* 3600 s before"):
        reference_s(series)


def test_a_series_time_before_the_injection_that_decay_factor_refutes(
    pet_series, reference_s
) -> None:
    told = {"SeriesTime": "090000", "DecayFactor": decay_factor(0.0)}
    found_s, warnings, verdict = reference_s(pet_series(set=told))
    assert (found_s, verdict) == (0.0, "agrees")
    wrong = 100 * (1 - 2 ** (-7200 / LIFE_S))
    assert any("'earliest acquisition, by Decay Factor', 7200 s after" in w for w in warnings)
    assert any(f"{wrong:.3g} % too low" in one for one in warnings)


@pytest.mark.parametrize("factor", ["0", "-1", "1e9"])
def test_an_impossible_decay_factor_is_passed_over(factor, pet_series, reference_s) -> None:
    found_s, warnings, verdict = reference_s(pet_series(set={"DecayFactor": factor}))
    assert (found_s, verdict) == (0.0, "not told")
    assert any("Not needed" in one and "(0054,1321)" in one for one in warnings)


def test_beds_under_one_clock_without_correction(pet_series, reference_s) -> None:
    def change(dataset, index) -> None:
        dataset.FrameReferenceTime = str(300_000 * (index // 2))
        dataset.CorrectedImage = ["ATTN", "NORM", "SCAT"]

    series = pet_series(set={"DecayCorrection": "NONE", "DecayFactor": "1"}, change=change)
    found_s, warnings, verdict = reference_s(series)
    assert found_s == pytest.approx(AVERAGE_S, abs=1e-3)
    assert (warnings, verdict) == ([], "agrees")


@given(
    begin_s=st.floats(-7200, 7200),
    frame_s=st.floats(1, 3600),
    life_s=st.floats(100, 1e6),
)
def test_decay_factor_tells_its_reference_time(begin_s, frame_s, life_s) -> None:
    late_s = average_activity_time_s(frame_duration_s=frame_s, half_life_s=life_s)
    # mean over the frame of 2^(−t/life), by its integral, against the activity at time 0
    decays = life_s / frame_s / 0.6931471805599453
    mean = decays * (2 ** (-begin_s / life_s) - 2 ** (-(begin_s + frame_s) / life_s))
    assert 1.0 / mean == pytest.approx(2 ** ((begin_s + late_s) / life_s), rel=1e-6)


@pytest.mark.parametrize("series_time", ["105011.00", "111611.00", "113011.00"])
def test_a_real_series_of_ge_with_another_series_time(series_time, testdata, tmp_path) -> None:
    for path in sorted((testdata / "pet_fdg_sts001" / "image").iterdir()):
        dataset = pydicom.dcmread(path)
        dataset.SeriesTime = series_time
        dataset.save_as(Path(tmp_path) / path.name)
    suv = convert(choose_pet(find_series(tmp_path), None))
    assert suv.factor.factor[0] == pytest.approx(2.42903e-4, rel=1e-5)
    at = suv.factor.at_reference
    assert at is not None
    assert at.reference.verdict == "agrees"
    assert at.reference.implied_after_s == pytest.approx(0.0, abs=0.1)
    assert len(suv.warnings) == 1
