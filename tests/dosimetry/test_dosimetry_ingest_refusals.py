"""What ``ingest`` refuses before the long work: one sentence a fault, no names."""

import copy
import shutil
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pydicom
import pytest
from helpers.clinic import Clinic, write_study
from helpers.commands import refused
from helpers.dicom import code
from rpt_cohort import read_cohort, read_cycle
from rpt_dosimetry.ingest import job
from rpt_dosimetry.ingest.inspection import patient_keys
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


def put(dataset, name: str, value) -> None:
    """Set an attribute; ``None`` removes it."""
    if value is not None:
        setattr(dataset, name, value)
    elif name in dataset:
        delattr(dataset, name)


def faults(root: Path, *cycles, out: Path | None = None, **top) -> str:
    """Return what a dry run finds wrong; nothing is written by it."""
    study = write_study(root / "STUDY.yaml", list(cycles), **top)
    looked = look(study, out or root.parent / "out", workers=1)
    told = " ".join(fault for one in looked.cycles for fault in one.faults)
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


def respell(folder: Path, **changes) -> None:
    """Change attributes of every emission file; those of the injection in its sequence."""
    for path in folder.glob("*.dcm"):
        dataset = pydicom.dcmread(path)
        if dataset.Modality != "PT":
            continue
        injected = dataset.RadiopharmaceuticalInformationSequence[0]
        for name, value in changes.items():
            put(injected if name.startswith("Radio") else dataset, name, value)
        dataset.save_as(path)


@pytest.mark.parametrize(
    ("first", "third", "apart"),
    [
        ({}, {"RadiopharmaceuticalStartDateTime": "20240225080000"}, "-24.00 h"),
        ({"RadiopharmaceuticalStartDateTime": "20240226130000"}, {}, "+19.00 h"),  # a day earlier
        ({"TimezoneOffsetFromUTC": "+0100"}, {"TimezoneOffsetFromUTC": "+0900"}, "-8.00 h"),
        # A Start Time alone stands on the day of the scan, or the day before.
        ({}, {"RadiopharmaceuticalStartDateTime": None}, "+72.00 h"),
    ],
)
def test_spects_that_tell_another_infusion(clinic, tmp_path, first, third, apart) -> None:
    """A date, a clock or a time zone that jumps between the scans."""
    root, cycle = clinic
    for number, changes in ((1, first), (3, third)):
        respell(root / f"Doe_Jane_spect_{number}", **changes)
    cycle["spect"] = cycle["spect"][::2]
    (outcome,) = ingest(write_study(root / "STUDY.yaml", [cycle]), tmp_path / "out", workers=1)
    (fault,) = outcome.faults
    assert fault.startswith("spect 2: All SPECTs of a cycle, and its planar scan, must tell one")
    assert apart in fault
    assert "(0018,1078)" in fault
    assert not (tmp_path / "out").exists()


def test_one_infusion_in_two_time_zones(clinic, tmp_path) -> None:
    """The clocks were set on between the scans: by UTC it is one moment."""
    root, cycle = clinic
    respell(
        root / "Doe_Jane_spect_1",
        TimezoneOffsetFromUTC="+0100",
        RadiopharmaceuticalStartDateTime="20240226080000+0100",
    )
    respell(
        root / "Doe_Jane_spect_2",
        TimezoneOffsetFromUTC="+0200",
        RadiopharmaceuticalStartDateTime="20240226080000+0100",
        RadiopharmaceuticalStartTime="090000",
        AcquisitionTime="085000",  # an hour later on the new clock
        SeriesTime="085000",
    )
    cycle["spect"] = cycle["spect"][:2]
    (outcome,) = ingest(write_study(root / "STUDY.yaml", [cycle]), tmp_path / "out", workers=1)
    assert outcome.how == "made", outcome.faults
    assert read_cycle(tmp_path / "out/P001/C1").spect_times_h == pytest.approx([4, 24])


