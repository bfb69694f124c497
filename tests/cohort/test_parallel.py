"""Workers of a pool end when the process that began them ends, however it does."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPT = """
import os, sys, time
from pathlib import Path
from rpt_cohort.parallel import in_parallel

def work(folder):
    Path(folder, str(os.getpid())).touch()
    time.sleep(300)

if __name__ == "__main__":
    in_parallel(work, [sys.argv[1]] * 4, description="Cycles", workers=2)
"""
PATIENCE_S = 60.0


def runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    # One that nobody has waited for has ended nevertheless.
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"


def wait_until(true, what: str) -> None:
    begun = time.monotonic()
    while not true():
        assert time.monotonic() - begun < PATIENCE_S, what
        time.sleep(0.1)


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("end", ["SIGTERM", "SIGKILL", "SIGHUP"])
def test_workers_end_with_their_parent(tmp_path: Path, end: str) -> None:
    script, pids = tmp_path / "pool.py", tmp_path / "pids"
    script.write_text(SCRIPT)
    pids.mkdir()
    parent = subprocess.Popen(
        [sys.executable, script, pids],
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # nohup's is inherited
    )
    try:
        wait_until(lambda: len(list(pids.iterdir())) == 2, "two workers must begin")
        workers = [int(path.name) for path in pids.iterdir()]
        assert all(map(runs, workers))
        parent.send_signal(signal.Signals[end])
        parent.wait(timeout=PATIENCE_S)
        wait_until(lambda: not any(map(runs, workers)), "the workers must end")
    finally:
        parent.kill()
