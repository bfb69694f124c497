"""``ingest`` end to end on synthetic patients: what it makes, keeps, resumes and refuses."""

import gzip
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import yaml
from helpers.clinic import EFFECTIVE_H, KIDNEYS, SPECT_H, Clinic, write_study
from helpers.commands import refused
from rpt_cohort import read_cohort, read_cycle
from rpt_cohort.checking import find_faults
from rpt_dosimetry.ingest.job import ingest, look

# What pydicom says when the synthetic series is given long decimals.
pytestmark = pytest.mark.filterwarnings("ignore:The value length")

DELTA_GY_G_PER_MBQ_H = 0.08532
F18_S = 6586.2
NAMES = ("Doe", "Jane", "Roe", "Jim", "Quarantine", "4711", "4712", "19330303")
DATES = ("20240220", "20240226", "20240229", "2024-02")


@pytest.fixture(scope="module")
def clinic(tmp_path_factory, pet_series) -> Path:
    """Two patients' folders and their study; for reading only."""
    root = tmp_path_factory.mktemp("clinic")
    first = Clinic(pet_series, root).write()
    second = Clinic(pet_series, root, "Quarantine-4712", "Roe_Jim").write(patient="P002")
    second["spect"] = second["spect"][:2]  # two scans, and no organs: the body alone
    del second["organs"]
    write_study(root / "STUDY.yaml", [first, second])
    return root


@pytest.fixture(scope="module")
def made(clinic, tmp_path_factory) -> Path:
    """The cohort of an uninterrupted run; for reading only."""
    out = tmp_path_factory.mktemp("made") / "cohort"
    outcomes = ingest(clinic / "STUDY.yaml", out, workers=1)
    assert [(one.name, one.how) for one in outcomes] == [("P001/C1", "made"), ("P002/C1", "made")]
    return out


@pytest.fixture
def cohort(made, tmp_path) -> Path:
    """A copy of that cohort, to change."""
    return Path(shutil.copytree(made, tmp_path / "cohort"))


def study_with(clinic: Path, path: Path, change, **top) -> Path:
    """Write the study anew after ``change(cycles)``; folders become absolute."""
    content = yaml.safe_load((clinic / "STUDY.yaml").read_text())
    for cycle in content["cycles"]:
        for source in (cycle["pet"], *cycle["spect"]):
            source["folder"] = str(clinic / source["folder"])
        for mask in (cycle[key] for key in ("organs", "lesions") if key in cycle):
            mask["file"] = str(clinic / mask["file"])
    change(content["cycles"])
    return write_study(path / "STUDY.yaml", content["cycles"], **top)


def read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    image = nib.Nifti1Image.from_filename(path)
    return np.asanyarray(image.dataobj), image.affine


def at(affine: np.ndarray, point_mm) -> tuple[int, ...]:
    """Return the voxel at a point given in DICOM's LPS."""
    ras = np.array([-point_mm[0], -point_mm[1], point_mm[2], 1.0])
    return tuple(np.rint(np.linalg.solve(affine, ras))[:3].astype(int))


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_the_contract_holds(made) -> None:
    assert find_faults(made) == []
    cohort = read_cohort(made)
    assert cohort.info.shape == [40, 40, 24]
    assert cohort.info.spacing_mm == pytest.approx([8.0, 8.0, 8.0])
    assert cohort.info.origin == "clinical"
    assert sorted(case.fold for case in cohort.training) == [0, 1]


def test_cycle_json(made) -> None:
    info = read_cycle(made / "P001" / "C1")
    assert info.spect_times_h == pytest.approx(SPECT_H, abs=1e-6)
    assert info.pet_time_min == pytest.approx(62.5)
    assert (info.tracer, info.pet_activity_mbq) == ("18F-PSMA-1007", pytest.approx(370))
    assert (info.weight_kg, info.height_cm, info.age_y) == (70, 175, None)


@pytest.mark.parametrize("kidney", KIDNEYS)
def test_dose_and_suv_in_the_kidneys(made, kidney) -> None:
    """Closed forms of the drawn uptake; the tolerance is that of two resampled edges."""
    folder = made / "P001" / "C1"
    dose, affine = read(folder / "dose.nii.gz")
    here = at(affine, kidney.centre_mm)
    mbq_per_ml = 0.93 * 1e6 / 1e6
    tia = mbq_per_ml * EFFECTIVE_H / np.log(2)
    density = 1.1199  # of 110 HU, Schneider 2000, within 4 %
    expected = tia * DELTA_GY_G_PER_MBQ_H / density / 7.4
    assert dose[here] == pytest.approx(expected, rel=0.06)
    suv = 0.93 * 2e4 * 70e3 / (370e6 * 2 ** (-3600 / F18_S))
    assert read(folder / "pet.nii.gz")[0][here] == pytest.approx(suv, rel=0.06)
    assert read(folder / "organs.nii.gz")[0][here] in (2, 3)


