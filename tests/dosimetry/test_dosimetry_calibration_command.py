"""``activity`` of counts and ``calibrate`` on the command line, and what they refuse."""

import json

import nibabel as nib
import numpy as np
import pytest
from helpers.commands import refused
from helpers.dicom import LOWER, PEAK, UPPER, NmObject, code, item
from pydicom.sequence import Sequence as Items

STORED = np.random.default_rng(2).integers(0, 900, (6, 5, 4)).astype(np.uint16)
VOXEL_ML = 4.8 * 4.8 * 5.0 / 1000
DEAD = {"dead_time": {"tau_us": 5}, "head_cps": 100}
CAMERA = ["--camera-cps-per-mbq", 10, "--camera-sd-pct", 3]


@pytest.fixture
def spect(tmp_path):
    return NmObject(STORED, spacing_mm=-5.0).write(tmp_path / "nm" / "spect.dcm")


def test_nm_by_a_camera_factor(spect, command, tmp_path, patient_words) -> None:
    out = tmp_path / "A.nii.gz"
    done = command("activity", spect.parent, out, *CAMERA)
    assert done.status == 0, done.err
    told = json.loads((tmp_path / "A.json").read_text())
    total_mbq = STORED.sum() / 750 / 10  # 60 frames of 25 s by two heads
    assert told["activity_in_field_of_view_mbq"] == pytest.approx(total_mbq, rel=1e-9)
    assert told["total_relative_sd_pct"] == 3
    assert told["injection_to_mid_scan_h"] == pytest.approx(4 + 375 / 3600)
    assert told["nuclide"] == "Lu-177"
    image = nib.load(out)
    assert nib.aff2axcodes(image.affine) == ("R", "A", "S")
    largest = STORED.max() / 750 / 10 * 1e6 / VOXEL_ML
    assert np.asarray(image.dataobj).max() == pytest.approx(largest, rel=1e-6)
    for word in patient_words:
        assert word not in (tmp_path / "A.json").read_text() + done.err


def test_heads_and_dead_time(spect, command, in_file, tmp_path) -> None:
    out = tmp_path / "A.nii.gz"
    dead = in_file(dead_time={"tau_us": 5, "model": "non-paralyzable"}, head_cps=20000, heads=2)
    done = command("activity", spect, out, *CAMERA, "--heads", 1, *dead)
    assert done.status == 0, done.err
    told = json.loads((tmp_path / "A.json").read_text())
    expected_mbq = STORED.sum() / 1500 / 10 / 0.9
    assert told["activity_in_field_of_view_mbq"] == pytest.approx(expected_mbq, rel=1e-9)


def test_what_is_calibrated_already(command, tmp_path) -> None:
    mapped = item(
        MeasurementUnitsCodeSequence=Items([code("Bq/ml", "Bq/ml", "UCUM")]),
        RealWorldValueFirstValueMapped=0,
        RealWorldValueLastValueMapped=65535,
        RealWorldValueSlope=2.0,
        RealWorldValueIntercept=0.0,
    )
    path = NmObject(STORED, set={"RealWorldValueMappingSequence": Items([mapped])}).write(
        tmp_path / "spect.dcm"
    )
    done = command("activity", path, tmp_path / "A.nii.gz")
    assert done.status == 0, done.err
    told = json.loads((tmp_path / "A.json").read_text())
    expected_mbq = 2.0 * STORED.sum() * VOXEL_ML / 1e6
    assert told["activity_in_field_of_view_mbq"] == pytest.approx(expected_mbq, rel=1e-6)
    done = command("activity", path, tmp_path / "B.nii.gz", *CAMERA)
    refused(done, "not with one in Bq/mL")


@pytest.mark.parametrize(
    ("words", "out", "told"),
    [
        ([], "A.nii.gz", "must be given with a SPECT in counts"),
        (["--camera-cps-per-mbq", 9], "A.nii.gz", "must come together"),
        ([*CAMERA, "--factor", "spect.dcm"], "A.nii.gz", "got both"),
        (["--factor", "spect.dcm"], "A.nii.gz", "a JSON that calibrate wrote"),
        (["--factor", "nowhere.json"], "A.nii.gz", "a JSON that calibrate wrote"),
        ([*CAMERA, {"dead_time": {"tau_us": 5}}], "A.nii.gz", "dead_time and head_cps, in 1/s"),
        ([*CAMERA, {"head_cps": -5}], "A.nii.gz", "OPTIONS.yaml: head_cps: Input should be gre"),
        ([*CAMERA, {"tau_us": 5}], "A.nii.gz", "OPTIONS.yaml: tau_us: Extra inputs are not"),
        ([*CAMERA, "--heads", 0], "A.nii.gz", "--heads must be 1 or above, got 0"),
        (CAMERA, "A.json", "OUT must end in .nii.gz"),
        (CAMERA, "A.txt", "OUT must end in .nii.gz"),
        (["--camera-cps-per-mbq", 0, "--camera-sd-pct", 1], "A.nii.gz", "above 0 and at most"),
        (["--camera-cps-per-mbq", 9, "--camera-sd-pct", 300], "A.nii.gz", "from 0 to 100 %"),
        ([*CAMERA, "--duration-s", 0], "A.nii.gz", "--duration-s must be above 0 s, got 0 s"),
        ([*CAMERA, "--duration-s", "nan"], "A.nii.gz", "--duration-s must be finite, got nan s"),
        ([*CAMERA, "--decay-reference", "now"], "A.nii.gz", "one of scan, injection, got 'now'"),
        ([*CAMERA, "--options", "none.yaml"], "A.nii.gz", "there is no file 'none.yaml'"),
    ],
)
def test_bad_words(words, out, told, spect, command, in_file, tmp_path) -> None:
    words = [spect.parent / word if word == "spect.dcm" else word for word in words]
    if words and isinstance(words[-1], dict):
        words[-1:] = in_file(**words[-1])
    done = command("activity", spect, tmp_path / out, *words)
    assert done.status == 2
    assert told in done.err.strip().splitlines()[-1]
    assert [path.name for path in tmp_path.iterdir()] == ["nm"]


