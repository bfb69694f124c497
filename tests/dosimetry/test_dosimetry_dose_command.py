"""``dose`` end to end on small volumes: what it writes, and what it refuses."""

import csv
import json
import math
import os
import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from rpt_cohort import nifti_bytes, read_volume
from rpt_dosimetry.nifti import voxels_sha256
from rpt_dosimetry.tia.uncertainty import volume_exponent

SHAPE = (12, 10, 8)
AFFINE = np.diag([4.8, 4.8, 4.8, 1.0])
VOXEL_ML = 4.8**3 / 1000
DECAY_PER_H = math.log(2) / (6.647 * 24)
HALF_LIFE_H = 50.0
TIMES_H = (4.0, 24.0, 72.0, 168.0)
DELTA = 0.08531964  # g Gy/(MBq h), Lu-177's electrons
MAPS = ("dose.nii.gz", "dose_gy.nii.gz", "tia.nii.gz")


def write(path: Path, data: np.ndarray, dtype=np.float32, affine=AFFINE) -> Path:
    path.write_bytes(nifti_bytes(data, affine, dtype=dtype))
    return path


def read(path: Path) -> np.ndarray:
    return np.asanyarray(nib.Nifti1Image.from_filename(path).dataobj)


def table(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "organs.csv").open(newline="") as stream:
        return {row["name"]: row for row in csv.DictReader(stream)}


@pytest.fixture
def organs() -> np.ndarray:
    organs = np.zeros(SHAPE, dtype=np.uint8)
    organs[1:11, 1:9, 1:7] = 199
    organs[2:5, 2:5, 2:5] = 2
    organs[7:10, 2:5, 2:5] = 3
    return organs


@pytest.fixture
def cycle(tmp_path, organs):
    """Write a patient whose organs wash out mono-exponentially; return the command's words."""
    at_0h = np.zeros(SHAPE)
    at_0h[organs == 199] = 2e4
    at_0h[np.isin(organs, (2, 3))] = 8e5
    rate = math.log(2) / HALF_LIFE_H
    words: list[object] = ["dose"]
    for number, time_h in enumerate(TIMES_H):
        image = at_0h * math.exp(-rate * time_h)
        path = write(tmp_path / f"A{number}.nii.gz", image)
        words += ["--activity", path, "--time-h", time_h]
    words += ["--organs", write(tmp_path / "organs.nii.gz", organs, np.uint8)]
    return [*words, "--administered-mbq", 7400, "--engine", "local", "--out", tmp_path / "out"]


def test_closed_form(cycle, command, tmp_path) -> None:
    # TIA of a voxel: 0.8 MBq/mL · T/ln 2; dose: 0.08532 / 1.04 of it.
    done = command(*cycle, "--residual-mbq", 400)
    assert done.status == 0, done.err
    out = tmp_path / "out"
    tia_h = HALF_LIFE_H / math.log(2)
    kidney_gy = 0.8 * tia_h * DELTA / 1.04
    dose = read(out / "dose_gy.nii.gz")
    assert dose[3, 3, 3] == pytest.approx(kidney_gy, rel=1e-5)
    assert dose[0, 0, 0] == 0
    assert read(out / "tia.nii.gz")[3, 3, 3] == pytest.approx(0.8 * tia_h, rel=1e-5)
    np.testing.assert_allclose(read(out / "dose.nii.gz"), dose / 7.0, rtol=1e-6)
    assert {path.name for path in out.iterdir()} == {*MAPS, "organs.csv", "summary.json"}
    rows = table(out)
    assert list(rows) == [
        *("whole_image", "body", "kidney", "kidney_right", "kidney_left", "remaining_body"),
        "rest",
    ]
    kidney = rows["kidney"]
    assert float(kidney["voxels"]) == 54
    assert float(kidney["volume_ml"]) == pytest.approx(54 * VOXEL_ML)
    assert float(kidney["mass_g"]) == pytest.approx(54 * VOXEL_ML * 1.04)
    for column in ("dose_mean_gy", "dose_d2_gy", "dose_d50_gy", "dose_d98_gy"):
        assert float(kidney[column]) == pytest.approx(kidney_gy, rel=1e-5)
    assert float(kidney["dose_sd_gy"]) == pytest.approx(0, abs=1e-5)
    assert float(kidney["tia_coefficient_h"]) == pytest.approx(
        0.8 * 54 * VOXEL_ML * tia_h / 7000, rel=1e-5
    )
    assert float(kidney["effective_half_life_h"]) == pytest.approx(HALF_LIFE_H, rel=1e-4)
    g = 2.8 / (2.8 + HALF_LIFE_H)
    bed = kidney_gy * (1 + g * kidney_gy / 2.5)
    assert float(kidney["bed_gy"]) == pytest.approx(bed, rel=1e-4)
    assert kidney["recovery_coefficient"] == kidney["volume_sd_pct"] == ""
    assert float(kidney["relative_sd_pct"]) == pytest.approx(5.0, abs=0.1)
    assert rows["body"]["bed_gy"] == rows["whole_image"]["bed_gy"] == ""


