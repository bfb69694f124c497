"""Whole-volume inference beside what a user would otherwise run: 32³ windows, overlap 0.5.

``make bench`` prints the table and writes it to ``benchmarks/inference.md``. Times are
ratios from one run, the median of several passes on one virtual PET.
"""

import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from monai.bundle import ConfigParser
from monai.inferers import SlidingWindowInferer
from rpt_phantom.patient import make_cycle
from rpt_phantom.settings import CohortSettings

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "bundle"))
PASSES = 3
ROWS: dict[str, tuple[list[int], float]] = {
    "whole volume (the default)": ([-1, -1, -1], 0.0),
    "96 × 96 × 64 windows, overlap 0.25": ([96, 96, 64], 0.25),
    "64³ windows, overlap 0.5": ([64, 64, 64], 0.5),
    "32³ windows, overlap 0.5": ([32, 32, 32], 0.5),
}


def median_s(action: Callable[[], object]) -> float:
    """Return the median time of an action, s, after one pass to warm up."""
    action()
    times = []
    for _ in range(PASSES):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    """Measure, print and write the table."""
    parser = ConfigParser()
    parser.read_config(str(ROOT / "bundle" / "configs" / "inference.yaml"))
    network = parser.get_parsed_content("network_def").eval()
    weights = ROOT / "bundle" / "models" / "model.pt"
    network.load_state_dict(torch.load(weights, weights_only=True))
    suv = torch.as_tensor(make_cycle(CohortSettings(seed=1, slices=64), patient=1).pet_suv)[
        None, None
    ].float()
    rows = []
    whole: tuple[torch.Tensor, float] | None = None
    for name, (roi_size, overlap) in ROWS.items():
        inferer = SlidingWindowInferer(roi_size, sw_batch_size=4, overlap=overlap, mode="gaussian")
        with torch.no_grad():
            dose = inferer(suv, network)
            seconds = median_s(partial(inferer, suv, network))
        whole = whole or (dose, seconds)
        difference = (dose - whole[0]).norm() / whole[0].norm()
        rows.append(f"| {name} | {seconds / whole[1]:.1f} | {100 * difference:.1f} % |")
    shape = " × ".join(map(str, suv.shape[2:]))
    table = [
        f"One virtual PET of {shape} voxels, {torch.get_num_threads()} CPU threads.",
        "",
        "| inference | time ÷ whole volume | ‖difference‖ ÷ ‖whole volume‖ |",
        "|---|---|---|",
        *rows,
        "",
    ]
    text = "\n".join(table)
    sys.stdout.write(text)
    (ROOT / "benchmarks" / "inference.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