def test_a_time_zone_that_jumps_within_a_series(clinic, command) -> None:
    root, cycle = clinic
    folder = root / "Doe_Jane_spect_2"
    respell(folder, TimezoneOffsetFromUTC="+0100")
    path = min(folder.glob("Doe_Jane_20_*.dcm"))
    dataset = pydicom.dcmread(path)
    dataset.TimezoneOffsetFromUTC = "+0200"
    dataset.save_as(path)
    study = write_study(root / "STUDY.yaml", [cycle])
    ended = command("ingest", study, "--out", root.parent / "out", "--dry-run", "--workers", 1)
    assert ended.status == 2
    assert "P001/C1 spect 2: Timezone Offset From UTC (0008,0201) must be one" in ended.out


def test_one_scan_named_twice(clinic) -> None:
    root, cycle = clinic
    cycle["spect"] = [cycle["spect"][0], cycle["spect"][0] | {"time_h": 24.0}]
    assert "spect 2: Every scan must be named once, and spect 1 is the same" in faults(root, cycle)


def test_one_spect_for_two_cycles(clinic) -> None:
    root, cycle = clinic
    told = faults(root, cycle, cycle | {"cycle": 2})
    assert (
        "spect 1: Every SPECT and planar scan must be of one cycle, and it is that of P001/C1"
        in (told)
    )
    other = [{"folder": f"again_{n}"} for n in (1, 2, 3)]
    for number in (1, 2, 3):
        shutil.copytree(root / f"Doe_Jane_spect_{number}", root / f"again_{number}")
        respell(root / f"again_{number}", SeriesDescription="another")
    assert faults(root, cycle, cycle | {"cycle": 2, "spect": other}) == ""  # a PET may be shared


def test_an_activity_that_headers_contradict(clinic, tmp_path) -> None:
    root, cycle = clinic
    cycle["spect"] = cycle["spect"][:1]
    wrong = cycle | {"administered_mbq": 740.0}
    (outcome,) = ingest(write_study(root / "STUDY.yaml", [wrong]), tmp_path / "out", workers=1)
    (fault,) = outcome.faults
    assert "administered_mbq must be that of Radionuclide Total Dose (0018,1074), 7400 MBq" in fault
    # The user's own word goes before the header's, if it is meant.
    meant = cycle | {"administered_mbq": 3500.0, "activities_differ": True}
    (outcome,) = ingest(write_study(root / "STUDY.yaml", [meant]), tmp_path / "out", workers=1)
    assert outcome.how == "made", outcome.faults
    assert any("the study's was taken" in one for one in outcome.warnings)


def test_a_time_that_the_header_contradicts_is_told(clinic, tmp_path) -> None:
    root, cycle = clinic
    cycle["spect"] = [cycle["spect"][0] | {"time_h": 5.0}]
    (outcome,) = ingest(write_study(root / "STUDY.yaml", [cycle]), tmp_path / "out", workers=1)
    assert any(
        "puts it 4 h after the start of infusion, the study 5 h" in w for w in outcome.warnings
    )


def test_a_pet_after_the_therapy_and_a_spect_as_pet(clinic, tmp_path) -> None:
    root, cycle = clinic
    later = {"AcquisitionDate": "20240520", "SeriesDate": "20240520"}
    start = "20240520100000"
    respell(root / "Doe_Jane_pet", **later, RadiopharmaceuticalStartDateTime=start)
    cycle["spect"] = cycle["spect"][:1]
    (outcome,) = ingest(write_study(root / "STUDY.yaml", [cycle]), tmp_path / "out", workers=1)
    assert any("h after the start of infusion: a PET of before" in one for one in outcome.warnings)
    for path in (root / "Doe_Jane_spect_3").glob("*.dcm"):
        dataset = pydicom.dcmread(path)
        if dataset.Modality == "PT":
            item = dataset.RadiopharmaceuticalInformationSequence[0]
            item.RadionuclideCodeSequence = [code("C-199A4", "^177^Lutetium")]
            dataset.save_as(path)
    cycle["pet"] = {"folder": "Doe_Jane_spect_3"}
    (outcome,) = ingest(write_study(root / "STUDY.yaml", [cycle]), tmp_path / "out", workers=1)
    assert "its header names Lu-177, the therapy's" in outcome.faults[0]


