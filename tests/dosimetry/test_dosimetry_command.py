"""``python -m rpt_dosimetry suv``: files, manners and privacy."""

import hashlib
import json
import os
import re

import nibabel as nib
import numpy as np
import pydicom
import pytest
from helpers.commands import refused


def test_out_and_json(pet_series, tmp_path, command) -> None:
    folder = pet_series().write(tmp_path / "in")
    ended = command("suv", folder, tmp_path / "pet.nii.gz")
    assert ended.status == 0, ended.err
    assert ended.out == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "pet.json", "pet.nii.gz"]
    told = json.loads((tmp_path / "pet.json").read_text())
    assert told["tracer"] == "18F-PSMA-1007"
    assert told["nuclide"] == "F-18"
    assert told["suv_factor"] == pytest.approx(70e3 / (370e6 * 2 ** (-3600 / 6586.2)))
    assert told["suv_factor_unit"] == "g/mL per Bq/mL"
    assert told["weight_kg"] == 70.0
    assert told["height_cm"] == 175.0
    assert told["injected_activity_mbq"] == 370.0
    assert told["activity_at_reference_mbq"] == pytest.approx(370 * 2 ** (-3600 / 6586.2))
    assert told["injection_to_reference_s"] == 3600.0
    assert told["pet_time_min"] == 62.5
    assert told["half_life_s"] == 6586.2
    used = {entry["tag"]: entry for entry in told["tags_used"]}
    assert used["(0054,1001)"]["value"] == "BQML"
    assert used["(0008,0031)"]["seconds_after_injection"] == 3600.0
    image = nib.load(tmp_path / "pet.nii.gz")
    assert told["suv_max"] == pytest.approx(image.get_fdata().max())
    assert told["shape"] == list(image.shape)


def test_provenance(pet_series, tmp_path, command) -> None:
    folder = pet_series().write(tmp_path / "in")
    command("suv", folder, tmp_path / "pet.nii.gz")
    block = json.loads((tmp_path / "pet.json").read_text())["provenance"]
    assert block["package"] == "rpt-dosimetry"
    assert block["command"] == "suv"
    assert list(block["inputs"]) == [f"slice {number}" for number in range(1, 5)]
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in block["inputs"].values())
    assert block["libraries"]["pydicom"] == pydicom.__version__


def test_decay_factor_is_told(pet_series, tmp_path, command) -> None:
    early = {"SeriesTime": "103000", "DecayFactor": "1.01587"}
    folder = pet_series(set=early).write(tmp_path / "in")
    ended = command("suv", folder, tmp_path / "pet.nii.gz")
    assert "17.3 % too low" in ended.err
    told = json.loads((tmp_path / "pet.json").read_text())
    assert told["decay_branch"] == "START: earliest acquisition, by Decay Factor"
    assert told["injection_to_reference_s"] == 3600.0
    told = told["scanner_decay_factor"]
    assert told["verdict"] == "agrees"
    assert told["implied_reference_after_taken_s"] == pytest.approx(0.0, abs=0.05)


@pytest.mark.parametrize("name", ["suv", "activity"])
def test_the_hash_is_of_the_voxels_as_written(name, pet_series, tmp_path, command) -> None:
    folder = pet_series().write(tmp_path / "in")
    assert command(name, folder, tmp_path / "a.nii.gz").status == 0
    image = nib.load(tmp_path / "a.nii.gz")
    voxels = np.ascontiguousarray(np.asanyarray(image.dataobj), dtype="<f4").tobytes()
    told = json.loads((tmp_path / "a.json").read_text())
    assert told["voxels_sha256"] == hashlib.sha256(voxels).hexdigest()


@pytest.mark.parametrize("name", ["suv", "activity"])
@pytest.mark.parametrize("there", ["a.nii.gz", "a.json"])
def test_what_is_there_is_kept(name, there, pet_series, tmp_path, command) -> None:
    folder = pet_series().write(tmp_path / "in")
    (tmp_path / there).write_text("mine")
    ended = command(name, folder, tmp_path / "a.nii.gz")
    assert (ended.status, ended.err.count("\n"), "Reading" in ended.err) == (2, 1, False)
    assert f"{there}' must be new, and it is there" in ended.err
    assert (tmp_path / there).read_text() == "mine"
    assert command(name, folder, tmp_path / "a.nii.gz", "--overwrite").status == 0
    assert json.loads((tmp_path / "a.json").read_text())["warnings"] == []


def test_a_told_tracer(pet_series, tmp_path, command) -> None:
    folder = pet_series(inject={"Radiopharmaceutical": "PSMA"}).write(tmp_path / "in")
    assert command("suv", folder, tmp_path / "a.nii.gz", "--tracer", "18F-DCFPyL").status == 0
    told = json.loads((tmp_path / "a.json").read_text())
    assert (told["tracer"], told["tracer_told_by"]) == ("18F-DCFPyL", "user")
    for wrong, message in (("68Ga-PSMA-11", "nuclide, F-18"), ("PSMA", "must be one of 68Ga-")):
        ended = command("suv", folder, tmp_path / "b.nii.gz", "--tracer", wrong)
        refused(ended, message)


