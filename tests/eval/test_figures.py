"""The side-by-side picture: orientation, units, and refusals."""

import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from matplotlib.figure import Figure
from rpt_cohort import Volume, json_bytes, nifti_bytes
from rpt_eval.figures import coronal_slice, side_by_side

AFFINE = np.diag([2.0, 3.0, 4.0, 1.0])


@pytest.fixture
def prediction(cohort: Path, tmp_path: Path) -> Path:
    """A prediction folder of one case: its dose times 1.1."""
    folder = tmp_path / "prediction"
    (folder / "P001/C1").mkdir(parents=True)
    dose = nib.Nifti1Image.from_filename(cohort / "P001/C1/dose.nii.gz")
    content = nifti_bytes(1.1 * np.asanyarray(dose.dataobj), dose.affine, dtype=np.float32)
    (folder / "P001/C1/dose.nii.gz").write_bytes(content)
    info = {"schema_version": 1, "method": "x", "weights_sha256": {}}
    info |= {"fold": {"P001/C1": None}, "provenance": {}}
    (folder / "prediction.json").write_bytes(json_bytes(info))
    return folder


def picture(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "rpt_eval", "picture", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_head_is_up_and_the_patient_s_right_is_on_the_left() -> None:
    volume = np.zeros((3, 1, 4))
    volume[2, 0, 3] = 1.0  # RAS+: right, head
    assert coronal_slice(volume, index=0)[0, 0] == 1.0


def test_panels_have_units_and_one_dose_scale() -> None:
    rng = np.random.default_rng(0)
    dose = Volume(rng.random((6, 5, 4)), AFFINE)
    known = np.ones((6, 5, 4))
    known[:, :, 0] = 0
    axes = list(Figure().subplots(1, 4))
    pet = Volume(dose.data * 10, AFFINE)
    side_by_side(axes, pet=pet, truth=dose, prediction=dose, known=known, truth_name="Truth")
    labels = [ax.images[0].colorbar.ax.get_ylabel() for ax in axes]
    assert labels[0] == "SUV (g/mL)"
    assert labels[1] == labels[2] == "Absorbed dose (Gy/GBq)"
    assert "Gy/GBq" in labels[3]
    assert axes[1].images[0].get_clim() == axes[2].images[0].get_clim()
    assert axes[0].images[0].get_extent() == [0.0, 12.0, 16.0, 0.0]
    difference = axes[3].images[0].get_array()
    assert np.ma.masked_invalid(difference)[:-1].max() == 0
    assert np.isnan(np.asarray(axes[1].images[0].get_array(), dtype=float)[-1]).all()


def test_command_writes_a_png(cohort: Path, prediction: Path, tmp_path: Path) -> None:
    out = tmp_path / "picture.png"
    done = picture("--cohort", cohort, "--pred", prediction, "--out", out)
    assert done.returncode == 0, done.stderr
    assert out.read_bytes().startswith(b"\x89PNG")


def test_unknown_or_unpredicted_case_is_refused(
    cohort: Path, prediction: Path, tmp_path: Path
) -> None:
    out = tmp_path / "picture.png"
    for case, words in {"P999/C1": "--case must be", "P002/C1": "Predict it first"}.items():
        done = picture("--cohort", cohort, "--pred", prediction, "--out", out, "--case", case)
        assert done.returncode == 2
        assert words in done.stderr
        assert "Traceback" not in done.stderr
        assert not out.exists()
