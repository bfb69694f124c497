"""The README can be followed: its example says what it prints, its commands run as they stand."""

import contextlib
import io
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

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


@pytest.mark.parametrize("words", commands(), ids=lambda words: words[3])
def test_the_commands_run(
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    rpt_kinetics: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    monkeypatch.chdir(tmp_path)
    quick = {"study": ("10", "1")}  # seeds
    before, after = quick.get(words[3], ("", ""))
    ended = rpt_kinetics(*[after if before and word == before else word for word in words[3:]])
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / words[words.index("--out") + 1]).exists()