def test_summary(cycle, command, in_file, tmp_path) -> None:
    tissues = {"alpha_beta_gy": {"kidney": 2.6}, "repair_half_time_h": {"kidney_left": 2}}
    command(*cycle, *in_file(**tissues))
    text = (tmp_path / "out" / "summary.json").read_text()
    told = json.loads(text)
    assert str(tmp_path) not in text
    assert told["energy_kev_per_decay"]["absorbed"] == pytest.approx(147.92, rel=1e-4)
    assert told["bed_parameters"]["kidney"] == {"alpha_beta_gy": 2.6, "repair_half_time_h": 2.8}
    assert told["bed_parameters"]["kidney_left"] == {"alpha_beta_gy": 2.6, "repair_half_time_h": 2}
    assert told["net_administered_mbq"] == 7400
    assert told["region_fallbacks"] == {}
    assert sum(told["voxel_methods"].values()) == np.prod(SHAPE)
    assert set(told["provenance"]["inputs"]) == {*(f"activity_{i}" for i in (1, 2, 3, 4)), "organs"}
    assert told["provenance"]["command"] == "dose"
    total = float(table(tmp_path / "out")["whole_image"]["map_tia_mbq_h"])
    assert told["tia_mbq_h"] == pytest.approx(total)


def test_same_input_same_bytes(cycle, command, tmp_path) -> None:
    command(*cycle)
    command(*cycle, "--out", tmp_path / "again")
    for path in (tmp_path / "out").iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes(), path.name


def test_voxels_that_leave_their_curve_are_told(cycle, command, in_file, tmp_path) -> None:
    """A kidney that moved between the scans: half its voxels rise, half fall to nothing."""
    path = tmp_path / "A1.nii.gz"
    write(path, np.roll(read(path), 2, axis=1))
    done = command(*cycle, *in_file(voxel_curve="own"))
    assert done.status == 0, done.err
    told = json.loads((tmp_path / "out" / "summary.json").read_text())
    (warning,) = [sentence for sentence in told["warnings"] if "off the region's curve" in sentence]
    assert "remaining_body (+" in warning
    assert "rest (+" in warning  # half a kidney lies in it at one scan alone
    for name in ("whole_image", " body"):
        assert f"{name} (" not in warning
    assert "voxel_curve organ has the region's curve" in warning
    done = command(*cycle, "--out", tmp_path / "organ")
    assert done.status == 0, done.err
    sentence = " ".join(done.err.split())
    assert "remaining_body (" not in sentence.partition("off the region's curve")[2]


def test_voxel_curve_without_the_option(cycle, command, tmp_path) -> None:
    command(*cycle)
    told = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert told["voxel_curve"] == told["provenance"]["parameters"]["voxel_curve"] == "organ"
    words = [word for word in cycle if "organs" not in str(word)]
    command(*words, "--out", tmp_path / "bare")
    told = json.loads((tmp_path / "bare" / "summary.json").read_text())
    assert told["voxel_curve"] == told["provenance"]["parameters"]["voxel_curve"] == "own"


def test_organ_curves_need_masks(cycle, command, in_file, tmp_path) -> None:
    words = [word for word in cycle if "organs" not in str(word)]
    done = command(*words, *in_file(voxel_curve="organ"))
    assert done.status == 2
    assert "voxel_curve organ must have --organs or --lesions" in " ".join(done.err.split())
    assert not (tmp_path / "out").exists()


def test_organ_curve_sums_to_the_organ(cycle, command, in_file, tmp_path, organs) -> None:
    noise = np.random.default_rng(0)
    for number in range(4):
        path = tmp_path / f"A{number}.nii.gz"
        write(path, read(path) * noise.uniform(0.7, 1.3, SHAPE))
    lesions = np.zeros(SHAPE, dtype=np.uint16)
    lesions[6:8, 6:8, 2:4] = 301
    lesion_path = write(tmp_path / "lesions.nii.gz", lesions, np.uint16)
    done = command(*cycle, *in_file(voxel_curve="organ"), "--lesions", lesion_path)
    assert done.status == 0, done.err
    rows = table(tmp_path / "out")
    kidney = rows["kidney_left"]
    # Shared among its voxels.
    assert float(kidney["map_tia_mbq_h"]) == pytest.approx(float(kidney["tia_mbq_h"]), rel=1e-6)
    told = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert told["voxel_methods"] == {"its region's curve, scaled": organs.size}
    assert rows["lesion_301"]["kind"] == "lesion"
    # One linear map of the four points serves all voxels of an organ.
    tia = read(tmp_path / "out" / "tia.nii.gz")[organs == 3]
    points = np.stack([read(tmp_path / f"A{i}.nii.gz")[organs == 3] for i in range(4)], axis=1)
    weights = np.linalg.lstsq(points.astype(np.float64), tia, rcond=None)[0]
    np.testing.assert_allclose(points @ weights, tia, rtol=1e-4)


def test_ct_scales_the_dose_and_floors_air(cycle, command, tmp_path) -> None:
    ct = np.full(SHAPE, -1000, dtype=np.int16)
    ct[1:11, 1:9, 1:7] = 23  # 1.031 g/mL
    ct[9, 2:5, 2:5] = -1000  # air in the left kidney
    done = command(*cycle, "--ct", write(tmp_path / "ct.nii.gz", ct, np.int16))
    assert done.status == 0, done.err
    dose = read(tmp_path / "out" / "dose_gy.nii.gz")
    kidney_gy = 0.8 * HALF_LIFE_H / math.log(2) * DELTA
    assert dose[3, 3, 3] == pytest.approx(kidney_gy / 1.031, rel=1e-5)
    assert dose[9, 3, 3] == pytest.approx(kidney_gy / 0.2, rel=1e-5)
    told = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert told["density"]["voxels_raised_with_activity"] == 9
    assert "9 voxels with activity are thinner than 0.2 g/mL" in done.err
    mass = float(table(tmp_path / "out")["kidney_left"]["mass_g"])
    assert mass == pytest.approx((18 * 1.031 + 9 * 0.00121) * VOXEL_ML, rel=1e-6)


