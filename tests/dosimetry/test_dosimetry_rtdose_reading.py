"""RT Dose objects of others: what is read, and what is refused."""

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, RTDoseStorage
from rpt_cohort import BadInput
from rpt_dosimetry.rtdose import read_rtdose

STORED = np.arange(3 * 4 * 5, dtype=np.uint16).reshape(3, 4, 5)


def rt_dose(**change):
    """Make a dose of 3 frames of 4 rows and 5 columns, 0.5 Gy a stored value."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = RTDoseStorage, "1.2.3"
    dataset.Modality, dataset.FrameOfReferenceUID = "RTDOSE", "1.2.9"
    dataset.PatientName, dataset.PatientID = "Doe^Jane^Quarantine", "Quarantine-4711"
    dataset.SeriesDescription = dataset.DoseComment = "Dose of Jane Quarantine"
    dataset.ImagePositionPatient = [10, 20, 30]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.PixelSpacing, dataset.GridFrameOffsetVector = [2, 3], [0, 4, 8]
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = STORED.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
    dataset.PixelRepresentation = 0
    dataset.DoseUnits, dataset.DoseType = "GY", "PHYSICAL"
    dataset.DoseSummationType, dataset.DoseGridScaling = "BEAM", "0.5"
    dataset.PixelData = STORED.tobytes()
    for name, value in change.items():
        if value is None:
            delattr(dataset, name)
        else:
            setattr(dataset, name, value)
    return dataset


def save(dataset, folder):
    path = folder / "Doe_Jane_4711.dcm"
    dataset.save_as(path, enforce_file_format=True)
    return path


def gy_at(volume, lps_mm):
    """Value of the voxel at a position."""
    ras_mm = np.array([-lps_mm[0], -lps_mm[1], lps_mm[2]])
    to_voxels = np.linalg.inv(volume.affine)
    at = np.rint(to_voxels[:3, :3] @ ras_mm + to_voxels[:3, 3]).astype(int)
    return volume.data[tuple(at)]


@pytest.mark.parametrize(
    ("change", "last_frame_lps_mm"),
    [
        ({}, (22.0, 26.0, 38.0)),
        ({"GridFrameOffsetVector": [0, -4, -8]}, (22.0, 26.0, 22.0)),
        ({"GridFrameOffsetVector": [30, 34, 38]}, (22.0, 26.0, 38.0)),
        ({"GridFrameOffsetVector": [30, 26, 22]}, (22.0, 26.0, 22.0)),
        # prone: rows to the right, columns to the front, the normal still to the head
        ({"ImageOrientationPatient": [-1, 0, 0, 0, -1, 0]}, (-2.0, 14.0, 38.0)),
        # columns to the front alone: the normal to the feet
        ({"ImageOrientationPatient": [1, 0, 0, 0, -1, 0]}, (22.0, 14.0, 22.0)),
        (
            {
                "ImageOrientationPatient": [1, 0, 0, 0, -1, 0],
                "GridFrameOffsetVector": [30, 34, 38],
            },
            (22.0, 14.0, 38.0),
        ),
        # coronal: rows to the left, columns to the feet, the normal to the back
        ({"ImageOrientationPatient": [1, 0, 0, 0, 0, -1]}, (22.0, 28.0, 24.0)),
    ],
)
def test_where_the_last_voxel_lies(change, last_frame_lps_mm, tmp_path) -> None:
    volume, _ = read_rtdose(save(rt_dose(**change), tmp_path))
    assert gy_at(volume, last_frame_lps_mm) == 0.5 * STORED[-1, -1, -1]
    assert gy_at(volume, (10.0, 20.0, 30.0)) == 0.0
    assert volume.axis_codes == "RAS"


def test_what_is_told_and_what_is_not(tmp_path, patient_words) -> None:
    volume, told = read_rtdose(save(rt_dose(), tmp_path))
    assert (told.summation_type, told.scaling_gy, told.bits) == ("BEAM", 0.5, 16)
    assert told.frame_of_reference_uid == "1.2.9"
    assert not told.is_prediction
    assert volume.data.sum() == 0.5 * STORED.sum()
    assert not any(word in repr(told) for word in patient_words)


REFUSED = {
    "another object": (
        {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.481.3"},
        r"\(0008,0016\) must be .* got RTDOSE \(RT Structure Set Storage\)",
    ),
    "relative": ({"DoseUnits": "RELATIVE"}, r"\(3004,0002\) must be GY, got RELATIVE"),
    "no units": ({"DoseUnits": None}, r"\(3004,0002\) must be GY, got none"),
    "effective": ({"DoseType": "EFFECTIVE"}, r"\(3004,0004\) must be PHYSICAL, got EFFECTIVE"),
    "signed": ({"PixelRepresentation": 1}, r"\(0028,0103\) must be 0, got 1"),
    "8 bits": ({"BitsAllocated": 8}, r"\(0028,0100\) must be 16 or 32, got 8"),
    "colour": ({"SamplesPerPixel": 3}, r"\(0028,0002\) must be 1, got 3"),
    "no scaling": ({"DoseGridScaling": None}, r"\(3004,000E\) must be 1 numbers, got 0"),
    "scaling of 0": ({"DoseGridScaling": "0"}, r"\(3004,000E\) must be above 0 Gy"),
    "no offsets": ({"GridFrameOffsetVector": None}, r"\(3004,000C\) must tell one offset for each"),
    "offsets and frames differ": ({"NumberOfFrames": 2}, "got 3 offsets for 2 frames"),
    "uneven": ({"GridFrameOffsetVector": [0, 4, 9]}, "must rise evenly, and its steps are 4 to 5"),
    "offsets from nowhere": ({"GridFrameOffsetVector": [7, 11, 15]}, "must begin with 0 mm"),
    "frames at one place": ({"GridFrameOffsetVector": [0, 0, 0]}, "mm apart, got 0 mm"),
    "no position": ({"ImagePositionPatient": None}, r"\(0020,0032\) must be 3 numbers, got 0"),
    "no pixels": ({"PixelData": None}, r"\(7FE0,0010\) must be there, and the RT Dose has none"),
    "bits above": (
        {"BitsStored": 3, "HighBit": 2},
        r"within Bits Stored \(0028,0101\), 3 bits, and those of the RT Dose",
    ),
    "pixels cut": ({"PixelData": STORED.tobytes()[:60]}, r"\(7FE0,0010\) must be whole"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_without_a_name(case, tmp_path, patient_words) -> None:
    change, message = REFUSED[case]
    with pytest.raises(BadInput, match=message) as refused:
        read_rtdose(save(rt_dose(**change), tmp_path))
    assert not any(word in str(refused.value) for word in patient_words)


@pytest.mark.parametrize("content", [None, b"", b"x" * 500])
def test_files_that_cannot_be_read(content, tmp_path) -> None:
    path = tmp_path / "Doe_Jane.dcm"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadInput, match="must be a whole DICOM file") as refused:
        read_rtdose(path)
    assert "Jane" not in str(refused.value)


@pytest.mark.parametrize("kept", [0.2, 0.5, 0.8, 0.95])
def test_a_truncated_file(kept, tmp_path) -> None:
    path = save(rt_dose(), tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(BadInput):
        read_rtdose(path)


def test_a_planning_systems_dose(testdata) -> None:
    path = testdata / "rtdose_abdomen" / "rtdose.dcm"
    volume, told = read_rtdose(path)
    # As its README tells: 5 × 44 × 32 at 3 mm, up to 5.001 Gy.
    assert volume.data.shape == (32, 44, 5)
    assert volume.data.max() == pytest.approx(5.001, abs=5e-4)
    assert (told.summation_type, told.bits) == ("PLAN", 16)
    np.testing.assert_allclose(volume.spacing_mm, 3.0)
    source = pydicom.dcmread(path)
    first = np.array(source.ImagePositionPatient, dtype=float)
    pixels = source.pixel_array * float(source.DoseGridScaling)
    for frame, row, column in ((0, 0, 0), (4, 43, 31), (2, 20, 7)):
        lps_mm = first + 3.0 * np.array([column, row, frame])
        assert gy_at(volume, lps_mm) == pixels[frame, row, column]
