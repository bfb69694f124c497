"""Input functions from a CSV: units, what is assumed around the samples, and refusals."""

from pathlib import Path

import numpy as np
import pytest
from rpt_kinetics.errors import BadInput
from rpt_kinetics.measured import measured_input, read_input_csv

PLAIN = "time_min,plasma_bq_per_ml\n0,0\n1,90\n10,40\n30,20\n50,10\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "Doe_Jane.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_samples_and_what_lies_between(tmp_path: Path) -> None:
    measured = read_input_csv(written(tmp_path, PLAIN))
    assert (measured.unit, measured.measured, measured.decay_corrected) == (
        "Bq/mL",
        "plasma",
        True,
    )
    np.testing.assert_allclose(measured.plasma.value([0, 0.5, 1, 20, 50]), [0, 45, 90, 30, 10])
    np.testing.assert_allclose(measured.blood.value([0.5]), [45])
    assert "plasma and blood are equal" in measured.assumptions


def test_tail_is_fitted_to_the_last_three_samples(tmp_path: Path) -> None:
    """40, 20, 10 at 10, 30, 50 min halve every 20 min."""
    measured = read_input_csv(written(tmp_path, PLAIN))
    np.testing.assert_allclose(measured.plasma.value([70.0, 90.0]), [5.0, 2.5], rtol=1e-12)
    assert measured.assumptions[-1] == (
        "after the last sample at 50 min, plasma falls with a half-life of 20 min"
    )
    area = 45 + 9 * 65 + 20 * 30 + 20 * 15 + 10 * 20 / np.log(2)
    assert measured.plasma.laplace(0.0) == pytest.approx(area)


@pytest.mark.parametrize(("last", "tail"), [([40, 50, 60], 60.0), ([40, 40, 40], 40.0)])
def test_tail_that_does_not_fall_is_held(last: list[float], tail: float) -> None:
    curve = measured_input(
        [0, 1, 10, 20, 30], plasma=[0, 90, *last], unit="Bq/mL", name="m", source="a test"
    )
    assert curve.plasma.value(1e4) == pytest.approx(tail, rel=1e-10)
    assert curve.assumptions[-1] == "after the last sample at 30 min, plasma is held constant"
    with pytest.raises(BadInput, match="must fall to 0"):
        curve.plasma.laplace(0.0)


def test_tail_after_a_zero_is_zero() -> None:
    curve = measured_input([0, 1, 10], plasma=[0, 90, 0], unit="Bq/mL", name="m", source="a test")
    assert curve.plasma.value(11.0) == 0.0
    assert curve.plasma.laplace(0.0) == pytest.approx(45 + 9 * 45)


@pytest.mark.parametrize(
    ("header", "factor", "unit"),
    [
        ("time_s,blood_suv", 1 / 60, "SUV (g/mL)"),
        ("time_h,blood_percent_ia_per_l", 60.0, "%IA/L"),
        ("time_min,blood_kbq_per_ml", 1.0, "kBq/mL"),
    ],
)
def test_units_from_the_names(tmp_path: Path, header: str, factor: float, unit: str) -> None:
    measured = read_input_csv(written(tmp_path, f"{header}\n0,0\n10,5\n20,4\n"))
    assert (measured.unit, measured.measured) == (unit, "blood")
    assert measured.plasma.value(10 * factor) == pytest.approx(5.0)


def test_plasma_and_blood_both(tmp_path: Path) -> None:
    text = "\ufefftime_min, plasma_suv, blood_suv,tube\n0,0,0,a\n\n5,9,5,b\n10,4,2,c\n"
    measured = read_input_csv(written(tmp_path, text))
    assert measured.measured == "plasma and blood"
    assert measured.plasma.value(5.0) == pytest.approx(9.0)
    assert measured.blood.value(5.0) == pytest.approx(5.0)
    assert "plasma and blood are equal" not in measured.assumptions


