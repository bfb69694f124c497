"""A whole virtual cycle: written, checked by ``dciodvfy``, and ingested."""

import shutil
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from helpers.virtual_dicom import (
    EFFECTIVE_H,
    PEAK_MBQ_PER_ML,
    SUV,
    TIMES_H,
    VOXEL_MM,
    Body,
    affine,
    dciodvfy,
    lesions,
    mbq_per_ml,
    small_cycle,
)
from rpt_cohort import BadInput, read_cycle
from rpt_cohort.schema import Laboratory
from rpt_dosimetry.calibration.factor import read_factor
from rpt_dosimetry.ingest.job import ingest
from rpt_dosimetry.ingest.study import read_study
from rpt_phantom.dicom import cycle_entry, write_cycle, write_study

DELTA_GY_G_PER_MBQ_H = 0.08532
"""Electrons of Lu-177, 147.9 keV a decay; ICRP Publication 107."""
DENSITY_G_PER_ML = {2: 1.08153, 3: 1.08153, 5: 1.09681}
"""Of 110, 110 and 80 HU; Schneider 2000."""
KNOWN_WARNINGS = (
    "CodingSchemeDesignator is deprecated - attribute <CodingSchemeDesignator> = <SRT>",
    "(0x0018,0x1078) DT Radiopharmaceutical Start DateTime",  # NM tells no day otherwise
    "this is a Standard Extended SOP Class",  # for that attribute
)


@pytest.fixture(scope="module")
def clinic(tmp_path_factory) -> Path:
    """The small cycle's folder; for reading only."""
    folder = tmp_path_factory.mktemp("virtual") / "clinic"
    assert write_cycle(folder, small_cycle(), seed="7", engine="local") == folder / "STUDY.yaml"
    return folder


@pytest.fixture(scope="module")
def made(clinic, tmp_path_factory) -> Path:
    """The ingested cycle; for reading only."""
    out = tmp_path_factory.mktemp("ingested") / "cohort"
    outcomes = ingest(clinic / "STUDY.yaml", out, workers=1)
    assert [(one.name, one.how, one.faults) for one in outcomes] == [("P001/C1", "made", ())]
    return out / "P001" / "C1"


def read(folder: Path, name: str) -> np.ndarray:
    return np.asanyarray(nib.Nifti1Image.from_filename(folder / name).dataobj)


def test_what_is_written(clinic) -> None:
    files = {str(path.relative_to(clinic)) for path in clinic.rglob("*") if path.is_file()}
    slices = {f"{number:04d}.dcm" for number in range(1, 25)}
    series = ("pet_ct/pet", "pet_ct/ct", *(f"spect_ct_{n}/ct" for n in (1, 2, 3)))
    expected = {f"{folder}/{name}" for folder in series for name in slices}
    expected |= {f"spect_ct_{n}/spect.dcm" for n in (1, 2, 3)}
    expected |= {"planar/whole_body.dcm", "organs.dcm", "lesions.dcm"}
    assert files == expected | {"camera.json", "STUDY.yaml"}


def test_the_same_seed_gives_the_same_bytes(clinic, tmp_path) -> None:
    write_cycle(tmp_path / "again", small_cycle(), seed="7", engine="local")
    for path in clinic.rglob("*"):
        if path.is_file():
            again = tmp_path / "again" / path.relative_to(clinic)
            assert again.read_bytes() == path.read_bytes(), again


def test_studies_frames_and_instances(clinic) -> None:
    heads = [pydicom.dcmread(path, stop_before_pixels=True) for path in clinic.rglob("*.dcm")]
    uids = [one.SOPInstanceUID for one in heads]
    assert len(set(uids)) == len(uids)
    assert all(one.file_meta.MediaStorageSOPInstanceUID == one.SOPInstanceUID for one in heads)
    assert len({one.StudyInstanceUID for one in heads}) == 5
    frames = {one.StudyInstanceUID: one.FrameOfReferenceUID for one in heads}
    assert len(set(frames.values())) == 5
    assert all(one.FrameOfReferenceUID == frames[one.StudyInstanceUID] for one in heads)
    assert all(str(one.SOPInstanceUID).startswith("1.2.826.0.1.3680043.8.498.") for one in heads)
    first = pydicom.dcmread(clinic / "spect_ct_1" / "spect.dcm", stop_before_pixels=True)
    for name in ("organs", "lesions"):
        assert pydicom.dcmread(clinic / f"{name}.dcm").StudyInstanceUID == first.StudyInstanceUID


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy of dicom3tools is absent")
@pytest.mark.parametrize(
    ("file", "kind"),
    [
        ("pet_ct/pet/0001.dcm", "PETImage"),
        ("pet_ct/pet/0013.dcm", "PETImage"),
        ("pet_ct/ct/0024.dcm", "CTImage"),
        ("spect_ct_1/ct/0001.dcm", "CTImage"),
        ("spect_ct_1/spect.dcm", "NMImage"),
        ("spect_ct_3/spect.dcm", "NMImage"),
        ("planar/whole_body.dcm", "NMImage"),
        ("organs.dcm", "RTStructureSet"),
        ("lesions.dcm", "RTStructureSet"),
    ],
)
def test_dciodvfy_reports_no_error(clinic, file, kind) -> None:
    told = dciodvfy(clinic / file)
    assert kind in told
    assert [line for line in told if "Error" in line] == []
    warnings = [line for line in told if "Warning" in line]
    assert [line for line in warnings if not any(one in line for one in KNOWN_WARNINGS)] == []


