import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rpt_cohort import BadInput, read_cohort, read_cycle, read_volume
from rpt_phantom import write_cohort
from rpt_phantom.cohort import _plan

SLICES = 16


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("phantom") / "COHORT"
    write_cohort(out, patients=4, seed=0, slices=SLICES, workers=1)
    return out


def hashes(root: Path, pattern: str = "*") -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob(pattern))
        if path.is_file()
    }


def command(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rpt_phantom", *options], capture_output=True, text=True, check=False
    )


def test_cohort_keeps_the_contract(root: Path) -> None:
    cohort = read_cohort(root)
    assert cohort.info.origin == "virtual"
    assert cohort.info.shape == [128, 128, SLICES]
    for case in cohort.cases:
        cycle = read_cycle(cohort.folder(case))
        assert (cycle.patient, cycle.cycle) == (case.patient, case.cycle)
        assert all(how.startswith("virtual") for how in cycle.how.values())
        written = {
            p.relative_to(cohort.folder(case)).as_posix()
            for p in cohort.folder(case).rglob("*.nii.gz")
        }
        assert written == set(cycle.how)
        for name in written:
            volume = read_volume(cohort.folder(case) / name)
            assert volume.data.shape == (128, 128, SLICES)
            assert volume.axis_codes == "RAS"
            assert volume.spacing_mm == pytest.approx((4.8, 4.8, 4.8))


def test_types_on_disk(root: Path) -> None:
    types = {
        "pet": "float32",
        "ct": "int16",
        "organs": "uint8",
        "lesions": "uint16",
        "fov": "uint8",
        "dose": "float32",
        "truth/dose": "float32",
        "truth/tia": "float32",
    }
    for name, dtype in types.items():
        assert read_volume(root / "P001/C1" / f"{name}.nii.gz").data.dtype == np.dtype(dtype)


def test_folds_are_by_patient_and_the_last_patients_test(root: Path) -> None:
    cohort = read_cohort(root)
    assert {case.patient for case in cohort.testing} == {"P004"}
    fold_of = {(case.patient, case.fold) for case in cohort.training}
    assert sorted(patient for patient, _ in fold_of) == ["P001", "P002", "P003"]
    assert {fold for _, fold in fold_of} == {0, 1, 2}


def test_same_seed_same_bytes_whatever_the_workers(root: Path, tmp_path: Path) -> None:
    write_cohort(tmp_path / "again", patients=4, seed=0, slices=SLICES, workers=2)
    assert hashes(tmp_path / "again") == hashes(root)


def test_patient_does_not_depend_on_how_many_there_are(root: Path, tmp_path: Path) -> None:
    write_cohort(tmp_path / "alone", patients=1, seed=0, slices=SLICES, workers=1)
    assert hashes(tmp_path / "alone" / "P001") == hashes(root / "P001")


@pytest.mark.parametrize(
    ("patients", "testing", "folds"), [(1, 0, 1), (2, 0, 2), (3, 1, 2), (8, 2, 5), (23, 6, 5)]
)
def test_default_split(patients: int, testing: int, folds: int) -> None:
    plan = _plan(patients, 0, SLICES, None, None)
    assert plan.parameters["test_patients"] == testing
    assert set(plan.fold.values()) == set(range(folds))


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"patients": 0}, "patients must be 1 to 999, got 0"),
        ({"slices": -3}, "slices must be 16 to 140 of 4.8 mm, got -3"),
        ({"slices": 8}, "slices must be 16 to 140 of 4.8 mm, got 8"),
        ({"seed": -1}, "seed must be 0 or above, got -1"),
        ({"folds": 4}, "folds must be at most 3, one for each training patient, got 4"),
        ({"folds": 1}, "folds must be at least 2, got 1"),
        ({"test_patients": 4}, "test-patients must be 0 to 3"),
        ({"test_patients": -1}, "test-patients must be 0 to 3"),
        ({"workers": 0}, "workers must be 1 or above, got 0"),
    ],
)
def test_bad_numbers_write_nothing(tmp_path: Path, changed: dict[str, int], sentence: str) -> None:
    numbers = {"patients": 4, "seed": 0, "slices": SLICES, **changed}
    with pytest.raises(BadInput, match=sentence):
        write_cohort(tmp_path / "COHORT", **numbers)
    assert not list(tmp_path.iterdir())


def test_command_says_one_sentence_and_leaves_2(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    done = command("cohort", "--out", str(tmp_path), "--patients", "1", "--slices", "16")
    assert done.returncode == 2
    assert "must be new or empty" in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_command_writes_a_cohort(tmp_path: Path) -> None:
    out = tmp_path / "COHORT"
    done = command("cohort", "--patients", "1", "--seed", "4", "--slices", "16", "--out", str(out))
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert "1 virtual patient:" in done.stderr
    assert read_cohort(out).info.provenance["seed"] == 4
