"""``python -m rpt_dosimetry activity``: files, manners, privacy, and a real SPECT."""

import json
import re

import nibabel as nib
import numpy as np
import pytest

ADMIN = {"DecayCorrection": "ADMIN", "DecayFactor": "1.4839"}


def test_out_and_json(pet_series, tmp_path, command) -> None:
    folder = pet_series(set=ADMIN).write(tmp_path / "in")
    ended = command("activity", folder, tmp_path / "a.nii.gz")
    assert ended.status == 0, ended.err
    assert ended.out == ""
    assert "warning" not in ended.err
    assert "1.042 h after the injection" in ended.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "a.nii.gz", "in"]
    told = json.loads((tmp_path / "a.json").read_text())
    factor = 2 ** (-3750 / 6586.2)
    assert told["quantity"] == "activity concentration at mid-scan, Bq/mL"
    assert told["nuclide"] == "F-18"
    assert told["half_life_s"] == 6586.2
    assert told["decay_branch"] == "ADMIN: administration"
    assert told["decay_factor"] == pytest.approx(factor, rel=1e-12)
    assert told["reference_to_mid_scan_h"] == told["injection_to_mid_scan_h"] == 1.041667
    assert told["injected_activity_mbq"] == 370.0
    image = nib.load(tmp_path / "a.nii.gz")
    total_mbq = image.get_fdata().sum() * 4 * 4 * 3 / 1e3 / 1e6
    assert told["activity_in_field_of_view_mbq"] == pytest.approx(total_mbq, rel=1e-6)
    assert told["activity_in_field_of_view_as_stored_mbq"] == pytest.approx(
        total_mbq / factor, rel=1e-6
    )
    assert told["shape"] == list(image.shape)
    assert told["warnings"] == []


def test_what_differs_between_slices_is_a_list(pet_series, tmp_path, command) -> None:
    def change(dataset, index) -> None:
        dataset.AcquisitionTime = f"110{index}00"
        dataset.CorrectedImage = ["ATTN", "NORM", "SCAT"]

    folder = pet_series(set={"DecayCorrection": "NONE"}, change=change).write(tmp_path / "in")
    assert command("activity", folder, tmp_path / "a.nii.gz").status == 0
    told = json.loads((tmp_path / "a.json").read_text())
    assert len(told["decay_factor"]) == len(told["reference_to_mid_scan_h"]) == 4
    np.testing.assert_allclose(np.diff(told["reference_to_mid_scan_h"]), -1 / 60, atol=1.1e-6)
    assert all(round(one, 6) == one for one in told["reference_to_mid_scan_h"])


def test_no_name_date_or_uid(pet_series, tmp_path, command, patient_words) -> None:
    folder = pet_series(set=ADMIN).write(tmp_path / "in")
    ended = command("activity", folder, tmp_path / "a.nii.gz")
    text = (tmp_path / "a.json").read_text()
    for word in [*patient_words, "1.2.826", str(tmp_path), "10:00", "100000"]:
        assert word not in text + ended.err + ended.out
    block = json.loads(text)["provenance"]
    assert block["command"] == "activity"
    assert list(block["inputs"]) == [f"slice {number}" for number in range(1, 5)]
    assert re.fullmatch("[0-9a-f]{64}", block["parameters"]["series_uid_sha256"])


def test_bad_input_is_one_sentence_and_nothing_is_written(pet_series, tmp_path, command) -> None:
    folder = pet_series(set={"Units": "GML"}).write(tmp_path / "in")
    ended = command("activity", folder, tmp_path / "a.nii.gz")
    assert ended.status == 2
    assert ended.err.splitlines()[-1].startswith("error: Units (0054,1001) must be BQML, got GML")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
    ended = command("activity", folder)
    assert (ended.status, ended.err.count("\n")) == (2, 1)


def test_an_injected_activity_in_kbq_is_not_told_as_mbq(pet_series, tmp_path, command) -> None:
    for dose, told_mbq in (("80000", None), ("7400", 7400.0)):
        folder = pet_series(inject={"RadionuclideTotalDose": dose}).write(tmp_path / dose)
        ended = command("activity", folder, tmp_path / f"{dose}.nii.gz")
        assert ended.status == 0, ended.err
        assert ("above 30000 MBq. It is likely in kBq or µCi" in ended.err) is (told_mbq is None)
        told = json.loads((tmp_path / f"{dose}.json").read_text())
        assert told["injected_activity_mbq"] == told_mbq


def test_choice_list_and_help(pet_series, tmp_path, command) -> None:
    pet_series(set=ADMIN).write(tmp_path / "in")
    pet_series(set=ADMIN, series=2).write(tmp_path / "in")
    listed = command("activity", tmp_path / "in", "--list")
    assert listed.out.splitlines()[1] == "1.2.826.0.1.3680043.10.999.2: PT, 4 files, BQML"
    chosen = ("--series", "1.2.826.0.1.3680043.10.999.2")
    assert command("activity", tmp_path / "in", tmp_path / "a.nii.gz", *chosen).status == 0
    told = command("activity", "--help").out
    for word in ("Bq/mL", "mid-scan", "ADMIN", "SERIES_DIR", "--list", "--series", "OUT.json"):
        assert word in told


# The series' own numbers: 09:22:00 to 13:06:28.148 (13:05:31.715 next day) and half of
# 1506.277 s (1507.255 s); testdata/README.md has the two activities.
SPECT = {
    "SCAN_001": (1350.6, (13468.148 + 753.1385) / 3600),
    "SCAN_002": (996.1, (86400 + 13411.715 + 753.6275) / 3600),
}


@pytest.mark.parametrize("scan", SPECT)
def test_quantitative_lu177_spect(scan, testdata, tmp_path, command) -> None:
    stored_mbq, middle_h = SPECT[scan]
    ended = command("activity", testdata / "spect_lu177" / scan / "image", tmp_path / "a.nii.gz")
    assert ended.status == 0, ended.err
    told = json.loads((tmp_path / "a.json").read_text())
    assert told["nuclide"] == "Lu-177"
    assert told["decay_branch"] == "ADMIN: administration"
    assert told["half_life_s"] == 574300.0
    assert told["injected_activity_mbq"] == pytest.approx(7210.4, abs=0.05)
    assert told["injection_to_mid_scan_h"] == round(middle_h, 6)
    assert told["activity_in_field_of_view_as_stored_mbq"] == pytest.approx(stored_mbq, abs=0.05)
    ratio = told["activity_in_field_of_view_mbq"] / told["activity_in_field_of_view_as_stored_mbq"]
    assert ratio == pytest.approx(2 ** (-middle_h * 3600 / 574300), rel=1e-9)
    assert [one.split(",")[0] for one in told["warnings"]] == ["Decay Factor (0054"]
