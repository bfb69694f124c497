"""Other ways into ``ingest``: NIfTI with a sidecar, a planar scan, TotalSegmentator, Dask."""

import json
import re
import stat
import sys
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from helpers.clinic import SPECT_H, Clinic, write_study
from helpers.planar_patient import (
    CPS_PER_MBQ,
    DETECTOR_ROWS,
    FIELD,
    GIVEN_MBQ,
    HALF_LIFE_H,
    RETAINED,
    TAU_S,
    VOXEL_MM,
    simulate,
    spect_object,
)
from helpers.planar_patient import (
    SPECT_H as PLANAR_SPECT_H,
)
from rpt_cohort import BadInput, Volume, nifti_bytes, read_cycle, read_volume
from rpt_dosimetry.ingest.calibrating import Camera, factor_by_planar
from rpt_dosimetry.ingest.inspection import inspect
from rpt_dosimetry.ingest.job import ingest, spread
from rpt_dosimetry.ingest.scans import largest_calibration_sd, read_spect, read_stored
from rpt_dosimetry.ingest.sources import find_scan
from rpt_dosimetry.ingest.study import EXAMPLE, read_study
from rpt_dosimetry.masks.labels import segment_organs
from rpt_dosimetry.nifti import voxels_sha256

pytestmark = pytest.mark.filterwarnings("ignore:The value length")


@pytest.fixture(scope="module")
def folders(tmp_path_factory, pet_series):
    """One patient's DICOM folders and the entry of the study."""
    root = tmp_path_factory.mktemp("clinic")
    return root, Clinic(pet_series, root).write()


@pytest.fixture
def nifti_study(folders, command, tmp_path):
    """The same scans as NIfTI, made by our own commands."""
    root, entry = folders
    pets, spects = root / entry["pet"]["folder"], [root / one["folder"] for one in entry["spect"]]
    for name, folder, word in (
        ("pet", pets, "suv"),
        ("pet_ct", pets, "ct"),
        *((f"spect_{n}", folder, "activity") for n, folder in enumerate(spects, 1)),
        *((f"spect_{n}_ct", folder, "ct") for n, folder in enumerate(spects, 1)),
    ):
        ended = command(word, folder, tmp_path / f"{name}.nii.gz")
        assert ended.status == 0, ended.err
    body = read_volume(tmp_path / "spect_1_ct.nii.gz")
    organs = np.where(body.data > 100, 3, 0)
    path = tmp_path / "organs.nii.gz"
    path.write_bytes(nifti_bytes(organs, body.affine, dtype=np.uint8))
    cycle = {key: entry[key] for key in ("patient", "cycle", "therapy", "administered_mbq")}
    cycle["pet"] = {"folder": "pet.nii.gz", "ct": "pet_ct.nii.gz"}
    cycle["spect"] = [
        {"folder": f"spect_{n}.nii.gz", "ct": f"spect_{n}_ct.nii.gz"} for n in (1, 2, 3)
    ]
    cycle["organs"] = {"file": "organs.nii.gz"}
    return tmp_path, cycle, organs


def test_nifti_is_as_good_as_dicom(folders, nifti_study, tmp_path) -> None:
    root, entry = folders
    there, cycle, _ = nifti_study
    dicom = {key: value for key, value in entry.items() if key != "lesions"}
    dicom["organs"] = {"file": str(there / "organs.nii.gz")}
    for study, out in (
        (write_study(root / "DICOM.yaml", [dicom]), tmp_path / "dicom"),
        (write_study(there / "STUDY.yaml", [cycle], origin="virtual"), tmp_path / "nifti"),
    ):
        (outcome,) = ingest(study, out, workers=1)
        assert outcome.how == "made", outcome.faults
    one, other = (tmp_path / name / "P001/C1" for name in ("dicom", "nifti"))
    assert read_cycle(other).spect_times_h == pytest.approx(SPECT_H, abs=1e-5)
    assert read_cycle(other).pet_time_min == read_cycle(one).pet_time_min
    for name in ("pet", "ct", "organs", "fov", "dose"):
        theirs, ours = (read_volume(folder / f"{name}.nii.gz") for folder in (one, other))
        np.testing.assert_allclose(ours.affine, theirs.affine, atol=1e-4)
        np.testing.assert_allclose(ours.data, theirs.data, rtol=1e-4, atol=1e-4, err_msg=name)
    told = json.loads((tmp_path / "nifti" / "cohort.json").read_text())
    assert told["origin"] == "virtual"


