import hashlib
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from helpers.commands import refused
from hypothesis import given
from hypothesis import strategies as st
from rpt_cohort import BadInput, read_cohort, read_cycle, read_volume
from rpt_phantom.case_files import read_rows
from rpt_phantom.cohort import make_plan, write_cohort
from rpt_phantom.coverage import PAPER, cohort_cycles, refuse_cut_cohort
from rpt_phantom.settings import CohortSettings

SLICES, SEED = 16, 14  # one cycle of each patient


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("phantom") / "COHORT"
    write_cohort(out, CohortSettings(seed=SEED, slices=SLICES), patients=4, workers=1)
    return out


def hashes(root: Path, pattern: str = "*") -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob(pattern))
        if path.is_file()
    }


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
        kinetics = nib.load(cohort.folder(case) / "truth/kinetics.nii.gz")
        assert kinetics.shape == (128, 128, SLICES, len(cycle.spect_times_h))
        for name in written - {"truth/kinetics.nii.gz"}:
            volume = read_volume(cohort.folder(case) / name)
            assert volume.data.shape == (128, 128, SLICES)
            assert np.array_equal(volume.affine, kinetics.affine)
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


def test_folds_are_by_patient_and_the_third_tests(root: Path) -> None:
    cohort = read_cohort(root)
    assert {case.patient for case in cohort.testing} == {"P003"}
    fold_of = {(case.patient, case.fold) for case in cohort.training}
    assert sorted(patient for patient, _ in fold_of) == ["P001", "P002", "P004"]
    assert {fold for _, fold in fold_of} == {0, 1, 2}


def test_same_seed_same_bytes_whatever_the_workers(root: Path, tmp_path: Path) -> None:
    write_cohort(
        tmp_path / "again", CohortSettings(seed=SEED, slices=SLICES), patients=4, workers=2
    )
    assert hashes(tmp_path / "again") == hashes(root)


@pytest.mark.slow
def test_dask_makes_the_same_files(root: Path, tmp_path: Path) -> None:
    distributed = pytest.importorskip("dask.distributed")
    out = tmp_path / "COHORT"
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None
    ) as cluster:
        write_cohort(
            out,
            CohortSettings(seed=SEED, slices=SLICES),
            patients=4,
            dask=cluster.scheduler_address,
        )
    assert hashes(out) == hashes(root)


def test_patient_does_not_depend_on_how_many_there_are(root: Path, tmp_path: Path) -> None:
    write_cohort(
        tmp_path / "alone", CohortSettings(seed=SEED, slices=SLICES), patients=1, workers=1
    )
    assert hashes(tmp_path / "alone" / "P001") == hashes(root / "P001")


@pytest.mark.parametrize(
    ("patients", "testing", "folds"), [(1, 0, 1), (2, 0, 2), (3, 1, 2), (8, 2, 5), (23, 6, 5)]
)
def test_default_split(patients: int, testing: int, folds: int) -> None:
    plan = make_plan(CohortSettings(), patients=patients)
    assert plan.parameters["test_patients"] == testing
    assert set(plan.fold.values()) == set(range(folds))


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"patients": 0}, "patients must be 1 to 999, got 0"),
        ({"folds": 4}, "folds must be at most 3, one for each training patient, got 4"),
        ({"folds": 1}, "folds must be at least 2, got 1"),
        ({"test_patients": 4}, "test-patients must be 0 to 3"),
        ({"test_patients": -1}, "test-patients must be 0 to 3"),
        ({"workers": 0}, "workers must be 1 or above, got 0"),
        ({"preset": "paper"}, "patients must not be given beside preset paper"),
        ({"patients": None, "preset": "thesis"}, "preset must be paper or first, got 'thesis'"),
        ({"organs": ("brain",)}, "organs must be among kidney"),
        ({"organs": ("liver",), "workers": 1}, "must hold the liver whole, and 16 slices do not"),
    ],
)
def test_bad_numbers_write_nothing(tmp_path: Path, changed: dict[str, int], sentence: str) -> None:
    numbers = {"patients": 4, **changed}
    with pytest.raises(BadInput, match=sentence):
        write_cohort(tmp_path / "COHORT", CohortSettings(slices=SLICES), **numbers)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_more_patients_leave_the_others_as_they_were(tmp_path: Path) -> None:
    out = tmp_path / "COHORT"
    write_cohort(out, CohortSettings(seed=SEED, slices=SLICES), patients=1, workers=1)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.nii.gz")}
    write_cohort(out, CohortSettings(seed=0, slices=SLICES), patients=2, workers=1)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert {case.patient for case in read_cohort(out).cases} == {"P001", "P002"}


