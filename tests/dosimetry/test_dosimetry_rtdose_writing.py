"""An RT Dose that is written and read back; what it says of itself and of the patient."""

import shutil
import subprocess

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.encaps import encapsulate
from rpt_cohort import BadInput, Volume
from rpt_dosimetry.rtdose import read_reference, read_rtdose, rtdose_bytes
from rpt_dosimetry.rtdose.writing import quantise
from scipy.spatial.transform import Rotation


@pytest.fixture
def reference(tmp_path, pet_series):
    """Images of 6 × 5 × 4 voxels of 4 × 4 × 3 mm."""
    return read_reference(pet_series().write(tmp_path / "reference"))


def dose_on(reference, seed=1):
    """A dose of up to some 80 Gy on the grid of the reference."""
    values = np.random.default_rng(seed).gamma(1.0, 15.0, reference.grid.shape)
    return Volume(values, reference.grid.affine.copy())


def written(tmp_path, dose_gy, reference, *, predicted=False):
    path = tmp_path / "dose.dcm"
    path.write_bytes(rtdose_bytes(dose_gy, reference, predicted=predicted))
    return path


def at_positions(volume):
    """Values in the order of their positions, whatever the axes."""
    at = np.argwhere(np.isfinite(volume.data))
    position_mm = np.round(at @ volume.affine[:3, :3].T + volume.affine[:3, 3], 2)
    order = np.lexsort(position_mm.T)
    return position_mm[order], volume.data[tuple(at[order].T)]


def test_read_back_within_half_the_scaling(tmp_path, reference) -> None:
    dose_gy = dose_on(reference)
    volume, told = read_rtdose(written(tmp_path, dose_gy, reference))
    here_mm, gy = at_positions(volume)
    there_mm, given_gy = at_positions(dose_gy)
    np.testing.assert_allclose(here_mm, there_mm, atol=1e-3)
    assert np.abs(gy - given_gy).max() <= told.scaling_gy / 2 * (1 + 1e-6)
    assert told.scaling_gy == pytest.approx(dose_gy.data.max() / (2**31 - 1), rel=1e-10)
    assert (told.bits, told.summation_type) == (32, "PLAN_OVERVIEW")


def test_an_oblique_and_anisotropic_grid(tmp_path, reference) -> None:
    turned = Rotation.from_euler("zyx", [20.0, -10.0, 5.0], degrees=True).as_matrix()
    affine = reference.grid.affine.copy()
    affine[:3, :3] = turned @ affine[:3, :3] @ np.diag([0.7, 0.9, 0.8])
    dose_gy = Volume(dose_on(reference).data, affine)
    volume, told = read_rtdose(written(tmp_path, dose_gy, reference))
    here_mm, gy = at_positions(volume)
    there_mm, given_gy = at_positions(dose_gy)
    np.testing.assert_allclose(here_mm, there_mm, atol=1e-2)  # rounded for sorting
    assert np.abs(gy - given_gy).max() <= told.scaling_gy / 2 * (1 + 1e-6)


def test_another_reader_finds_it_at_the_same_place(tmp_path, reference) -> None:
    sitk = pytest.importorskip("SimpleITK")
    turned = Rotation.from_euler("zyx", [20.0, -10.0, 5.0], degrees=True).as_matrix()
    dose_gy = dose_on(reference)
    dose_gy.affine[:3, :3] = turned @ dose_gy.affine[:3, :3]
    path = written(tmp_path, dose_gy, reference)
    image = sitk.ReadImage(path)  # stored values: it leaves Dose Grid Scaling to the user
    scaling_gy = read_rtdose(path)[1].scaling_gy
    for at in np.ndindex(dose_gy.data.shape):
        ras_mm = dose_gy.affine[:3] @ [*at, 1.0]
        point_lps_mm = (ras_mm * [-1.0, -1.0, 1.0]).tolist()
        index = image.TransformPhysicalPointToContinuousIndex(point_lps_mm)
        np.testing.assert_allclose(index, np.rint(index), atol=1e-3 / 3.0)
        stored = image[tuple(round(one) for one in index)]
        assert abs(stored * scaling_gy - dose_gy.data[at]) <= scaling_gy / 2 * (1 + 1e-6)


def test_malformed_free_text_of_the_images_does_not_stop_it(tmp_path, pet_series) -> None:
    folder = tmp_path / "odd"
    odd = {"PatientSex": "female", "PatientName": "Long" * 40, "StudyDate": "29/02/2024"}
    with pydicom.config.disable_value_validation():
        pet_series(set=odd).write(folder)
    reference = read_reference(folder)
    path = written(tmp_path, dose_on(reference), reference)
    assert read_rtdose(path)[0].data.max() > 0


@given(peak_gy=st.floats(0.0, 1e6), seed=st.integers(0, 99))
def test_no_dose_is_further_off_than_half_the_scaling(peak_gy, seed) -> None:
    dose_gy = peak_gy * np.random.default_rng(seed).random((2, 3, 4))
    stored, scaling = quantise(dose_gy)
    assert len(scaling) <= 16
    assert float(scaling) > 0
    assert stored.max() <= 2**31 - 1
    assert np.abs(stored * float(scaling) - dose_gy).max() <= float(scaling) / 2 * (1 + 1e-6)