def test_recovery_stands_beside(cycle, command, in_file, tmp_path) -> None:
    command(*cycle)
    words = ["--out", tmp_path / "recovered", "--calibration-sd-pct", 3]
    command(*cycle, *words, *in_file(fwhm_mm=8))
    for name in MAPS:
        before = (tmp_path / "out" / name).read_bytes()
        assert before == (tmp_path / "recovered" / name).read_bytes()
    kidney = table(tmp_path / "recovered")["kidney_left"]
    recovery = float(kidney["recovery_coefficient"])
    assert 0 < recovery < 1
    assert float(kidney["dose_recovered_gy"]) == float(kidney["dose_mean_gy"]) / recovery
    parts = [float(kidney[f"{part}_sd_pct"]) for part in ("calibration", "volume", "fit")]
    assert parts[0] == 3
    assert float(kidney["relative_sd_pct"]) == pytest.approx(math.hypot(*parts))
    assert kidney["dose_recovered_sd_pct"] == ""


def test_uncertainty_of_the_recovered_dose(cycle, command, in_file, tmp_path) -> None:
    """The outline's part has the exponent of recovered activity; the recovery's comes on top."""
    choices = {"fwhm_mm": 8, "calibration_sd_pct": 3, "recovery_sd_pct": 4}
    ended = command(*cycle, *in_file(**choices))
    assert ended.status == 0, ended.err
    kidney = table(tmp_path / "out")["kidney_left"]
    volume_ml = float(kidney["volume_ml"])
    exponent, plain = (
        volume_exponent(volume_ml=volume_ml, fwhm_mm=8.0, recovered=recovered)
        for recovered in (True, False)
    )
    volume_pct = float(kidney["volume_sd_pct"]) * abs(exponent / plain)
    fit_pct = float(kidney["fit_sd_pct"] or 0)
    expected = math.hypot(3, 4, volume_pct, fit_pct)
    assert float(kidney["dose_recovered_sd_pct"]) == pytest.approx(expected)
    assert table(tmp_path / "out")["whole_image"]["dose_recovered_sd_pct"] == ""
    for more, told in (
        ({"recovery_sd_pct": 4}, "recovery_sd_pct needs fwhm_mm"),
        (choices | {"recovery_sd_pct": -1}, "recovery_sd_pct: Input should be greater than or"),
    ):
        ended = command(*cycle, "--out", tmp_path / "bad", *in_file(**more))
        assert (ended.status, told in ended.err) == (2, True)


@pytest.mark.parametrize(
    ("model", "choices", "per_activity_h"),
    [
        # A(t)·e^(λt)/λ with the physical λ; 2t/ln 2; e^(λt)/λ with 40 h
        ("physical", {}, math.exp(DECAY_PER_H * 72) / DECAY_PER_H),
        ("haenscheid", {}, 2 * 72 / math.log(2)),
        ("madsen", {"population_half_life_h": 40}, 2 ** (72 / 40) * 40 / math.log(2)),
    ],
)
def test_one_time_point(model, choices, per_activity_h, cycle, command, in_file, tmp_path) -> None:
    one = ["dose", *cycle[9:13], *cycle[17:]]
    assert one[4] == 72.0
    done = command(*one, "--model", model, *in_file(**choices))
    assert done.status == 0, done.err
    assert "One time point" in done.err
    tia = read(tmp_path / "out" / "tia.nii.gz")
    activity = read(tmp_path / "A2.nii.gz")
    np.testing.assert_allclose(tia, activity * per_activity_h / 1e6, rtol=1e-5)
    kidney = table(tmp_path / "out")["kidney"]
    assert float(kidney["tia_mbq_h"]) == pytest.approx(float(kidney["map_tia_mbq_h"]), rel=1e-5)
    assert (kidney["bed_gy"] == "") == (model == "haenscheid")


def test_one_time_point_needs_a_model(cycle, command, tmp_path) -> None:
    done = command("dose", *cycle[9:13], *cycle[17:])
    assert done.status == 2
    sentence = " ".join(done.err.split())
    assert "One time point of the regions tells no washout" in sentence
    assert "haenscheid or madsen" in sentence
    assert "physical, an upper bound" in sentence
    assert not (tmp_path / "out").exists()


def test_no_total_where_the_fit_is_unknown(cycle, command, tmp_path) -> None:
    done = command("dose", *cycle[1:9], *cycle[17:])  # two points fix two parameters
    assert done.status == 0, done.err
    kidney = table(tmp_path / "out")["kidney"]
    assert (kidney["relative_sd_pct"], kidney["relative_95_pct"], kidney["fit_sd_pct"]) == ("",) * 3
    assert float(kidney["calibration_sd_pct"]) == 5.0


@pytest.mark.parametrize(("told_pct", "cell"), [(31.0, 31.0), (None, None)])
def test_the_calibration_that_a_json_tells_is_taken(
    told_pct, cell, cycle, command, tmp_path
) -> None:
    for number in range(4):
        content = {"total_relative_sd_pct": told_pct}
        (tmp_path / f"A{number}.json").write_text(json.dumps(content))
    done = command(*cycle)
    assert done.status == 0, done.err
    kidney = table(tmp_path / "out")["kidney"]
    if cell is None:
        assert kidney["calibration_sd_pct"] == kidney["relative_sd_pct"] == ""
        assert "standard uncertainty is not known" in " ".join(done.err.split())
    else:
        assert float(kidney["calibration_sd_pct"]) == cell
    stated = command(*cycle, "--calibration-sd-pct", 4, "--out", tmp_path / "stated")
    assert "4 %, which was taken" in " ".join(stated.err.split())
    assert float(table(tmp_path / "stated")["kidney"]["calibration_sd_pct"]) == 4.0