def test_a_run_goes_on_where_it_was_killed(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "COHORT"
    shutil.copytree(root, out)
    cycle = out / "P002/C1"
    (cycle / "pet.nii.gz").write_bytes(b"half")
    half = out / "P003/.C1.new"
    half.mkdir()
    partial = out / ".ceiling.csv.abcd_123"
    partial.touch()
    with pytest.raises(BadInput, match="P002/C1 is of others or not asked for"):
        write_cohort(out, CohortSettings(seed=SEED, slices=SLICES), patients=4, workers=1)
    shutil.rmtree(cycle)  # a cycle that is not whole is never named so
    for name in ("cohort.json", "datalist.json", "ceiling.csv"):
        (out / name).unlink()
    write_cohort(out, CohortSettings(seed=SEED, slices=SLICES), patients=4, workers=1)
    assert not half.exists()
    assert not partial.exists()
    assert hashes(out) == hashes(root)


@pytest.mark.slow
def test_other_settings_are_not_mixed_in(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "COHORT"
    write_cohort(out, CohortSettings(seed=4, slices=SLICES), patients=1, workers=1)
    before = hashes(out)
    other = CohortSettings(seed=4, slices=SLICES, heterogeneity=0.5)
    with pytest.raises(BadInput, match="must hold cycles of these settings only, and P001/C1"):
        write_cohort(out, other, patients=1, workers=1)
    assert hashes(out) == before
    write_cohort(out, other, patients=1, workers=1, overwrite=True)
    assert hashes(out / "P001") != {n: h for n, h in before.items() if n.startswith("P001")}
    assert read_cohort(out).info.provenance["parameters"]["heterogeneity"] == 0.5


def test_what_is_refused_takes_nothing_away(root: Path, tmp_path: Path) -> None:
    """The field of view is looked at before a cycle of other settings is replaced."""
    out = tmp_path / "COHORT"
    shutil.copytree(root, out)
    other = CohortSettings(seed=6, slices=SLICES)
    with pytest.raises(BadInput, match="must hold the kidney whole"):
        write_cohort(out, other, patients=4, organs=("kidney",), overwrite=True)
    assert hashes(out) == hashes(root)


def test_fields_of_all_patients_are_looked_at_first(tmp_path: Path) -> None:
    """The first patient's liver lies in the field whole, the second's does not."""
    settings = CohortSettings(slices=62)
    refuse_cut_cohort(settings, {"P001": (1, 2)}, ("liver",))
    with pytest.raises(BadInput, match="P002/C1: The field of view must hold the liver whole"):
        write_cohort(tmp_path / "COHORT", settings, patients=3, organs=("liver",))
    assert list(tmp_path.iterdir()) == []


def test_field_of_cycles_that_are_there_is_looked_at(root: Path) -> None:
    before = hashes(root)
    with pytest.raises(BadInput, match="must hold the kidney whole"):
        write_cohort(root, CohortSettings(seed=SEED, slices=SLICES), patients=4, organs=("kidney",))
    assert hashes(root) == before


@pytest.mark.parametrize(
    "strange", ["P002/C1/notes.txt", "P009/C1/dose.nii.gz", ".cohort.json.mine"]
)
def test_strange_files_are_never_taken_away(root: Path, tmp_path: Path, strange: str) -> None:
    out = tmp_path / "COHORT"
    shutil.copytree(root, out)
    (out / strange).parent.mkdir(exist_ok=True, parents=True)
    (out / strange).write_text("keep")
    name = strange.removesuffix("/dose.nii.gz")  # of a cycle that is not ours, the folder
    with pytest.raises(BadInput, match=f"it holds {name}, which is none of its own"):
        write_cohort(out, CohortSettings(seed=1, slices=SLICES), patients=1, overwrite=True)
    assert (out / strange).read_text() == "keep"
    assert {n: h for n, h in hashes(out).items() if n != strange} == hashes(root)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("datalist.json", "{}"),
        ("ceiling.csv", "a,b"),
        ("cohort.json", '{"name": "rpt-phantom"}'),
    ],
)
def test_lists_of_others_are_not_replaced(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(BadInput, match=f"it holds {name}, which is none of its own"):
        write_cohort(tmp_path, CohortSettings(seed=SEED, slices=SLICES), patients=1, overwrite=True)
    assert (tmp_path / name).read_text() == content


def test_a_cycle_half_taken_away_is_known_as_its_own(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "COHORT"
    shutil.copytree(root, out)
    half = (out / "P004/C1").rename(out / "P004/.C1.old")
    (half / "cycle.json").unlink()
    write_cohort(out, CohortSettings(seed=SEED, slices=SLICES), patients=4, workers=1)
    assert hashes(out) == hashes(root)


def test_cycles_not_asked_for_go_only_with_overwrite(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "COHORT"
    shutil.copytree(root, out)
    settings = CohortSettings(seed=SEED, slices=SLICES)
    with pytest.raises(BadInput, match="or not asked for"):
        write_cohort(out, settings, patients=2, workers=1)
    write_cohort(out, settings, patients=2, workers=1, overwrite=True)
    assert sorted(one.name for one in out.glob("P*")) == ["P001", "P002"]
    assert hashes(out / "P001") == hashes(root / "P001")


@given(fewer=st.integers(1, 60), more=st.integers(0, 60))
def test_who_tests_does_not_change_as_patients_are_added(fewer: int, more: int) -> None:
    small, large = (make_plan(CohortSettings(), patients=n) for n in (fewer, fewer + more))
    assert set(small.fold) == set(large.fold) & set(small.cycles)


def test_paper_has_the_papers_cycles() -> None:
    """23 patients, 48 cycles: 22 first, 12 second, 6 third, 8 later (Xue et al., EJNMMI 2024)."""
    cycles = [cycle for patient in PAPER for cycle in patient]
    counts = [cycles.count(1), cycles.count(2), cycles.count(3), sum(c > 3 for c in cycles)]
    assert (len(PAPER), len(cycles), counts) == (23, 48, [22, 12, 6, 8])
    drawn = cohort_cycles(seed=3, patients=None, preset="paper")
    assert sorted(drawn.values()) == sorted(PAPER)
    assert drawn != cohort_cycles(seed=4, patients=None, preset="paper")


def test_preset_of_first_cycles_has_the_patients_asked_for() -> None:
    drawn = cohort_cycles(seed=3, patients=5, preset="first")
    assert drawn == {f"P00{n}": (1,) for n in range(1, 6)}


def test_ceiling_tells_every_cycle(root: Path) -> None:
    rows = read_rows((root / "ceiling.csv").read_bytes())
    told = {(row["patient"], int(str(row["cycle"]))) for row in rows}
    cases = read_cohort(root).cases
    assert told == {(case.patient, case.cycle) for case in cases}
    kidneys = [row for row in rows if row["region"] == "kidney"]
    assert all(0.5 < float(str(row["measured_over_true"])) < 1.2 for row in kidneys)


def test_fine_truth_is_written_if_asked_for(tmp_path: Path) -> None:
    out = tmp_path / "COHORT"
    write_cohort(
        out, CohortSettings(seed=SEED, slices=SLICES, fine_truth=True), patients=1, workers=1
    )
    fine = read_volume(out / "P001/C1/truth/dose_fine.nii.gz")
    case = read_volume(out / "P001/C1/truth/dose.nii.gz")
    assert fine.spacing_mm == pytest.approx((2.4, 2.4, 2.4))
    assert fine.data.max() > case.data.max() > 0


def test_command_refuses_a_strange_folder_by_one_sentence(run, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    done = run("cohort", "--out", str(tmp_path), "--patients", "1", "--slices", "16")
    refused(done, "must be new or empty")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_command_refuses_a_field_that_cuts_a_kidney(run, tmp_path: Path) -> None:
    out = tmp_path / "COHORT"
    done = run("cohort", "--out", str(out), "--patients", "1", "--slices", "16")
    refused(done, "must hold the kidney whole, and 16 slices do not", absent=out)


def test_command_names_the_therapies_it_knows(run, tmp_path: Path) -> None:
    file = tmp_path / "rare.yaml"
    file.write_text("therapy: 177Lu\n")
    done = run("cohort", "--out", str(tmp_path / "COHORT"), "--options", str(file))
    refused(done, "therapy: Input should be '177Lu-PSMA-I&T' or '177Lu-PSMA-617'")
    assert [path.name for path in tmp_path.iterdir()] == ["rare.yaml"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--slices", "8"), "--slices must be 16 or above, got 8"),
        (("--slices", "-3"), "--slices must be 16 or above, got -3"),
        (("--seed", "-1"), "--seed must be 0 or above, got -1"),
        (("--imaging", "slow"), "--imaging must be one of fast, full, got 'slow'"),
    ],
)
def test_command_refuses_settings_that_cannot_be(run, tmp_path: Path, words, told) -> None:
    refused(run("cohort", "--out", str(tmp_path / "COHORT"), *words), told)
    assert not list(tmp_path.iterdir())


def test_commands_write_cohort_patient_and_gallery(run, tmp_path: Path) -> None:
    out, one, page = tmp_path / "COHORT", tmp_path / "ONE", tmp_path / "page.png"
    size = ("--seed", str(SEED), "--slices", "16", "--organs", "none")
    done = run("cohort", "--patients", "1", *size, "--out", str(out))
    assert done.status == 0, done.err
    assert done.out == ""
    assert "1 virtual patient:" in done.err
    assert read_cohort(out).info.provenance["seed"] == SEED
    done = run("patient", "--patient", "1", *size, "--out", str(one))
    assert done.status == 0, done.err
    assert hashes(one, "*.nii.gz") == hashes(out / "P001/C1", "*.nii.gz")
    done = run("gallery", "--cohort", str(out), "--out", str(page))
    assert done.status == 0, done.err
    assert page.read_bytes().startswith(b"\x89PNG")
