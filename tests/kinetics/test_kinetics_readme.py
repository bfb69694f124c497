"""The README can be followed: its example says what it prints, its commands run as they stand."""

import contextlib
import io
import json
import re
import shlex
from pathlib import Path

import pytest
from rpt_kinetics.figures import FIGURES
from rpt_kinetics.parameters import preset_names

README = (Path(__file__).parents[2] / "kinetics" / "README.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


def commands() -> list[list[str]]:
    text = blocks("sh")[0].replace("\\\n", " ")
    return [shlex.split(line) for line in text.splitlines() if line.strip()]


def test_the_example_prints_what_the_readme_says() -> None:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(blocks("python")[0], {})
    assert printed.getvalue() == blocks("text")[0]


def test_every_command_is_shown() -> None:
    assert all(words[:3] == ["python", "-m", "rpt_kinetics"] for words in commands())
    assert [words[3] for words in commands()] == ["tac", "simulate", "study"]


@pytest.mark.parametrize("words", commands()[:2], ids=lambda words: words[3])
def test_the_commands_run(words: list[str], tmp_path: Path, monkeypatch, rpt_kinetics) -> None:
    monkeypatch.chdir(tmp_path)
    ended = rpt_kinetics(*words[3:])
    assert ended.status == 0, ended.err
    assert (tmp_path / words[words.index("--out") + 1]).exists()


def test_the_study_runs_and_writes_every_preset_and_figure(
    tmp_path: Path, monkeypatch, rpt_kinetics
) -> None:
    """Of one seed instead of the README's ten."""
    monkeypatch.chdir(tmp_path)
    words = commands()[2][3:]
    words[words.index("--seeds") + 1] = "1"
    ended = rpt_kinetics(*words)
    assert ended.status == 0, ended.err
    out = tmp_path / words[words.index("--out") + 1]
    study = json.loads((out / "study.json").read_text())
    assert {path.name for path in out.iterdir()} == {*FIGURES, "study.json"}
    assert list(study["presets"]) == preset_names()
    one = study["presets"]["opposed"]
    assert one["pearson_r"]["of_each_seed"] == [one["pearson_r"]["mean"]]
    assert one["pearson_r"]["sd"] is None
    parts = one["one_minus_r_squared_of_images"]
    assert parts["kinetics"] + parts["resolution"] + parts["noise"] == pytest.approx(parts["total"])
    for rows in (
        study["pearson_r_against_resolution"]["rows"],
        study["pearson_r_at_suv_times"],
        study["pearson_r_moved"]["rows"],
        study["pearson_r_of_other_choices"]["rows"],
    ):
        assert {row["preset"] for row in rows} == set(preset_names())
    row = next(
        row
        for row in study["pearson_r_of_other_choices"]["rows"]
        if (row["preset"], row["parameter"]) == ("opposed", "draws")
    )
    assert row["value"] == "independent"
    assert row["change"] == pytest.approx(row["pearson_r"]["mean"] - one["pearson_r"]["mean"])
    at_once = [row for row in study["pearson_r_at_suv_times"] if row["suv_time_min"] == 60.0]
    for row in at_once:
        expected = study["presets"][row["preset"]]["pearson_r"]["mean"]
        assert row["pearson_r"]["mean"] == pytest.approx(expected)