def test_a_json_without_a_calibration_has_the_usual_one(cycle, command, tmp_path) -> None:
    for number, told in enumerate([{"total_relative_sd_pct": 2.0}, {}, {}, {}]):
        (tmp_path / f"A{number}.json").write_text(json.dumps(told))
    assert command(*cycle).status == 0
    assert float(table(tmp_path / "out")["kidney"]["calibration_sd_pct"]) == 5.0


def test_lesion_numbers_are_no_organs(cycle, command, tmp_path) -> None:
    (tmp_path / "organs.json").write_text(json.dumps({"quantity": "lesion number"}))
    done = command(*cycle)
    assert done.status == 2
    assert "quantity of the JSON beside the image must be 'organ number" in done.err


@pytest.mark.parametrize("stated", [False, True])
def test_a_late_rise_inside_the_background_is_fitted_through(
    stated, cycle, command, in_file, tmp_path, organs
) -> None:
    """Kidneys of 100, 60, 20 and, in a background of 10, 25."""
    kidneys, rest = np.isin(organs, (2, 3)), organs == 0
    paths = [tmp_path / f"A{number}.nii.gz" for number in range(4)]
    for path, level, body in zip(paths, (100, 60, 20, 25), (50, 25, 12, 3), strict=True):
        image = read(path).copy()
        image[kidneys] = 4e3 * level
        image[organs == 199] = 4e3 * body
        image[rest] = 0 if stated else 4e3 * 10
        write(path, image)
    none = in_file(noise_floor_bq_per_ml=0)
    rising = command(*cycle, *none, "--out", tmp_path / "lines")
    assert rising.status == 0, rising.err
    bound = float(table(tmp_path / "lines")["kidney"]["tia_mbq_h"])
    done = command(*cycle, *(in_file(noise_floor_bq_per_ml=4e4) if stated else []))
    assert done.status == 0, done.err
    told = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert told["noise_floor_bq_per_ml"] == pytest.approx([4e4] * 4)
    kidney = table(tmp_path / "out")["kidney"]
    assert kidney["fallback"] == ""
    # 100 and 60 alone tell 27 h, the later ones no more than that they are below the noise.
    assert float(kidney["effective_half_life_h"]) == pytest.approx(31, abs=5)
    assert bound > 2 * float(kidney["tia_mbq_h"])


def test_voxels_that_rise_inside_their_noise_have_the_images_curve(
    cycle, command, tmp_path
) -> None:
    noise = np.random.default_rng(3)
    for number in range(2):
        path = tmp_path / f"A{number}.nii.gz"
        write(path, read(path) * noise.gamma(1.0, 1.0, SHAPE))  # of 100 %, as far from the organs
    words = [word for word in cycle[:9] + cycle[17:] if "organs" not in str(word)]
    done = command(*words)
    assert done.status == 0, done.err
    image = table(tmp_path / "out")["whole_image"]
    told = json.loads((tmp_path / "out" / "summary.json").read_text())
    risen = told["voxel_methods"]["rises inside the noise: its region's curve, scaled"]
    assert risen > 0.7 * sum(
        number for name, number in told["voxel_methods"].items() if name.startswith("rises")
    )
    assert f"The activity of {risen} voxels rises by no more than the noise" in " ".join(
        done.err.split()
    )
    share = float(image["map_tia_mbq_h"]) / float(image["tia_mbq_h"])
    sentences = " ".join(told["warnings"])
    assert (f"whole_image ({share - 1:+.0%})" in sentences) == (abs(share - 1) > 0.1)


def test_a_true_rise_stays_a_rise(cycle, command, tmp_path, organs) -> None:
    first = read(tmp_path / "A0.nii.gz").copy()
    first[organs == 2] *= 0.2
    first[organs == 199] *= 10  # the image falls
    write(tmp_path / "A0.nii.gz", first)
    words = [word for word in cycle[:9] + cycle[17:] if "organs" not in str(word)]
    assert command(*words).status == 0
    tia = read(tmp_path / "out" / "tia.nii.gz")
    second = read(tmp_path / "A1.nii.gz")[3, 3, 3] / 1e6
    by_hand = 0.5 * 4 * first[3, 3, 3] / 1e6 + 10 * (first[3, 3, 3] / 1e6 + second)
    assert tia[3, 3, 3] == pytest.approx(by_hand + second / DECAY_PER_H, rel=1e-4)


def test_an_organ_that_rises_has_a_named_fallback(cycle, command, tmp_path, organs) -> None:
    last = read(tmp_path / "A3.nii.gz")
    last[organs == 2] = 1.5 * read(tmp_path / "A2.nii.gz")[organs == 2]
    first = read(tmp_path / "A2.nii.gz")
    first[organs == 199] *= 30
    write(tmp_path / "A2.nii.gz", first)
    write(tmp_path / "A3.nii.gz", last)
    done = command(*cycle)
    assert done.status == 0, done.err
    assert "regions could not be fitted" in done.err
    assert "kidney_right" in done.err
    told = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert "rises at the end" in told["region_fallbacks"]["kidney_right"]
    assert table(tmp_path / "out")["kidney_right"]["fallback"]
    assert told["warnings"]


SPOILT = {
    "negative": ("A1", lambda a: a - 1, r"Activity 2 .* 0 Bq/mL or above, and \d+ voxels"),
    "not finite": ("A2", lambda a: _holed(a), "Activity 3 .* finite"),
    "another grid": ("A3", lambda a: a[:-1], "Activity 4 .* must be on the grid of Activity 1"),
    "rising": ("A3", lambda a: a * 100, "whole image must fall at the end"),
    "kBq/mL": ("A0", lambda a: a * 1e-6, "not in kBq/mL or MBq/mL"),
    "zero": ("A0", lambda a: a * 0, "Activity 1 .* must hold activity, and is 0 everywhere"),
    "too much": ("A0", lambda a: a * 1e4, "no more than the net administered 7400 MBq"),
}


