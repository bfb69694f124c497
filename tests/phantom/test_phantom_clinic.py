"""A virtual cycle goes out as DICOM and comes back by ``ingest`` as the same cycle."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from helpers.commands import refused
from helpers.pictures import drawn_figures, letters, patient_axes
from rpt_cohort import BadInput, Volume, read_volume
from rpt_cohort.checking import find_faults
from rpt_cohort.figures import cut_plane
from rpt_dosimetry.ingest.job import ingest
from rpt_dosimetry.registration.pair import Scan, register
from rpt_phantom.clinic import clinic_cycle, read_settings, whole_body, write_dicom
from rpt_phantom.cohort import write_cohort
from rpt_phantom.dicom import write_cycle
from rpt_phantom.gallery import write_gallery
from rpt_phantom.patient import make_cycle
from rpt_phantom.settings import CohortSettings

SETTINGS = CohortSettings(seed=4, slices=40)


@pytest.mark.parametrize("patient", [pytest.param(1, marks=pytest.mark.slow), 4])
def test_dicom_comes_back_as_the_same_cycle(patient: int, tmp_path: Path) -> None:
    """Organs drawn as contours, registration where nothing moved: means within 1 %."""
    made = make_cycle(SETTINGS, patient=patient, cycle=1)
    held = clinic_cycle(made, patient=patient, cycle=1, planar=None)
    study = write_cycle(tmp_path / "DICOM", held, seed="4")
    outcomes = ingest(study, tmp_path / "COHORT", workers=1)
    assert [one.how for one in outcomes] == ["made"], outcomes[0].faults
    assert find_faults(tmp_path / "COHORT") == []
    folder = tmp_path / f"COHORT/P{patient:03d}/C1"
    page = (folder / "report/index.html").read_text()
    assert f"<h1>P{patient:03d}/C1, virtual patient</h1>" in page
    assert json.loads((folder / "report/summary.json").read_text())["origin"] == "virtual"
    assert "organ_" not in page + (folder / "report/organs.csv").read_text()
    pet, dose, fov = (
        read_volume(folder / f"{name}.nii.gz").data for name in ("pet", "dose", "fov")
    )
    for labels in ((2, 3), (5,), (1,)):
        here = np.isin(made.organs, labels) & (made.fov > 0) & (fov > 0)
        assert pet[here].mean() == pytest.approx(made.pet_suv[here].mean(), rel=0.01)
        assert dose[here].mean() == pytest.approx(made.dose_gy_per_gbq[here].mean(), rel=0.01)


def test_one_ct_may_serve_two_spects() -> None:
    """Of this patient's CT with itself, the search for a better place ends in a worse one."""
    made = make_cycle(CohortSettings(seed=2, slices=48), patient=4, cycle=1)
    ct = Volume(made.ct_hu.astype(np.float64), made.grid.affine)
    first, second, _ = (Scan(Volume(image, made.grid.affine), ct) for image in made.series.scanned)
    found = register(first, second)
    assert np.allclose(found.rigid.fixed_to_moving, np.eye(4))
    assert found.residual.after.normalised_mutual_information == pytest.approx(2.0)


@pytest.mark.slow
def test_no_patient_fails_on_the_way_back(tmp_path: Path) -> None:
    """The CTs of a patient who did not move differ by noise; registration takes them."""
    for seed in (0, 1, 2):
        for patient in (1, 2, 3, 4):
            made = make_cycle(CohortSettings(seed=seed, slices=48), patient=patient, cycle=1)
            held = clinic_cycle(made, patient=patient, cycle=1, planar=None)
            root = tmp_path / f"{seed}-{patient}"
            root.mkdir()
            study = write_cycle(root / "DICOM", held, seed=str(seed))
            outcomes = ingest(study, root / "COHORT", workers=1)
            assert [one.how for one in outcomes] == ["made"], outcomes[0].faults


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("clinic") / "COHORT"
    write_cohort(out, CohortSettings(seed=14, slices=16, heterogeneity=0.5), patients=1, workers=1)
    return out


def test_settings_of_a_cohort_are_read_back(cohort: Path) -> None:
    assert read_settings(cohort) == CohortSettings(seed=14, slices=16, heterogeneity=0.5)


