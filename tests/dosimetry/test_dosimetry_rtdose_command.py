"""``rtdose`` as a user meets it: both ways, and nothing left behind where it fails."""

import json

import numpy as np
import pydicom
import pytest
from rpt_cohort import json_bytes, nifti_bytes, read_volume


@pytest.fixture
def files(tmp_path, pet_series):
    """A dose of 0 to 50 Gy on the grid of a reference, and the reference's folder."""
    reference = pet_series().write(tmp_path / "Doe_Jane")
    affine = np.diag([4.0, 4.0, 3.0, 1.0])
    affine[:3, 3] = -10.0, 4.0, 30.0
    dose = tmp_path / "dose_gy.nii.gz"
    values = np.linspace(0.0, 50.0, 120).reshape(6, 5, 4)
    dose.write_bytes(nifti_bytes(values, affine, dtype=np.float32))
    return dose, reference


def left(tmp_path):
    return sorted(path.name for path in tmp_path.iterdir())


def test_there_and_back(tmp_path, files, command, patient_words) -> None:
    dose, reference = files
    out, back = tmp_path / "dose.dcm", tmp_path / "back.nii.gz"
    outcome = command("rtdose", dose, "--reference", reference, "--out", out, "--predicted")
    assert outcome.status == 0, outcome.err
    assert "predicted, research only; up to 50 Gy, refers to 4 images" in outcome.err
    assert pydicom.dcmread(out).PatientName == "Doe^Jane^Quarantine"
    back_outcome = command("rtdose", out, "--out", back)
    assert back_outcome.status == 0, back_outcome.err
    there, here = read_volume(dose), read_volume(back)
    np.testing.assert_allclose(here.affine, there.affine, atol=1e-3)
    np.testing.assert_allclose(here.data, there.data, rtol=1e-6, atol=1e-6)
    told = json.loads((tmp_path / "back.json").read_text())
    assert (told["quantity"], told["predicted"]) == ("absorbed dose, Gy", True)
    every = outcome.err + back_outcome.err + json.dumps(told)
    assert not any(word in every for word in patient_words)
    # what was read can be written again: its JSON tells Gy
    again = tmp_path / "again.dcm"
    assert command("rtdose", back, "--reference", reference, "--out", again).status == 0


def refused(command, tmp_path, patient_words, *words):
    before = left(tmp_path)
    outcome = command("rtdose", *words)
    assert outcome.status == 2
    assert outcome.err.count("error: ") == 1
    assert "Traceback" not in outcome.err
    assert not any(word in outcome.err for word in patient_words)
    assert left(tmp_path) == before
    return outcome.err


def test_dose_per_activity_with_the_activity(tmp_path, files, command, patient_words) -> None:
    dose, reference = files
    told = refused(
        *(command, tmp_path, patient_words, dose, "--reference", reference),
        *("--out", tmp_path / "no.dcm", "--administered-gbq", 7.4),
    )
    assert "its name or JSON tells Gy" in told
    per_gbq = dose.rename(tmp_path / "dose.nii.gz")
    words = (per_gbq, "--reference", reference, "--out", tmp_path / "dose.dcm")
    outcome = command("rtdose", *words, "--administered-gbq", 7.4, "--predicted")
    assert outcome.status == 0, outcome.err
    command("rtdose", tmp_path / "dose.dcm", "--out", tmp_path / "back.nii.gz")
    here = read_volume(tmp_path / "back.nii.gz").data
    np.testing.assert_allclose(here, 7.4 * read_volume(per_gbq).data, rtol=1e-6, atol=1e-5)
    out = (*words[:-1], tmp_path / "other.dcm")
    told = refused(command, tmp_path, patient_words, *out, "--administered-gbq", 7400)
    assert "7400 MBq is 7.4 GBq" in told
    (tmp_path / "dose.json").write_bytes(json_bytes({"quantity": "absorbed dose, Gy"}))
    told = refused(command, tmp_path, patient_words, *out, "--administered-gbq", 7.4)
    assert "must be in Gy/GBq" in told


def test_dose_per_activity_is_refused_by_name(tmp_path, files, command, patient_words) -> None:
    dose, reference = files
    per_gbq = dose.rename(tmp_path / "dose.nii.gz")
    words = (per_gbq, "--reference", reference, "--out", tmp_path / "o.dcm")
    assert "dose per activity, Gy/GBq" in refused(command, tmp_path, patient_words, *words)


@pytest.mark.parametrize(
    ("beside", "message"),
    [
        (json_bytes({"quantity": "SUV, body weight, g/mL"}), "does not tell 'absorbed dose, Gy'"),
        (json_bytes({"quantity": "absorbed dose per activity, Gy/GBq"}), "another quantity"),
        (b"{", "beside it must be JSON"),
    ],
)
def test_another_quantity_is_refused_by_its_json(
    beside, message, tmp_path, files, command, patient_words
) -> None:
    dose, reference = files
    (tmp_path / "dose_gy.json").write_bytes(beside)
    words = (dose, "--reference", reference, "--out", tmp_path / "o.dcm")
    assert message in refused(command, tmp_path, patient_words, *words)


def test_targets_and_choices_that_do_not_do(tmp_path, files, command, patient_words) -> None:
    dose, reference = files
    (tmp_path / "there.dcm").write_bytes(b"there already")
    for words, message in (
        ((dose, "--reference", reference, "--out", tmp_path / "there.dcm"), "--out must be new"),
        ((dose, "--reference", reference, "--out", tmp_path / "no/o.dcm"), "must exist and be"),
        ((dose, "--reference", reference, "--out", tmp_path / "o.nrrd"), "--out must end in .dcm"),
        ((dose, "--out", tmp_path / "o.dcm"), "--reference must be named"),
        ((dose, "--out", tmp_path / "o.nii.gz", "--predicted"), "are for writing an RT Dose"),
        ((dose, "--out", tmp_path / "o.nii.gz"), "RT Dose must be a whole DICOM file"),
        ((tmp_path / "none.dcm", "--out", tmp_path / "o.nii.gz"), "none.dcm': The RT Dose"),
        ((tmp_path / "none.dcm", "--out", tmp_path / "o.nii.gz"), "there is no such file"),
        ((tmp_path, "--out", tmp_path / "o.nii.gz"), "and it is a folder"),
        ((tmp_path / "none", "--reference", reference, "--out", tmp_path / "o.dcm"), "there is n"),
        ((dose, "--reference", tmp_path / "no", "--out", tmp_path / "o.dcm"), "must be a folder"),
    ):
        assert message in refused(command, tmp_path, patient_words, *words)
