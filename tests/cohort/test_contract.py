"""The cohort folder's schema, reading, checking and describing."""

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from helpers.commands import Run, runner
from helpers.damage import change
from rpt_cohort import BadInput, Case, CycleInfo, read_cohort, read_cycle, read_prediction
from rpt_cohort.__main__ import app
from rpt_cohort.checking import cohort_table, find_faults, unrecorded_cycles

PET, DOSE, CYCLE = "P001/C1/pet.nii.gz", "P001/C1/dose.nii.gz", "P001/C1/cycle.json"


@pytest.fixture
def copy(cohort: Path, tmp_path: Path) -> Path:
    """A cohort to spoil: patient P001 only."""
    target = tmp_path / "copy"
    target.mkdir()
    shutil.copytree(cohort / "P001", target / "P001")
    shutil.copy(cohort / "cohort.json", target)
    listed = json.loads((cohort / "datalist.json").read_text())
    mine = [case for case in listed["training"] if case["patient"] == "P001"]
    (target / "datalist.json").write_text(json.dumps({"training": mine, "testing": []}))
    return target


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run ``python -m rpt_cohort``."""
    return runner("rpt_cohort", app, monkeypatch, capfd)


def edit_json(path: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def test_fresh_cohort_is_sound(cohort: Path) -> None:
    assert find_faults(cohort) == []


def test_one_patient_of_it_is_sound(copy: Path) -> None:
    assert find_faults(copy) == []


def test_datalist_is_what_design_says(cohort: Path) -> None:
    listed = json.loads((cohort / "datalist.json").read_text())
    keys = {"image", "label", "ct", "organs", "fov", "patient", "cycle"}
    keys |= {"administered_activity_mbq"}
    assert set(listed) == {"training", "testing"}
    assert all(set(case) == keys | {"fold"} for case in listed["training"])
    assert all(set(case) == keys for case in listed["testing"])


def test_cycle_json_is_what_design_says() -> None:
    assert set(CycleInfo.model_fields) == {
        *("patient", "cycle", "tracer", "therapy", "pet_activity_mbq"),
        *("administered_activity_mbq", "weight_kg", "height_cm", "age_y", "laboratory"),
        *("pet_time_min", "spect_times_h", "how", "provenance"),
    }


def set_item(*keys: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def edit(content: Any) -> None:
        for key in keys[:-1]:
            content = content[int(key) if isinstance(content, list) else key]
        content[keys[-1]] = value

    return edit


@pytest.mark.parametrize(
    ("file", "edit", "words"),
    [
        ("cohort.json", set_item("origin", value="real"), ["cohort.json", "origin", "'clinical'"]),
        ("cohort.json", set_item("schema_version", value=2), ["schema_version"]),
        ("cohort.json", set_item("schema_version", value=True), ["schema_version"]),
        ("cohort.json", set_item("shape", value=[128, 128]), ["shape"]),
        ("cohort.json", set_item("colour", value="red"), ["colour"]),
        ("cohort.json", set_item("shape", value=[128, 128, 7]), ["cohort's shape [128, 128, 7]"]),
        ("cohort.json", set_item("spacing_mm", value=[4.8, 4.8, 5.0]), ["cohort's spacing"]),
        ("datalist.json", set_item("training", "0", "image", value="../x"), ["without '..'"]),
        ("datalist.json", set_item("training", "0", "image", value="/etc/x"), ["below the cohort"]),
        (
            "datalist.json",
            set_item("training", "0", "label", value="P001/C2/dose.nii.gz"),
            ["label"],
        ),
        ("datalist.json", set_item("training", "0", "fold", value=None), ["must have a fold"]),
        ("datalist.json", set_item("training", "0", "patient", value="A B"), ["patient"]),
        ("datalist.json", set_item("training", value=[]), ["at least one case"]),
        (CYCLE, set_item("administered_activity_mbq", value=7.4), [CYCLE, "administered", "7.4"]),
        (CYCLE, set_item("height_cm", value=1.8), ["height_cm", "1.8"]),
        (CYCLE, set_item("tracer", value="FDG"), ["tracer", "'FDG'"]),
        (CYCLE, set_item("weight_kg", value=float("nan")), ["weight_kg"]),
        (CYCLE, set_item("patient", value="P002"), ["must be 'P001' as in datalist.json"]),
        (CYCLE, set_item("spect_times_h", value=[]), ["spect_times_h"]),
    ],
)
def test_faults_of_json_are_named(
    copy: Path, file: str, edit: Callable[[dict[str, Any]], None], words: list[str]
) -> None:
    edit_json(copy / file, edit)
    faults = find_faults(copy)
    assert faults
    assert any(all(word in fault for word in words) for fault in faults), faults


def nan_at_centre(data: np.ndarray) -> np.ndarray:
    data[64, 64, 12] = np.nan
    return data


@pytest.mark.parametrize(
    ("file", "damage", "words"),
    [
        (PET, nan_at_centre, [PET, "finite", "1 voxels"]),
        (PET, lambda d: d - 1, [PET, "not be negative"]),
        (PET, lambda d: d.astype(np.float64), [PET, "float32", "float64"]),
        (PET, lambda d: d[:, :, :-1], [PET, "cohort's shape"]),
        (PET, lambda d: d * 0, [PET, "0 everywhere"]),
        (PET, lambda d: d * 2500, [PET, "looks like Bq/mL"]),
        (DOSE, lambda d: d * 7400, [DOSE, "looks like Gy"]),
        (DOSE, lambda d: d[:, :-1], ["P001/C1/dose.nii.gz must be on the grid of pet.nii.gz"]),
        (DOSE, lambda d: d[..., None], [DOSE, "3D"]),
        ("P001/C1/fov.nii.gz", lambda d: d * 0, ["known"]),
        ("P001/C1/fov.nii.gz", lambda d: d * 3, ["0 or 1"]),
        ("P001/C1/organs.nii.gz", lambda d: d * 0 + 200, ["ids of 0 to 199"]),
    ],
)
def test_faults_of_volumes_are_named(
    copy: Path, file: str, damage: Callable[[np.ndarray], np.ndarray], words: list[str]
) -> None:
    change(copy / file, damage)
    faults = find_faults(copy)
    assert any(all(word in fault for word in words) for fault in faults), faults


def test_shifted_affine_is_named_with_its_shift(copy: Path) -> None:
    affine = nib.Nifti1Image.from_filename(copy / DOSE).affine.copy()
    affine[0, 3] += 2.5
    change(copy / DOSE, lambda d: d, affine=affine)
    assert any("2.5 mm off" in fault for fault in find_faults(copy))


def test_left_handed_axes_are_named(copy: Path) -> None:
    affine = nib.Nifti1Image.from_filename(copy / PET).affine.copy()
    affine[0] *= -1
    change(copy / PET, lambda d: d, affine=affine)
    assert any("must be RAS+, got LAS" in fault for fault in find_faults(copy))


def test_truncated_volume_is_named(copy: Path) -> None:
    content = (copy / PET).read_bytes()
    (copy / PET).write_bytes(content[: len(content) // 2])
    assert any(PET in fault and "whole NIfTI" in fault for fault in find_faults(copy))


@pytest.mark.parametrize(
    "spoil", [lambda content: b"", lambda content: content + b"x", lambda content: content[:-4]]
)
def test_file_that_is_not_whole_is_named(copy: Path, spoil: Callable[[bytes], bytes]) -> None:
    (copy / PET).write_bytes(spoil((copy / PET).read_bytes()))
    assert any(PET in fault and "whole NIfTI" in fault for fault in find_faults(copy))


def test_header_of_an_impossible_size_is_named(copy: Path) -> None:
    header = bytearray(gzip.decompress((copy / PET).read_bytes()))
    header[42:48] = np.array([32767] * 3, "<i2").tobytes()
    (copy / PET).write_bytes(gzip.compress(bytes(header)))
    assert any(PET in fault and "whole NIfTI" in fault for fault in find_faults(copy))


def test_every_fault_is_named_not_only_the_first(copy: Path) -> None:
    (copy / PET).unlink()
    change(copy / DOSE, lambda d: -d)
    edit_json(copy / CYCLE, set_item("weight_kg", value=-1))
    faults = "\n".join(find_faults(copy))
    assert PET in faults
    assert DOSE in faults
    assert "weight_kg" in faults


@pytest.mark.parametrize("content", ["", "[1]", "{", "null", "\udcff", "9" * 5000])
@pytest.mark.parametrize("file", ["cohort.json", "datalist.json", CYCLE])
def test_broken_json_is_one_fault_that_names_the_file(copy: Path, file: str, content: str) -> None:
    (copy / file).write_bytes(content.encode(errors="surrogateescape"))
    assert any(fault.startswith(file) for fault in find_faults(copy))


def doubled(folder: Path) -> None:
    change(folder / "dose.nii.gz", lambda d: 2 * d)


def without_kinetics(folder: Path) -> None:
    shutil.copy(folder / "truth/dose.nii.gz", folder / "truth/new.nii.gz")  # read by nobody
    (folder / "truth/kinetics.nii.gz").unlink()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (doubled, ["P001/C1/dose.nii.gz was changed after it was made"]),
        (without_kinetics, ["P001/C1/truth/kinetics.nii.gz is missing"]),
        (
            lambda folder: edit_json(folder / "cycle.json", set_item("weight_kg", value=81.5)),
            ["P001/C1/cycle.json was changed after it was made"],
        ),
        (
            lambda folder: edit_json(
                folder / "cycle.json", lambda c: c["provenance"]["outputs"].pop("lesions.nii.gz")
            ),
            ["P001/C1/cycle.json was changed", "P001/C1/lesions.nii.gz was added"],
        ),
    ],
)
def test_what_changed_since_it_was_made_is_named(
    copy: Path, damage: Callable[[Path], None], words: list[str]
) -> None:
    damage(copy / "P001/C1")
    faults = find_faults(copy)
    assert len(faults) == len(words)
    assert all(fault.startswith(word) for fault, word in zip(faults, words, strict=True)), faults


@pytest.mark.parametrize("level", [0, 1, 9])
def test_a_file_that_was_only_packed_anew_is_unchanged(copy: Path, level: int) -> None:
    content = gzip.decompress((copy / DOSE).read_bytes())
    (copy / DOSE).write_bytes(gzip.compress(content, compresslevel=level, mtime=1))
    assert find_faults(copy) == []
    (copy / DOSE).write_bytes(gzip.compress(content[:-1] + b"\1", compresslevel=level))
    assert any(f"{DOSE} was changed after it was made" in fault for fault in find_faults(copy))


def test_a_cycle_without_hashes_is_sound_and_told(run: Run, copy: Path) -> None:
    def forget(content: dict[str, Any]) -> None:
        del content["provenance"]["outputs"], content["provenance"]["sha256_of_the_rest"]

    edit_json(copy / CYCLE, forget)
    doubled(copy / "P001/C1")
    done = run("check", copy)
    assert done.status == 0, done.err
    assert "P001/C1 first, record no hashes" in done.err
    (copy / PET).unlink()  # which is told beside another fault, too
    done = run("check", copy)
    assert done.status == 2
    assert f"{PET} must be a NIfTI file" in done.err
    assert "P001/C1 first, record no hashes" in done.err


def test_hashes_are_not_missed_where_nothing_can_be_read(copy: Path) -> None:
    assert unrecorded_cycles(copy) == ([], len(read_cohort(copy).cases))
    (copy / CYCLE).write_text("{")
    assert unrecorded_cycles(copy)[0] == []
    (copy / "datalist.json").unlink()
    assert unrecorded_cycles(copy) == ([], 0)


@pytest.mark.parametrize("name", ["P001", "P001/C1", PET, "P001/C1/truth/dose.nii.gz"])
def test_a_link_out_of_the_cohort_is_refused(copy: Path, tmp_path: Path, name: str) -> None:
    (copy / name).rename(tmp_path / "elsewhere")
    (copy / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BadInput, match=r"P001/C1/.* must lie in the cohort folder"):
        read_cohort(copy)
    assert any("a link leads out of it" in fault for fault in find_faults(copy))


def test_a_link_within_the_cohort_is_read(copy: Path, tmp_path: Path) -> None:
    (copy / PET).rename(copy / "pet.nii.gz")
    (copy / PET).symlink_to(copy / "pet.nii.gz")
    (tmp_path / "link").symlink_to(copy)
    assert read_cohort(tmp_path / "link").cases
    assert find_faults(tmp_path / "link") == []


def test_patient_in_two_folds_is_refused(copy: Path) -> None:
    def leak(content: dict[str, Any]) -> None:
        twin = {**content["training"][0], "cycle": 2, "fold": content["training"][0]["fold"] + 1}
        for key, file in {"image": "pet", "label": "dose", "ct": "ct"}.items():
            twin[key] = f"P001/C2/{file}.nii.gz"
        content["training"] = [content["training"][0], twin]

    edit_json(copy / "datalist.json", leak)
    with pytest.raises(BadInput, match="patient P001 must be in one fold"):
        read_cohort(copy)


def test_patient_in_training_and_testing_is_refused(copy: Path) -> None:
    def leak(content: dict[str, Any]) -> None:
        case = dict(content["training"][0])
        del case["fold"]
        content["testing"] = [{**case, "cycle": 9}]

    edit_json(copy / "datalist.json", leak)
    with pytest.raises(BadInput, match="in training or in testing"):
        read_cohort(copy)


def test_case_knows_its_name_and_folder(cohort: Path) -> None:
    content = read_cohort(cohort)
    case: Case = content.cases[0]
    assert case.name == "P001/C1"
    assert read_cycle(content.folder(case)).patient == "P001"


def test_table_counts_what_is_there(cohort: Path) -> None:
    content = read_cohort(cohort)
    rows = dict(cohort_table(content))
    activities = [case.administered_activity_mbq / 1000 for case in content.cases]
    assert rows["Number of patients"] == "4"
    assert rows["Origin"] == "virtual"
    assert rows["Total number of cycles"].startswith(f"{len(content.cases)} (4 first")
    expected = f"{np.mean(activities):.2f} ± {np.std(activities, ddof=1):.2f}"
    assert rows["Therapeutic activity (GBq)"] == expected


def prediction_json(**changes: Any) -> str:
    content = {
        "schema_version": 1,
        "method": "x",
        "weights_sha256": {},
        "fold": {"P001/C1": None},
        "provenance": {},
    }
    return json.dumps({**content, **changes})


def test_prediction_without_its_map_is_refused(tmp_path: Path) -> None:
    (tmp_path / "prediction.json").write_text(prediction_json())
    with pytest.raises(BadInput, match=r"P001/C1/dose.nii.gz must be a NIfTI file"):
        read_prediction(tmp_path)


@pytest.mark.parametrize("fold", [{}, {"/etc/P001/C1": 0}, {"../P001/C1": 0}, {"P001": 0}])
def test_prediction_of_no_case_is_refused(tmp_path: Path, fold: dict[str, int]) -> None:
    (tmp_path / "prediction.json").write_text(prediction_json(fold=fold))
    with pytest.raises(BadInput, match=r"prediction\.json: fold"):
        read_prediction(tmp_path)


def test_prediction_with_a_negative_dose_is_refused(copy: Path) -> None:
    (copy / "prediction.json").write_text(prediction_json())
    assert read_prediction(copy).method == "x"
    change(copy / DOSE, lambda d: d - 1)
    with pytest.raises(BadInput, match="0 Gy/GBq or more"):
        read_prediction(copy)


def test_check_command_ends_with_0_or_2(run: Run, copy: Path) -> None:
    assert run("check", copy).status == 0
    (copy / PET).unlink()
    done = run("check", copy)
    assert done.status == 2
    assert PET in done.err
    assert "Traceback" not in done.err


def test_describe_command_prints_the_table(run: Run, cohort: Path) -> None:
    done = run("describe", cohort)
    assert done.status == 0
    assert "177Lu-PSMA-I&T" in done.out


def test_describe_command_refuses_a_missing_folder(run: Run, tmp_path: Path) -> None:
    done = run("describe", tmp_path / "none")
    assert done.status == 2
    assert done.err.startswith("error: ")
    assert "Traceback" not in done.err