@pytest.mark.parametrize("case", ["P001", "P001/C0", "1/C1", "P002/C1", "P001/C99", "P1/C1"])
def test_case_must_be_in_the_cohort(cohort: Path, case: str, tmp_path: Path) -> None:
    with pytest.raises(
        BadInput, match=r"case must be one of the cohort '.*COHORT', such as P001/C1"
    ):
        write_dicom(cohort, case, tmp_path / "OUT")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("slices", "16"),
        ("slices", 16.5),
        ("seed", "five"),
        ("heterogeneity", None),
        ("parameters", []),
    ],
)
def test_settings_that_were_altered_are_refused(
    cohort: Path, tmp_path: Path, key: str, value: object
) -> None:
    out = tmp_path / "COHORT"
    shutil.copytree(cohort, out)
    told = json.loads((out / "cohort.json").read_text())
    if key == "parameters":
        told["provenance"] = {"package": "rpt-phantom", "seed": 4, "parameters": value}
    else:
        where = told["provenance"] if key == "seed" else told["provenance"]["parameters"]
        where[key] = value
    (out / "cohort.json").write_text(json.dumps(told))
    with pytest.raises(BadInput, match="tells no seed and settings"):
        read_settings(out)


def test_cycles_of_another_version_are_refused(
    cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rpt_phantom.case_files.MAKES", 0)
    with pytest.raises(BadInput, match="must have been made by this version"):
        write_dicom(cohort, "P001/C1", tmp_path / "OUT")


def test_gallery_wants_true_dose(cohort: Path, tmp_path: Path) -> None:
    out = tmp_path / "COHORT"
    shutil.copytree(cohort, out)
    told = json.loads((out / "cohort.json").read_text()) | {"origin": "clinical"}
    (out / "cohort.json").write_text(json.dumps(told))
    with pytest.raises(BadInput, match="must be a virtual cohort, with true dose"):
        write_gallery(out, tmp_path / "page.png", most=1)


def test_gallery_is_a_page_and_replaces_none(
    run, cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, figures = tmp_path / "page.png", drawn_figures(monkeypatch)
    assert write_gallery(cohort, out, most=1) == 1
    assert out.read_bytes().startswith(b"\x89PNG")
    (page,) = figures
    assert "origin: virtual" in page.subfigs[0].get_suptitle()
    panels = patient_axes(page)[:4]
    assert [letters(ax) for ax in panels] == ["RL"] * 4
    assert [ax.get_title() for ax in panels] == ["PET", "CT", "measured\ndose", "true\ndose"]
    organs = read_volume(cohort / "P001/C1/organs.nii.gz")
    liver = cut_plane(Volume(organs.data == 5, organs.affine), "coronal", None)[0]
    assert np.argwhere(liver)[:, 1].mean() < liver.shape[1] / 2  # which is on the right
    done = run("gallery", "--cohort", cohort, "--out", out)
    refused(done, "page.png' must be new, and it is there. Give --overwrite.")


@pytest.mark.slow
def test_whole_body_views_are_written(cohort: Path, tmp_path: Path) -> None:
    pytest.importorskip("pytomography")
    write_dicom(cohort, "P001/C1", tmp_path / "OUT")
    assert (tmp_path / "OUT/planar/whole_body.dcm").is_file()


@pytest.mark.slow
def test_the_whole_body_views_alone_cannot_calibrate(tmp_path: Path) -> None:
    """README.md: 5.0 of 9.27 cps/MBq; a field of 0.28 is taken for 0.44 and then loses 18 %."""
    pytest.importorskip("pytomography")
    settings = CohortSettings(seed=4, slices=64)
    made = make_cycle(settings, patient=1, cycle=1)
    views = whole_body(settings, made, patient=1, cycle=1)
    study = write_cycle(
        tmp_path / "DICOM", clinic_cycle(made, patient=1, cycle=1, planar=views), seed="4"
    )
    told = yaml.safe_load(study.read_text())
    (entry,) = told["cycles"]
    for spect in entry["spect"]:
        del spect["calibration"]
    entry["planar"] = {"folder": "planar", "biological_h": 10.0}
    study.write_text(yaml.safe_dump(told))
    (outcome,) = ingest(study, tmp_path / "COHORT", workers=1)
    assert outcome.how == "made", outcome.faults
    summary = (tmp_path / "COHORT/P001/C1/report/summary.json").read_text()
    found = json.loads(summary)["calibration"]
    assert found["cps_per_mbq"] == pytest.approx(4.98, rel=0.01)
    assert found["fraction_in_field"] == pytest.approx(0.44, abs=0.01)
    times_h = [views.time_h, made.record.spect_times_h[0]]
    there = made.truth.kinetics_mbq_per_ml(times_h=times_h)
    at_views, at_spect = (
        made.truth.box.on_case(there[..., k]).sum(dtype=float) * made.grid.voxel_ml / 1e3
        for k in (0, 1)
    )
    assert at_views == pytest.approx(0.28, abs=0.01)
    assert at_spect / at_views == pytest.approx(0.82, abs=0.01)
