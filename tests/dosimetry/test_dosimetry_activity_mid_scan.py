"""The vendor's correction for decay undone: values at the middle of the scan."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rpt_cohort import BadInput
from rpt_dosimetry import choose_pet, convert, find_series
from rpt_dosimetry.concentration import read_concentration
from rpt_dosimetry.dicom.decay import decayed_activity_bq
from rpt_dosimetry.dicom.reference_time import average_activity_time_s

# What pydicom says when the synthetic series is given a malformed clock.
pytestmark = pytest.mark.filterwarnings("ignore:Invalid value for VR")

LIFE_S = 6586.2  # the synthetic series' F-18
INJECTION_TO_MIDDLE_S = 3600 + 150  # injected at 10:00, scanned from 11:00 for 300 s
VOXEL_ML = 4.0 * 4.0 * 3.0 / 1000.0


@pytest.fixture
def read(tmp_path):
    """Write a synthetic series and read it as activity."""
    count = itertools.count()

    def run(series):
        folder = series.write(tmp_path / str(next(count)))
        return read_concentration(choose_pet(find_series(folder), None))

    return run


def after(elapsed_s: float) -> float:
    return 2.0 ** (-elapsed_s / LIFE_S)


def in_ras(stored: np.ndarray, slope: float = 2.0) -> np.ndarray:
    """The synthetic series' Bq/mL as stored, (x, y, z): its rows run to the left and back."""
    return slope * stored.astype(np.float64).transpose(2, 1, 0)[::-1, ::-1]


def test_admin_is_undone(pet_series, read) -> None:
    series = pet_series(set={"DecayCorrection": "ADMIN", "DecayFactor": None})
    found = read(series)
    assert found.decay.decay_branch == "ADMIN: administration"
    assert found.decay.elapsed_s == [INJECTION_TO_MIDDLE_S] * 4
    assert found.decay.factor == pytest.approx([after(INJECTION_TO_MIDDLE_S)] * 4, rel=1e-12)
    expected = in_ras(series.stored) * after(INJECTION_TO_MIDDLE_S)
    np.testing.assert_allclose(found.volume.data, expected, rtol=1e-6)
    assert found.injection_to_mid_scan_s == INJECTION_TO_MIDDLE_S
    assert found.nuclide == "F-18"
    assert found.injected_activity_bq == 370e6
    assert not any("DecayFactor" in one or "0054,1321" in one for one in found.warnings)


def test_a_scan_of_which_decay_leaves_nothing_is_refused(pet_series, read) -> None:
    late = {"DecayCorrection": "START", "AcquisitionDate": "29991231", "SeriesDate": "29991231"}
    with pytest.raises(BadInput, match="of the injected activity 0 MBq are left"):
        read(pet_series(set=late))


def test_activity_in_the_field_of_view(pet_series, read) -> None:
    series = pet_series(set={"DecayCorrection": "ADMIN"}, slope=[1.0, 2.0, 3.0, 4.0])
    stored_bq = sum(
        slope * plane.sum(dtype=float) * VOXEL_ML
        for slope, plane in zip(series.slope, series.stored, strict=True)
    )
    found = read(series)
    assert found.stored_activity_bq == pytest.approx(stored_bq, rel=1e-12)
    assert found.activity_bq == pytest.approx(stored_bq * after(INJECTION_TO_MIDDLE_S), rel=1e-12)


def test_start_is_decayed_from_the_begin_to_the_middle(pet_series, read) -> None:
    found = read(pet_series())
    assert found.decay.decay_branch == "START: series date and time"
    assert found.decay.factor == pytest.approx([after(150)] * 4, rel=1e-12)
    assert found.injection_to_mid_scan_s == INJECTION_TO_MIDDLE_S


