"""``python -m rpt_eval dvh``: table, metrics, other grids, refusals."""

import json
import math
import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from helpers.commands import Run, refused
from rpt_cohort import BadInput, file_sha256
from rpt_eval.dvh import write_dvh

GRID = np.diag([4.0, 4.0, 4.0, 1.0])
SHAPE = (22, 20, 24)


def write(path: Path, data: np.ndarray, affine: np.ndarray, dtype: type) -> Path:
    nib.save(nib.Nifti1Image(data.astype(dtype), affine), path)
    return path


def positions_mm(shape: tuple[int, ...], affine: np.ndarray) -> np.ndarray:
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    return index @ affine[:3, :3].T + affine[:3, 3]


def table(path: Path) -> tuple[str, np.ndarray, np.ndarray]:
    lines = path.read_text().splitlines()
    values = np.array([[float(number) for number in line.split(",")] for line in lines[1:]])
    return lines[0], values[:, 0], values[:, 1]


@pytest.fixture
def ramp(tmp_path: Path) -> Path:
    """A dose map of 1 Gy/GBq in the middle of x = 40 mm, 0.02 Gy/GBq more each mm."""
    dose = 1.0 + 0.02 * (positions_mm(SHAPE, GRID)[..., 0] - 40.0)
    return write(tmp_path / "map.nii.gz", dose, GRID, np.float32)


@pytest.fixture
def boxes(tmp_path: Path) -> Path:
    """Two boxes on the dose's grid, of numbers 2 and 7; number 9 has 19 voxels."""
    mask = np.zeros(SHAPE)
    mask[5:15, 3:8, 3:8] = 2
    mask[5:10, 10:15, 3:8] = 7
    mask[0, 0, :19] = 9
    return write(tmp_path / "mask.nii.gz", mask, GRID, np.uint8)


ANGLE = math.radians(25)
MASKS = {
    "finer and shifted": np.diag([1.6, 1.6, 1.6]),
    "anisotropic": np.diag([1.5, 2.0, 4.0]),
    "rotated": np.array(
        [
            [2 * math.cos(ANGLE), -1.5 * math.sin(ANGLE), 0],
            [2 * math.sin(ANGLE), 1.5 * math.cos(ANGLE), 0],
            [0, 0, 2.5],
        ]
    ),
    "LPS, other order": np.array([[0.0, 0, -2], [0, -2, 0], [2, 0, 0]]),
}


@pytest.mark.parametrize("grid", MASKS)
def test_sphere_on_another_grid(grid: str, ramp: Path, tmp_path: Path) -> None:
    radius_mm, centre_mm = 30.0, np.array([40.0, 38.0, 46.0])
    affine = np.eye(4)
    affine[:3, :3] = MASKS[grid]
    shape = tuple(int(2 * np.ceil(34 / edge)) for edge in np.linalg.norm(MASKS[grid], axis=0))
    affine[:3, 3] = centre_mm - MASKS[grid] @ (np.array(shape) / 2) + 0.2
    inside = np.linalg.norm(positions_mm(shape, affine) - centre_mm, axis=-1) <= radius_mm
    mask = write(tmp_path / "mask.nii.gz", inside, affine, np.uint8)
    write_dvh(ramp, mask, tmp_path / "out.csv", label=None, unit="gy_per_gbq")
    _, dose, volume_pct = table(tmp_path / "out.csv")
    u = np.clip((dose - 1.0) / (0.02 * radius_mm), -1, 1)
    assert np.count_nonzero(np.abs(u) < 1) > 200
    assert np.abs(volume_pct - 100 * (2 - 3 * u + u**3) / 4).max() < 0.5
    told = json.loads((tmp_path / "out.json").read_text())
    voxel_ml = abs(np.linalg.det(MASKS[grid])) / 1000
    assert told["volume_ml"] == pytest.approx(inside.sum() * voxel_ml)
    assert told["volume_ml"] == pytest.approx(4 / 3 * math.pi * 27, rel=5e-3)
    assert told["volume_outside_dose_ml"] == 0
    assert told["voxels"] == inside.sum()
    assert told["d_mean_gy_per_gbq"] == pytest.approx(1.0, rel=2e-3)
    assert told["d50_gy_per_gbq"] == pytest.approx(1.0, rel=3e-3)
    assert told["d_max_gy_per_gbq"] == pytest.approx(1.6, rel=0.02)
    assert told["v1_gy_per_gbq_pct"] == pytest.approx(50, abs=0.5)
    assert told["samples"] == inside.sum() * math.prod(told["supersampling"])


