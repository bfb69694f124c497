"""Structure sets: what is read, and what is refused without a name."""

import numpy as np
import pydicom
import pytest
from helpers.dicom import FRAME, contour, roi, roi_contour, save, structure_set
from rpt_cohort import BadInput, Volume
from rpt_dosimetry.dicom.contours import contour_mask, read_structures

SQUARE = np.array([[0.0, 0, 5], [10, 0, 5], [10, 20, 5], [0, 20, 5]])

ABOVE = SQUARE + np.array([0.0, 0, 3])


def read(dataset, folder, frame=FRAME):
    return read_structures(save(dataset, folder), frame_of_reference_uid=frame)


def test_names_numbers_and_points(tmp_path) -> None:
    found = read(structure_set({"Kidney_L": [SQUARE, ABOVE], "empty": []}), tmp_path)
    assert [(one.number, one.name) for one in found] == [(1, "Kidney_L"), (2, "empty")]
    assert [len(one.contours_mm) for one in found] == [2, 0]
    # LPS to RAS: left and back become right and front, with the other sign
    np.testing.assert_array_equal(found[0].contours_mm[0], SQUARE * [-1, -1, 1])
    assert found[0].open_contours == 0


def test_points_are_left_out_and_open_contours_counted(tmp_path) -> None:
    dataset = structure_set({"lesion": [SQUARE]})
    dataset.ROIContourSequence[0].ContourSequence += [
        contour(SQUARE[:1], "POINT"),
        contour(SQUARE, "OPEN_PLANAR"),
        contour(SQUARE, "CLOSEDPLANAR_XOR"),
    ]
    (found,) = read(dataset, tmp_path)
    assert (len(found.contours_mm), found.xor, found.open_contours) == (2, (False, True), 1)


def test_nothing_but_the_contours_is_loaded(tmp_path) -> None:
    found = read(structure_set({"lesion": [SQUARE]}), tmp_path)
    assert "Quarantine" not in repr(found)


def malformed(change):
    dataset = structure_set({"lesion of Jane": [SQUARE]})
    change(dataset)
    return dataset


def _set_first(name, value):
    def change(dataset):
        setattr(dataset.ROIContourSequence[0].ContourSequence[0], name, value)

    return change


REFUSED = {
    "another object": (
        lambda one: setattr(one, "SOPClassUID", "1.2.840.10008.5.1.4.1.1.128"),
        r"that of a structure set, got RTSTRUCT \(Positron Emission Tomography Image Storage\)",
    ),
    "no regions": (
        lambda one: setattr(one, "StructureSetROISequence", []),
        r"\(3006,0020\) is empty",
    ),
}

FAULTY = {
    "another frame": (
        lambda one: setattr(
            one.StructureSetROISequence[0], "ReferencedFrameOfReferenceUID", "1.2.3"
        ),
        r"Frame of Reference UID \(0020,0052\) of ROI 1 must be that of the image",
    ),
    "no frame": (
        lambda one: delattr(one.StructureSetROISequence[0], "ReferencedFrameOfReferenceUID"),
        "of ROI 1 must be that of the image",
    ),
    "a number twice": (
        lambda one: one.StructureSetROISequence.append(roi(1, "again")),
        r"Each ROI Number \(3006,0022\) must stand once, and 1 is repeated",
    ),
    "no number": (
        lambda one: delattr(one.StructureSetROISequence[0], "ROINumber"),
        r"ROI Number \(3006,0022\) must be a whole number of 0 or more, and that of region 1",
    ),
    "a number of contours lost": (
        lambda one: delattr(one.ROIContourSequence[0], "ReferencedROINumber"),
        "of ROI 1 must have its type and points, and one is malformed",
    ),
    "a point cut": (
        _set_first("ContourData", ["0", "0", "5", "1"]),
        r"\(3006,0050\) must be three numbers a point, and in a contour of ROI 1 it is 4",
    ),
    "fewer points than told": (_set_first("NumberOfContourPoints", "5"), "is 12 for 5 points"),
    "far away": (
        _set_first("ContourData", ["1e9"] * 12),
        "must be within 100000 mm, and in ROI 1 it is not",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_without_a_name(case, tmp_path, patient_words) -> None:
    change, message = REFUSED[case]
    with pytest.raises(BadInput, match=message) as refused:
        read(malformed(change), tmp_path)
    assert not any(word in str(refused.value) for word in patient_words)


@pytest.mark.parametrize("case", FAULTY)
def test_a_faulty_region_is_refused_to_who_asks_for_it(case, tmp_path, patient_words) -> None:
    """And the others of the file are read."""
    change, message = FAULTY[case]
    dataset = malformed(change)
    dataset.StructureSetROISequence.append(roi(9, "Kidney_L"))
    dataset.ROIContourSequence.append(roi_contour(9, [SQUARE]))
    faulty, *_, whole = read(dataset, tmp_path)
    image = Volume(np.zeros((30, 30, 10)), np.diag([1.0, 1.0, 1.0, 1.0]))
    image.affine[:2, 3] = -25.0
    with pytest.raises(BadInput, match=message) as refused:
        contour_mask(faulty, image, [])
    assert not any(word in str(refused.value) for word in patient_words)
    assert contour_mask(whole, image, []).sum() == 200


@pytest.mark.parametrize("content", [b"", b"x" * 500, None])
def test_files_that_cannot_be_read(content, tmp_path) -> None:
    path = tmp_path / "Doe_Jane.dcm"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadInput, match="must be a whole DICOM file") as refused:
        read_structures(path, frame_of_reference_uid=FRAME)
    assert "Jane" not in str(refused.value)


def test_a_truncated_file(tmp_path) -> None:
    path = save(structure_set({"lesion": [SQUARE] * 50}), tmp_path)
    path.write_bytes(path.read_bytes()[:2000])
    (region,) = read_structures(path, frame_of_reference_uid=FRAME)
    assert "one is malformed" in region.fault


def test_the_lesions_of_a_real_set_are_of_their_own_scan(testdata) -> None:
    scans = [testdata / "spect_lu177" / name for name in ("SCAN_001", "SCAN_002")]
    slices = [next((scan / "image").iterdir()) for scan in scans]
    frames = [
        str(pydicom.dcmread(one, specific_tags=["FrameOfReferenceUID"]).FrameOfReferenceUID)
        for one in slices
    ]
    path = next((scans[0] / "mask").iterdir())
    found = read_structures(path, frame_of_reference_uid=frames[0])
    assert [one.name for one in found] == ["lesion1 liver R lobe", "lesion2 liver L lateral"]
    assert [len(one.contours_mm) for one in found] == [35, 10]
    others = read_structures(path, frame_of_reference_uid=frames[1])
    assert all("must be that of the image" in one.fault for one in others)
