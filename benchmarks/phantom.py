"""One virtual cycle: how long, how much memory, and what a second process brings.

``make bench`` prints the table and writes it to ``benchmarks/phantom.md``. Everything is run by the
command, start of Python included. The full mode takes minutes a cycle and needs
``rpt-phantom[full]``; it is run with ``--full`` only.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
SLICES, SEED, PATIENTS = 96, 9, 8
"""As many as a cohort has by default: the start of a process does not rule."""

FREE_BELOW = 0.2
"""Of a core, that others may take."""
LOOK_S = 3.0
NOT_FREE = (
    "The cores were not free, so the ratio is no measure of what two workers bring on free ones."
)

TELLS_USE = (
    "import resource, subprocess, sys\n"
    "subprocess.run([sys.executable, '-m', *sys.argv[1:]], check=True)\n"
    "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
    "print(used.ru_maxrss, used.ru_utime + used.ru_stime)\n"
)
"""A process of its own, so that what ran before does not count."""


@dataclass(frozen=True)
class Use:
    """What a command took: time and processors' time, s; memory of its largest process, GB."""

    seconds: float
    cpu_s: float
    gb: float

    def row(self, name: str, *more: str) -> str:
        """Return a line of the table."""
        cells = (name, f"{self.seconds:.1f}", f"{self.cpu_s:.1f}", f"{self.gb:.2f}", *more)
        return f"| {' | '.join(cells)} |"


def run(*words: str) -> Use:
    """Run a command of ours."""
    start = time.perf_counter()
    ended = subprocess.run(
        [sys.executable, "-c", TELLS_USE, "rpt_phantom", *words],
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    seconds = time.perf_counter() - start
    kib, cpu_s = ended.stdout.split()[-2:]
    return Use(seconds, float(cpu_s), int(kib) * 1024 / 1e9)  # Linux: KiB


def busy_cores() -> float:
    """Return how many cores others keep busy, by ``/proc/stat`` over some seconds."""

    def ticks() -> tuple[int, int]:
        first = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0]
        spent = [int(part) for part in first.split()[1:]]
        return sum(spent[:8]), spent[3] + spent[4]  # all; idle and waiting for disks

    all_before, idle_before = ticks()
    time.sleep(LOOK_S)
    all_after, idle_after = ticks()
    share = 1.0 - (idle_after - idle_before) / (all_after - all_before)
    return share * (os.cpu_count() or 1)


def one_cycle(folder: Path, imaging: str) -> Use:
    """Make one cycle."""
    words = ("patient", "--patient", "1", "--seed", str(SEED), "--slices", str(SLICES))
    return run(*words, "--imaging", imaging, "--out", str(folder / imaging))


def cohort(folder: Path, workers: int) -> tuple[Use, int]:
    """Make a cohort; what it took, and its cycles."""
    out = folder / f"cohort{workers}"
    size = ("--patients", str(PATIENTS), "--seed", str(SEED), "--slices", str(SLICES))
    use = run("cohort", *size, "--workers", str(workers), "--out", str(out))
    return use, len(list(out.glob("P*/C*")))


def main() -> None:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="one cycle of the full mode too")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"  # two processes share two cores
    busy = busy_cores()
    full = "| one cycle, full imaging | not run (`--full`) | | |"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fast = one_cycle(folder, "fast")
        alone, cycles = cohort(folder, 1)
        both, _ = cohort(folder, 2)
        if options.full:
            full = one_cycle(folder, "full").row("one cycle, full imaging")
    lines = [
        f"128 × 128 × {SLICES} voxels, seed {SEED}, files written, start of Python included; "
        f"2 cores, one thread a process, one run. Others kept {busy:.1f} of them busy just before; "
        "CPU s is what those disturb least.",
        "",
        "| `rpt_phantom` | s | CPU s | GB, largest process |",
        "|---|---|---|---|",
        fast.row("one cycle, fast imaging"),
        full,
        "",
        f"| cohort of {cycles} cycles, fast imaging | s | CPU s | GB, largest process "
        "| speed ÷ one worker's |",
        "|---|---|---|---|---|",
        alone.row("1 worker", "1"),
        both.row("2 workers", f"{alone.seconds / both.seconds:.2f}"),
        "",
        *([NOT_FREE, ""] if busy > FREE_BELOW else []),
    ]
    text = "\n".join(lines)
    sys.stdout.write(text)
    (ROOT / "benchmarks" / "phantom.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