def test_the_study_and_the_calibration(clinic) -> None:
    study = read_study(clinic / "STUDY.yaml")
    (cycle,) = study.cycles
    assert (study.engine, study.slice_voxels, study.calibration_sd_pct) == ("local", 40, 0.0)
    assert (cycle.name, cycle.administered_mbq, cycle.age_y) == ("P001/C1", 7400.0, 71.0)
    factor = read_factor(clinic / "camera.json")
    assert factor.cps_per_mbq == 11.0
    assert factor.total_relative_sd == 0.0


def test_times_and_activities_after_ingest(made) -> None:
    info = read_cycle(made)
    assert info.spect_times_h == pytest.approx(TIMES_H, abs=1e-8)
    assert info.pet_time_min == pytest.approx(61.5, abs=1e-7)
    assert (info.tracer, info.pet_activity_mbq) == ("68Ga-PSMA-11", pytest.approx(150.0))
    assert (info.weight_kg, info.height_cm, info.age_y) == (81.3, 176.0, 71.0)
    assert info.administered_activity_mbq == 7400.0


def test_organs_lesions_and_ct_after_ingest(made) -> None:
    body = Body()
    image = nib.Nifti1Image.from_filename(made / "organs.nii.gz")
    assert image.affine == pytest.approx(affine(), abs=1e-3)
    organs = read(made, "organs.nii.gz")
    for id_ in (2, 3, 5):
        assert np.array_equal(organs == id_, body.labels == id_)
    assert np.array_equal(read(made, "lesions.nii.gz"), lesions(body))
    assert lesions(body).max() == 2
    assert np.array_equal(read(made, "ct.nii.gz"), body.ct_hu)


@pytest.mark.parametrize("id_", [2, 3, 5])
def test_organ_means_after_ingest(made, id_) -> None:
    """Within 1 %: closed forms of the drawn arrays, of SUV and of dose by local absorption."""
    here = Body().labels == id_
    assert read(made, "fov.nii.gz")[here].all()
    # The PET was registered and resampled over sharp edges.
    assert read(made, "pet.nii.gz")[here].mean() == pytest.approx(SUV[id_], rel=0.01)
    tia_mbq_h_per_ml = PEAK_MBQ_PER_ML[id_] * EFFECTIVE_H[id_] / np.log(2)
    dose = tia_mbq_h_per_ml * DELTA_GY_G_PER_MBQ_H / DENSITY_G_PER_ML[id_] / 7.4
    assert read(made, "dose.nii.gz")[here].mean() == pytest.approx(dose, rel=0.01)


def test_the_small_patient_holds_less_than_was_given() -> None:
    """What the ingest would doubt otherwise."""
    body = Body()
    for time_h in TIMES_H:
        held_mbq = mbq_per_ml(body, time_h).sum() * VOXEL_MM**3 / 1000
        assert held_mbq < 7400.0 * 2 ** (-time_h / 159.5)


def test_several_cycles_in_one_study(tmp_path) -> None:
    cycle = replace(
        small_cycle(planar=False),
        lesions=None,
        laboratory={"PSA": Laboratory(value=48.0, unit="ng/mL")},
        residual_mbq=35.0,
    )
    entries = [
        cycle_entry(cycle, folder="C1/"),
        cycle_entry(replace(cycle, cycle=2), folder="C2/"),
    ]
    options = {"name": "virtual", "engine": "vsv", "slice_voxels": 40, "calibration_sd_pct": 5.0}
    write_study(tmp_path / "STUDY.yaml", entries, **options)
    study = read_study(tmp_path / "STUDY.yaml")
    assert [one.name for one in study.cycles] == ["P001/C1", "P001/C2"]
    assert study.cycles[1].spect[2].folder == "C2/spect_ct_3"
    assert study.cycles[1].spect[2].calibration == "C2/camera.json"
    assert study.cycles[0].laboratory["PSA"].value == 48.0
    assert (study.cycles[0].residual_mbq, study.cycles[0].lesions) == (35.0, None)


def test_what_may_be_left_out(clinic, tmp_path) -> None:
    """Lesions, planar views and the CT of a later SPECT; and another cycle has other days."""
    cycle = small_cycle(planar=False)
    later = replace(cycle.spects[1], ct_hu=None)
    cycle = replace(cycle, cycle=2, lesions=None, spects=(cycle.spects[0], later))
    write_cycle(tmp_path / "clinic", cycle, seed="7")
    names = {path.name for path in (tmp_path / "clinic").iterdir()}
    assert names == {
        *("pet_ct", "spect_ct_1", "spect_ct_2", "organs.dcm", "camera.json", "STUDY.yaml"),
    }
    assert not (tmp_path / "clinic" / "spect_ct_2" / "ct").exists()
    first, second = (
        pydicom.dcmread(folder / "pet_ct" / "pet" / "0001.dcm", stop_before_pixels=True)
        for folder in (clinic, tmp_path / "clinic")
    )
    assert (first.StudyDate, second.StudyDate) == ("20000110", "20000221")
    assert first.StudyInstanceUID != second.StudyInstanceUID


def test_written_whole_or_not_at_all(tmp_path) -> None:
    cycle = small_cycle(planar=False)
    with pytest.raises(BadInput, match=r"engine: .* 'local' or 'vsv'"):
        write_cycle(tmp_path / "clinic", cycle, seed="7", engine="guess")
    with pytest.raises(BadInput, match="factor must be above 0"):
        write_cycle(tmp_path / "clinic", replace(cycle, cps_per_mbq=0.0), seed="7")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(BadInput, match="begin with a SPECT/CT"):
        replace(cycle, spects=(replace(cycle.spects[0], ct_hu=None),))
    with pytest.raises(BadInput, match="cycle counts from 1"):
        write_cycle(tmp_path / "clinic", replace(cycle, cycle=0), seed="7")
