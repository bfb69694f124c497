"""The branches by Decay Correction, the times they rest on, and dose and half-life."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rpt_cohort import BadInput
from rpt_dosimetry.dicom.decay import decayed_activity_bq
from rpt_dosimetry.dicom.reference_time import average_activity_time_s

# What pydicom says when the synthetic series is given a malformed clock.
pytestmark = pytest.mark.filterwarnings("ignore:Invalid value for VR")

HALF_LIFE_S = 6586.2
T_AVERAGE_S = 149.605  # 300 s of F-18: ln(x / (1 − e^(−x))) / x · 300 s, x = 0.031573


def factor_after(elapsed_s: float) -> float:
    return 70e3 / (370e6 * 2 ** (-elapsed_s / HALF_LIFE_S))


def test_admin_needs_no_time(pet_series, convert_series) -> None:
    times = {"SeriesTime": None, "AcquisitionTime": None, "SeriesDate": None}
    starts = {"RadiopharmaceuticalStartTime": None, "RadiopharmaceuticalStartDateTime": None}
    life = {"RadionuclideHalfLife": None}
    suv = convert_series(
        pet_series(set={"DecayCorrection": "ADMIN", **times}, inject={**starts, **life})
    )
    assert suv.factor.factor == [70e3 / 370e6] * 4
    assert suv.mid_scan_s is None


def test_start_refers_to_the_series_time(pet_series, convert_series) -> None:
    # A static image of the end of a longer scan: what it refers to began 5 min before it did.
    late = {"AcquisitionTime": "110500", "FrameReferenceTime": "449605", "DecayFactor": "1.04845"}
    suv = convert_series(pet_series(set=late))
    assert suv.warnings == []
    assert suv.factor.factor[0] == pytest.approx(factor_after(3600), rel=1e-12)
    assert suv.factor.at_reference.decay_branch == "START: series date and time"
    assert suv.mid_scan_s == 3600 + 300 + 150


def test_start_of_a_series_written_later(pet_series, convert_series) -> None:
    def change(dataset, index) -> None:
        # two beds; frame reference times count from the same moment, 11:00:00
        dataset.AcquisitionTime = ("110000", "110500")[index // 2]
        dataset.FrameReferenceTime = str((T_AVERAGE_S + 300 * (index // 2)) * 1000)

    suv = convert_series(pet_series(set={"SeriesTime": "113000"}, change=change))
    assert suv.factor.factor == pytest.approx([factor_after(3600)] * 4, rel=1e-12)
    assert suv.factor.at_reference.decay_branch == "START: earliest acquisition"
    assert any(
        "(0008,0031) is 1800 s after the earliest acquisition" in one for one in suv.warnings
    )


@pytest.mark.parametrize("frame", ["FrameReferenceTime", "ActualFrameDuration"])
def test_the_earliest_acquisition_needs_no_frame(frame, pet_series, convert_series) -> None:
    suv = convert_series(pet_series(set={"SeriesTime": "120000", frame: None}))
    assert suv.factor.factor == pytest.approx([factor_after(3600)] * 4, rel=1e-12)


@pytest.mark.parametrize("creator", [True, False])
def test_ge_scan_time_goes_first(creator, pet_series, convert_series) -> None:
    def change(dataset, index) -> None:
        if creator:
            dataset.add_new((0x0009, 0x0010), "LO", "GEMS_PETD_01")
        dataset.add_new((0x0009, 0x100D), "DT", "20240229105000.00")

    suv = convert_series(pet_series(change=change))
    assert suv.factor.factor[0] == pytest.approx(factor_after(3000), rel=1e-12)
    assert suv.factor.at_reference.decay_branch == "START: GE private scan date and time"


def test_a_foreign_private_block_is_not_ge(pet_series, convert_series) -> None:
    def change(dataset, index) -> None:
        block = dataset.private_block(0x0009, "SOMEBODY ELSE", create=True)
        block.add_new(0x0D, "DT", "20240229105000.00")

    suv = convert_series(pet_series(change=change))
    assert suv.factor.factor[0] == pytest.approx(factor_after(3600), rel=1e-12)


def test_none_is_decayed_slice_by_slice(pet_series, convert_series) -> None:
    def change(dataset, index) -> None:
        dataset.AcquisitionTime = f"11{10 * index:02}00"
        dataset.CorrectedImage = ["ATTN", "NORM"]

    suv = convert_series(pet_series(set={"DecayCorrection": "NONE"}, change=change))
    expected = [factor_after(3600 + 600 * index + T_AVERAGE_S) for index in range(4)]
    assert suv.factor.factor == pytest.approx(expected, rel=1e-6)


def test_injection_before_midnight(pet_series, convert_series) -> None:
    late = {"RadiopharmaceuticalStartDateTime": None, "RadiopharmaceuticalStartTime": "233000"}
    suv = convert_series(
        pet_series(set={"SeriesTime": "003000", "AcquisitionTime": "003000"}, inject=late)
    )
    assert suv.factor.factor[0] == pytest.approx(factor_after(3600), rel=1e-12)
    assert any("one day earlier" in sentence for sentence in suv.warnings)


def test_scan_over_midnight(pet_series, convert_series) -> None:
    def change(dataset, index) -> None:
        if index > 1:
            dataset.AcquisitionDate, dataset.AcquisitionTime = "20240301", "000300"

    evening = {"SeriesTime": "235500", "AcquisitionTime": "235500"}
    start = {"RadiopharmaceuticalStartDateTime": "202402292255"}
    suv = convert_series(pet_series(set=evening, inject=start, change=change))
    assert suv.factor.factor == pytest.approx([factor_after(3600)] * 4, rel=1e-12)
    assert suv.mid_scan_s == 3600 + (480 + 300) / 2


def test_injection_two_days_before(pet_series, convert_series) -> None:
    # Dates count: 49 h of Zr-89, not 1 h (Slicer-PETDICOMExtension#28).
    inject = {
        "RadiopharmaceuticalStartDateTime": "20240227100000",
        "RadionuclideHalfLife": "282276",
        "RadionuclideCodeSequence": None,
    }
    suv = convert_series(pet_series(inject=inject))
    expected = 70e3 / (370e6 * 2 ** (-49 * 3600 / 282276))
    assert suv.factor.factor[0] == pytest.approx(expected, rel=1e-12)
    assert suv.radiopharmaceutical.nuclide == "Zr-89"


@pytest.mark.parametrize(
    ("start", "zone"),
    [
        ("20240229100000", None),
        ("20240229100000.000+0100", None),
        ("20240229090000+0000", "+0100"),
        ("20240229040000.5-0500", "+0100"),
        ("2024022910", None),
        ("202402291000", "+0100"),
    ],
)
def test_forms_of_the_start(start, zone, pet_series, convert_series) -> None:
    suv = convert_series(
        pet_series(
            set={"TimezoneOffsetFromUTC": zone},
            inject={
                "RadiopharmaceuticalStartDateTime": start,
                "RadiopharmaceuticalStartTime": None,
            },
        )
    )
    assert suv.scan_start_s == pytest.approx(3600, abs=0.6)


@pytest.mark.parametrize(
    ("start", "clock", "scan_start_s"),
    [
        ("20240229090000+0000", "100000", 3600),  # the start in UTC, the clock at +0100
        ("20240229000000-1100", "100000", 3600),
        ("20240228233000-0500", "003000", 10.5 * 3600),
    ],
)
def test_an_offset_without_the_zone_of_the_series(
    start, clock, scan_start_s, pet_series, convert_series
) -> None:
    inject = {
        "RadiopharmaceuticalStartDateTime": start,
        "RadiopharmaceuticalStartTime": clock,
        "RadionuclideHalfLife": "6586.2",
    }
    assert convert_series(pet_series(inject=inject)).scan_start_s == scan_start_s


def test_fraction_cut_off_the_acquisition_time(pet_series, convert_series) -> None:
    changes = {"SeriesTime": "110000.6", "FrameReferenceTime": None}
    suv = convert_series(pet_series(set=changes))
    assert suv.factor.at_reference.decay_branch == "START: series date and time"


def test_doubts_are_told(pet_series, convert_series) -> None:
    def change(dataset, index) -> None:
        dataset.add_new((0x0009, 0x0010), "LO", "GEMS_PETD_01")
        dataset.add_new((0x0009, 0x100D), "DT", f"2024022910{50 + 3 * index}00")

    suv = convert_series(pet_series(change=change))
    assert any("differ by 540 s, and a series has one" in one for one in suv.warnings)
    long = {
        "RadiopharmaceuticalStartDateTime": None,
        "RadionuclideHalfLife": "282276",
        "RadionuclideCodeSequence": None,
    }
    suv = convert_series(pet_series(set={"PatientWeight": "7"}, inject=long))
    assert any("the half-life is long" in one for one in suv.warnings)
    assert any("not plausible for an adult" in one for one in suv.warnings)


def test_corrected_image_that_contradicts(pet_series, convert_series) -> None:
    suv = convert_series(pet_series(set={"DecayCorrection": "NONE"}))
    assert any("names DECY and Decay Correction (0054,1102) is NONE" in one for one in suv.warnings)


@pytest.mark.parametrize("clock", ["10", "1000", "100000", "100000.000000", "10:00:00.0"])
def test_forms_of_the_time(clock, pet_series, convert_series) -> None:
    inject = {"RadiopharmaceuticalStartDateTime": None, "RadiopharmaceuticalStartTime": clock}
    assert convert_series(pet_series(inject=inject)).scan_start_s == 3600


def test_malformed_start_falls_back_to_the_time(pet_series, convert_series) -> None:
    suv = convert_series(pet_series(inject={"RadiopharmaceuticalStartDateTime": "20240229"}))
    assert suv.scan_start_s == 3600
    assert any("is malformed" in sentence for sentence in suv.warnings)


def test_dose_in_mbq(pet_series, convert_series) -> None:
    suv = convert_series(pet_series(inject={"RadionuclideTotalDose": "370"}))
    assert suv.factor.factor[0] == pytest.approx(factor_after(3600))
    assert any("taken as MBq" in sentence for sentence in suv.warnings)


@pytest.mark.parametrize("dose", ["3001", "10000", "80000"])  # 3 and 80 MBq in kBq, 10 mCi in µCi
def test_dose_in_kbq_or_uci(dose, pet_series, convert_series) -> None:
    message = rf"\(0018,1074\) must be in Bq, got {dose}: .*above 3000 MBq.*in kBq or µCi\. Mult"
    with pytest.raises(BadInput, match=message):
        convert_series(pet_series(inject={"RadionuclideTotalDose": dose}))


SET, INJECT = "set", "inject"
REFUSED = {
    "no dose": (INJECT, {"RadionuclideTotalDose": None}, r"\(0018,1074\) must be there"),
    "dose 0": (INJECT, {"RadionuclideTotalDose": "0"}, r"\(0018,1074\) must be above 0 Bq"),
    "no half-life": (INJECT, {"RadionuclideHalfLife": None}, r"\(0018,1075\) must be there"),
    "half-life 0": (
        INJECT,
        {"RadionuclideHalfLife": "0"},
        r"\(0018,1075\) must be 1 to 1e\+10 s, got 0 s",
    ),
    "half-life in minutes": (
        INJECT,
        {"RadionuclideHalfLife": "109.77"},
        r"\(0018,1075\).*It looks like minutes \(F-18\)",
    ),
    "half-life of another nuclide": (
        INJECT,
        {"RadionuclideHalfLife": "4062.6"},
        r"\(0018,1075\).*got 4062.6 s where F-18 has 6586.2 s",
    ),
    "no injection time": (
        INJECT,
        {"RadiopharmaceuticalStartDateTime": None, "RadiopharmaceuticalStartTime": None},
        r"Start DateTime \(0018,1078\) must be there \(or .* \(0018,1072\)\).*missing",
    ),
    "malformed injection time": (
        INJECT,
        {"RadiopharmaceuticalStartDateTime": "20249999", "RadiopharmaceuticalStartTime": None},
        r"\(0018,1078\) must be a DICOM date or time",
    ),
    "injection days after": (
        INJECT,
        {"RadiopharmaceuticalStartDateTime": "20240305100000"},
        r"\(0018,1078\) must be before the scan",
    ),
    "injection years before": (
        INJECT,
        {"RadiopharmaceuticalStartDateTime": "20100305100000"},
        "within 10 half-lives",
    ),
    "injection a minute after": (
        INJECT,
        {"RadiopharmaceuticalStartDateTime": "20240229110100"},
        "within 10 half-lives",
    ),
    "no series date": (SET, {"SeriesDate": None}, r"Series Date \(0008,0021\) must be there"),
    "no series time": (SET, {"SeriesTime": None}, r"Series Time \(0008,0031\) must be there"),
    "no acquisition time": (
        SET,
        {"AcquisitionTime": None},
        r"Acquisition Time \(0008,0032\) must be there",
    ),
    "malformed series time": (SET, {"SeriesTime": "996699"}, r"\(0008,0031\) must be a DICOM"),
    "no frame duration": (
        SET,
        {"DecayCorrection": "NONE", "ActualFrameDuration": None},
        r"Actual Frame Duration \(0018,1242\) must be there",
    ),
    "frame duration 0": (
        SET,
        {"DecayCorrection": "NONE", "ActualFrameDuration": "0"},
        r"\(0018,1242\) must be above 0 ms",
    ),
    "series before the injection": (
        SET,
        {"SeriesTime": "093000"},
        r"Series Time \(0008,0031\) must not be before the injection.*refer to 1800 s before",
    ),
    "frame duration": (
        SET,
        {"DecayCorrection": "NONE", "ActualFrameDuration": "1e17"},
        r"\(0018,1242\) must be 0 to 8.64e\+07 ms, got 1e\+17 ms",
    ),
    "last date": (
        SET,
        {"SeriesDate": "99991231", "SeriesTime": "235960"},
        r"\(0008,0021\) must be a DICOM date or time.*beyond the years 2 to 9998",
    ),
    "first date": (
        INJECT,
        {"RadiopharmaceuticalStartDateTime": "00010101", "RadiopharmaceuticalStartTime": None},
        r"\(0018,1078\) must be a DICOM date or time",
    ),
    "half-life in Python's form": (
        INJECT,
        {"RadionuclideHalfLife": "6_586"},
        r"\(0018,1075\) must be one finite number",
    ),
    "dose of 1e308 Bq": (
        INJECT,
        {"RadionuclideTotalDose": "1e308"},
        r"\(0018,1074\) must be 1000 to 1e\+12 Bq, got 1e\+308 Bq",
    ),
    "hardly a dose": (INJECT, {"RadionuclideTotalDose": "1e-300"}, r"\(0018,1074\) must be 1000"),
    "no decay correction": (SET, {"DecayCorrection": None}, r"\(0054,1102\) must be there"),
    "odd decay correction": (SET, {"DecayCorrection": "LATER"}, "must be ADMIN, START or NONE"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case, pet_series, convert_series) -> None:
    where, changes, message = REFUSED[case]

    with pytest.raises(BadInput, match=message):
        convert_series(pet_series(**{where: changes}))


def test_two_tracers(pet_series, convert_series) -> None:
    def change(dataset, index) -> None:
        items = dataset.RadiopharmaceuticalInformationSequence
        dataset.RadiopharmaceuticalInformationSequence = [items[0], items[0]]

    with pytest.raises(BadInput, match=r"\(0054,0016\) must hold one item, got 2"):
        convert_series(pet_series(change=change))


def test_series_tags_that_differ_between_slices(pet_series, convert_series) -> None:
    def change(dataset, index) -> None:
        dataset.PatientWeight = str(70 + index)

    with pytest.raises(BadInput, match=r"\(0010,1030\) must be the same in all 4 slices"):
        convert_series(pet_series(change=change))


def test_average_time_against_its_definition() -> None:
    life_s, frame_s = 6586.2, 7200.0
    moment_s = average_activity_time_s(frame_duration_s=frame_s, half_life_s=life_s)
    times_s = np.linspace(0, frame_s, 100_001)
    mean = np.trapezoid(2 ** (-times_s / life_s), times_s) / frame_s
    assert 2 ** (-moment_s / life_s) == pytest.approx(mean, rel=1e-9)


@given(frame_s=st.floats(1e-3, 1e6), life_s=st.floats(60, 1e7))
def test_average_time_is_in_the_first_half(frame_s: float, life_s: float) -> None:
    moment_s = average_activity_time_s(frame_duration_s=frame_s, half_life_s=life_s)
    assert 0 < moment_s <= frame_s / 2 * (1 + 1e-9)


@given(
    elapsed_s=st.floats(0, 20_000),
    life_s=st.floats(1_000, 1e6),
    weight_kg=st.floats(20, 300),
    dose_bq=st.floats(1e6, 1e9),
)
def test_start_and_admin_tell_the_same_suv(elapsed_s, life_s, weight_kg, dose_bq) -> None:
    # An image corrected to the scan holds 2^(−t/T½) of what one corrected to injection holds.
    admin_bq_per_ml = 5_000.0
    start_bq_per_ml = decayed_activity_bq(
        activity_bq=admin_bq_per_ml, elapsed_s=elapsed_s, half_life_s=life_s
    )
    left_bq = decayed_activity_bq(activity_bq=dose_bq, elapsed_s=elapsed_s, half_life_s=life_s)
    by_admin = admin_bq_per_ml * weight_kg * 1e3 / dose_bq
    by_start = start_bq_per_ml * weight_kg * 1e3 / left_bq
    assert math.isclose(by_admin, by_start, rel_tol=1e-12)


@pytest.mark.parametrize("decay", ["ADMIN", "START", "NONE"])
def test_suv_scales_with_weight_and_dose(decay, pet_series, convert_series) -> None:
    def suv_max(weight: str, dose: str) -> float:
        changes = {"DecayCorrection": decay, "PatientWeight": weight}
        series = pet_series(set=changes, inject={"RadionuclideTotalDose": dose})
        return float(convert_series(series).volume.data.max())

    once = suv_max("70", "370000000")
    assert suv_max("140", "370000000") == pytest.approx(2 * once)
    assert suv_max("70", "740000000") == pytest.approx(once / 2)


def test_decay_refuses_an_impossible_half_life() -> None:
    with pytest.raises(ValueError, match="half_life_s must be a finite number above 0 s"):
        decayed_activity_bq(activity_bq=1.0, elapsed_s=1.0, half_life_s=0.0)
