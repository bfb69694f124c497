"""A virtual cycle goes out as DICOM and comes back by ``ingest`` as the same cycle."""

from pathlib import Path

import numpy as np
import pytest
from rpt_cohort import BadInput, read_volume
from rpt_dosimetry.ingest.job import ingest
from rpt_phantom import write_cohort
from rpt_phantom.clinic import clinic_cycle, read_settings, write_dicom
from rpt_phantom.dicom import write_cycle
from rpt_phantom.patient import make_cycle
from rpt_phantom.settings import Settings

SETTINGS = Settings(seed=4, slices=40)


@pytest.fixture(scope="module")
def made():
    return make_cycle(SETTINGS, patient=1, cycle=1)


def test_dicom_comes_back_as_the_same_cycle(made, tmp_path: Path) -> None:
    held = clinic_cycle(made, name="P001", cycle=1, planar=None)
    study = write_cycle(tmp_path / "DICOM", held, seed="4")
    outcomes = ingest(study, tmp_path / "COHORT", workers=1)
    assert [one.how for one in outcomes] == ["made"], outcomes[0].faults
    folder = tmp_path / "COHORT/P001/C1"
    dose, fov = (read_volume(folder / f"{name}.nii.gz").data for name in ("dose", "fov"))
    kidney = np.isin(made.organs, (2, 3)) & (made.fov > 0) & (fov > 0)
    # Organs drawn as contours, and registration where nothing moved: some percent.
    expected = made.dose_gy_per_gbq[kidney].mean()
    assert dose[kidney].mean() == pytest.approx(expected, rel=0.03)


def test_settings_of_a_cohort_are_read_back(tmp_path: Path) -> None:
    out = tmp_path / "COHORT"
    write_cohort(out, patients=1, seed=4, slices=16, workers=1, heterogeneity=0.5)
    assert read_settings(out) == Settings(seed=4, slices=16, heterogeneity=0.5)


@pytest.mark.parametrize("case", ["P001", "P001/C0", "1/C1", "P001/Cx"])
def test_case_must_be_named_as_in_the_cohort(case: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="must be named like P001"):
        write_dicom(SETTINGS, case, tmp_path / "OUT")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_whole_body_views_are_written(tmp_path: Path) -> None:
    pytest.importorskip("pytomography")
    write_dicom(SETTINGS, "P001/C1", tmp_path / "OUT")
    assert (tmp_path / "OUT/planar/whole_body.dcm").is_file()
