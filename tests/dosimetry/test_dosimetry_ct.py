"""``python -m rpt_dosimetry ct``: HU, padding, geometry and what is refused."""

import hashlib
import json

import nibabel as nib
import numpy as np
import pytest
from helpers.commands import refused

CT_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
STORED = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6) * 10


@pytest.fixture
def ct_series(pet_series):
    def make(**change):
        change = {"Modality": "CT", "SOPClassUID": CT_STORAGE, "RescaleType": "HU", **change}
        series = pet_series(
            stored=change.pop("stored", STORED),
            slope=change.pop("slope", 1.0),
            series=change.pop("series", 1),
        )
        intercept = change.pop("intercept", "-1024")
        for name in ("Units", "DecayCorrection", "SeriesType", "CorrectedImage"):
            change.setdefault(name, None)
        series.set.update(change)
        series.set["RescaleIntercept"] = intercept
        return series

    return make


def read(command, series, folder, *words):
    ended = command("ct", series.write(folder / "in"), folder / "ct.nii.gz", *words)
    assert ended.status == 0, ended.err
    return nib.load(folder / "ct.nii.gz"), json.loads((folder / "ct.json").read_text())


def test_hu_and_geometry(ct_series, command, tmp_path, patient_words) -> None:
    image, told = read(command, ct_series(), tmp_path)
    assert image.get_data_dtype() == np.int16
    values = np.asarray(image.dataobj)
    assert (told["hu_min"], told["hu_max"]) == (values.min(), values.max()) == (-1024, 166)
    assert nib.aff2axcodes(image.affine) == ("R", "A", "S")
    # LPS origin (-10, -20, 30) mm of the first stored pixel is (10, 20, 30) in RAS.
    index = np.linalg.solve(image.affine, [10.0, 20.0, 30.0, 1.0]).round().astype(int)
    assert values[tuple(index[:3])] == -1024
    voxels = np.ascontiguousarray(values, dtype="<f4").tobytes()
    assert told["voxels_sha256"] == hashlib.sha256(voxels).hexdigest()
    text = (tmp_path / "ct.json").read_text()
    assert not [word for word in patient_words if word in text]


def test_what_is_there_is_kept(ct_series, command, tmp_path) -> None:
    (tmp_path / "ct.json").write_text("mine")
    ended = command("ct", ct_series().write(tmp_path / "in"), tmp_path / "ct.nii.gz")
    refused(ended, "'ct.json' must be new, and it is there")
    assert (tmp_path / "ct.json").read_text() == "mine"
    read(command, ct_series(), tmp_path, "--overwrite")


def test_padding_is_air(ct_series, command, tmp_path) -> None:
    series = ct_series(PixelPaddingValue=0, slope=2.0, intercept="0")
    image, _ = read(command, series, tmp_path)
    values = np.asarray(image.dataobj)
    assert np.count_nonzero(values == -1024) == 1
    assert values.max() == 2 * STORED.max()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"RescaleType": "US"}, "Rescale Type (0028,1054) must be HU"),
        ({"slope": 1000.0}, "Every HU must be from -32768 to 32767"),
        ({"RescaleSlope": None}, "Rescale Slope (0028,1053)"),
        ({"Modality": "MR"}, "must hold a CT series"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, "must hold a CT series"),
    ],
)
def test_refused(change, sentence, ct_series, command, tmp_path) -> None:
    ended = command("ct", ct_series(**change).write(tmp_path / "in"), tmp_path / "ct.nii.gz")
    refused(ended, sentence)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_two_series_must_be_chosen(ct_series, command, tmp_path) -> None:
    for number in (1, 2):
        ct_series(series=number).write(tmp_path / "in")
    ended = command("ct", tmp_path / "in", tmp_path / "ct.nii.gz")
    refused(ended, "One CT series must be chosen with --series")