def test_names_in_regions_go_nowhere(clinic, tmp_path) -> None:
    """A region called after the patient: neither in a sentence nor in what is written."""
    root, cycle = clinic
    path = root / "Doe_Jane_lesions" / "Doe_Jane.dcm"
    dataset = pydicom.dcmread(path)
    dataset.StructureSetROISequence[0].ROIName = "Met Doe Jane"
    dataset.save_as(path)
    cycle["lesions"] = cycle["lesions"] | {"regions": ["Met Doe Jane"]}
    cycle["spect"] = cycle["spect"][:1]
    study = write_study(root / "STUDY.yaml", [cycle])
    (outcome,) = ingest(study, tmp_path / "out", workers=1)
    assert outcome.how == "made", outcome.faults
    assert "Jane" not in (tmp_path / "out/P001/C1/cycle.json").read_text()
    cycle["organs"] = {"file": "Doe_Jane_lesions"}
    (outcome,) = ingest(write_study(root / "STUDY.yaml", [cycle]), tmp_path / "out", workers=1)
    assert "are not: '1: … … …'" in outcome.faults[0]


def test_a_pseudonym_that_is_the_name(clinic) -> None:
    root, cycle = clinic
    for pseudonym in ("Doe-1", "JaneDoe1", "Quarantine_Jane"):
        told = faults_with_name(root, cycle | {"patient": pseudonym})
        assert "A pseudonym must not hold the family name, or two words, of" in told, pseudonym
    assert faults_with_name(root, cycle | {"patient": "Jane"}) == ""  # many are called so


def faults_with_name(root: Path, cycle) -> str:
    study = write_study(root / "STUDY.yaml", [cycle])
    return " ".join(
        f for one in look(study, root.parent / "out", workers=1).cycles for f in one.faults
    )


def test_ids_that_are_placeholders(clinic, pet_series) -> None:
    root, cycle = clinic
    other = Clinic(pet_series, root, prefix="other").write(patient="P002")
    for number in (1, 2, 3):
        respell(root / f"other_spect_{number}", SeriesDescription="another")
    assert "must be different persons" in faults(root, cycle, other)
    assert faults(root, cycle, other, ids_tell_patients=False) == ""


def test_a_missing_table_of_organs(clinic) -> None:
    root, cycle = clinic
    assert "organ table: The table of organs must be" in faults(root, cycle, organ_table="no.csv")


def test_a_finished_cycle_whose_json_was_changed_is_made_anew(clinic, tmp_path) -> None:
    root, cycle = clinic
    cycle["spect"] = cycle["spect"][:1]
    study, out = write_study(root / "STUDY.yaml", [cycle]), tmp_path / "out"
    ingest(study, out, workers=1)
    told = out / "P001/C1/cycle.json"
    before = told.read_text()
    told.write_text(before.replace("7400.0", "740.0"))
    assert told.read_text() != before
    assert ingest(study, out, workers=1)[0].how == "made"
    assert told.read_text() == before


@pytest.mark.parametrize("spoil", ["unlink", "cut"])
def test_a_finished_cycle_that_was_damaged_is_made_anew(clinic, tmp_path, spoil) -> None:
    root, cycle = clinic
    cycle["spect"] = cycle["spect"][:1]
    study, out = write_study(root / "STUDY.yaml", [cycle]), tmp_path / "out"
    assert ingest(study, out, workers=1)[0].how == "made"
    dose = out / "P001/C1/dose.nii.gz"
    before = dose.read_bytes()
    assert ingest(study, out, workers=1)[0].how == "kept"
    if spoil == "unlink":
        dose.unlink()
    else:
        dose.write_bytes(before[:-100])
    assert ingest(study, out, workers=1)[0].how == "made"
    assert dose.read_bytes() == before


