"""What tests of the kinetics share: the command, run in this process."""

from functools import partial

import pytest
from in_process import Run, runner
from rpt_cohort.command import run_app
from rpt_kinetics.__main__ import app


@pytest.fixture
def rpt_kinetics(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run ``python -m rpt_kinetics``."""
    return runner("rpt_kinetics", partial(run_app, app), monkeypatch, capfd)
