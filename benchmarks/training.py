"""How many patches a second training takes, beside the same configuration with one thing changed.

``make bench`` prints the table and writes it to ``benchmarks/training.md``. Times are of whole
steps, patches included: the median over the steps after the first epoch, in CPU time of one thread,
which another load on the machine does not change.
"""

import logging
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Events
from monai.bundle import ConfigWorkflow
from rpt_phantom.cohort import write_cohort
from rpt_phantom.settings import CohortSettings

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "bundle"))
EPOCHS = 4
PATCHES = 8  # a step's: batch_cases of train.yaml × patches_per_case of paper.yaml
ROWS: dict[str, dict[str, Any]] = {
    "the default": {},
    "without caching": {"cache_rate": 0.0},
    "default memory layout": {"memory_format": "$torch.contiguous_format"},
    "without caching, default layout": {
        "cache_rate": 0.0,
        "memory_format": "$torch.contiguous_format",
    },
    "torch.compile": {"compile": True},
    "bfloat16": {"amp": True},
}


def step_seconds(cohort: Path, folder: Path, options: dict[str, Any]) -> list[float]:
    """Return the time of each step after the first epoch, s."""
    workflow = ConfigWorkflow(
        config_file=[str(ROOT / "bundle" / "configs" / f"{n}.yaml") for n in ("train", "paper")],
        workflow_type="train",
        logging_file=False,
        bundle_root=str(ROOT / "bundle"),
        dataset_dir=str(cohort),
        ckpt_dir=str(folder),
        max_epochs=EPOCHS,
        val_interval=10 * EPOCHS,
        **options,
    )
    workflow.initialize()
    trainer: Any = workflow.trainer
    times: list[float] = []
    trainer.add_event_handler(Events.GET_BATCH_STARTED, lambda: times.append(-time.process_time()))

    @trainer.on(Events.ITERATION_COMPLETED)  # type: ignore[untyped-decorator]
    def end() -> None:
        times[-1] += time.process_time()

    workflow.run()
    workflow.finalize()
    return times[trainer.state.epoch_length :]


def table(cohort: Path, scratch: Path) -> str:
    """Measure every row, and return the table."""
    per_s = {}
    for number, (name, options) in enumerate(ROWS.items()):
        times = step_seconds(cohort, scratch / str(number), options)
        per_s[name] = PATCHES / statistics.median(times)
    rows = [f"| {n} | {v:.1f} | {per_s['the default'] / v:.2f} |" for n, v in per_s.items()]
    head = [
        f"Steps of {PATCHES} patches of 32³ on one CPU thread; of torch.compile, compiled before.",
        "",
        "| training | patches per second | time of a step ÷ the default's |",
        "|---|---|---|",
    ]
    return "\n".join([*head, *rows, ""])


def main() -> None:
    """Measure, print and write the table."""
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    given = [Path(word) for word in sys.argv[1:]]  # a cohort folder, else a small one is made
    with tempfile.TemporaryDirectory() as scratch:
        cohort = given[0] if given else Path(scratch) / "cohort"
        if not given:
            write_cohort(cohort, CohortSettings(seed=3, slices=80), patients=5, workers=1)
        text = table(cohort, Path(scratch))
    sys.stdout.write(text)
    (ROOT / "benchmarks" / "training.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
