"""What tests of the kinetics share: the command, run in this process."""

import pytest
from helpers.commands import Run, runner
from rpt_kinetics.__main__ import app


@pytest.fixture
def rpt_kinetics(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run ``python -m rpt_kinetics``."""
    return runner("rpt_kinetics", app, monkeypatch, capfd)
