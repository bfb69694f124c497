"""``python -m rpt_dosimetry masks``: contours and segments on a grid, as ``ingest`` has them."""

import csv
import json

import nibabel as nib
import numpy as np
import pytest
from helpers.clinic import Clinic, write_study
from helpers.commands import refused
from helpers.dicom import contour, lps_affine, roi, roi_contour, save, segmentation, structure_set
from rpt_cohort.volumes import nifti_bytes, read_volume
from rpt_dosimetry.ingest.alignment import STAYS, nearest
from rpt_dosimetry.ingest.job import ingest
from rpt_dosimetry.registration.transform import GridMm

# Both liver lesions and their surroundings; the whole volume would take a minute.
CROP = np.s_[120:210, 90:220, 90:190]
SQUARE_MM = np.array([[-10.0, -10], [10, -10], [10, 10], [-10, 10]])


def test_from_contours_and_a_spect_without_ct_to_the_dose(testdata, tmp_path, command) -> None:
    scan, other = (testdata / "spect_lu177" / name for name in ("SCAN_001", "SCAN_002"))
    assert command("activity", scan / "image", tmp_path / "whole.nii.gz").status == 0
    whole = read_volume(tmp_path / "whole.nii.gz")
    affine = whole.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ [one.start for one in CROP]
    activity = tmp_path / "activity.nii.gz"
    activity.write_bytes(nifti_bytes(whole.data[CROP], affine, dtype=np.float32))
    of_the_whole = json.loads((tmp_path / "whole.json").read_text())
    del of_the_whole["voxels_sha256"]
    (tmp_path / "activity.json").write_text(json.dumps(of_the_whole))
    lesions = tmp_path / "lesions.nii.gz"
    ended = command("masks", scan / "mask", lesions, "--like", activity, "--lesions")
    assert ended.status == 0, ended.err
    told = json.loads((tmp_path / "lesions.json").read_text())
    assert told["quantity"] == "lesion number"
    assert told["warnings"] == []
    # MIM's contours by the shoelace formula; "liver" is in their names, which are not repeated.
    assert [one["drawn_ml"] for one in told["regions"]] == pytest.approx([106.9, 2.80], rel=0.01)
    # What README tells of them; slabs end half-way to the next plane.
    assert [round(one["drawn_ml"], 2) for one in told["regions"]] == [107.02, 2.8]
    assert [round(one["mask_ml"], 2) for one in told["regions"]] == [107.1, 2.86]
    assert [one["mask_ml"] for one in told["regions"]] == pytest.approx([107.1, 2.86], rel=0.02)
    assert "liver" not in (tmp_path / "lesions.json").read_text()
    words = ("--activity", activity, "--time-h", "3.950357", "--model", "physical")
    ended = command(
        *("dose", *words, "--administered-mbq", "7210.43", "--engine", "local"),
        *("--lesions", lesions, "--out", tmp_path / "out"),
    )
    assert ended.status == 0, ended.err
    rows = {row["name"]: row for row in csv.DictReader((tmp_path / "out" / "organs.csv").open())}
    assert float(rows["lesion_1"]["volume_ml"]) == pytest.approx(107.1, abs=0.5)
    assert float(rows["lesion_2"]["volume_ml"]) == pytest.approx(2.86, abs=0.05)
    ended = command("masks", other / "mask", tmp_path / "no.nii.gz", "--like", activity)
    refused(ended, "they were drawn on another image", absent=tmp_path / "no.nii.gz")


def test_the_same_as_ingest(pet_series, tmp_path, command) -> None:
    cycle = Clinic(pet_series, tmp_path).write()
    cycle["spect"] = cycle["spect"][:1]
    (outcome,) = ingest(write_study(tmp_path / "STUDY.yaml", [cycle]), tmp_path / "out", workers=1)
    assert outcome.how == "made", outcome.faults
    ct = tmp_path / "ct.nii.gz"
    assert command("ct", tmp_path / "Doe_Jane_spect_1", ct).status == 0
    for role, options, largest in (("organs", [], 198), ("lesions", ["--lesions"], 65535)):
        path = tmp_path / f"{role}.nii.gz"
        ended = command("masks", tmp_path / f"Doe_Jane_{role}", path, "--like", ct, *options)
        assert ended.status == 0, ended.err
        assert "Jane" not in ended.err
        cohort = nib.load(tmp_path / "out/P001/C1" / f"{role}.nii.gz")
        expected = np.asarray(cohort.dataobj)
        carried = nearest(read_volume(path), GridMm(expected.shape, cohort.affine), STAYS)
        np.testing.assert_array_equal(carried, np.where(expected <= largest, expected, 0))


@pytest.fixture
def image(tmp_path):
    """An image of 40³ voxels of 2 mm about the origin, whose frame nothing tells."""
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = -39.0
    path = tmp_path / "image.nii.gz"
    path.write_bytes(nifti_bytes(np.ones((40, 40, 40)), affine, dtype=np.float32))
    return path


def squares(*heights_mm: float):
    return [np.column_stack([SQUARE_MM, np.full(4, one)]) for one in heights_mm]