@pytest.mark.parametrize("case", ["zero", "too much", "negative", "quantity", "nuclide", "time"])
def test_the_third_image_is_named_by_its_path(case, cycle, command, tmp_path) -> None:
    path = tmp_path / "A2.nii.gz"
    told = {
        "quantity": {"quantity": "counts"},
        "nuclide": {"nuclide": "I-131"},
        "time": {"injection_to_mid_scan_h": 1.0},
    }
    if case in told:
        tell(tmp_path, 2, **told[case])
        tell(tmp_path, 0)
    else:
        factor = {"zero": 0, "too much": 1e6, "negative": -1}[case]
        write(path, (read(path) * factor).astype(np.float32))
    done = command(*cycle)
    refused(done, r"activity 3 \(--activity\)|Activity 3 \(--activity\)", tmp_path)
    assert f"'{path}'" in done.err
    assert not any(f"A{number}.nii.gz" in done.err for number in (0, 1, 3))


def _holed(values: np.ndarray) -> np.ndarray:
    values = values.copy()
    values[0, 0, 0] = np.nan
    return values


@pytest.mark.parametrize("case", SPOILT)
def test_spoilt_activities(case, cycle, command, tmp_path) -> None:
    name, how, told = SPOILT[case]
    path = tmp_path / f"{name}.nii.gz"
    nib.save(nib.Nifti1Image(how(read(path)).astype(np.float32), AFFINE), path)
    refused(command(*cycle), told, tmp_path)


def refused(done, told: str, folder: Path) -> None:
    assert done.status == 2
    lines = done.err.strip().splitlines()
    assert lines[-1].startswith("error: ")
    assert re.search(told, lines[-1]), lines[-1]
    assert not [path for path in folder.iterdir() if "out" in path.name]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--time-h", 200], "as many, got 4 and 5"),
        (["--administered-mbq", 0], "above 0 and at most 100000 MBq"),
        (["--administered-mbq", 7.4e6], "not in kBq or Bq"),
        (["--administered-mbq", 0.74], "--administered-mbq in MBq and not in GBq"),
        (["--residual-mbq", 7400], "below the 7400 MBq administered"),
        (["--residual-mbq", -1], "--residual-mbq must be 0 or above"),
        (["--infusion-h", 5], "--time-h must not be before the end of the infusion"),
        (["--infusion-h", -1], "error: --infusion-h must be a finite number"),
        (["--nuclide", "Lu-177x"], "Did you mean"),
        (["--engine", "mird"], "one of local, vsv, got 'mird'"),
        (["--model", "tri"], "--model must be one of"),
        (["--model", "haenscheid"], "is for one time point, got 4"),
        (["--calibration-sd-pct", -1], "--calibration-sd-pct must be 0 % or above, got -1 %"),
        (["--calibration-sd-pct", 101], "--calibration-sd-pct must be at most 100 %, got 101 %"),
        (["--ct", "none.nii.gz"], "The file of ct must be a NIfTI file, and there is none"),
    ],
)
def test_bad_words(words, told, cycle, command, tmp_path) -> None:
    refused(command(*cycle, *words), told, tmp_path)


@pytest.mark.parametrize(
    ("choices", "told"),
    [
        ({"uptake_half_life_h": 0}, "error: uptake_half_life_h of the regions must be above 0 h"),
        ({"uptake_half_life_h": 90}, "of the physical half-life of 159.528 h, got 90 h"),
        ({"voxel_curve": "mine"}, "voxel_curve: Input should be 'own' or 'organ'"),
        ({"population_half_life_h": 50}, "--model madsen and population_half_life_h, in h, go tog"),
        ({"fwhm_mm": 0}, "fwhm_mm: Input should be greater than 0, got 0"),
        ({"fwhm_mm": 51}, "fwhm_mm: Input should be less than or equal to 50, got 51"),
        ({"alpha_beta_gy": {"kidney": "x"}}, "alpha_beta_gy.kidney: Input should be a valid num"),
        ({"alpha_beta_gy": {"kidney": 0}}, "alpha_beta_gy.kidney: Input should be greater than 0"),
        ({"alpha_beta_gy": {"spleen": 3}}, "one of whole_image, .* got 'spleen'"),
    ],
)
def test_bad_choices(choices, told, cycle, command, in_file, tmp_path) -> None:
    refused(command(*cycle, *in_file(**choices)), told, tmp_path)


@pytest.mark.parametrize("times", [(4, 4, 72, 168), (4, 72, 24, 168), (-1, 4, 24, 72)])
def test_times(times, cycle, command, tmp_path) -> None:
    for place, time_h in zip((4, 8, 12, 16), times, strict=True):
        cycle[place] = time_h
    refused(command(*cycle), "error: --time-h must", tmp_path)


def test_fewer_points_than_the_fit_needs(cycle, command, tmp_path) -> None:
    two = [*cycle[:9], *cycle[17:]]
    refused(command(*two, "--model", "bi"), "needs at least 3 time points, got 2", tmp_path)