def test_nifti_that_lies_otherwise(nifti_study) -> None:
    """A file whose axes run to the left and back is the same scan."""
    there, cycle, _ = nifti_study
    source = read_study(write_study(there / "STUDY.yaml", [cycle])).cycles[0].spect[0]
    before = read_spect(find_scan(source, there, need_ct=True), source, Camera(there))
    image = nib.Nifti1Image.from_filename(there / "spect_1.nii.gz")
    turned = image.as_reoriented([[0, -1], [1, -1], [2, 1]])
    turned.to_filename(there / "spect_1.nii.gz")
    assert "voxels_sha256" in json.loads((there / "spect_1.json").read_text())
    after = read_spect(find_scan(source, there, need_ct=True), source, Camera(there))
    np.testing.assert_array_equal(after.bq_per_ml.data, before.bq_per_ml.data)
    np.testing.assert_allclose(after.bq_per_ml.affine, before.bq_per_ml.affine)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda side: side.unlink(), "must have a JSON of the same name"),
        (lambda side: side.write_text("{"), "must be JSON"),
        (lambda side: side.write_text("[]"), "must be an object"),
        (lambda side: side.write_text("{}"), "quantity of the JSON beside the image must be"),
    ],
)
def test_bad_sidecars(nifti_study, spoil, told) -> None:
    there, cycle, _ = nifti_study
    spoil(there / "spect_2.json")
    study = read_study(write_study(there / "STUDY.yaml", [cycle]))
    found = inspect(study.cycles[0], study, there)
    assert any(told in fault and fault.startswith("spect 2") for fault in found.faults)


def test_sidecar_values(nifti_study) -> None:
    there, cycle, _ = nifti_study
    side = there / "spect_1.json"
    content = json.loads(side.read_text())
    source = read_study(write_study(there / "STUDY.yaml", [cycle])).cycles[0].spect[0]

    def read(**changes):
        side.write_text(json.dumps(content | changes))
        return read_spect(find_scan(source, there, need_ct=True), source, Camera(there))

    with pytest.raises(BadInput, match=r"Give time_h"):
        read(injection_to_mid_scan_h=None)
    with pytest.raises(BadInput, match=r"injection_to_mid_scan_h .* a number above 0"):
        read(injection_to_mid_scan_h="4")
    with pytest.raises(BadInput, match=r"by voxels_sha256 its voxels are others"):
        read(voxels_sha256="0" * 64)
    read(voxels_sha256=voxels_sha256(read_volume(there / "spect_1.nii.gz")))
    for nuclide in ("Lu-177m", "I-131"):
        with pytest.raises(BadInput, match=rf"must be of Lu-177, and its header names {nuclide}\."):
            read(nuclide=nuclide)
    with pytest.raises(BadInput, match=r"nuclide of the JSON .* must be a text or null"):
        read(nuclide=177)
    with pytest.raises(BadInput, match=r"must be of Lu-177, and its header names I-131"):
        read(nuclide="I-131")
    with pytest.raises(BadInput, match=r"A SPECT in counts must have a calibration"):
        read(quantity="counts")
    side.write_text(json.dumps(content))
    told_h = content["injection_to_mid_scan_h"]
    for off_h in (0.05, -0.05):  # a rounded time
        near = source.model_copy(update={"time_h": told_h + off_h})
        assert read_spect(find_scan(near, there, need_ct=True), near, Camera(there)).time_h
    for other_h in (told_h * 10, told_h / 24, told_h + 0.2):
        other = source.model_copy(update={"time_h": other_h})
        with pytest.raises(BadInput, match=r"time_h must be the .* h that the JSON beside the"):
            read_spect(find_scan(other, there, need_ct=True), other, Camera(there))
    told = source.model_copy(update={"head_cps": 100.0})
    with pytest.raises(BadInput, match=r"head_cps must be left out for a SPECT in Bq/mL"):
        read_spect(find_scan(told, there, need_ct=True), told, Camera(there))


