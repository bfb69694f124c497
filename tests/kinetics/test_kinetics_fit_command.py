"""``python -m rpt_kinetics fit`` and ``sensitivity``: files, manners, the same files again."""

import csv
import hashlib
import json
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from rpt_kinetics.inputs import LN2, feng, percent_ia_per_l_to_suv, siebinga
from rpt_kinetics.models import pet_frame_mean
from rpt_kinetics.rates import Rates

WIDTHS = np.array([0.5] * 8 + [1.0] * 6 + [5.0] * 10)
END = np.cumsum(WIDTHS)
START = END - WIDTHS
KEPT = Rates(k1_ml_per_min_per_ml=0.3, k2_per_min=0.2, k3_per_min=0.1, vb=0.08)


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def region_curve(folder: Path, *, share: float = 0.01, correction: str = "injection") -> Path:
    """A noisy curve of irreversible binding under Feng's input, uCi/mL given as kBq/mL."""
    exact = 37.0 * pet_frame_mean(KEPT, feng(), START, END, half_life_min=67.71)
    deviation = share * exact.max() / np.sqrt(WIDTHS)
    noisy = exact + np.random.default_rng(1).normal(size=len(exact)) * deviation
    rows = rows_of(60 * START, 60 * END, noisy, deviation, [correction] * len(noisy))
    header = (
        "frame_start_s,frame_end_s,activity_kbq_per_ml,standard_deviation_kbq_per_ml,"
        "decay_correction"
    )
    path = folder / "curve.csv"
    path.write_text("\n".join([header, *rows]))
    return path


def rows_of(*columns: np.ndarray | list[str]) -> list[str]:
    """Lines of a CSV, with Python's shortest numbers that read back."""
    cells = [np.asarray(column).tolist() for column in columns]
    return [",".join(map(str, row)) for row in zip(*cells, strict=True)]


