"""Series that others made, with values that others computed."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from helpers.commands import refused
from rpt_dosimetry import choose_pet, convert, find_series
from rpt_dosimetry.suv import report

REFERENCE_OBJECTS = ("0_0", "1_0", "2_0", "2_4", "3_0", "3_1", "4_0", "5_0")


def mask_of(structure: Path, affine: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Fill the polygons of the only region, even-odd, at voxel centres."""
    mask = np.zeros(shape, dtype=bool)
    i, j = np.meshgrid(np.arange(shape[0]), np.arange(shape[1]), indexing="ij")
    contours = pydicom.dcmread(structure).ROIContourSequence[0].ContourSequence
    for contour in contours:
        points = np.array(contour.ContourData, dtype=float).reshape(-1, 3) * [-1, -1, 1]
        x, y, z = np.linalg.inv(affine)[:3] @ np.c_[points, np.ones(len(points))].T
        inside = np.zeros(i.shape, dtype=bool)
        for x0, y0, x1, y1 in zip(np.roll(x, 1), np.roll(y, 1), x, y, strict=True):
            if y0 != y1:
                inside ^= ((y0 > j) != (y1 > j)) & (i < (x1 - x0) * (j - y0) / (y1 - y0) + x0)
        mask[:, :, round(float(z[0]))] ^= inside
    return mask


@pytest.mark.parametrize("name", REFERENCE_OBJECTS)
def test_digital_reference_object(name: str, testdata: Path) -> None:
    # Expected values and tolerance: DRO_list.csv of oncoray/suv_computation, two decimals.
    folder = testdata / "suv_dro" / f"DRO_{name}"
    volume = convert(choose_pet(find_series(folder), None)).volume
    mask = mask_of(next((folder / "RS").iterdir()), volume.affine, volume.data.shape)
    values = volume.data[mask]
    found = [values.min(), np.median(values), values.max()]
    np.testing.assert_allclose(found, [0.20, 1.00, 4.00], atol=0.01)


def test_raw_pet_of_sts_001(testdata: Path, command, tmp_path: Path) -> None:
    # Factor recomputed by hand: 71 kg · 1000 / (388.777472 MBq · 2^(−2711 s / 6588 s)).
    ended = command("suv", testdata / "pet_fdg_sts001", tmp_path / "pet.nii.gz")
    assert ended.status == 0, ended.err
    told = json.loads((tmp_path / "pet.json").read_text())
    assert told["suv_factor"] == pytest.approx(2.42903e-4, rel=1e-5)
    assert told["suv_max"] == pytest.approx(66.52, abs=0.005)
    assert told["tracer"] == "18F-FDG"
    assert told["branch"] == "BQML, START: series date and time"
    image = nib.load(tmp_path / "pet.nii.gz")
    assert image.shape == (128, 128, 267)
    assert nib.aff2axcodes(image.affine) == ("R", "A", "S")
    assert image.get_data_dtype() == np.float32
    np.testing.assert_allclose(image.header.get_zooms(), (4.6875, 4.6875, 3.27), atol=1e-4)


def test_raw_pet_stands_where_its_headers_say(testdata: Path) -> None:
    series = choose_pet(find_series(testdata / "pet_fdg_sts001" / "image"), None)
    volume = convert(series).volume
    dataset = pydicom.dcmread(series.files[100].path)
    row, column = np.unravel_index(dataset.pixel_array.argmax(), dataset.pixel_array.shape)
    x, y, z = (float(value) for value in dataset.ImagePositionPatient)
    world = [-(x + 4.6875 * column), -(y + 4.6875 * row), z, 1.0]
    index = np.linalg.inv(volume.affine) @ world
    np.testing.assert_allclose(index, index.round(), atol=0.05)
    i, j, k = index.round().astype(int)[:3]
    becquerel_per_ml = float(dataset.pixel_array[row, column]) * float(dataset.RescaleSlope)
    assert volume.data[i, j, k] == pytest.approx(becquerel_per_ml * 2.42903e-4, rel=1e-5)


def test_spect_in_the_pt_object_does_not_tell_normalisation(
    testdata: Path, command, tmp_path: Path
) -> None:
    ended = command("suv", testdata / "spect_lu177" / "SCAN_001", tmp_path / "out.nii.gz")
    assert ended.status == 0, ended.err
    assert "Corrected Image (0028,0051) does not contain NORM" in ended.err
    told = json.loads((tmp_path / "out.json").read_text())
    assert (told["branch"], told["nuclide"]) == ("BQML, ADMIN", "Lu-177")


def test_only_a_tomography_of_other_modality(testdata: Path, command, tmp_path: Path) -> None:
    ended = command("suv", testdata / "rtdose_abdomen", tmp_path / "out.nii.gz")
    refused(ended, "Modality (0008,0060) PT")


def test_report_is_the_same_twice(testdata: Path) -> None:
    series = choose_pet(find_series(testdata / "suv_dro" / "DRO_0_0"), None)
    first, second = (report(convert(series), series=series) for _ in range(2))
    assert first == second