def test_a_dose_of_zero(tmp_path, reference) -> None:
    dose_gy = Volume(np.zeros(reference.grid.shape), reference.grid.affine)
    volume, _ = read_rtdose(written(tmp_path, dose_gy, reference))
    assert not volume.data.any()


def test_the_patients_study_and_frame_are_those_of_the_images(tmp_path, reference) -> None:
    source = pydicom.dcmread(next((tmp_path / "reference").iterdir()))
    dataset = pydicom.dcmread(written(tmp_path, dose_on(reference), reference))
    for name in (
        *("PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
        *("StudyInstanceUID", "StudyDate", "FrameOfReferenceUID"),
    ):
        assert dataset[name].value == source[name].value
    assert dataset.SeriesInstanceUID != source.SeriesInstanceUID
    assert not [name for name in dataset.dir() if "Plan" in name]
    named = {one.ReferencedSOPInstanceUID for one in dataset.ReferencedImageSequence}
    assert named == {
        pydicom.dcmread(path).SOPInstanceUID for path in (tmp_path / "reference").iterdir()
    }
    assert dataset.ReferencedSeriesSequence[0].SeriesInstanceUID == source.SeriesInstanceUID
    # nothing of the images' own comes along, least of all their free text
    assert "RadiopharmaceuticalInformationSequence" not in dataset
    assert "PatientWeight" not in dataset
    assert "Jane" not in dataset.SeriesDescription


def test_names_in_other_scripts_survive(tmp_path, pet_series) -> None:
    name = "Müller^Käthe"
    folder = tmp_path / "umlaut"
    pet_series(set={"SpecificCharacterSet": "ISO_IR 192", "PatientName": name}).write(folder)
    reference = read_reference(folder)
    dataset = pydicom.dcmread(written(tmp_path, dose_on(reference), reference))
    assert dataset.PatientName == name


def test_a_prediction_says_so_and_a_measured_dose_does_not(tmp_path, reference) -> None:
    path = written(tmp_path, dose_on(reference), reference, predicted=True)
    dataset = pydicom.dcmread(path)
    assert "PREDICTED" in dataset.SeriesDescription
    assert "RESEARCH ONLY" in dataset.SeriesDescription
    assert "for research only" in dataset.DoseComment
    assert dataset.ContentQualification == "RESEARCH"
    assert read_rtdose(path)[1].is_prediction
    path = written(tmp_path, dose_on(reference), reference)
    assert "PREDICTED" not in pydicom.dcmread(path).SeriesDescription
    assert not read_rtdose(path)[1].is_prediction


def test_the_same_input_gives_the_same_bytes_and_other_input_other_uids(reference) -> None:
    def uid(content):
        return pydicom.dcmread(pydicom.filebase.DicomBytesIO(content)).SOPInstanceUID

    once = rtdose_bytes(dose_on(reference), reference, predicted=False)
    assert once == rtdose_bytes(dose_on(reference), reference, predicted=False)
    others = [
        rtdose_bytes(dose_on(reference, seed=2), reference, predicted=False),
        rtdose_bytes(dose_on(reference), reference, predicted=True),
    ]
    assert len({uid(one) for one in (once, *others)}) == 3


REFUSED = {
    "negative": (-1e-3, r"0 Gy or more in every voxel, and 1 of 120 are below, down to -0\.001"),
    "no number": (np.nan, "must be finite in every voxel, and in 1 of 120"),
    "infinite": (np.inf, "must be finite"),
    "another unit": (2e6, r"at most 1e\+06 Gy, got 2e\+06"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_dose_is_refused(case, reference) -> None:
    value, message = REFUSED[case]
    dose_gy = dose_on(reference)
    dose_gy.data[1, 2, 3] = value
    with pytest.raises(BadInput, match=message):
        rtdose_bytes(dose_gy, reference, predicted=False)


def test_a_dose_elsewhere_is_refused(reference) -> None:
    dose_gy = dose_on(reference)
    dose_gy.affine[0, 3] += 15.0  # of 24 mm
    with pytest.raises(BadInput, match=r"\(0020,0052\) of the reference must be that of the dose"):
        rtdose_bytes(dose_gy, reference, predicted=False)


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy of dicom3tools is absent")
@pytest.mark.parametrize("predicted", [False, True])
def test_dciodvfy_reports_no_error(predicted, tmp_path, reference) -> None:
    path = written(tmp_path, dose_on(reference), reference, predicted=predicted)
    dataset = pydicom.dcmread(path)
    # dciodvfy aborts on any native 32-bit pixels ("bitsallocated <= bytesinword*8u" in its
    # attrothr.cc). It does not look into compressed ones: the same pixels, wrapped as such.
    size = 4 * dataset.Rows * dataset.Columns
    pixels = dataset.PixelData
    frames = [pixels[start : start + size] for start in range(0, len(pixels), size)]
    dataset.PixelData = encapsulate(frames)
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.JPEG2000Lossless
    dataset.save_as(path)
    told = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False)
    assert "RTDose" in told.stderr + told.stdout
    assert "Error" not in told.stderr + told.stdout
    assert told.returncode == 0