def test_first_sample_later_than_zero() -> None:
    curve = measured_input([2, 4], plasma=[10, 5], unit="Bq/mL", name="m", source="a test")
    assert curve.plasma.value(1.0) == pytest.approx(5.0)
    assert "linear from 0 at time 0 to the first sample at 2 min" in curve.assumptions


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "must have a line of column names and rows below"),
        ("time_min,plasma_suv\n", "and rows below, got 1 lines"),
        ("time_min,plasma_suv\n0,0\n", "at least two samples"),
        ("time,plasma_suv\n0,0\n1,1\n", "named time_min, time_s or time_h, got time, plasma_suv"),
        ("time_min,time_s,plasma_suv\n0,0,0\n1,60,1\n", "one column of times"),
        ("time_min,activity\n0,0\n1,1\n", "a column plasma_UNIT or blood_UNIT"),
        ("time_min,plasma\n0,0\n1,1\n", "'plasma' must be named plasma_UNIT, UNIT one of suv"),
        ("time_min,plasma_furlong\n0,0\n1,1\n", "'plasma_furlong' must be named"),
        ("time_min,plasma_suv,blood_bq_per_ml\n0,0,0\n1,1,1\n", "in one unit, got Bq/mL and SUV"),
        ("time_min,plasma_suv,plasma_bq_per_ml\n0,0,0\n1,1,1\n", "one column of plasma"),
        ("time_min,plasma_suv,plasma_suv\n0,0,0\n1,1,1\n", "name each column once"),
        ("time_min,plasma_suv\n0,0\n2,1\n1,1\n", "must increase, got 2 min before 1 min"),
        ("time_min,plasma_suv\n0,0\n1,1\n1,2\n", "average those of one time"),
        ("time_min,plasma_suv\n-1,0\n1,1\n", "at least 0 min, got -1 min"),
        ("time_min,plasma_suv\n0,0\n1,-1\n", "Samples of plasma must be finite and at least 0"),
        ("time_min,plasma_suv\n0,0\n1,0\n", "must be above 0, and all are 0"),
        ("time_min,plasma_suv\n0,0\n1,much\n", "finite numbers, got 'much' in row 2"),
        ("time_min,plasma_suv\n0,0\n1,nan\n", "got 'nan' in row 2"),
        ("time_min,plasma_suv\n0,0\n1,\n", "got '' in row 2"),
        ("time_min,plasma_suv\n0,0\n1,1e308\n", r"at most 1e\+15 of their unit, got 1e\+308"),
        ("time_min,plasma_suv\n0,0\n1e300,1\n", r"at most 1e\+09 min, got 1e\+300 min"),
        ("time_min,plasma_suv\n1e-300,1\n1,1\n", "at least 1e-09 min apart, and after 0 min"),
        ("time_min;plasma_suv\n0;0\n1;0,5\n", "separate cells by commas, got semicolons"),
        ("time_min\tplasma_suv\n0\t0\n", "separate cells by commas, got tabs"),
        (f"time_min,plasma_suv\n0,{'1' * 200_000}\n", "cannot be read as one .field larger"),
        ("time_min,plasma_suv,decay_correction\n0,0,none\n1,1,injection\n", "hold one word"),
        (
            "time_min,plasma_suv,decay_correction\n0,0,scan_start\n1,1,scan_start\n",
            "must be injection, none, got 'scan_start'. Say none",
        ),
        ("time_min,plasma_suv\n0,0\n1,0,5\n", "2 cells in each row, got 3 in row 2"),
    ],
)
def test_bad_csv(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence) as refused:
        read_input_csv(written(tmp_path, text))
    assert str(tmp_path) not in str(refused.value)


def test_the_column_says_whether_decay_is_corrected(tmp_path: Path) -> None:
    taken = "taken as corrected for decay to time 0"
    silent = read_input_csv(written(tmp_path, PLAIN))
    assert silent.decay_corrected
    assert taken in silent.assumptions
    assert taken not in read_input_csv(tmp_path / "Doe_Jane.csv", decay_corrected=True).assumptions
    header, *rows = PLAIN.splitlines()
    for word, corrected in (("injection", True), ("none", False)):
        lines = [f"{header},decay_correction", *(f"{row},{word}" for row in rows)]
        stated = read_input_csv(written(tmp_path, "\n".join(lines)))
        assert stated.decay_corrected is corrected
        assert taken not in stated.assumptions


def test_csv_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"none\.csv must be a readable CSV file"):
        read_input_csv(tmp_path / "none.csv")
    (tmp_path / "image.csv").write_bytes(b"\x89PNG\xff\x00")
    with pytest.raises(BadInput, match="it is not text in UTF-8"):
        read_input_csv(tmp_path / "image.csv")


def test_samples_that_cannot_be() -> None:
    with pytest.raises(BadInput, match="as many as times"):
        measured_input([0, 1], plasma=[1, 2, 3], unit="Bq/mL", name="m", source="a test")
    with pytest.raises(BadInput, match="got neither"):
        measured_input([0, 1], unit="Bq/mL", name="m", source="a test")
