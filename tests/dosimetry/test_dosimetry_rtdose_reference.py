"""The images that a dose refers to: chosen, read, and refused by file number and tag."""

import numpy as np
import pydicom
import pytest
from rpt_cohort import BadInput
from rpt_dosimetry.rtdose import read_reference

CT = "1.2.840.10008.5.1.4.1.1.2"


def alter(folder, number, **change):
    """Change one file, counted from 1 in the order of the paths."""
    path = sorted(folder.iterdir())[number - 1]
    dataset = pydicom.dcmread(path)
    for name, value in change.items():
        if value is None:
            delattr(dataset, name)
        else:
            setattr(dataset, name, value)
    dataset.save_as(path)


def refusal(folder, patient_words, **choice):
    with pytest.raises(BadInput) as refused:
        read_reference(folder, **choice)
    assert not any(word in str(refused.value) for word in patient_words)
    return str(refused.value)


def test_the_slices_and_where_they_stand(tmp_path, pet_series, patient_words) -> None:
    reference = read_reference(pet_series().write(tmp_path / "pet"))
    assert reference.grid.shape == (6, 5, 4)
    assert [one[1][-2:] for one in reference.instances] == [".1", ".2", ".3", ".4"]
    assert not any(word in repr(reference) for word in patient_words)


@pytest.mark.parametrize(
    ("change", "tag"),
    [
        ({"PatientID": "other"}, "(0010,0020)"),
        ({"PatientName": "Roe^Richard"}, "(0010,0010)"),
        ({"PatientBirthDate": "19440404"}, "(0010,0030)"),
        ({"StudyInstanceUID": "1.2.3.4"}, "(0020,000D)"),
        ({"FrameOfReferenceUID": "1.2.3.4"}, "(0020,0052)"),
        ({"SOPClassUID": CT}, "(0008,0016)"),
    ],
)
def test_a_foreign_file_among_the_slices(change, tag, tmp_path, pet_series, patient_words) -> None:
    folder = pet_series().write(tmp_path / "pet")
    alter(folder, 3, **change)
    told = refusal(folder, patient_words)
    assert tag in told
    assert "file 3 differs" in told
    assert "Roe" not in told


def test_two_patients_in_the_folder(tmp_path, pet_series, patient_words) -> None:
    folder = tmp_path / "both"
    pet_series().write(folder)
    pet_series(series=2, set={"PatientID": "0815", "PatientName": "Roe^Richard"}).write(folder)
    told = refusal(folder, patient_words)
    assert "Patient ID (0010,0020) must be the same in all 8 DICOM files of the folder" in told


def test_several_series_need_a_choice(tmp_path, pet_series, patient_words) -> None:
    folder = tmp_path / "both"
    pet_series().write(folder)
    pet_series(series=2, stored=np.zeros((3, 5, 6), dtype=np.int16)).write(folder)
    assert "must be chosen with --series" in refusal(folder, patient_words)
    uid = "1.2.826.0.1.3680043.10.999.2"
    assert len(read_reference(folder, series_uid=uid).instances) == 3
    assert "named by --series, got PT" in refusal(folder, patient_words, series_uid="9.9")


def test_what_is_no_series_of_images(tmp_path, pet_series, patient_words) -> None:
    folder = pet_series(set={"Modality": "NM", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.20"}).write(
        tmp_path / "nm"
    )
    assert "CT, PT or MR with one slice a file, got NM (Nuclear Medicine Image Storage)" in refusal(
        folder, patient_words
    )


@pytest.mark.parametrize(
    ("name", "tag"),
    [
        ("FrameOfReferenceUID", "(0020,0052)"),
        ("StudyInstanceUID", "(0020,000D)"),
    ],
)
def test_identifiers_that_are_missing(name, tag, tmp_path, pet_series, patient_words) -> None:
    folder = pet_series(set={name: None}).write(tmp_path / "pet")
    assert f"{tag} must be in every slice" in refusal(folder, patient_words)


def test_a_truncated_slice(tmp_path, pet_series, patient_words) -> None:
    folder = pet_series().write(tmp_path / "pet")
    path = sorted(folder.iterdir())[1]
    path.write_bytes(path.read_bytes()[:300])
    assert "file 2 of 4" in refusal(folder, patient_words)


def test_a_missing_slice(tmp_path, pet_series, patient_words) -> None:
    folder = pet_series().write(tmp_path / "pet")
    for path in folder.iterdir():
        if pydicom.dcmread(path).InstanceNumber == 2:
            path.unlink()
    assert "must stand at even distances" in refusal(folder, patient_words)