def test_nifti_without_its_times(command, tmp_path) -> None:
    path = tmp_path / "spect.nii.gz"
    nib.save(nib.Nifti1Image(STORED.astype(np.float32), np.eye(4)), path)
    done = command("activity", path, tmp_path / "A.nii.gz", *CAMERA)
    refused(done, "Give --duration-s")


@pytest.fixture
def whole(tmp_path, spect):
    """The words of a calibration by images, all inputs in place but blank."""
    views = NmObject(
        np.ones((6, 60, 40), dtype=np.uint16), kind="WHOLE BODY", windows=(PEAK, LOWER, UPPER)
    ).write(tmp_path / "nm" / "planar.dcm")
    hu = np.full((8, 8, 8), 20.0, dtype=np.float32)
    hu[:2] = -1000
    ct = tmp_path / "nm" / "ct.nii.gz"
    nib.save(nib.Nifti1Image(hu, np.eye(4)), ct)
    return [
        *("calibrate", spect, tmp_path / "C.json", "--planar", views, "--ct", ct),
        *("--administered-mbq", 7400, "--excreted", 0),
    ]


@pytest.mark.parametrize(
    ("words", "choices", "told"),
    [
        ([], {}, "must look like the SPECT"),
        ([], {"place_mm": [5]}, "place_mm: List should have at least 2 items"),
        ([], {"place_mm": [5000.0, 5000.0]}, "The CT must cover a part"),
        (["--residual-mbq", 8000], {}, "--residual-mbq 0 or above and below it"),
        (["--administered-mbq", 0], {}, "above 0 and at most 100000 MBq"),
        (["--biological-h", 30], {}, "by one of --biological-h"),
        (["--biological-h", -3], {}, "--biological-h must be above 0 h, got -3 h"),
        (["--excreted", 1], {}, "--excreted must be below 1, got 1"),
        ([], {"photon_kev": 113}, "must hold the photon of 113 keV"),
        ([], {"scatter": "esse"}, "scatter: Input should be 'tew', 'dew' or 'none'"),
        ([], {"nuclide": "I-131"}, "nuclide must be that of the SPECT, Lu-177, got I-131"),
        ([], DEAD, "dead_time and detector_mm must come together"),
        ([], DEAD | {"detector_mm": 400}, "(0018,1300) must be there"),
        ([], {"detector_mm": 400}, "must come together"),
        (["--ct", "none.nii.gz"], {}, "The CT must be a NIfTI file"),
        (
            ["--planar", "none"],
            {},
            "'none': The path must be a folder of DICOM files or an NM file",
        ),
        (["--planar", "none"], {}, "and there is no such file or folder"),
    ],
)
def test_bad_images(words, choices, told, whole, command, in_file, tmp_path) -> None:
    done = command(*whole, *words, *in_file(**choices))
    assert done.status == 2
    assert told in done.err.strip().splitlines()[-1]
    assert [path.name for path in tmp_path.iterdir()] == ["nm"]


def test_a_factor_is_a_json(whole, command, tmp_path) -> None:
    whole[2] = tmp_path / "C.nii.gz"
    done = command(*whole)
    assert done.status == 2
    assert "CALIBRATION.json must end in .json" in done.err


@pytest.mark.parametrize("name", ["none.dcm", "none"])
def test_a_spect_and_a_factor_that_are_not_there(name, command, tmp_path) -> None:
    missing, out = tmp_path / name, tmp_path / "A.nii.gz"
    for words in ((missing, out, *CAMERA), (tmp_path, out, "--factor", missing)):
        done = command("activity", *words)
        refused(done, f"'{missing}': ", "and there is no such file")


def test_several_ways_of_excretion(whole, command) -> None:
    whole[-2:] = []
    done = command(*whole)
    refused(done, "Excretion between the planar scan and the SPECT must be told")


def test_spect_and_planar_swapped(whole, command) -> None:
    whole[1], whole[4] = whole[4], whole[1]
    done = command(*whole)
    refused(done, "must tell RECON TOMO in its third value, and the object is whole-body views")