@pytest.fixture(scope="module")
def planar(tmp_path_factory):
    """A simulated patient's NM objects in a clinic's folders, and the cycle's entry."""
    root = tmp_path_factory.mktemp("planar")
    scans = simulate(root)
    spect_object(scans).write(root / "spect" / "spect.dcm")
    views = pydicom.dcmread(scans.planar)
    views.AcquisitionTime = "095000"
    (root / "views").mkdir()
    views.save_as(root / "views" / "planar.dcm")
    cycle = {
        **{"patient": "P001", "cycle": 1, "therapy": "177Lu-PSMA-617"},
        **{"administered_mbq": GIVEN_MBQ, "pet": {"folder": "none"}},
        "spect": [{"folder": "spect", "head_cps": scans.spect_cps}],
        "planar": {
            **{"folder": "views", "excreted": 1 - RETAINED, "excretion_sd": 0.02},
            **{"administered_sd_pct": 1.0, "detector_mm": DETECTOR_ROWS * VOXEL_MM},
        },
        "dead_time": {"tau_us": TAU_S * 1e6, "sd_pct": 10.0},
    }
    return root, cycle, scans


def planar_read(root, cycle, scans):
    found = read_study(write_study(root / "STUDY.yaml", [cycle])).cycles[0]
    source = found.spect[0]
    files = find_scan(source, root, need_ct=False)
    factor = factor_by_planar(read_stored(files, source), read_volume(scans.ct), found, root)
    return factor, read_spect(files, source, Camera(root, found.dead_time, factor))


def test_a_planar_scan_calibrates(planar) -> None:
    """With scatter, attenuation, excretion and dead time: factor and activity within 2 %."""
    root, cycle, scans = planar
    factor, spect = planar_read(root, cycle, scans)
    assert factor.factor.cps_per_mbq == pytest.approx(CPS_PER_MBQ, rel=0.02)
    left_mbq = GIVEN_MBQ * RETAINED * 2 ** (-PLANAR_SPECT_H / HALF_LIFE_H) * scans.in_field
    data = spect.bq_per_ml.data
    total_mbq = data.sum(dtype=float) * (VOXEL_MM / 10) ** 3 / 1e6
    assert total_mbq == pytest.approx(left_mbq, rel=0.02)
    assert data.shape[2] == FIELD.stop - FIELD.start
    # The factor's uncertainty goes on to the dose's, in the place of the study's 5 %.
    assert spect.calibration_relative_sd == factor.factor.total_relative_sd
    assert 0.02 / RETAINED < spect.calibration_relative_sd < 0.1
    assert largest_calibration_sd([spect]) == spect.calibration_relative_sd
    # What is not known is not the study's 5 % either.
    unknown = {key: value for key, value in cycle["planar"].items() if key != "excretion_sd"}
    factor, spect = planar_read(root, cycle | {"planar": unknown}, scans)
    assert any("no total, because" in sentence for sentence in factor.warnings)
    assert spect.calibration_relative_sd is None
    assert largest_calibration_sd([spect, replace(spect, calibration_relative_sd=0.1)]) is None
    assert "cps/MBq" in spect.branch


