"""What tests of the kinetics share: the command, run in this process."""

import subprocess
import sys
from collections.abc import Callable

import pytest
from rpt_kinetics.__main__ import app
from rpt_kinetics.command import run_app


@pytest.fixture
def rpt_kinetics(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run ``python -m rpt_kinetics``; an exception that gets out fails the test."""

    def run(*words: object) -> subprocess.CompletedProcess[str]:
        arguments = ["rpt_kinetics", *map(str, words)]
        monkeypatch.setattr(sys, "argv", arguments)
        with pytest.raises(SystemExit) as ended:
            run_app(app)
        captured = capfd.readouterr()
        status = ended.value.code or 0
        assert isinstance(status, int)
        return subprocess.CompletedProcess(arguments, status, captured.out, captured.err)

    return run