def contents(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_all_models_are_fitted_and_the_right_one_chosen(tmp_path: Path, rpt_kinetics) -> None:
    curve = region_curve(tmp_path)
    words = ("fit", "--curve", curve, "--input", "feng", "--model", "all",
             "--half-life-min", 67.71)  # fmt: skip
    ended = rpt_kinetics(*words, "--out", tmp_path / "one")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == ""
    assert sorted(contents(tmp_path / "one")) == ["fit.json", "fit.png", "residuals.csv"]
    told = json.loads((tmp_path / "one" / "fit.json").read_text())
    assert told["chosen"] == "2tcm_irreversible"
    assert told["unit"] == "uCi/mL"
    assert told["aicc_table"][0]["model"] == told["chosen"]
    weights = [row["akaike_weight"] for row in told["aicc_table"]]
    assert sum(weights) == pytest.approx(1.0)
    assert weights == sorted(weights, reverse=True)
    best = told["models"]["2tcm_irreversible"]
    for name, value in (("k1_ml_per_min_per_ml", 0.3), ("k2_per_min", 0.2), ("k3_per_min", 0.1)):
        estimate = best["estimates"][name]
        assert abs(estimate["value"] - value) < 3.0 * estimate["standard_error"]
    fixed = best["estimates"]["k4_per_min"]
    assert (fixed["value"], fixed["standard_error"], fixed["free"]) == (0.0, None, False)
    influx = best["derived"]["ki_ml_per_min_per_ml"]
    assert abs(influx["value"] - 0.1) < 3.0 * influx["standard_error"]
    assert np.diag(best["correlation"]) == pytest.approx(1.0)
    assert told["provenance"]["inputs"] == {
        "curve.csv": hashlib.sha256(curve.read_bytes()).hexdigest()
    }
    assert str(tmp_path) not in json.dumps(told)

    rows = [row for row in table(tmp_path / "one" / "residuals.csv") if row["model"] == "1tcm"]
    assert len(rows) == len(WIDTHS)
    squares = sum(float(row["weighted_residual"]) ** 2 for row in rows)
    assert squares == pytest.approx(told["models"]["1tcm"]["chi_square"], rel=1e-12)

    assert rpt_kinetics(*words, "--out", tmp_path / "two").returncode == 0
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_a_fixed_share_of_blood_is_no_free_parameter(tmp_path: Path, rpt_kinetics) -> None:
    curve = region_curve(tmp_path)
    ended = rpt_kinetics(
        "fit", "--curve", curve, "--input", "feng", "--model", "2tcm_irreversible", "--vb", 0.08,
        "--half-life-min", 67.71, "--out", tmp_path / "out",
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    told = json.loads((tmp_path / "out" / "fit.json").read_text())
    assert told["aicc_table"][0]["free_parameters"] == 3
    assert told["models"]["2tcm_irreversible"]["degrees_of_freedom"] == len(WIDTHS) - 3
    assert told["provenance"]["parameters"]["vb"] == 0.08


def test_a_measured_input_and_a_curve_in_suv(tmp_path: Path, rpt_kinetics) -> None:
    blood = percent_ia_per_l_to_suv(siebinga(), weight_kg=75)
    time = np.concatenate([np.arange(0.0, 10.0, 0.5), np.arange(10.0, 66.0, 2.5)])
    samples = blood.blood.value(time) * np.exp(-LN2 / 67.71 * time)
    rows = rows_of(time, samples, ["none"] * len(time))
    (tmp_path / "input.csv").write_text("\n".join(["time_min,blood_suv,decay_correction", *rows]))
    exact = pet_frame_mean(KEPT, blood, START, END, half_life_min=67.71)
    header = "frame_start_min,frame_end_min,activity_suv,standard_deviation_suv"
    lines = rows_of(START, END, exact, np.full(len(exact), 0.05))
    (tmp_path / "curve.csv").write_text("\n".join([header, *lines]))
    ended = rpt_kinetics(
        "fit", "--curve", tmp_path / "curve.csv", "--input", tmp_path / "input.csv",
        "--model", "2tcm_irreversible", "--half-life-min", 67.71,
        "--decay-correction", "injection", "--out", tmp_path / "out",
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    estimates = json.loads((tmp_path / "out" / "fit.json").read_text())["models"][
        "2tcm_irreversible"
    ]["estimates"]
    # The samples are 0.5 to 2.5 min apart, and linear between.
    assert estimates["k1_ml_per_min_per_ml"]["value"] == pytest.approx(0.3, rel=0.01)
    assert estimates["k3_per_min"]["value"] == pytest.approx(0.1, rel=0.01)
    named = rpt_kinetics(
        "fit", "--curve", tmp_path / "curve.csv", "--input", "siebinga", "--weight-kg", 75,
        "--model", "2tcm_irreversible", "--half-life-min", 67.71,
        "--decay-correction", "injection", "--out", tmp_path / "named",
    )  # fmt: skip
    assert named.returncode == 0, named.stderr


def dynamic(folder: Path) -> tuple[Path, Path, Path, np.ndarray]:
    k1 = np.linspace(0.1, 0.8, 12).reshape(3, 2, 2)
    rates = Rates(k1_ml_per_min_per_ml=k1, k2_per_min=0.15, vb=0.06)
    # Not corrected for decay, in kBq/mL.
    exact = 37.0 * pet_frame_mean(rates, feng(), START, END, half_life_min=67.71)
    decay = LN2 / 67.71
    mean = (np.exp(-decay * START) - np.exp(-decay * END)) / (decay * WIDTHS)
    nib.Nifti1Image(exact * mean, np.diag([2.0, 3.0, 4.0, 1.0])).to_filename(
        folder / "dynamic.nii.gz"
    )
    mask = np.ones((3, 2, 2), dtype=np.uint8)
    mask[0, 0, 0] = 0
    nib.Nifti1Image(mask, np.diag([2.0, 3.0, 4.0, 1.0])).to_filename(folder / "mask.nii.gz")
    rows = rows_of(START, END, ["none"] * len(START))
    frames = folder / "frames.csv"
    frames.write_text("\n".join(["frame_start_min,frame_end_min,decay_correction", *rows]))
    return folder / "dynamic.nii.gz", frames, folder / "mask.nii.gz", k1


def test_maps_of_a_dynamic_image(tmp_path: Path, rpt_kinetics) -> None:
    image, frames, mask, k1 = dynamic(tmp_path)
    words = ("fit", "--dynamic", image, "--frames", frames, "--mask", mask, "--unit",
             "kbq_per_ml", "--input", "feng", "--model", "1tcm", "--half-life-min",
             67.71)  # fmt: skip
    ended = rpt_kinetics(*words, "--out", tmp_path / "one")
    assert ended.returncode == 0, ended.stderr
    told = json.loads((tmp_path / "one" / "maps.json").read_text())
    assert told["maps"] == {
        "k1.nii.gz": "mL/min/mL",
        "k2.nii.gz": "1/min",
        "vt.nii.gz": "mL/mL",
        "vb.nii.gz": "mL/mL",
        "rms_residual.nii.gz": "uCi/mL",
    }
    assert told["flag.nii.gz"]["1"] == {"meaning": "fitted", "voxels": 11}
    values = nib.load(tmp_path / "one" / "k1.nii.gz").get_fdata()
    assert np.isnan(values[0, 0, 0])
    assert values.ravel()[1:] == pytest.approx(k1.ravel()[1:], rel=3e-3)
    assert rpt_kinetics(*words, "--out", tmp_path / "two").returncode == 0
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert told["misfit"].startswith("root mean square residual")
    # Deviations of frames: 1 % of a voxel's activity, in Bq/mL.
    header, *lines = frames.read_text().splitlines()
    activity = nib.load(image).get_fdata()[1, 1, 1]
    deviation = (10.0 * activity).tolist()
    frames.write_text(
        "\n".join(
            [
                f"{header},standard_deviation_bq_per_ml",
                *(f"{line},{one!r}" for line, one in zip(lines, deviation, strict=True)),
            ]
        )
    )
    noise = np.random.default_rng(0).normal(size=(3, 2, 2, len(START))) * 0.01 * activity
    noisy = nib.load(image).get_fdata() + noise
    nib.Nifti1Image(noisy, np.diag([2.0, 3.0, 4.0, 1.0])).to_filename(image)
    assert rpt_kinetics(*words, "--out", tmp_path / "weighted").returncode == 0
    told = json.loads((tmp_path / "weighted" / "maps.json").read_text())
    assert told["maps"]["chi_square_per_degree.nii.gz"] == "1"
    misfit = nib.load(tmp_path / "weighted" / "chi_square_per_degree.nii.gz").get_fdata()
    # 11 voxels of 21 degrees of freedom.
    assert np.nanmean(misfit) == pytest.approx(1.0, abs=3.0 * np.sqrt(2 / 21 / 11))
    frames.write_text(frames.read_text().replace("deviation_bq_per_ml", "deviation_suv"))
    refused = rpt_kinetics(*words, "--out", tmp_path / "four")
    assert refused.returncode == 2
    assert "must be in one unit, got SUV (g/mL) and uCi/mL" in refused.stderr
    refused = rpt_kinetics(
        *[{"1tcm": "all"}.get(str(word), word) for word in words], "--out", tmp_path / "three"
    )
    assert refused.returncode == 2
    assert "--model must be 1tcm or 2tcm_irreversible for maps, got 'all'" in refused.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "Either --curve or --dynamic must be given"),
        (("--dynamic", "d.nii"), "--dynamic needs --frames, --mask and --unit"),
        (("--curve", "CURVE", "--unit", "suv"), "--frames, --mask and --unit go with --dynamic"),
        (("--curve", "none.csv"), "none.csv must be a readable CSV file"),
        (("--curve", "CURVE", "--decay-correction", "none"), "must have one decay correction"),
        (
            ("--curve", "CURVE", "--half-life-min", "0"),
            "--half-life-min must be above 0 min, got 0.0 min",
        ),
        (("--curve", "CURVE", "--half-life-min", "0.001"), "--half-life-min must leave activity"),
        (("--curve", "CURVE", "--model", "3tcm"), "1tcm, 2tcm_irreversible, 2tcm, all, got '3tcm'"),
        (
            ("--dynamic", "d.nii", "--frames", "f.csv", "--mask", "m.nii", "--unit", "furlong"),
            "--unit must be one of suv, suv_g_per_ml",
        ),
        (("--curve", "CURVE", "--weight-kg", "80"), "must be in %IA/L to become an SUV"),
        (
            ("--curve", "CURVE", "--delay-min", "-1"),
            "--delay-min must be finite and at least 0 min",
        ),
        (("--curve", "CURVE", "--delay-min", "99"), "must bring activity before the last frame"),
        (("--curve", "CURVE", "--injection-min", "nan"), "--injection-min must be finite"),
        (("--curve", "CURVE", "--vb", "1"), "--vb must be at least 0 and below 1 mL/mL"),
        (("--curve", "CURVE", "--input-decay-correction", "none"), "goes with an input CSV"),
    ],
)
def test_bad_requests_end_in_one_sentence(
    tmp_path: Path, rpt_kinetics, words: tuple[str, ...], message: str
) -> None:
    curve = str(region_curve(tmp_path))
    ended = rpt_kinetics(
        "fit", "--input", "feng", "--model", "1tcm", "--out", tmp_path / "out",
        *[curve if word == "CURVE" else word for word in words],
    )  # fmt: skip
    assert ended.returncode == 2
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "out").exists()