def test_masks_and_field_of_view(made) -> None:
    folder = made / "P001" / "C1"
    organs, affine = read(folder / "organs.nii.gz")
    voxel_ml = abs(np.linalg.det(affine[:3, :3])) / 1000
    for label, kidney in zip((2, 3), KIDNEYS, strict=True):
        volume_ml = 4 / 3 * np.pi * np.prod(kidney.half_mm) / 1000
        # Half a slice at either end has no contour, and voxels are 8 mm.
        assert (organs == label).sum() * voxel_ml == pytest.approx(volume_ml, rel=0.08)
        assert organs[at(affine, kidney.centre_mm)] == label
    assert set(np.unique(organs)) == {0, 2, 3, 5, 199}
    body_ml = (organs > 0).sum() * voxel_ml
    assert body_ml == pytest.approx(np.pi * 130 * 95 * 176 / 1000, rel=0.15)
    fov, _ = read(folder / "fov.nii.gz")
    dose, _ = read(folder / "dose.nii.gz")
    assert fov[20, 20, 12] == 1
    assert fov[0, 0].max() == fov[:, 0].max() == 0  # outside the circle, and the widened field
    # The patient lies 10 mm higher in the third SPECT, whose field ends that much lower in him.
    assert (fov[20, 20, 0], fov[20, 20, -1]) == (1, 0)
    assert not dose[fov == 0].any()
    assert np.unique(read(folder / "lesions.nii.gz")[0]).tolist() == [0, 1]


def test_dose_in_gy_and_decays_stand_beside(made) -> None:
    """The dose in a voxel of 1.1199 g/mL is its decays x the electrons' energy."""
    folder = made / "P001" / "C1"
    dose_gy, affine = read(folder / "dose_gy.nii.gz")
    tia, _ = read(folder / "tia.nii.gz")
    dose, _ = read(folder / "dose.nii.gz")
    fov, _ = read(folder / "fov.nii.gz")
    np.testing.assert_allclose(dose_gy, 7.4 * dose, rtol=1e-6)
    assert not tia[fov == 0].any()
    for kidney in KIDNEYS:
        here = at(affine, kidney.centre_mm)
        assert tia[here] == pytest.approx(0.93 * EFFECTIVE_H / np.log(2), rel=0.03)
        assert dose_gy[here] == pytest.approx(tia[here] * DELTA_GY_G_PER_MBQ_H / 1.1199, rel=0.05)
    assert {"dose_gy.nii.gz", "tia.nii.gz"} < set(read_cycle(folder).how)


def test_cycles_are_cumulated(made, command, tmp_path) -> None:
    out = tmp_path / "sum.json"
    one = made / "P001" / "C1"
    ended = command("cumulate", one, "--limit", "kidney=23", "--out", out)
    assert ended.status == 0, ended.err
    told = json.loads(out.read_text())
    dose_gy, organs = read(one / "dose_gy.nii.gz")[0], read(one / "organs.nii.gz")[0]
    fov = read(one / "fov.nii.gz")[0] > 0
    expected_gy = dose_gy[np.isin(organs, (2, 3)) & fov].mean()
    assert told["regions"]["kidney"]["dose_gy"] == pytest.approx(expected_gy, rel=1e-5)
    assert told["net_administered_mbq"] == [7400]
    assert told["limits"]["kidney"]["activity_to_limit_mbq"] > 0
    # The report by itself is the same cycle.
    ended = command("cumulate", one, one / "report", "--out", tmp_path / "twice.json")
    refused(ended, "two have the same activity images")
    other = made / "P002" / "C1"
    both = command("cumulate", one, other, "--out", tmp_path / "both.json")
    refused(both, "must be of one patient")
    both = command("cumulate", one, other / "report", "--out", tmp_path / "both.json")
    assert both.status == 0, both.err


def test_report(made) -> None:
    report = made / "P001" / "C1" / "report"
    told = json.loads((report / "summary.json").read_text())
    assert set(told["registrations"]) == {"spect 2", "spect 3", "pet"}
    for role, shift_mm in (("spect 2", 6), ("spect 3", 12), ("pet", 12)):
        found = np.array(told["registrations"][role]["fixed_to_moving_ras_mm"])
        assert found[0, 3] == pytest.approx(-shift_mm, abs=1.0)
    page = (report / "index.html").read_text()
    assert "kidney_left" in page
    assert "<h1>P001/C1, clinical patient</h1>" in page
    assert page.count("data:image/png;base64,") == 5
    assert "http" not in page  # nothing is fetched from a network