def test_table_and_metrics_of_a_box(rpt_eval: Run, ramp: Path, boxes: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    ended = rpt_eval("dvh", "--dose", ramp, "--mask", boxes, "--out", out, "--label", 2)
    assert ended.status == 0, ended.err
    assert ended.out == ""
    heading, dose, volume_pct = table(out)
    assert heading == "dose_gy_per_gbq,volume_pct"
    told = json.loads((tmp_path / "out.json").read_text())
    assert len(dose) == 2001
    assert dose[0] == 0
    assert dose[-1] == told["d_max_gy_per_gbq"]
    np.testing.assert_allclose(np.diff(dose), dose[-1] / 2000)
    assert volume_pct[0] == 100
    assert (np.diff(volume_pct) <= 0).all()
    # Planes of 10 % each, from 20 to 56 mm: 0.60 to 1.32 Gy/GBq, each voxel its own dose.
    planes = np.arange(0.6, 1.33, 0.08)
    expected_pct = [10.0 * np.count_nonzero(planes >= level - 1e-6) for level in dose]
    np.testing.assert_allclose(volume_pct, expected_pct)
    assert told["unit"] == "gy_per_gbq"
    assert told["label"] == 2
    assert told["voxels"] == 250
    assert told["volume_ml"] == pytest.approx(16.0)
    assert told["d_mean_gy_per_gbq"] == pytest.approx(0.96)
    expected = {2: 1.32, 5: 1.32, 10: 1.32, 50: 1.0, 90: 0.68, 95: 0.60, 98: 0.60}
    for pct, dose_gy_per_gbq in expected.items():
        assert told[f"d{pct}_gy_per_gbq"] == pytest.approx(dose_gy_per_gbq)
    assert told["v1_gy_per_gbq_pct"] == pytest.approx(50.0)
    assert told["v0.5_gy_per_gbq_pct"] == 100
    assert told["v2_gy_per_gbq_pct"] == 0
    assert told["supersampling"] is None
    assert told["samples"] == 250
    block = told["provenance"]
    assert block["package"] == "rpt-eval"
    assert block["command"] == "dvh"
    assert block["inputs"] == {"dose": file_sha256(ramp), "mask": file_sha256(boxes)}
    assert str(tmp_path) not in (tmp_path / "out.json").read_text()


def test_gy_and_all_labels(ramp: Path, boxes: Path, tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        write_dvh(ramp, boxes, tmp_path / name, label=None, unit="gy")
    assert table(tmp_path / "a.csv")[0] == "dose_gy,volume_pct"
    told = json.loads((tmp_path / "a.json").read_text())
    assert told["voxels"] == 250 + 125 + 19
    assert told["label"] is None
    assert {"d_mean_gy", "d95_gy", "v23_gy_pct"} <= told.keys()
    for suffix in ("csv", "json"):
        assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()


@pytest.mark.parametrize("factor", [0.0, 3.0])
def test_uniform_dose(factor: float, boxes: Path, tmp_path: Path) -> None:
    dose = write(tmp_path / "map.nii.gz", np.full(SHAPE, factor), GRID, np.float32)
    write_dvh(dose, boxes, tmp_path / "out.csv", label=2, unit="gy")
    told = json.loads((tmp_path / "out.json").read_text())
    for key in ("d_mean_gy", "d_min_gy", "d_max_gy", "d50_gy"):
        assert told[key] == pytest.approx(factor)
    _, levels, volume_pct = table(tmp_path / "out.csv")
    assert (volume_pct == 100).all()
    assert len(levels) == (2001 if factor else 1)


def test_mask_partly_outside(rpt_eval: Run, boxes: Path, tmp_path: Path, ramp: Path) -> None:
    affine = GRID.copy()
    affine[0, 3] = 4.0 * 12  # of the box of 10 voxels from 5 to 14, 5 stay inside
    mask = np.zeros(SHAPE)
    mask[5:15, 3:8, 3:8] = 1
    write(boxes, mask, affine, np.uint8)
    out = tmp_path / "out.csv"
    ended = rpt_eval("dvh", "--dose", ramp, "--mask", boxes, "--out", out)
    assert ended.status == 0, ended.err
    assert "8 mL of the mask lie outside the dose map" in ended.err
    told = json.loads((tmp_path / "out.json").read_text())
    assert told["volume_ml"] == pytest.approx(16.0)
    assert told["volume_outside_dose_ml"] == pytest.approx(8.0)
    # Voxel centres at 68 to 84 mm.
    assert told["d_mean_gy_per_gbq"] == pytest.approx(1.0 + 0.02 * (76 - 40))


@pytest.mark.parametrize("dtype", [np.float32, np.int16, np.float64])
def test_types_of_a_mask(dtype: type, ramp: Path, boxes: Path, tmp_path: Path) -> None:
    mask = np.zeros(SHAPE)
    mask[5:15, 3:8, 3:8] = 1
    write(boxes, mask, GRID, dtype)
    write_dvh(ramp, boxes, tmp_path / "out.csv", label=1, unit="gy")
    assert json.loads((tmp_path / "out.json").read_text())["voxels"] == 250


# What tells the unit

GY = {"quantity": "absorbed dose, Gy"}
PREDICTED = {
    "quantity": "absorbed dose per administered activity, predicted before therapy",
    "unit": "Gy/GBq",
}


@pytest.mark.parametrize(
    ("name", "told", "expected"),
    [
        ("map", None, "gy_per_gbq"),
        ("map", {"provenance": {}}, "gy_per_gbq"),
        ("map", GY, "gy"),
        ("dose", GY, "gy"),
        ("map", {"quantity": "absorbed dose", "Units": "Gy"}, "gy"),
        ("map", {"unit": "mGy/MBq"}, "gy_per_gbq"),
        ("map", {"unit": "gy_per_gbq"}, "gy_per_gbq"),
        ("dose", PREDICTED, "gy_per_gbq"),
        ("dose", None, "gy_per_gbq"),
        ("dose_gy", None, "gy"),
        ("dose_gy", {"quantity": "absorbed dose, Gy per GBq"}, "gy_per_gbq"),
    ],
)
def test_unit_that_is_told_is_taken_and_another_refused(
    name: str,
    told: dict[str, object] | None,
    expected: str,
    ramp: Path,
    boxes: Path,
    tmp_path: Path,
    rpt_eval: Run,
) -> None:
    dose = ramp.rename(tmp_path / f"{name}.nii.gz")
    if told is not None:
        (tmp_path / f"{name}.json").write_text(json.dumps(told))
    words = ("dvh", "--dose", dose, "--mask", boxes, "--out")
    ended = rpt_eval(*words, tmp_path / "out.csv")
    assert ended.status == 0, ended.err
    result = json.loads((tmp_path / "out.json").read_text())
    assert (result["unit"], f"d_mean_{expected}" in result) == (expected, True)
    assert table(tmp_path / "out.csv")[0] == f"dose_{expected},volume_pct"
    assert rpt_eval(*words, tmp_path / "same.csv", "--unit", expected).status == 0
    (other,) = {"gy", "gy_per_gbq"} - {expected}
    ended = rpt_eval(*words, tmp_path / "other.csv", "--unit", other)
    if name == "map" and "gy" not in json.dumps(told).lower():  # nothing tells: the user does
        assert ended.status == 0, ended.err
        return
    assert (ended.status, ended.err.count("\n")) == (2, 1)
    assert f"got {other}" in ended.err
    assert f"Give --unit {expected}" in ended.err
    assert not (tmp_path / "other.csv").exists()


@pytest.mark.parametrize(
    "told",
    [
        {"quantity": "SUV, body weight, g/mL"},
        {"quantity": "activity concentration at mid-scan, Bq/mL"},
        {"quantity": "absorbed dose, mGy"},
        {"unit": "cGy"},
        {"unit": "Gy/MBq"},
        {**GY, "unit": "Gy/GBq"},
    ],
)
@pytest.mark.parametrize("unit", [None, "gy", "gy_per_gbq"])
def test_another_quantity_is_refused(
    told: dict[str, str], unit: str | None, ramp: Path, boxes: Path, tmp_path: Path
) -> None:
    (tmp_path / "map.json").write_text(json.dumps(told))
    refuse(ramp, boxes, tmp_path / "out.csv", "must be an absorbed dose in Gy or Gy", unit=unit)


def test_broken_json_beside(ramp: Path, boxes: Path, tmp_path: Path) -> None:
    (tmp_path / "map.json").write_text("{")
    refuse(ramp, boxes, tmp_path / "out.csv", "must be readable, to tell its unit")


# Refusals


def refuse(
    dose: Path,
    mask: Path,
    out: Path,
    fault: str,
    *,
    label: int | None = None,
    unit: str | None = "gy",
) -> None:
    there = sorted(out.parent.iterdir()) if out.parent.is_dir() else []
    with pytest.raises(BadInput, match=fault) as raised:
        write_dvh(dose, mask, out, label=label, unit=unit)
    assert str(dose.parent) not in str(raised.value)
    assert there == (sorted(out.parent.iterdir()) if out.parent.is_dir() else [])


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1e-3])
def test_dose_that_cannot_be(value: float, ramp: Path, boxes: Path, tmp_path: Path) -> None:
    dose = np.ones(SHAPE)
    dose[6, 4, 4] = value
    write(ramp, dose, GRID, np.float64)
    fault = "must be finite" if not math.isfinite(value) else "must not be negative"
    refuse(ramp, boxes, tmp_path / "out.csv", fault)


