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
from pathlib import Path

ROOT = Path(__file__).parents[1]
SLICES, SEED = 96, 1
CYCLES = 4

TELLS_MEMORY = (
    "import resource, subprocess, sys\n"
    "subprocess.run([sys.executable, '-m', *sys.argv[1:]], check=True)\n"
    "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
)
"""A process of its own, so that what ran before does not count."""


def run(*words: str) -> tuple[float, float]:
    """Run a command of ours; return its time, s, and the memory of its largest process, GB."""
    start = time.perf_counter()
    ended = subprocess.run(
        [sys.executable, "-c", TELLS_MEMORY, "rpt_phantom", *words],
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    return time.perf_counter() - start, int(ended.stdout.split()[-1]) * 1024 / 1e9  # Linux: KiB


def one_cycle(folder: Path, imaging: str) -> tuple[float, float]:
    """Return time, s, and memory, GB, of one cycle."""
    words = ("patient", "--patient", "1", "--seed", str(SEED), "--slices", str(SLICES))
    return run(*words, "--imaging", imaging, "--out", str(folder / imaging))


def cohort_s(folder: Path, patients: int, workers: int) -> tuple[float, int]:
    """Return the time of a cohort, s, and its cycles."""
    out = folder / f"cohort{workers}"
    size = ("--patients", str(patients), "--seed", str(SEED), "--slices", str(SLICES))
    seconds, _ = run("cohort", *size, "--workers", str(workers), "--out", str(out))
    return seconds, len(list(out.glob("P*/C*")))


def patients_of(cycles: int) -> int:
    """Return how many patients of the seed have so many cycles together."""
    from rpt_phantom.truth import virtual_person

    patients, found = 0, 0
    while found < cycles:
        patients += 1
        found += virtual_person(seed=SEED, patient=patients).cycles
    return patients


def main() -> None:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="one cycle of the full mode too")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"  # two processes share two cores
    patients = patients_of(CYCLES)
    full = ["| one cycle, full imaging | not run (`--full`) | |"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fast_s, fast_gb = one_cycle(folder, "fast")
        alone_s, cycles = cohort_s(folder, patients, 1)
        both_s, _ = cohort_s(folder, patients, 2)
        if options.full:
            full_s, full_gb = one_cycle(folder, "full")
            full = [f"| one cycle, full imaging | {full_s:.0f} | {full_gb:.2f} |"]
    lines = [
        f"128 × 128 × {SLICES} voxels, seed {SEED}, files written, start of Python included; "
        "2 cores, one thread a process, one run.",
        "",
        "| `rpt_phantom` | s | GB, largest process |",
        "|---|---|---|",
        f"| one cycle, fast imaging | {fast_s:.1f} | {fast_gb:.2f} |",
        *full,
        "",
        f"| cohort of {cycles} cycles, fast imaging | s | speed ÷ one worker's |",
        "|---|---|---|",
        f"| 1 worker | {alone_s:.1f} | 1 |",
        f"| 2 workers | {both_s:.1f} | {alone_s / both_s:.2f} |",
        "",
    ]
    text = "\n".join(lines)
    sys.stdout.write(text)
    (ROOT / "benchmarks" / "phantom.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