def test_what_nobody_asked_for_is_passed_over(tmp_path, image, command) -> None:
    """Empty regions and points of a whole file; faulty ones where regions are named."""
    drawn = {"Kidney_L": squares(1.0, 3.0), "Doe, empty": [], "Liver": squares(9.0)}
    dataset = structure_set(drawn)
    dataset.StructureSetROISequence.append(roi(4, "isocentre of Jane"))
    dataset.ROIContourSequence.append(roi_contour(4, []))
    dataset.ROIContourSequence[3].ContourSequence = [contour(np.zeros((1, 3)), "POINT")]
    path, out = save(dataset, tmp_path), tmp_path / "out.nii.gz"
    ended = command("masks", path, out, "--like", image)
    assert ended.status == 0, ended.err
    assert "2 of 4 regions enclose nothing; they were left out" in " ".join(ended.err.split())
    told = json.loads((tmp_path / "out.json").read_text())
    assert [(one["organ"], one["voxels"]) for one in told["regions"]] == [
        ("kidney_left", 200),
        ("liver", 100),
    ]
    assert "could not be checked" in told["warnings"][0]
    tilted = np.column_stack([SQUARE_MM, SQUARE_MM[:, 0]])
    for number, fault in enumerate(
        ([tilted], [tilted + 500.0], [SQUARE_MM[:1]], [np.full((4, 3), 1e7)])
    ):
        dataset = structure_set({"Kidney_L": squares(1.0, 3.0), "Met of Jane": fault})
        path = save(dataset, tmp_path)
        kept = ("masks", path, out, "--like", image, "--overwrite", "--region")
        ended = command(*kept, "Kidney_L")
        assert ended.status == 0, (number, ended.err)
        ended = command(*kept, "Met of Jane", "--lesions")
        refused(ended, "ROI 2")
        assert "Jane" not in ended.err


@pytest.mark.parametrize(
    ("names", "options", "loser", "told"),
    [
        (("Jane 1", "Jane 2"), ["--lesions"], 1, "lesion 1 (number 1 in the file) is left"),
        (("Kidney_L", "Kidney_R"), [], 2, "kidney_right (number 2 in the file) is left"),
    ],
)
def test_volumes_are_those_of_the_written_numbers(
    names, options, loser, told, tmp_path, image, command
) -> None:
    """Where two share all or half of their voxels, the higher number has them."""
    for second, left in ((squares(1.0, 3.0), 0), (squares(3.0, 5.0), 100)):
        drawn = dict(zip(names, (squares(1.0, 3.0), second), strict=True))
        path, out = save(structure_set(drawn), tmp_path), tmp_path / "out.nii.gz"
        ended = command("masks", path, out, "--like", image, "--overwrite", *options)
        assert ended.status == 0, ended.err
        by_source = {
            one["number_in_source"]: one
            for one in json.loads((tmp_path / "out.json").read_text())["regions"]
        }
        numbers = np.asarray(nib.load(out).dataobj)
        assert [by_source[one]["voxels"] for one in (loser, 3 - loser)] == [left, 200]
        for one in by_source.values():
            assert one["mask_ml"] == pytest.approx(0.008 * one["voxels"])
            assert one["voxels"] == np.count_nonzero(numbers == one["number"])
            assert one["drawn_ml"] == pytest.approx(1.6)
        said = " ".join(ended.err.split())
        assert (f"{told} with no voxel: its 1.6 mL" in said) == (left == 0)
        assert "Jane" not in said


def test_a_volume_that_the_grid_does_not_hold_is_told(tmp_path, image, command) -> None:
    small = [one * [0.15, 0.15, 1.0] for one in squares(1.0)]
    path = save(structure_set({"Liver": small}), tmp_path)
    ended = command("masks", path, tmp_path / "out.nii.gz", "--like", image)
    assert ended.status == 0, ended.err
    told = " ".join(ended.err.split())
    assert "The mask of ROI 1 holds 0.032 mL, and 0.018 mL were drawn (+78%)" in told


def test_segments(tmp_path, image, command) -> None:
    masks = [np.zeros((8, 8, 8), dtype=bool) for _ in range(2)]
    masks[0][2:6, 2:6, 2:6] = True
    affine = lps_affine(spacing_mm=(2.0, 2.0, 2.0))
    affine[:3, 3] = 1.0
    dataset = segmentation(masks, affine, drop_empty=False)
    path = save(dataset, tmp_path)
    ended = command("masks", path, tmp_path / "out.nii.gz", "--like", image)
    assert ended.status == 0, ended.err
    (region,) = json.loads((tmp_path / "out.json").read_text())["regions"]
    assert (region["number"], region["organ"], region["voxels"]) == (3, "kidney_left", 64)
    assert region["drawn_ml"] == pytest.approx(0.512)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("SOURCE", "image.nii.gz", "--like", "image.nii.gz", "--overwrite"),
            "OUT must be another file than",
        ),
        (
            ("gone.dcm", "out.nii.gz", "--like", "image.nii.gz"),
            "there is no 'gone.dcm'. Check its path.",
        ),
        (("image.nii.gz", "out.nii.gz", "--like", "image.nii.gz"), "SOURCE must be an RTSTRUCT"),
        (("SOURCE", "out.nii.gz", "--like", "gone.nii.gz"), "must be"),
        (
            ("SOURCE", "out.nii.gz", "--like", "image.nii.gz", "--region", "Jane"),
            "and name 1 fits none of its 1 regions. Write it as",
        ),
        (("SOURCE", "out.nii.gz", "--like", "image.nii.gz"), "must be named in the table"),
    ],
)
def test_refused(words, message, tmp_path, image, command) -> None:
    path = save(structure_set({"Doe's met": squares(1.0)}), tmp_path)
    paths = [path if one == "SOURCE" else tmp_path / one if ".nii" in one else one for one in words]
    ended = command("masks", *paths)
    refused(ended, message)
    assert sorted(one.name for one in tmp_path.iterdir()) == [path.name, "image.nii.gz"]
