"""Run a room's command in the tests' own process, and what its refusals are like."""

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from rpt_cohort.command import run_app
from typer import Typer


@dataclass
class Outcome:
    """How a command ended."""

    status: int
    out: str
    err: str


Run = Callable[..., Outcome]


def runner(
    name: str, app: Typer, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Run:
    """Return ``run(*words)``; an exception that gets out of ``app`` fails the test."""

    def run(*words: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", [name, *map(str, words)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            run_app(app)
        told = capfd.readouterr()
        status = ended.value.code or 0
        assert isinstance(status, int)
        return Outcome(status, told.out, told.err)

    return run


def refused(done: Outcome, *words: str, absent: Path | None = None) -> None:
    """Assert that a command ended with one sentence that holds ``words``, and wrote nothing."""
    assert done.status == 2, done.err
    assert "Traceback" not in done.err
    assert done.err.count("error: ") <= 1  # typer's own has none
    sentence = " ".join(done.err.split("error: ")[-1].split())  # the last thing said
    for word in words:
        assert word in sentence
    assert not re.search(r"\d%", sentence)  # no progress bar after it
    assert absent is None or not absent.exists()
