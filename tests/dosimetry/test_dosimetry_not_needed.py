"""What a branch does without may be malformed; what its next rule replaces, too."""

import pydicom
import pytest

# What pydicom says when the synthetic series is given a malformed clock.
pytestmark = pytest.mark.filterwarnings("ignore:Invalid value for VR")

SET, INJECT = "set", "inject"
NEEDS_NO_TIME = ({"Units": "GML"}, {"DecayCorrection": "ADMIN"})
NOT_NEEDED = {
    "half-life 0": (INJECT, {"RadionuclideHalfLife": "0"}, r"(0018,1075) must be 1 to"),
    "half-life in words": (INJECT, {"RadionuclideHalfLife": "short"}, "(0018,1075) must be one"),
    "acquisition time": (SET, {"AcquisitionTime": "996699"}, "(0008,0032) must be a DICOM"),
    "acquisition date": (SET, {"AcquisitionDate": "99991231"}, "(0008,0022) must be a DICOM"),
    "frame duration": (SET, {"ActualFrameDuration": "1e17"}, "(0018,1242) must be 0 to"),
    "frame reference": (SET, {"FrameReferenceTime": "1e308"}, "(0054,1300) must be -8.64e+08"),
    "height": (SET, {"PatientSize": "1e-200"}, "(0010,1020) must be 0.3 to 2.5 m"),
    "height in mm": (SET, {"PatientSize": "1750"}, "(0010,1020) must be 0.3 to 2.5 m"),
    "start": (
        INJECT,
        {"RadiopharmaceuticalStartDateTime": "x", "RadiopharmaceuticalStartTime": "y"},
        "(0018,1072) must be a DICOM",
    ),
}


@pytest.mark.parametrize("branch", NEEDS_NO_TIME)
@pytest.mark.parametrize("case", NOT_NEEDED)
def test_what_a_branch_does_not_need(case, branch, pet_series, convert_series) -> None:
    where, changes, message = NOT_NEEDED[case]
    both = {SET: dict(branch), INJECT: {}}
    both[where] |= changes
    suv = convert_series(raw(pet_series, **both))
    expected = convert_series(pet_series(set=branch))
    assert suv.factor.factor == expected.factor.factor
    assert any(message in sentence for sentence in suv.warnings)
    assert suv.tags_used


def raw(pet_series, **changes):
    """A series whose malformed decimals go past pydicom's setters, as bytes do."""
    series = pet_series(**{name: {} for name in changes})

    def change(dataset, index) -> None:
        item = dataset.RadiopharmaceuticalInformationSequence[0]
        for holder, values in ((dataset, changes[SET]), (item, changes[INJECT])):
            for keyword, value in values.items():
                tag = pydicom.tag.Tag(pydicom.datadict.tag_for_keyword(keyword))
                vr = pydicom.datadict.dictionary_VR(tag)
                content = value.encode()
                element = pydicom.dataelem.RawDataElement
                holder[tag] = element(tag, vr, len(content), content, 0, False, True)

    series.change = change
    return series


def test_malformed_start_time_beside_a_good_date_time(pet_series, convert_series) -> None:
    suv = convert_series(pet_series(inject={"RadiopharmaceuticalStartTime": "996699"}))
    assert suv.scan_start_s == 3600
    assert any("Not needed" in one and "(0018,1072)" in one for one in suv.warnings)


def test_clocks_not_quite_together(pet_series, convert_series) -> None:
    # An hour-long scan from the injection on, of which this is the last frame.
    told = {"SeriesTime": "095930", "FrameReferenceTime": "3780000"}
    suv = convert_series(pet_series(set=told))
    assert suv.factor.at_reference.elapsed_s == [-30.0] * 4


@pytest.mark.parametrize("creator", [True, False])
@pytest.mark.parametrize(
    "value", ["Jane Doe", "20240229093000", "99991231235960", "19000101000000"]
)
def test_ge_scan_time_that_cannot_be(value, creator, pet_series, convert_series) -> None:
    def change(dataset, index) -> None:
        if creator:
            dataset.add_new((0x0009, 0x0010), "LO", "GEMS_PETD_01")
        dataset.add_new((0x0009, 0x100D), "LO", value)

    suv = convert_series(pet_series(change=change))
    assert suv.factor.at_reference.decay_branch == "START: series date and time"
    assert any("GE scan date and time (0009,100D)" in one for one in suv.warnings)
    assert not any("Jane" in one for one in suv.warnings)