def test_no_patient_in_what_is_written(made) -> None:
    for name, content in contents(made).items():
        plain = gzip.decompress(content) if name.endswith(".gz") else content
        plain = re.sub(rb"base64,[^\"]*", b"", plain)  # pictures, in which letters come by chance
        for word in (*NAMES, *DATES):
            assert word not in name
            # Four digits come by chance in hashes.
            if not word.isdigit() or len(word) > 4:
                assert word.encode() not in plain, (name, word)


def test_a_killed_run_resumes(clinic, made, tmp_path) -> None:
    """SIGKILL after the first cycle, and amid the writing of the second."""
    out = tmp_path / "cohort"
    words = ["ingest", str(clinic / "STUDY.yaml"), "--out", str(out), "--workers", "1"]
    running = subprocess.Popen([sys.executable, "-m", "rpt_dosimetry", *words], stderr=-3)
    begin = time.monotonic()
    while not (out / "P002").exists() and time.monotonic() - begin < 120:
        time.sleep(0.02)
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert (out / "P001" / "C1" / "cycle.json").is_file()
    assert not (out / "P002" / "C1").exists()
    assert any((out / "P002").iterdir())  # what the killed run left
    assert not (out / "cohort.json").exists()
    outcomes = ingest(clinic / "STUDY.yaml", out, workers=1)
    assert [one.how for one in outcomes] == ["kept", "made"]
    assert contents(out) == contents(made)


def test_what_is_done_is_kept(clinic, cohort, command) -> None:
    before = contents(cohort)
    ended = command("ingest", clinic / "STUDY.yaml", "--out", cohort, "--workers", 1)
    assert ended.status == 0, ended.err
    assert "0 cycles made, 2 kept, 0 failed" in ended.err
    assert contents(cohort) == before


def test_another_parameter_makes_its_cycle_anew(clinic, made, tmp_path) -> None:
    def change(cycles) -> None:
        cycles[1]["residual_mbq"] = 400.0

    # The folders are the same although their names are absolute now.
    study = study_with(clinic, tmp_path, change)
    assert look(study, made, workers=1).done == {"P001/C1"}
    study = study_with(clinic, tmp_path, lambda cycles: None, engine="vsv")
    assert look(study, made, workers=1).done == frozenset()
    # Who is for testing changes no cycle.
    study = study_with(clinic, tmp_path, lambda cycles: None, testing=["P002"])
    assert look(study, made, workers=1).done == {"P001/C1", "P002/C1"}


def test_a_cycle_made_anew_takes_the_place_of_the_old_one(clinic, cohort, tmp_path) -> None:
    def change(cycles) -> None:
        cycles[1]["residual_mbq"] = 400.0

    outcomes = ingest(study_with(clinic, tmp_path, change, testing=["P002"]), cohort, workers=1)
    assert [one.how for one in outcomes] == ["kept", "made"]
    (tested,) = read_cohort(cohort).testing
    assert (tested.name, tested.administered_activity_mbq) == ("P002/C1", 7000)
    assert find_faults(cohort) == []
    assert [path.name for path in (cohort / "P002").iterdir()] == ["C1"]


def test_a_bad_cycle_is_listed_and_the_others_kept(clinic, cohort, command, tmp_path) -> None:
    shutil.copytree(clinic / "Roe_Jim_spect_1", tmp_path / "Jane" / "a")
    shutil.copytree(clinic / "Doe_Jane_spect_1", tmp_path / "Jane" / "b")

    def change(cycles) -> None:
        cycles[1]["spect"][0]["folder"] = str(tmp_path / "Jane")
        cycles[1]["spect"][0]["series"] = "1"

    before = contents(cohort / "P002")
    ended = command("ingest", study_with(clinic, tmp_path, change), "--out", cohort)
    refused(ended, "1 of 2 cycles failed")
    assert "0 cycles made, 1 kept, 1 failed" in ended.err
    assert "P002/C1 spect 1:" in ended.err
    assert not [word for word in NAMES if word in ended.err]
    assert [case.name for case in read_cohort(cohort).cases] == ["P001/C1"]
    assert contents(cohort / "P002") == before  # left as it was
    assert find_faults(cohort) == []


def test_dry_run_writes_nothing(clinic, cohort, command, tmp_path) -> None:
    words = ("ingest", clinic / "STUDY.yaml", "--dry-run", "--workers", 1, "--out")
    ended = command(*words, tmp_path / "new")
    assert ended.status == 0, ended.err
    assert not (tmp_path / "new").exists()
    assert "P001/C1 pet: PT in BQML, 30 files; CT, 30 files" in ended.out
    assert "P002/C1: to be made" in ended.out
    before = contents(cohort)
    ended = command(*words, cohort)
    assert "P002/C1: done" in ended.out
    assert contents(cohort) == before
    assert not [word for word in (*NAMES, *DATES) if word in ended.out + ended.err]