@pytest.mark.parametrize(
    ("option", "data", "told"),
    [
        ("--organs", np.zeros(SHAPE), "Organs .* 0 everywhere"),
        ("--organs", np.full(SHAPE, 0.5), "whole numbers from 0 to 199"),
        ("--organs", np.full(SHAPE, 250.0), "whole numbers from 0 to 199"),
        ("--organs", np.ones((3, 3, 3)), "Organs .* grid of the activity"),
        ("--lesions", np.zeros(SHAPE), "Lesions .* 0 everywhere"),
        ("--ct", np.ones(SHAPE), "must be in HU"),
        ("--ct", np.ones((3, 3, 3)), "CT .* grid of the activity"),
    ],
)
def test_masks_and_ct(option, data, told, cycle, command, tmp_path) -> None:
    path = write(tmp_path / "other.nii.gz", data)
    refused(command(*cycle, option, path), told, tmp_path)


def test_voxels_out_of_bounds(cycle, command, tmp_path) -> None:
    for number in range(4):
        path = tmp_path / f"A{number}.nii.gz"
        write(path, read(path), affine=np.diag([0.0048, 0.0048, 0.0048, 1.0]))
    refused(command(*cycle), "0.1 to 50 mm along each axis, got 0.0048", tmp_path)


def test_output_stays(cycle, command, tmp_path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("here")
    done = command(*cycle)
    assert done.status == 2
    assert "must be new or empty" in done.err
    assert (tmp_path / "out" / "mine.txt").read_text() == "here"
    done = command(*cycle, "--out", tmp_path / "no" / "where")
    assert done.status == 2
    assert "must exist" in done.err


@pytest.mark.parametrize("times", [(4, 24, 72, 3600), (3600, 86400, 259200, 604800)])
def test_times_in_seconds(times, cycle, command, tmp_path) -> None:
    for place, time_h in zip((4, 8, 12, 16), times, strict=True):
        cycle[place] = time_h
    told = r"--time-h must be at most 10 physical half-lives, 1595.*h, got (3600|604800)"
    refused(command(*cycle), told, tmp_path)


def test_a_short_population_half_life(cycle, command, in_file, tmp_path) -> None:
    one = ["dose", *cycle[9:13], *cycle[17:], "--model", "madsen"]
    for half_life_h in (0.01, 1, 7.1):  # 72 h are at most ten half-lives
        choice = in_file(population_half_life_h=half_life_h)
        refused(command(*one, *choice), "10 times population_half_life_h", tmp_path)


def test_more_decays_than_the_activity_has(cycle, command, in_file, tmp_path) -> None:
    """One image at 72 h of 10 % of what decay leaves, with a population's 7.2 h: 2^10 of it."""
    path = tmp_path / "A2.nii.gz"
    share = read(path) / (read(path).sum() * VOXEL_ML / 1e6) * 7400 * 0.1
    write(path, share * math.exp(-DECAY_PER_H * 72))
    one = ["dose", *cycle[9:13], *cycle[17:], "--model", "madsen"]
    done = command(*one, *in_file(population_half_life_h=7.2))
    refused(done, "nothing can decay more often", tmp_path)
    assert command(*one, *in_file(population_half_life_h=50)).status == 0


def test_a_sealed_phantom_is_no_impossible_patient(cycle, command, tmp_path) -> None:
    """All of the activity, never leaving, seen 4 % too high: two SDs of 5 % let it pass."""
    pattern = read(tmp_path / "A0.nii.gz").astype(np.float64)
    pattern *= 7400e6 / (pattern.sum() * VOXEL_ML)
    for number, time_h in enumerate(TIMES_H):
        part = 1.04 * 0.97 if time_h == 4 else 1.04  # the first is below the net activity
        path = tmp_path / f"A{number}.nii.gz"
        write(path, part * pattern * math.exp(-DECAY_PER_H * time_h))
    done = command(*cycle)
    assert done.status == 0, done.err
    assert "of the net activity that never leaves" in " ".join(done.err.split())
    done = command(*cycle, "--calibration-sd-pct", 0, "--out", tmp_path / "more")
    assert "nothing can decay more often" in done.err
    for number, time_h in enumerate(TIMES_H):
        all_of_it = pattern * math.exp(-DECAY_PER_H * time_h)
        write(tmp_path / f"A{number}.nii.gz", all_of_it, np.float64)
    done = command(*cycle, "--model", "physical", "--out", tmp_path / "exact")
    assert done.status == 0, done.err
    assert "net activity that never leaves" not in " ".join(done.err.split())


def tell(folder: Path, number: int, **told) -> None:
    """Write a JSON beside an image, as ``activity`` does."""
    content = {
        "quantity": "activity concentration at mid-scan, Bq/mL",
        "nuclide": "Lu-177",
        "half_life_s": 574300.8,
        "injection_to_mid_scan_h": TIMES_H[number],
        "injected_activity_mbq": 7400.0,
        "voxels_sha256": voxels_sha256(read_volume(folder / f"A{number}.nii.gz")),
    }
    (folder / f"A{number}.json").write_text(json.dumps(content | told))


@pytest.fixture
def told_cycle(cycle, tmp_path):
    """The cycle with a JSON beside each image, and no time typed."""
    for number in range(4):
        tell(tmp_path, number)
    words = list(cycle)
    while "--time-h" in words:
        at = words.index("--time-h")
        del words[at : at + 2]
    return words


def test_times_and_nuclide_come_from_the_jsons(told_cycle, cycle, command, tmp_path) -> None:
    swapped = [*told_cycle]
    swapped[2], swapped[6] = swapped[6], swapped[2]
    done = command(*swapped)
    assert done.status == 0, done.err
    assert "in the order of their times: as typed, 3, 2, 1, 4" in done.err
    told = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert told["provenance"]["parameters"]["time_h"] == list(TIMES_H)
    assert told["nuclide"] == "Lu-177"
    assert {"activity_1", "json_1", "json_4"} < set(told["provenance"]["inputs"])
    typed = command(*cycle, "--out", tmp_path / "typed")
    assert typed.status == 0, typed.err
    for name in (*MAPS, "organs.csv"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "typed" / name).read_bytes()


def test_frames_of_reference_that_differ_are_told(told_cycle, command, tmp_path) -> None:
    for number in range(4):
        tell(tmp_path, number, frame_of_reference_uid_sha256="one")
    assert "frames of reference" not in command(*told_cycle).err
    tell(tmp_path, 2, frame_of_reference_uid_sha256="two")
    done = command(*told_cycle, "--out", tmp_path / "two")
    assert done.status == 0
    assert "tell of 2 frames of reference" in " ".join(done.err.split())


@pytest.mark.parametrize("spacing_mm", [[2.0, 2.0, 2.0], [4.0, 4.0], "4", [4.0, None, 4.0]])
def test_another_spacing_in_the_json_is_refused(spacing_mm, told_cycle, command, tmp_path) -> None:
    right = list(read_volume(tmp_path / "A1.nii.gz").spacing_mm)
    tell(tmp_path, 1, spacing_mm=spacing_mm)
    done = command(*told_cycle)
    refused(done, "the spacing_mm that the JSON beside it tells", tmp_path)
    tell(tmp_path, 1, spacing_mm=right)
    assert command(*told_cycle).status == 0


def test_a_rounded_time_is_that_of_the_json(told_cycle, cycle, command, tmp_path) -> None:
    tell(tmp_path, 0, injection_to_mid_scan_h=3.954321)
    done = command(*cycle)  # types 4 h
    assert done.status == 0, done.err
    told = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert told["images"][0]["time_h"] == 3.954321


OTHER = {
    "ten times the time": ({"injection_to_mid_scan_h": 0.4}, r"must be the 0\.4 h .* got 4 h"),
    "days for hours": ({"injection_to_mid_scan_h": 4 / 24}, r"must be the 0\.1666\d+ h"),
    "F-18": ({"nuclide": "F-18", "half_life_s": 6586.2}, "tells Lu-177 where another is F-18"),
    "F-18 by its half-life": ({"nuclide": None, "half_life_s": 6586.2}, "must be that of Lu-177"),
    "Lu-177m": ({"nuclide": "Lu-177m"}, "tells Lu-177 where another is Lu-177m"),
    "a nuclide that is no text": ({"nuclide": 177}, "Activity 1 .* nuclide .* must be a text or"),
    "SUV": ({"quantity": "SUV, body weight, g/mL"}, "quantity .* must be 'activity"),
    "counts": ({"quantity": "counts"}, "quantity .* must be 'activity"),
    "GBq": ({"injected_activity_mbq": 7.4}, r"must be the 7\.4 MBq .* got 7400 MBq"),
    "other voxels": ({"voxels_sha256": "0" * 64}, "by voxels_sha256 its voxels are others"),
    "time of another kind": ({"injection_to_mid_scan_h": "4"}, "must be a number above 0"),
}


@pytest.mark.parametrize("name", OTHER)
def test_what_a_json_contradicts_is_refused(name, told_cycle, cycle, command, tmp_path) -> None:
    told, words = OTHER[name]
    tell(tmp_path, 0, **told)
    if "nuclide" in told and told["nuclide"] is None:
        for number in (1, 2, 3):
            tell(tmp_path, number, nuclide=None)
    refused(command(*cycle), words, tmp_path)


def test_the_nuclide_that_is_typed_must_be_the_jsons(told_cycle, command, tmp_path) -> None:
    refused(
        command(*told_cycle, "--nuclide", "F-18"),
        "the JSON beside activity 1 .* tells Lu-177 where --nuclide is F-18",
        tmp_path,
    )


@pytest.mark.parametrize("half_life_s", [None, 574300.8])
def test_lu_177m_is_another_nuclide_than_lu_177(half_life_s, told_cycle, command, tmp_path) -> None:
    for number in range(4):
        tell(tmp_path, number, nuclide="Lu-177m", half_life_s=half_life_s)
    words = "the JSON beside activity 1 .* tells Lu-177m where --nuclide is Lu-177"
    refused(command(*told_cycle, "--nuclide", "Lu-177"), words, tmp_path)


def test_a_json_that_is_none_is_named(told_cycle, command, tmp_path) -> None:
    for text in ("{", "[1]"):
        (tmp_path / "A2.json").write_text(text)
        refused(command(*told_cycle), r"Activity 3 .*: 'A2\.json' beside it must be", tmp_path)


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"quantity": "SUV, body weight, g/mL"}, r"CT \(--ct\): quantity .* must be 'CT number"),
        ({"voxels_sha256": "0" * 64}, r"CT \(--ct\): The image must be the one"),
    ],
)
def test_a_ct_that_its_json_denies_is_refused(told, words, cycle, command, tmp_path) -> None:
    hu = np.full(SHAPE, -1000, dtype=np.int16)
    hu[1:11, 1:9, 1:7] = 23
    ct = write(tmp_path / "ct.nii.gz", hu, np.int16)
    content = {"quantity": "CT number, HU", "voxels_sha256": voxels_sha256(read_volume(ct))}
    (tmp_path / "ct.json").write_text(json.dumps(content | told))
    refused(command(*cycle, "--ct", ct), words, tmp_path)
    (tmp_path / "ct.json").write_text(json.dumps(content))
    assert command(*cycle, "--ct", ct).status == 0


