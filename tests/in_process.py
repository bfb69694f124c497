"""Run a room's command in the tests' own process."""

import subprocess
import sys
from collections.abc import Callable

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]


def runner(
    name: str,
    main: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Run:
    """Return ``run(*words)``; an exception that gets out of ``main`` fails the test."""

    def run(*words: object) -> subprocess.CompletedProcess[str]:
        arguments = [name, *map(str, words)]
        monkeypatch.setattr(sys, "argv", arguments)
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capfd.readouterr()
        status = ended.value.code or 0
        assert isinstance(status, int)
        return subprocess.CompletedProcess(arguments, status, captured.out, captured.err)

    return run