@pytest.mark.parametrize("error", [RuntimeError("/data/Doe_Jane"), MemoryError()])
def test_an_unforeseen_error_fails_one_cycle(clinic, tmp_path, monkeypatch, error) -> None:
    root, cycle = clinic

    def broken(plan, folder) -> None:
        raise error

    monkeypatch.setattr(job, "build_cycle", broken)
    (outcome,) = ingest(write_study(root / "STUDY.yaml", [cycle]), tmp_path / "out", workers=1)
    assert outcome.faults == (
        f"An unforeseen error ended it ({type(error).__name__}). Please report it.",
    )


def test_a_killed_worker_leaves_a_list(clinic, pet_series, tmp_path, monkeypatch) -> None:
    """As the system does that runs out of memory: what was finished is listed."""
    root, cycle = clinic
    cycle["spect"] = cycle["spect"][:1]
    other = Clinic(pet_series, root, "another", "other").write(patient="P002")
    other["spect"] = other["spect"][:1]
    spread = job.spread

    def one_then_killed(function, items, *, description, **how):
        if description != "Cycles":
            return spread(function, items, description=description, **how)
        function(items[0])
        raise BrokenProcessPool("killed")

    monkeypatch.setattr(job, "spread", one_then_killed)
    study = write_study(root / "STUDY.yaml", [cycle, other])
    first, second = ingest(study, tmp_path / "out", workers=1)
    assert (first.how, second.how) == ("made", "failed")
    assert "fewer --workers" in second.faults[0]
    assert [case.name for case in read_cohort(tmp_path / "out").cases] == ["P001/C1"]


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-200]), "Pixel Data"),
        (lambda path: remove(path, "DecayCorrection"), "(0054,1102)"),
        (lambda path: remove(path, "RadionuclideHalfLife"), "(0018,1075)"),
    ],
)
def test_the_dry_run_reads_all(clinic, command, tmp_path, spoil, told) -> None:
    root, cycle = clinic
    for path in sorted((root / "Doe_Jane_spect_2").glob("Doe_Jane_20_*.dcm")):
        spoil(path)
    study = write_study(root / "STUDY.yaml", [cycle])
    ended = command("ingest", study, "--out", tmp_path / "out", "--dry-run", "--workers", 1)
    assert ended.status == 2
    (line,) = [
        one for one in ended.out.splitlines() if one.startswith("P001/C1 spect 2: ") and told in one
    ]
    assert "P001/C1: cannot be made" in ended.out
    assert "Doe" not in line


def remove(path: Path, name: str) -> None:
    dataset = pydicom.dcmread(path)
    holder = (
        dataset.RadiopharmaceuticalInformationSequence[0] if name.startswith("Radio") else dataset
    )
    delattr(holder, name)
    dataset.save_as(path)


def test_study_inside_the_cohort(clinic, command) -> None:
    root, cycle = clinic
    ended = command("ingest", write_study(root / "STUDY.yaml", [cycle]), "--out", root)
    refused(ended, "STUDY.yaml must lie outside the cohort")


@pytest.mark.parametrize("content", ["notes.txt", "P001/thesis.doc"])
def test_foreign_folder(clinic, command, tmp_path, content) -> None:
    root, cycle = clinic
    path = tmp_path / "out" / content
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    ended = command("ingest", write_study(root / "STUDY.yaml", [cycle]), "--out", tmp_path / "out")
    refused(ended, "must be new, or a cohort that ingest made")
    assert path.read_text() == "mine"


@pytest.mark.slow
def test_another_commands_cohort(clinic, cohort, command, tmp_path) -> None:
    root, cycle = clinic
    out = tmp_path / "out"
    out.mkdir()
    shutil.copy(cohort / "cohort.json", out)
    ended = command("ingest", write_study(root / "STUDY.yaml", [cycle]), "--out", out)
    refused(ended, "another command made it")


def test_nobody_named(pet_series, tmp_path) -> None:
    """De-identified files may name nobody: then nothing is compared."""
    words = {"PatientID": "", "PatientName": "", "PatientBirthDate": ""}
    folder = pet_series(set=words).write(tmp_path)
    assert patient_keys(folder.glob("*.dcm")) == frozenset()