@pytest.mark.parametrize(
    ("unit", "largest", "fault"),
    [
        ("gy_per_gbq", 101.0, "must be in Gy/GBq, got up to 101, which looks like Gy or mGy"),
        ("gy", 30_000.0, "must be in Gy, got up to 30000, which looks like mGy"),
    ],
)
def test_dose_of_another_unit(
    unit: str, largest: float, fault: str, ramp: Path, boxes: Path, tmp_path: Path
) -> None:
    write(ramp, np.full(SHAPE, largest), GRID, np.float32)
    refuse(ramp, boxes, tmp_path / "out.csv", fault, unit=unit)


@pytest.mark.parametrize(
    ("label", "fault"),
    [
        (3, "which holds 2, 7, 9: got 3"),
        (300, "which holds 2, 7, 9: got 300"),
        (0, "--label must be above 0"),
        (-2, "--label must be above 0"),
        (9, "20 voxels or more for a histogram, got 19"),
    ],
)
def test_label_that_cannot_be(
    label: int, fault: str, ramp: Path, boxes: Path, tmp_path: Path
) -> None:
    refuse(ramp, boxes, tmp_path / "out.csv", fault, label=label)


@pytest.mark.parametrize("value", [0.5, math.nan, -1.0, math.inf])
def test_mask_that_cannot_be(value: float, ramp: Path, boxes: Path, tmp_path: Path) -> None:
    mask = np.ones(SHAPE)
    mask[3, 4, 5] = value
    write(boxes, mask, GRID, np.float64)
    refuse(ramp, boxes, tmp_path / "out.csv", "must hold whole numbers, 0 and above")