def test_same_input_same_bytes(pet_series, tmp_path, command) -> None:
    folder = pet_series().write(tmp_path / "in")
    for name in "ab":
        command("suv", folder, tmp_path / f"{name}.nii.gz")
    for suffix in (".nii.gz", ".json"):
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


@pytest.mark.parametrize("out", ["pet.nii", "pet", ".nii.gz", "absent/pet.nii.gz", None])
def test_out_that_cannot_be(out, pet_series, tmp_path, command) -> None:
    folder = pet_series().write(tmp_path / "in")
    ended = command("suv", folder, *([tmp_path / out] if out else []))
    assert ended.status == 2
    assert ended.err.startswith("error: ")
    assert ended.err.count("\n") == 1


def test_out_is_tested_before_the_reading(pet_series, tmp_path, command, monkeypatch) -> None:
    folder = pet_series().write(tmp_path / "in")
    (tmp_path / "pet.json").mkdir()
    ended = command("suv", folder, tmp_path / "pet.nii.gz")
    assert (ended.status, "Reading" in ended.err) == (2, False)
    assert "pet.json must be a file name" in ended.err
    monkeypatch.setattr(os, "access", lambda path, mode: mode == os.R_OK)  # root may all
    ended = command("suv", folder, tmp_path / "suv.nii.gz")
    assert (ended.status, ended.err.count("\n")) == (2, 1)
    assert "The folder of suv.nii.gz must be writable" in ended.err


def test_help_tells_units(command) -> None:
    ended = command("suv", "--help")
    assert ended.status == 0
    for word in (
        "g/mL",
        "Bq/mL",
        "--list",
        "--series",
        "--tracer",
        "--overwrite",
        "OUT.json",
        "SERIES_DIR",
        "[OUT.nii.gz]",
    ):
        assert word in ended.out


def test_several_subcommands_are_possible(command) -> None:
    assert "suv" in command("--help").out


NAMES_EVERYWHERE = {
    "PatientWeight": ("70 Jane", r"Patient's Weight \(0010,1030\)"),
    "Units": ("Jane Doe", r"Units \(0054,1001\)"),
    "SeriesTime": ("Jane Doe", r"Series Time \(0008,0031\)"),
    "DecayCorrection": ("JANE DOE", r"Decay Correction \(0054,1102\)"),
    "PixelSpacing": ("Jane\\Doe", r"Pixel Spacing \(0028,0030\)"),
}


@pytest.mark.filterwarnings("ignore:Invalid value for VR")
@pytest.mark.parametrize("keyword", NAMES_EVERYWHERE)
def test_a_name_in_the_wrong_place(
    keyword, pet_series, tmp_path, command, patient_words, recwarn
) -> None:
    value, message = NAMES_EVERYWHERE[keyword]

    def change(dataset, index) -> None:
        # Raw bytes: what a scanner writes is not checked by pydicom's setters.
        tag = pydicom.datadict.tag_for_keyword(keyword)
        vr = pydicom.datadict.dictionary_VR(tag)
        raw = pydicom.dataelem.RawDataElement
        dataset[tag] = raw(pydicom.tag.Tag(tag), vr, len(value), value.encode(), 0, False, True)

    folder = tmp_path / "in"
    folder.mkdir()
    for index, dataset in enumerate(pet_series().slices()):
        change(dataset, index)
        dataset.save_as(folder / f"{index}.dcm", enforce_file_format=True)
    recwarn.clear()
    ended = command("suv", folder, tmp_path / "pet.nii.gz")
    assert ended.status == 2
    assert re.search(message, ended.err)
    words = [*patient_words, "JANE"]
    assert not any(word in ended.err + ended.out for word in words)
    assert not any(word in str(warning.message) for warning in recwarn for word in words)


def test_no_name_in_any_output(pet_series, tmp_path, command, patient_words) -> None:
    changes = {"PatientComments": "Jane Quarantine", "InstitutionName": "Quarantine Hospital"}
    inject = {"Radiopharmaceutical": "PSMA-1007 for Jane Doe"}
    folder = pet_series(set=changes, inject=inject).write(tmp_path / "in")
    ended = command("suv", folder, tmp_path / "pet.nii.gz")
    assert ended.status == 0, ended.err
    texts = [ended.out, ended.err, (tmp_path / "pet.json").read_text()]
    texts.append(str(nib.load(tmp_path / "pet.nii.gz").header))
    assert not any(word in text for word in patient_words for text in texts)
    assert str(tmp_path) not in texts[2]
