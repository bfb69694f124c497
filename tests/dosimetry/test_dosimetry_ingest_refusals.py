"""What ``ingest`` refuses before the long work: one sentence a fault, no names."""

import copy
import shutil
from pathlib import Path

import pytest
from clinic import Clinic, write_study
from rpt_dosimetry.ingest.identity import patient_keys
from rpt_dosimetry.ingest.job import ingest, look

pytestmark = pytest.mark.filterwarnings("ignore:The value length")


@pytest.fixture(scope="module")
def folders(tmp_path_factory, pet_series):
    """One patient's folders and the entry of the study; for reading only."""
    root = tmp_path_factory.mktemp("clinic")
    return root, Clinic(pet_series, root).write()


@pytest.fixture
def clinic(folders, tmp_path):
    """A copy of them, to spoil."""
    shutil.copytree(folders[0], tmp_path / "in")
    return tmp_path / "in", copy.deepcopy(folders[1])


def faults(root: Path, *cycles, out: Path | None = None, **top) -> str:
    """Return what a dry run finds wrong; nothing is written by it."""
    study = write_study(root / "STUDY.yaml", list(cycles), **top)
    looked = look(study, out or root.parent / "out", workers=1)
    told = " ".join(fault for one in looked.found for fault in one.faults)
    assert "Doe" not in told
    assert "4711" not in told
    assert "Quarantine" not in told
    return told


def test_two_patients_in_one_folder(clinic, pet_series) -> None:
    root, cycle = clinic
    other = Clinic(pet_series, root, "another", "Doe_Jane_spect_1/x")
    other.spect(8, 4.0, (0, 0, 0))
    cycle["spect"][0] = cycle["spect"][0] | {"series": "1.2.826.0.1.3680043.10.999.10"}
    cycle["spect"][0]["ct_series"] = "1.2.826.0.1.3680043.10.999.11"
    told = faults(root, cycle)
    assert (
        "spect 1: The folder must hold one patient, and by Patient ID (0010,0020) it holds 2"
        in (told)
    )


def test_scans_of_two_patients(clinic, pet_series) -> None:
    root, cycle = clinic
    other = Clinic(pet_series, root, "another", "other")
    other.spect(2, 24.0, (0, 0, 0))
    cycle["spect"] = [cycle["spect"][0], {"folder": "other_spect_2"}, cycle["spect"][2]]
    assert "All scans of a cycle must be of one patient" in faults(root, cycle)
    assert faults(root, cycle | {"ids_differ": True}) == ""


def test_one_person_with_two_pseudonyms(clinic) -> None:
    root, cycle = clinic
    told = faults(root, cycle, cycle | {"patient": "P002"})
    assert "P001 and P002 must be different persons" in told


def test_two_persons_with_one_pseudonym(clinic, pet_series) -> None:
    root, cycle = clinic
    other = Clinic(pet_series, root, "another", "other").write(cycle=2)
    assert "All cycles of P001 must be of one person" in faults(root, cycle, other)


@pytest.mark.parametrize("number", [1, 2])
def test_spect_without_ct(clinic, number) -> None:
    root, cycle = clinic
    folder = root / f"Doe_Jane_spect_{number}"
    for path in folder.glob(f"Doe_Jane_{10 * number + 1}_*"):
        path.unlink()
    told = faults(root, cycle)
    if number == 1:
        assert "spect 1: The folder must hold a CT series" in told
    else:  # registered by its emission
        assert told == ""


def test_ct_of_another_frame(clinic) -> None:
    root, cycle = clinic
    cycle["pet"] = {"folder": "Doe_Jane_pet", "ct": "Doe_Jane_spect_2"}
    told = faults(root, cycle)
    assert "pet: Frame of Reference UID (0020,0052) of the CT must be that of its PET" in told


def test_truncated_and_missing_files(clinic) -> None:
    root, cycle = clinic
    path = min((root / "Doe_Jane_spect_2").glob("*.dcm"))
    path.write_bytes(path.read_bytes()[:100])
    shutil.rmtree(root / "Doe_Jane_spect_3")
    (root / "Doe_Jane_organs" / "Doe_Jane.dcm").unlink()
    told = faults(root, cycle)
    assert "spect 2: Every DICOM file must be whole, and 1 of 48 files" in told
    assert "spect 3: The path must be a folder of DICOM files, and there is none" in told
    assert "organs: The folder of regions must hold one DICOM file, got 0" in told


def test_contours_of_another_scan(clinic, tmp_path) -> None:
    root, cycle = clinic
    cycle["organs"] = cycle["organs"] | {"drawn_on": "pet_ct"}
    study = write_study(root / "STUDY.yaml", [cycle])
    (outcome,) = ingest(study, tmp_path / "out", workers=1)
    assert outcome.how == "failed"
    (sentence,) = outcome.faults
    assert sentence.startswith("organs: Frame of Reference UID (0020,0052) of ROI 1 must be that")
    assert not (tmp_path / "out").exists()  # as it was: not there


def test_rising_activity(clinic, tmp_path) -> None:
    """The order of the times is that of the YAML; a wrong one is not set right in silence."""
    root, cycle = clinic
    cycle["spect"] = cycle["spect"][::-1]
    study = write_study(root / "STUDY.yaml", [cycle])
    (outcome,) = ingest(study, tmp_path / "out", workers=1)
    assert "order" in outcome.faults[0]


def test_study_inside_the_cohort(clinic, command) -> None:
    root, cycle = clinic
    ended = command("ingest", write_study(root / "STUDY.yaml", [cycle]), "--out", root)
    assert ended.status == 2
    assert "STUDY.yaml must lie outside the cohort" in ended.err


@pytest.mark.parametrize("content", ["notes.txt", "P001/thesis.doc"])
def test_foreign_folder(clinic, command, tmp_path, content) -> None:
    root, cycle = clinic
    path = tmp_path / "out" / content
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    ended = command("ingest", write_study(root / "STUDY.yaml", [cycle]), "--out", tmp_path / "out")
    assert ended.status == 2
    assert "must be new, or a cohort that ingest made" in ended.err
    assert path.read_text() == "mine"


def test_another_commands_cohort(clinic, cohort, command, tmp_path) -> None:
    root, cycle = clinic
    out = tmp_path / "out"
    out.mkdir()
    shutil.copy(cohort / "cohort.json", out)
    ended = command("ingest", write_study(root / "STUDY.yaml", [cycle]), "--out", out)
    assert ended.status == 2
    assert "another command made it" in ended.err


def test_nobody_named(pet_series, tmp_path) -> None:
    """De-identified files may name nobody: then nothing is compared."""
    words = {"PatientID": "", "PatientName": "", "PatientBirthDate": ""}
    folder = pet_series(set=words).write(tmp_path)
    assert patient_keys(folder.glob("*.dcm")) == frozenset()