def test_empty_mask_and_many_labels(ramp: Path, boxes: Path, tmp_path: Path) -> None:
    write(boxes, np.zeros(SHAPE), GRID, np.uint8)
    refuse(ramp, boxes, tmp_path / "out.csv", "is 0 everywhere")
    refuse(ramp, boxes, tmp_path / "out.csv", "is 0 everywhere", label=1)
    write(boxes, np.arange(np.prod(SHAPE)).reshape(SHAPE) % 40, GRID, np.uint8)
    refuse(ramp, boxes, tmp_path / "out.csv", "19, 20, …: got 99", label=99)


def test_mask_elsewhere(ramp: Path, boxes: Path, tmp_path: Path) -> None:
    affine = GRID.copy()
    affine[2, 3] = 5000.0
    write(boxes, np.ones(SHAPE), affine, np.uint8)
    refuse(ramp, boxes, tmp_path / "out.csv", "wholly outside its grid")


@pytest.mark.parametrize("name", ["out.txt", "out", ".csv", "out.csv.gz", "absent/out.csv"])
def test_out_that_cannot_be(name: str, ramp: Path, boxes: Path, tmp_path: Path) -> None:
    fault = "folder of --out must exist" if "/" in name else "must end in .csv"
    refuse(ramp, boxes, tmp_path / name, fault)


@pytest.mark.parametrize("which", ["dose", "mask"])
def test_file_missing_or_broken(which: str, ramp: Path, boxes: Path, tmp_path: Path) -> None:
    spoilt = ramp if which == "dose" else boxes
    named = re.escape(f"(--{which})")
    spoilt.write_bytes(spoilt.read_bytes()[:-40])
    refuse(ramp, boxes, tmp_path / "out.csv", f"{named} must be a whole NIfTI file")
    spoilt.unlink()
    refuse(ramp, boxes, tmp_path / "out.csv", f"{named} must be a NIfTI file")


def test_one_sentence_and_status_2(rpt_eval: Run, ramp: Path, boxes: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    ended = rpt_eval("dvh", "--dose", ramp, "--mask", boxes, "--out", out, "--label", 3)
    refused(ended, "--label must be a number of the mask")
    assert ended.err.count("\n") == 1
    assert not out.exists()


@pytest.mark.parametrize("there", ["out.csv", "out.json"])
def test_what_is_there_is_kept(
    there: str, rpt_eval: Run, ramp: Path, boxes: Path, tmp_path: Path
) -> None:
    (tmp_path / there).write_text("mine")
    words = ("dvh", "--dose", ramp, "--mask", boxes, "--out", tmp_path / "out.csv")
    ended = rpt_eval(*words)
    assert (ended.status, ended.err.count("\n")) == (2, 1)
    assert f"{there}' must be new, and it is there" in ended.err
    assert (tmp_path / there).read_text() == "mine"
    assert rpt_eval(*words, "--overwrite").status == 0
    assert json.loads((tmp_path / "out.json").read_text())["voxels"] == 250 + 125 + 19