def test_start_of_two_beds_refers_to_one_moment(pet_series, read) -> None:
    def change(dataset, index) -> None:
        dataset.AcquisitionTime = ("110000", "110500")[index // 2]

    found = read(pet_series(change=change))
    # both beds were corrected to 11:00:00; the middle of both together is 11:05:00
    assert found.decay.factor == pytest.approx([after(300)] * 4, rel=1e-12)


def test_none_takes_each_bed_from_its_own_time(pet_series, read) -> None:
    def change(dataset, index) -> None:
        dataset.AcquisitionTime = ("110000", "110500")[index // 2]
        dataset.CorrectedImage = ["ATTN", "NORM", "SCAT"]

    found = read(pet_series(set={"DecayCorrection": "NONE"}, change=change))
    late_s = average_activity_time_s(frame_duration_s=300.0, half_life_s=LIFE_S)
    first, second = after(300 - late_s), after(-late_s)
    assert found.decay.factor == pytest.approx([first, first, second, second], rel=1e-6)
    assert first < 1 < second


def test_slices_from_head_to_foot(pet_series, read) -> None:
    def change(dataset, index) -> None:
        dataset.AcquisitionTime = f"11{5 * index:02}00"
        dataset.CorrectedImage = ["ATTN", "NORM", "SCAT"]

    feet_first = (1.0, 0.0, 0.0, 0.0, -1.0, 0.0)  # the normal points to the feet
    plain = {"DecayCorrection": "NONE"}
    stored = np.ones((4, 5, 6), np.int16)
    found = read(pet_series(stored=stored, cosines=feet_first, set=plain, change=change))
    along = found.volume.data[2, 2, :] / 2.0
    np.testing.assert_allclose(along, found.decay.factor, rtol=1e-6)
    assert (np.diff(found.decay.factor) < 0).all()  # the last scanned is now the first


def test_the_three_corrections_of_one_scan_agree(pet_series, read) -> None:
    """One and the same activity, stored as each vendor would, reads the same."""
    late_s = average_activity_time_s(frame_duration_s=300.0, half_life_s=LIFE_S)
    reference_s = {"ADMIN": 0.0, "START": 3600.0, "NONE": 3600.0 + late_s}
    read_as = {}
    for correction, moment_s in reference_s.items():
        slope = 5000.0 / after(INJECTION_TO_MIDDLE_S - moment_s)
        series = pet_series(
            stored=np.ones((3, 4, 5), np.int16),
            slope=float(f"{slope:.9g}"),
            set={"DecayCorrection": correction},
        )
        read_as[correction] = read(series).volume.data
    for data in read_as.values():
        np.testing.assert_allclose(data, 5000.0, rtol=1e-6)


def test_suv_and_activity_tell_the_same_concentration(pet_series, tmp_path) -> None:
    chosen = choose_pet(find_series(pet_series().write(tmp_path)), None)
    suv, activity = convert(chosen), read_concentration(chosen)
    # SUV rests on Bq/mL at the series time; activity is 150 s later
    concentration = suv.volume.data * 370e6 * after(3600) / 70e3 * after(150)
    np.testing.assert_allclose(activity.volume.data, concentration, rtol=1e-6)
    np.testing.assert_array_equal(activity.volume.affine, suv.volume.affine)


@given(
    concentration=st.floats(1e-3, 1e9),
    elapsed_s=st.floats(-1e6, 1e6),
    half_life_s=st.floats(1e5, 1e7),
)
def test_decay_to_a_moment_and_back(concentration, elapsed_s, half_life_s) -> None:
    there = decayed_activity_bq(
        activity_bq=concentration, elapsed_s=elapsed_s, half_life_s=half_life_s
    )
    back = decayed_activity_bq(activity_bq=there, elapsed_s=-elapsed_s, half_life_s=half_life_s)
    assert back == pytest.approx(concentration, rel=1e-9)


def test_body_measures_and_dose_are_not_needed(pet_series, read) -> None:
    bare = {"PatientWeight": None, "PatientSize": None, "PatientSex": None}
    found = read(pet_series(set=bare, inject={"RadionuclideTotalDose": None}))
    assert found.injected_activity_bq is None
    assert any("(0018,1074) must be there" in one for one in found.warnings)
    assert not any("Weight" in entry["name"] for entry in found.tags_used)


def test_start_without_an_injection_time(pet_series, read) -> None:
    starts = {"RadiopharmaceuticalStartTime": None, "RadiopharmaceuticalStartDateTime": None}
    found = read(pet_series(inject=starts))
    assert found.injection_to_mid_scan_s is None
    assert found.decay.factor == pytest.approx([after(150)] * 4, rel=1e-12)
    assert not any("seconds_after_injection" in entry for entry in found.tags_used)


def test_a_time_of_day_alone_does_not_tell_the_day(pet_series, read) -> None:
    inject = {
        "RadiopharmaceuticalStartDateTime": None,
        "RadionuclideHalfLife": "574300",
        "RadionuclideCodeSequence": None,
    }
    found = read(pet_series(set={"DecayCorrection": "ADMIN"}, inject=inject))
    assert any("an injection on an earlier day" in one for one in found.warnings)
    assert found.nuclide is None  # Tb-161 lives nearly as long as Lu-177
    assert any("names no nuclide known here" in one for one in found.warnings)


REFUSED = {
    "no correction told": ({"DecayCorrection": None}, {}, r"\(0054,1102\) must be there"),
    "no half-life": ({}, {"RadionuclideHalfLife": None}, r"\(0018,1075\) must be there"),
    "half-life in min": ({}, {"RadionuclideHalfLife": "109.77"}, "looks like minutes"),
    "no duration": ({"ActualFrameDuration": None}, {}, r"\(0018,1242\) must be there"),
    "duration 0": ({"ActualFrameDuration": "0"}, {}, r"\(0018,1242\) must be above 0 ms"),
    "no acquisition": ({"AcquisitionTime": None}, {}, r"\(0008,0032\) must be there"),
    "no attenuation": ({"CorrectedImage": ["NORM", "DECY"]}, {}, "must contain ATTN"),
    "no units": ({"Units": None}, {}, r"\(0054,1001\) must be there"),
    "counts": ({"Units": "CNTS"}, {}, "got CNTS: counts are no activity. Calibrate"),
    "SUV": ({"Units": "GML"}, {}, "got GML: to undo a SUV"),
    "SUV by surface": ({"Units": "CM2ML"}, {}, "got CM2ML: to undo a SUV"),
    "other units": ({"Units": "PROPCPS"}, {}, "must be BQML, and it is not"),
    "days apart": (
        {"DecayCorrection": "ADMIN"},
        {"RadiopharmaceuticalStartDateTime": "20240226100000"},
        "within 10 half-lives",
    ),
    "dates changed": (
        {"DecayCorrection": "ADMIN"},
        {"RadiopharmaceuticalStartDateTime": "20240305100000"},
        "must be before the scan",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case, pet_series, read) -> None:
    changes, inject, message = REFUSED[case]
    with pytest.raises(BadInput, match=message):
        read(pet_series(set=changes, inject=inject))


def test_admin_needs_the_administration(pet_series, read) -> None:
    starts = {"RadiopharmaceuticalStartTime": None, "RadiopharmaceuticalStartDateTime": None}
    with pytest.raises(BadInput, match=r"\(0018,1078\) must be there .* ADMIN"):
        read(pet_series(set={"DecayCorrection": "ADMIN"}, inject=starts))


def test_ge_scan_time_after_the_scan(pet_series, read) -> None:
    def change(dataset, index) -> None:
        dataset.add_new((0x0009, 0x0010), "LO", "GEMS_PETD_01")
        dataset.add_new((0x0009, 0x100D), "DT", "20240229120000.00")

    with pytest.raises(BadInput, match=r"must not be after the scan.* 3450 s after its middle"):
        read(pet_series(change=change))


def test_warnings(pet_series, read) -> None:
    bare = {"CorrectedImage": ["ATTN", "DECY"], "DecayCorrection": "ADMIN", "DecayFactor": "1"}
    stored = np.full((3, 4, 5), 100, np.int16)
    stored[0, 0, 0] = -1
    found = read(pet_series(stored=stored, slope=1.5e6, set=bare))
    assert [one.split(":")[0].split(",")[0] for one in found.warnings] == [
        "Corrected Image (0028",
        "Corrected Image (0028",
        "Decay Factor (0054",
        "1 voxels have a concentration below 0",
        "The field of view holds 286.2 MBq at mid-scan",
    ]
    assert "NORM or UNIF" in found.warnings[0]
    assert "SCAT" in found.warnings[1]
    assert f"correction to the administration is {1 / after(3750):.4g}" in found.warnings[2]
    assert "249.3 MBq are left" in found.warnings[4]


@pytest.mark.parametrize("start", [True, False])
def test_far_more_than_was_injected(start, pet_series, read) -> None:
    unknown = {"RadiopharmaceuticalStartTime": None, "RadiopharmaceuticalStartDateTime": None}
    stored = np.full((3, 4, 5), 100, np.int16)
    series = pet_series(stored=stored, slope=4e6, inject={} if start else unknown)
    with pytest.raises(BadInput, match="field of view must hold no more than was injected"):
        read(series)


@pytest.mark.parametrize(("share", "told"), [(0.003, False), (0.0019, True), (1e-6, True)])
def test_next_to_nothing_of_what_was_injected(share, told, pet_series, read) -> None:
    """As of values in kBq/mL that are told as Bq/mL."""
    left_bq = 370e6 * after(3750)
    slope = float(f"{share * left_bq / after(150) / (120 * VOXEL_ML * 1000):.6g}")
    series = pet_series(
        stored=np.ones((4, 5, 6), np.int16), slope=slope, spacing_mm=(40.0, 40.0), step_mm=30.0
    )
    warnings = [one for one in read(series).warnings if "next to nothing" in one]
    assert len(warnings) == told
    for one in warnings:
        assert one.startswith(f"The field of view holds {share * left_bq / 1e6:.4g} MBq at mid-")
        assert f"249.3 MBq are left: a share of {share:.2g}, " in one


def test_values_that_no_volume_holds(pet_series, read) -> None:
    with pytest.raises(BadInput, match="must be a finite number"):
        read(pet_series(slope="1e300"))
    empty = pet_series(stored=np.zeros((3, 4, 5), np.int16))
    assert any("the image is empty" in one for one in read(empty).warnings)