def test_a_planar_scan_of_another_infusion(planar, tmp_path) -> None:
    root, cycle, scans = planar
    views = pydicom.dcmread(root / "views" / "planar.dcm")
    injected = views.RadiopharmaceuticalInformationSequence[0]
    injected.RadiopharmaceuticalStartDateTime = "20240229070000"
    (tmp_path / "views").mkdir()
    views.save_as(tmp_path / "views" / "planar.dcm")
    wrong = cycle | {"planar": cycle["planar"] | {"folder": str(tmp_path / "views")}}
    with pytest.raises(BadInput, match=r"The planar scan: All SPECTs of a cycle.* -2\.00 h"):
        planar_read(root, wrong, scans)
    with pytest.raises(BadInput, match=r"The planar scan: administered_mbq must be that of"):
        planar_read(root, cycle | {"administered_mbq": 740.0}, scans)


def test_planar_in_a_dry_run(planar) -> None:
    root, cycle, _ = planar
    study = read_study(write_study(root / "STUDY.yaml", [cycle]))
    found = inspect(study.cycles[0], study, root)
    assert any("planar: NM whole body, 6 planes" in line for line in found.lines)
    assert "planar" in found.inputs
    wrong = cycle | {"planar": cycle["planar"] | {"folder": "spect"}}
    study = read_study(write_study(root / "STUDY.yaml", [wrong]))
    faults = inspect(study.cycles[0], study, root).faults
    assert any(one.startswith("planar: The folder must hold one NM series") for one in faults)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"dead_time": None}, "dead_time and a head_cps of every SPECT must come together"),
        ({"spect": [{"folder": "spect"}]}, "dead_time and a head_cps"),
        ({"planar": {"folder": "views"}}, "planar.detector_mm and dead_time must come together"),
        (
            {"spect": [{"folder": "spect", "head_cps": 1.0, "calibration": "c.json"}]},
            "one of planar and calibration",
        ),
    ],
)
def test_a_study_that_contradicts_itself(planar, change, told) -> None:
    root, cycle, _ = planar
    with pytest.raises(BadInput, match=told):
        read_study(write_study(root / "BAD.yaml", [cycle | change]))


def test_excretion_must_be_told(planar) -> None:
    root, cycle, scans = planar
    without = {key: value for key, value in cycle["planar"].items() if key != "excreted"}
    with pytest.raises(BadInput, match="told by one of biological_h, effective_h, excreted"):
        planar_read(root, cycle | {"planar": without}, scans)


PROGRAM = """#!{python}
import sys
import nibabel as nib
import numpy as np
words = sys.argv[1:]
assert words[:1] == ["-i"] and words[2] == "-o" and "--ml" in words, words
image = nib.load(words[1])
organs = np.where(np.asarray(image.dataobj) > 100, 117 if "--fast" in words else 5, 0)
nib.save(nib.Nifti1Image(organs.astype(np.uint8), image.affine), words[3])
"""


@pytest.fixture
def program(tmp_path, monkeypatch):
    """A stand-in for TotalSegmentator on the PATH."""
    path = tmp_path / "bin" / "TotalSegmentator"
    path.parent.mkdir()
    path.write_text(PROGRAM.format(python=sys.executable))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(path.parent))
    return path


def test_totalsegmentator_in_ingest(nifti_study, program, tmp_path) -> None:
    there, cycle, _ = nifti_study
    cycle["organs"] = {"totalsegmentator": "fast"}
    (outcome,) = ingest(write_study(there / "STUDY.yaml", [cycle]), tmp_path / "out", workers=1)
    assert outcome.how == "made", outcome.faults
    found = read_volume(tmp_path / "out/P001/C1/organs.nii.gz").data
    assert set(np.unique(found)) == {0, 117, 199}
    told = read_cycle(tmp_path / "out/P001/C1").how["organs.nii.gz"]
    assert told.startswith("by TotalSegmentator on spect_ct")


