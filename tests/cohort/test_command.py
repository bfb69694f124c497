"""The commands' manners, and work spread over processes."""

import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import pytest
from rpt_cohort import BadInput, command
from rpt_cohort.command import (
    Options,
    at_work,
    choice,
    in_parallel,
    naming,
    new_app,
    part_of_work,
    progress,
    repeat_typed,
    tell_done,
    with_options,
)
from typer.testing import CliRunner

PACKAGES = ("rpt_cohort", "rpt_dosimetry", "rpt_phantom", "rpt_eval", "rpt_kinetics")


@pytest.fixture
def moves(monkeypatch):
    """How far each bar was moved, one after the other."""
    seen: list[float] = []

    def update(bar, task, *, completed: float) -> None:
        seen.append(completed)

    monkeypatch.setattr(command.Progress, "update", update)
    return seen


@pytest.mark.parametrize("package", PACKAGES)
def test_version(package: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", package, "--version"], capture_output=True, text=True, check=True
    )
    name = package.replace("_", "-")
    assert done.stdout.strip() == f"{name} {version(name)}"


def test_a_bar_moves_within_its_work(moves) -> None:
    with at_work("Registering"):
        tell_done(0.1)
        with part_of_work(0.2, 0.6):
            tell_done(0.5)
        tell_done(0.9)
    assert moves == pytest.approx([0.1, 0.2, 0.4, 0.6, 0.9, 1.0])
    tell_done(0.3)  # nobody hears it
    assert len(moves) == 6


def test_a_bar_moves_within_its_items(moves) -> None:
    for _ in progress([1, 2], "Cycles"):
        tell_done(0.5)
    assert moves == [0.5, 1, 1.5, 2]


def test_a_failure_leaves_no_listener(moves) -> None:
    with pytest.raises(ValueError, match="no"), at_work("Cycles"), part_of_work(0, 1):
        raise ValueError("no")
    tell_done(0.7)
    assert 0.7 not in moves


def test_workers_move_the_bar(moves) -> None:
    """Which they did when a cycle was done, after half a minute of nothing."""
    assert in_parallel(partial(max, 0), [3, 1, 2], description="Cycles", workers=2) == [3, 1, 2]
    assert moves[-1] == 3
    moves.clear()
    in_parallel(tell_done, [0.25, 0.25], description="Cycles", workers=2)
    assert moves == sorted(moves)
    assert moves[-1] == 2


@pytest.mark.parametrize("room", ["cohort", "dosimetry", "phantom", "eval", "kinetics"])
def test_every_package_tells_the_numpy_it_needs(room: str) -> None:
    """What NumPy 2.0 brought is called only where it is asked for; phantom calls dosimetry's."""
    folder = Path(__file__).parents[2] / room
    needed = tomllib.loads((folder / "pyproject.toml").read_text())["project"]["dependencies"]
    sources = [path.read_text() for path in (folder / f"rpt_{room}").rglob("*.py")]
    new = "trapezoid|unstack|astype|concat|vecdot|matrix_transpose|cumulative_sum|isdtype|bool"
    calls = any(re.search(rf"\bnp\.({new})\b", source) for source in sources)
    if calls or "rpt-dosimetry" in needed:
        assert "numpy>=2.0" in needed


@pytest.mark.parametrize(
    ("sentence", "words", "told"),
    [
        ("raw.csv must be a CSV.", ["tac", "--input", "in/raw.csv"], "in/raw.csv must be a CSV."),
        ("The 'out' must be new.", ["--out=/a/out"], "The '/a/out' must be new."),
        ("--out must be new.", ["--out", "a/b.dcm"], "--out must be new. --out was 'a/b.dcm'."),
        ("a/b.dcm is none.", ["a/b.dcm", "--out", "c.csv"], "a/b.dcm is none."),
        ("Leave the other out.", ["a.csv", "--out", "/a/out"], "Leave the other out."),
        ("--label must be 1.", ["--label", "3", "--out", "a/b"], "--label must be 1."),
        (
            "--pred m must be one.",
            ["--pred", "m=no/dir"],
            "--pred m must be one. --pred was 'm=no/dir'.",
        ),
        ("The third --of is 0.", ["--of", "a/1", "--of", "a/2"], "The third --of is 0."),
    ],
)
def test_a_refusal_repeats_what_was_typed(sentence, words, told) -> None:
    assert repeat_typed(sentence, words) == told


@pytest.mark.parametrize(
    ("typed", "sentence", "told"),
    [
        ("none", "There is none.", "'none': There is none."),
        ("none", "There is no 'none'.", "There is no 'none'."),
        ("no/dir", "There is no 'no/dir'.", "There is no 'no/dir'."),
        ("pet.nii.gz", "The PET must be there.", "'pet.nii.gz': The PET must be there."),
    ],
)
def test_a_path_is_named_once(typed, sentence, told) -> None:
    with pytest.raises(BadInput) as refused, naming(Path(typed)):
        raise BadInput(sentence)
    assert str(refused.value) == told


class Scan(Options):
    """Of one scan."""

    time_h: float = choice(help="From injection, h.")
    scatter: Literal["tew", "none"] = choice("tew", help="How scatter is corrected.")
    dead_time_us: float | None = choice(None, help="Of one count, µs.", rare=True)


@pytest.fixture
def scan():
    """Run a command that takes a Scan; return it, or the refusal."""
    app = new_app("Scans.", distribution="rpt-cohort")
    seen: list[Scan] = []

    @app.command()
    @with_options
    def read(path: Path, options: Scan) -> None:
        """Read."""
        if options.time_h > 1000:
            raise BadInput(f"time_h must be at most 1000 h: '{path}/time_h/a', 'time_h.csv'.")
        seen.append(options)

    @app.command()
    def other() -> None:
        """Do nothing."""

    def run(*words: str) -> Scan | str:
        done = CliRunner().invoke(app, ["read", "here", *words])
        return seen.pop() if done.exit_code == 0 else f"{done.output}{done.exception}"

    return run


def test_options_come_from_words_and_file(scan, tmp_path: Path) -> None:
    file = tmp_path / "rare.yaml"
    file.write_text("dead_time_us: 3.5\ntime_h: 4.0\nscatter: none\n")
    assert scan("--time-h", "24") == Scan(time_h=24.0, scatter="tew", dead_time_us=None)
    both = scan("--time-h", "24", "--options", str(file))
    assert both == Scan(time_h=24.0, scatter="none", dead_time_us=3.5)


@pytest.mark.parametrize(
    ("words", "content", "told"),
    [
        (["--time-h", "24", "--scatter", "best"], "", "--scatter must be one of"),
        (["--time-h", "24"], "dead_time_us: x", "dead_time_us"),
        (["--time-h", "24"], "dead_time_s: 3", "dead_time_s"),
        (["--time-h", "24"], "scatter: tew\nscatter: none", "every key once, and at line 2"),
        (["--time-h", "24"], "- 3", "must hold keys and values"),
    ],
)
def test_options_that_are_refused(scan, tmp_path: Path, words, content, told) -> None:
    file = tmp_path / "rare.yaml"
    file.write_text(content)
    assert told in scan(*words, *(["--options", str(file)] if content else []))


def test_a_refusal_names_the_option_and_leaves_paths_alone(scan) -> None:
    told = scan("--time-h", "2000")
    assert "--time-h must be at most 1000 h: 'here/time_h/a', 'time_h.csv'." in told


SCRIPT = """
import os, sys, time
from pathlib import Path
from rpt_cohort.command import in_parallel

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
