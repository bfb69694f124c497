"""``python -m rpt_kinetics tac``: files, manners, and that the core stands alone."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.commands import refused
from helpers.compartments import by_lsoda, one, plasma_of, quadrature
from rpt_kinetics.inputs import feng, siebinga
from rpt_kinetics.models import pet_concentration

RATES = ["--k1", 0.3, "--k2", 0.2, "--k3", 0.1, "--k4", 0.01, "--vb", 0.1]


def columns(path: Path) -> dict[str, np.ndarray]:
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    return {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}


@pytest.mark.parametrize("name", ["feng", "kabasakal", "siebinga"])
def test_table_and_json(name: str, tmp_path: Path, rpt_kinetics) -> None:
    out = tmp_path / "TAC.csv"
    times = [0.0, 1.0, 2.5, 10.0, 60.0]
    ended = rpt_kinetics(
        "tac", *RATES, "--input", name, "--times-min", "0,1,2.5,10,60",
        "--half-life-min", 67.71, "--out", out,
    )  # fmt: skip
    assert ended.status == 0, ended.err
    assert ended.out == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["TAC.csv", "TAC.json"]
    table = columns(out)
    assert list(table) == ["time_min", "c_pet", "c_tissue", "c_plasma"]
    assert table["time_min"].tolist() == times
    plasma = plasma_of(name)
    rates = one(0.3, 0.2, 0.1, 0.01, 0.1)
    tissue = by_lsoda(rates, plasma, times)[0]
    blood = np.array([plasma(time) for time in times])
    np.testing.assert_allclose(table["c_plasma"], blood, rtol=1e-13)
    np.testing.assert_allclose(table["c_tissue"], tissue, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(table["c_pet"], 0.9 * tissue + 0.1 * blood, rtol=1e-9, atol=1e-12)
    told = json.loads(out.with_suffix(".json").read_text())
    used = {"feng": "uCi/mL"}.get(name, "%IA/L")
    assert (told["unit"], told["tia_unit"], told["half_life_min"]) == (used, f"{used} min", 67.71)
    assert told["input"]["source"]


def test_area_under_the_written_curve(tmp_path: Path, rpt_kinetics) -> None:
    out = tmp_path / "TAC.csv"
    rpt_kinetics(
        "tac", *RATES, "--input", "siebinga", "--times-min", "0", "--half-life-min", 9571.68,
        "--out", out,
    )  # fmt: skip
    rates = one(0.3, 0.2, 0.1, 0.01, 0.1)
    expected = quadrature(
        lambda t: pet_concentration(rates, siebinga(), t) * 2 ** (-t / 9571.68),
        [0.0, *np.geomspace(0.02, 4e5, 80)],
    )
    told = json.loads(out.with_suffix(".json").read_text())
    assert told["tia_min"] == pytest.approx(float(expected), rel=1e-9)


def test_numbers_read_back_to_the_same(tmp_path: Path, rpt_kinetics) -> None:
    rpt_kinetics("tac", *RATES, "--times-min", "0.1,7", "--out", tmp_path / "a.csv")
    expected = pet_concentration(one(0.3, 0.2, 0.1, 0.01, 0.1), feng(), [0.1, 7.0])
    assert columns(tmp_path / "a.csv")["c_pet"].tolist() == expected.tolist()


def test_provenance_and_same_bytes(tmp_path: Path, rpt_kinetics) -> None:
    for name in "ab":
        rpt_kinetics("tac", *RATES, "--times-min", "0,1", "--out", tmp_path / f"{name}.csv")
    for suffix in (".csv", ".json"):
        first, second = ((tmp_path / f"{name}{suffix}").read_bytes() for name in "ab")
        assert first == second
    block = json.loads((tmp_path / "a.json").read_text())["provenance"]
    assert (block["package"], block["command"]) == ("rpt-kinetics", "tac")
    assert block["parameters"]["k4_per_min"] == 0.01
    assert block["libraries"]["numpy"] == np.__version__


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--k1", "-0.1"], "--k1 must be finite and at least 0 mL/min/mL"),
        (["--k2", "-0.1"], "--k2 must be finite and at least 0 1/min, got -0.1 1/min"),
        (["--k3", "nan"], "--k3 must be finite"),
        (["--k4", "inf"], "--k4 must be finite"),
        (["--vb", "1"], "--vb must be at least 0 and below 1"),
        (["--vb", "-0.01"], "--vb must be at least 0 and below 1"),
        (["--times-min", "0,2,1"], "--times-min must ascend, got 2 min before 1 min"),
        (["--times-min", "-1,2"], "--times-min must be finite and at least 0 min"),
        (["--times-min", "0;1"], "numbers in min separated by commas"),
        (["--times-min", ""], "numbers in min separated by commas"),
        (["--half-life-min", "0"], "--half-life-min must be above 0 min, got 0.0 min"),
        (["--half-life-min", "-5"], "--half-life-min must be above 0 min"),
        (["--half-life-min=-inf"], "--half-life-min must be above 0 min"),
        (["--half-life-min", "1e-160"], "--half-life-min must be from 0.001 to 1e+12 min"),
        (["--times-min", "0,1e155"], "--times-min must be at most 1e+09 min after the injection"),
        (["--times-min", "0,1e308", "--input", "siebinga"], "--times-min must be at most 1e+09"),
        (["--k1", "1e308"], "c_pet must be finite, and is too large"),
        (["--k4", "0"], "diverges"),
        (["--k4", "0", "--half-life-min", "inf"], "diverges"),
        (["--k2", "0"], "Give --half-life-min"),
        (["--input", "fang"], "'fang' is not one of 'feng'"),
        (["--out", "TAC.json"], "must be a file name that ends in .csv"),
        (["--out", "none/TAC.csv"], "The folder of TAC.csv must exist"),
        (["--k1", "much"], "Invalid value for '--k1'"),
    ],
)
def test_bad_input_is_one_sentence_and_no_file(
    words: list[str],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    rpt_kinetics,
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = rpt_kinetics("tac", *RATES, "--times-min", "0,1", "--out", "TAC.csv", *words)
    refused(ended, sentence)
    assert list(tmp_path.iterdir()) == []


def test_core_needs_numpy_and_scipy_only() -> None:
    script = """
import sys
for outside in ("typer", "rich", "matplotlib", "nibabel", "pandas", "jaxtyping", "rpt_cohort"):
    sys.modules[outside] = None
import rpt_kinetics, rpt_kinetics.curves
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("library", ["typer", "rich", "matplotlib", "nibabel", "rpt_cohort"])
def test_a_missing_library_of_the_commands_is_named(library: str, tmp_path: Path) -> None:
    script = f"""
import runpy, sys
sys.modules["{library}"] = None
sys.argv = ["rpt_kinetics", "simulate", "--preset", "homogeneous", "--out", "out"]
runpy.run_module("rpt_kinetics", run_name="__main__")
"""
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path
    )
    assert ended.returncode == 2
    assert ended.stderr.split() == (
        f"error: this command needs {library}: pip install 'rpt-kinetics[commands]'.".split()
    )
    assert list(tmp_path.iterdir()) == []


def test_help_tells_units() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "rpt_kinetics", "tac", "--help"], capture_output=True, text=True
    )
    assert ended.returncode == 0
    for told in (
        "mL plasma/min/mL",
        "1/min",
        "min, ascending",
        "tia_min",
        "feng|kabasakal|siebinga",
    ):
        assert told in " ".join(ended.stdout.split())