def test_the_segment_command(nifti_study, program, command) -> None:
    there, _, organs = nifti_study
    ended = command("segment", there / "spect_1_ct.nii.gz", there / "found.nii.gz")
    assert ended.status == 0, ended.err
    found = read_volume(there / "found.nii.gz")
    np.testing.assert_array_equal(found.data > 0, organs > 0)
    assert json.loads((there / "found.json").read_text())["organs"] == [5]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("#!/bin/sh\nexit 3\n", r"failed \(exit 3\)"),
        ("#!/bin/sh\nexit 0\n", r"failed \(exit 0\)"),
        (PROGRAM.replace("117 if", "200 if").replace("else 5", "else 118"), "must"),
        (PROGRAM.replace("image.affine)", "np.eye(4))"), "must"),
    ],
)
def test_totalsegmentator_that_fails(program, content, told) -> None:
    program.write_text(content.replace("{python}", sys.executable))
    ct = Volume(np.full((8, 8, 8), 200.0, dtype=np.float32), np.diag([4.0, 4.0, 4.0, 1.0]))
    with pytest.raises(BadInput, match=told):
        segment_organs(ct, fast=False)


def test_without_totalsegmentator(nifti_study, monkeypatch, command) -> None:
    there, cycle, _ = nifti_study
    monkeypatch.setenv("PATH", str(there))
    cycle["organs"] = {"totalsegmentator": "normal"}
    study = read_study(write_study(there / "STUDY.yaml", [cycle]))
    (fault,) = inspect(study.cycles[0], study, there).faults
    assert "organs: TotalSegmentator must be on the PATH" in fault
    assert "pip install TotalSegmentator" in fault
    ended = command("segment", there / "spect_1_ct.nii.gz", there / "found.nii.gz")
    assert ended.status == 2
    assert not (there / "found.nii.gz").exists()


def files_below(folder: Path) -> list[Path]:
    return [one for one in sorted(folder.rglob("*")) if one.is_file()]


@pytest.mark.slow
def test_a_real_dask_scheduler(folders, tmp_path) -> None:
    """A scheduler and two worker processes of this machine; the files do not depend on them."""
    distributed = pytest.importorskip("dask.distributed")
    root, entry = folders
    study = write_study(root / "DASK.yaml", [entry])
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1"
    ) as cluster:
        address = cluster.scheduler_address
        told = {"description": "Sizes", "workers": None, "dask": address}
        assert spread(abs, [-1, 2], **told) == [1, 2]
        (outcome,) = ingest(study, tmp_path / "dask", workers=None, dask=address)
    assert outcome.how == "made", outcome.faults
    ingest(study, tmp_path / "here", workers=1)
    ours, theirs = (
        {str(one.relative_to(folder)): one.read_bytes() for one in files_below(folder)}
        for folder in (tmp_path / "here", tmp_path / "dask")
    )
    assert ours == theirs


def test_example_is_a_study(tmp_path) -> None:
    """As it stands, and with what it shows of planar scan and dead time."""
    text = EXAMPLE.read_text()
    (tmp_path / "STUDY.yaml").write_text(text)
    study = read_study(tmp_path / "STUDY.yaml")
    assert (study.origin, study.cycles[0].planar) == ("clinical", None)
    a, b = text.index("    # planar:"), text.index("    organs:")
    shown = "\n".join("    " + line[6:] for line in text[a:b].splitlines()) + "\n"
    shown = re.sub(r"(?m)^      (  )?# (?=\w+: )", "      ", shown)
    rates = (text[:a] + shown + text[b:]).replace("# head_cps", "head_cps")
    rates = re.sub(
        r"(?m)^(      - folder: dicom/a1/spect_[23])$", r"\1\n        head_cps: 9000", rates
    )
    (tmp_path / "SHOWN.yaml").write_text(rates)
    cycle = read_study(tmp_path / "SHOWN.yaml").cycles[0]
    assert cycle.planar.biological_h == 60.0
    assert cycle.planar.place_mm == [-250, -900]
    assert cycle.dead_time.tau_us == 4.6