def test_if_no_model_can_be_fitted_the_reason_is_given(tmp_path: Path, rpt_kinetics) -> None:
    curve = region_curve(tmp_path)
    curve.write_text("\n".join(curve.read_text().splitlines()[:4]))
    ended = rpt_kinetics(
        "fit", "--curve", curve, "--input", "feng", "--model", "all", "--out", tmp_path / "out"
    )
    assert ended.returncode == 2
    assert (
        "of 1tcm, the smallest: 1tcm with 3 free parameters needs at least 5 frames" in ended.stderr
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("half_life", [(), ("--half-life-min", "inf")])
def test_without_decay_the_fit_is_one(tmp_path: Path, rpt_kinetics, half_life) -> None:
    ended = rpt_kinetics(
        "fit", "--curve", region_curve(tmp_path), "--input", "feng", "--model", "1tcm",
        *half_life, "--out", tmp_path / "out",
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    told = json.loads((tmp_path / "out" / "fit.json").read_text())
    assert told["provenance"]["parameters"]["half_life_min"] is None
    assert "at least that of residuals of 1e-06" in told["aicc_formula"]


@pytest.mark.parametrize(("option", "word"), [("--decay-correction", "none"),
                                              ("--input-decay-correction", "none")])  # fmt: skip
def test_a_half_life_that_leaves_nothing_is_blamed(
    tmp_path: Path, rpt_kinetics, option: str, word: str
) -> None:
    region = region_curve(
        tmp_path, correction="none" if option == "--decay-correction" else "injection"
    )
    (tmp_path / "input.csv").write_text("time_min,plasma_uci_per_ml\n1,9\n9,4\n50,1\n")
    words = {"--input-decay-correction": "injection", option: word}
    ended = rpt_kinetics(
        "fit", "--curve", region, "--input", tmp_path / "input.csv", "--model", "1tcm",
        *[each for pair in words.items() for each in pair], "--half-life-min", "1e-3",
        "--out", tmp_path / "out",
    )  # fmt: skip
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: --half-life-min must leave activity to correct")
    assert "Warning" not in ended.stderr


def test_residuals_that_belie_the_deviations_are_warned_of(tmp_path: Path, rpt_kinetics) -> None:
    curve = region_curve(tmp_path)
    ended = rpt_kinetics(
        "fit", "--curve", curve, "--input", "feng", "--model", "1tcm", "--half-life-min", 67.71,
        "--out", tmp_path / "out",
    )  # fmt: skip
    assert ended.returncode == 0
    assert "residuals are larger than the standard deviations tell" in ended.stderr
    told = json.loads((tmp_path / "out" / "fit.json").read_text())
    assert any("larger" in sentence for sentence in told["models"]["1tcm"]["warnings"])


def test_sensitivity_writes_a_table_a_json_and_a_figure(tmp_path: Path, rpt_kinetics) -> None:
    words = ("sensitivity", "--samples", 128, "--seed", 0, "--out")
    ended = rpt_kinetics(*words, tmp_path / "one")
    assert ended.returncode == 0, ended.stderr
    rows = table(tmp_path / "one" / "sensitivity.csv")
    assert [row["result"] for row in rows] == ["suv"] * 5 + ["dose"] * 5
    assert list(rows[0])[2:] == [
        "first_order",
        "first_order_confidence_95",
        "total",
        "total_confidence_95",
    ]
    told = json.loads((tmp_path / "one" / "sensitivity.json").read_text())
    assert told["ranges"]["k4_per_min"]["unit"] == "1/min"
    assert told["results"]["dose"]["unit"] == "Gy"
    assert told["results"]["suv"]["evaluations"] == 7 * 128
    assert told["provenance"]["seed"] == 0
    assert any("ours" in sentence for sentence in told["assumptions"])
    assert rpt_kinetics(*words, tmp_path / "two").returncode == 0
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_sensitivity_refuses_what_it_cannot_do(
    tmp_path: Path, rpt_kinetics, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    for words, message in (
        (("--samples", 100), "samples must be a power of 2"),
        (("--suv-time-min", 0), "suv_time_min must be a finite number above 0 min"),
    ):
        ended = rpt_kinetics("sensitivity", *words, "--out", out)
        assert ended.returncode == 2
        assert message in ended.stderr
        assert not out.exists()
    monkeypatch.setitem(sys.modules, "rpt_kinetics.sensitivity", None)
    ended = rpt_kinetics("sensitivity", "--out", out)
    assert ended.returncode == 2
    assert "sensitivity needs SALib" in ended.stderr