def test_without_json_and_time_the_image_is_named(told_cycle, command, tmp_path) -> None:
    (tmp_path / "A1.json").unlink()
    refused(command(*told_cycle), "Activity 2 .*: Its time must be told", tmp_path)


def test_an_activity_a_little_off_is_told(told_cycle, command, tmp_path) -> None:
    tell(tmp_path, 1, injected_activity_mbq=6700.0)
    done = command(*told_cycle)
    assert done.status == 0
    assert "tells 6700 MBq administered" in " ".join(done.err.split())


def test_uptake_half_life_is_used_and_told(cycle, command, in_file, tmp_path) -> None:
    coefficient = {}
    for uptake_h in (0.8, 3.0):
        out = tmp_path / str(uptake_h)
        words = ["--model", "bi_population", "--out", out]
        done = command(*cycle, *words, *in_file(uptake_half_life_h=uptake_h))
        assert done.status == 0, done.err
        told = json.loads((out / "summary.json").read_text())
        assert told["provenance"]["parameters"]["uptake_half_life_h"] == uptake_h
        rates = told["curves"]["kidney"]["rate_per_h"]
        assert max(rates) == pytest.approx(math.log(2) / uptake_h)
        coefficient[uptake_h] = told["curves"]["kidney"]
    assert coefficient[0.8] != coefficient[3.0]


def test_what_no_scan_saw_is_told(cycle, command, tmp_path) -> None:
    """Scans from 72 h of an effective half-life of 50 h: 63 % of the TIA lies before them."""
    late = ["dose", *cycle[9:]]
    done = command(*late)
    assert done.status == 0, done.err
    err = " ".join(done.err.split())
    assert re.search(r"More than half of the TIA lies before the first scan.* kidney", err)
    assert re.search(r"above that of straight lines from 0 MBq.* kidney", err)
    done = command(*cycle, "--out", tmp_path / "all")
    assert "before the first scan" not in " ".join(done.err.split())


def test_two_early_scans_say_what_they_cannot_know(cycle, command, tmp_path) -> None:
    done = command(*cycle[:9], *cycle[17:])
    assert done.status == 0, done.err
    err = " ".join(done.err.split())
    assert re.search(r"Two scans, or none by 6 h, tell no uptake\..* kidney_left \(-\d\d%\)", err)
    assert re.search(r"after the last scan, where the curve is extrapol.* kidney_left \(\d", err)


def test_a_short_lived_nuclide_has_an_uptake_that_fits_it(cycle, command, tmp_path) -> None:
    for number in range(len(TIMES_H)):
        write(tmp_path / f"A{number}.nii.gz", read(tmp_path / "A0.nii.gz") * 2.0**-number)
        cycle[4 + 4 * number] = 0.5 * (number + 1)
    done = command(*cycle, "--nuclide", "Ga-68")
    assert done.status == 0, done.err
    told = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert told["provenance"]["parameters"]["uptake_half_life_h"] == pytest.approx(0.45 * 1.1285)


def test_organs_hold_their_lesions(cycle, command, tmp_path) -> None:
    lesions = np.zeros(SHAPE, dtype=np.uint16)
    lesions[2, 2:5, 2:5] = 7  # 9 of the 27 voxels of the right kidney
    lesions[5:8, 6, 3] = 8  # 3 of the 426 voxels of the remaining body
    words = ["--lesions", write(tmp_path / "lesions.nii.gz", lesions, np.uint16)]
    done = command(*cycle, *words)
    assert done.status == 0, done.err
    err = " ".join(done.err.split())
    assert "Organ rows hold the lesions in them: kidney_right (33% lesion)." in err


def test_a_region_without_activity(cycle, command, in_file, tmp_path, organs) -> None:
    for number in range(4):
        path = tmp_path / f"A{number}.nii.gz"
        image = read(path)
        image[organs == 3] = 0
        write(path, image)
    done = command(*cycle, *in_file(fwhm_mm=8))
    assert done.status == 0, done.err
    row = table(tmp_path / "out")["kidney_left"]
    assert float(row["dose_mean_gy"]) == 0
    for column in ("effective_half_life_h", "relative_sd_pct", "dose_recovered_gy", "bed_gy"):
        assert row[column] == "", column


def test_no_recovery_below_half_the_resolution(cycle, command, in_file, tmp_path) -> None:
    done = command(*cycle, *in_file(fwhm_mm=45))  # a kidney's sphere is 18 mm across
    assert done.status == 0, done.err
    row = table(tmp_path / "out")["kidney_left"]
    assert row["relative_sd_pct"] == row["dose_recovered_gy"] == ""
    assert float(row["recovery_coefficient"]) > 0


def test_a_ct_that_is_not_in_hu_is_doubted(cycle, command, tmp_path, organs) -> None:
    ct = np.full(SHAPE, -1024.0)
    ct[organs > 0] = 1024.0 + 40.0
    done = command(*cycle, "--ct", write(tmp_path / "ct.nii.gz", ct, np.int16))
    assert done.status == 0, done.err
    assert "mean density of the body by the CT is 1.6" in " ".join(done.err.split())
    ct[organs > 0] = 40.0
    write(tmp_path / "ct.nii.gz", ct, np.int16)
    done = command(*cycle, "--ct", tmp_path / "ct.nii.gz", "--out", tmp_path / "hu")
    assert "mean density" not in done.err
    told = json.loads((tmp_path / "hu" / "summary.json").read_text())
    assert told["density"]["body_mean_g_per_ml"] == pytest.approx(1.05, abs=0.01)


def test_an_unwritable_parent_is_named(cycle, command, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: mode == os.R_OK)
    refused(command(*cycle), f"folder of --out must be writable, and '{tmp_path}' is", tmp_path)
