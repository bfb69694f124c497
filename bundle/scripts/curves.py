"""The curves of a training by epoch, losses, learning rate and metrics: table and picture."""

import csv
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scripts.distributed import mean_over_processes
from scripts.trainer import LOSSES

LEARNING_RATE = "learning_rate"
Row = dict[str, float]


class Curves:
    """Handler of the trainer: each epoch's mean losses, its learning rate and its metrics.

    They become the trainer's metrics, which TensorBoard and MLflow log, and stand in
    ``curves.csv`` and ``curves.png``. They ride in the checkpoint, so that a resume goes on with
    them. First among the handlers.

    Args:
        validator: The evaluator.
        folder: Where table and picture go.
    """

    def __init__(self, validator: Engine, folder: str) -> None:
        self.validator = validator
        self.folder = Path(folder)
        self.rows: list[Row] = []
        self.steps: list[dict[str, torch.Tensor]] = []

    def attach(self, engine: Engine) -> None:
        """Attach to steps and epochs, and to the end of each validation."""
        engine.add_event_handler(Events.EPOCH_STARTED, self.steps.clear)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.note)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.close_epoch)
        self.validator.add_event_handler(Events.COMPLETED, self.add_metrics)

    def note(self, engine: Engine) -> None:
        """Keep a step's losses where they are: a GPU is not made to wait."""
        output = engine.state.output
        self.steps.append({str(k): output[k].detach() for k in LOSSES if k in output})

    def close_epoch(self, engine: Engine) -> None:
        """Add the epoch's row, and write the table."""
        row: Row = {"epoch": engine.state.epoch}
        for name in self.steps[0]:
            losses = torch.stack([step[name].float() for step in self.steps])
            row[name] = float(mean_over_processes(losses.mean()))
        row[LEARNING_RATE] = engine.optimizer.param_groups[0]["lr"]
        engine.state.metrics.update({k: v for k, v in row.items() if k != "epoch"})
        self.rows.append(row)
        self.write_table()

    def add_metrics(self, validator: Engine) -> None:
        """Add a validation's metrics to the epoch's row, and write table and picture."""
        if self.rows:
            self.rows[-1].update({k: float(v) for k, v in validator.state.metrics.items()})
            self.write_table()
            self.draw()

    def write_table(self) -> None:
        """Write ``curves.csv``, whole."""
        if idist.get_rank() > 0:
            return
        names = list(dict.fromkeys(name for row in self.rows for name in row))
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = self.folder / ".curves.csv.partial"
        with partial.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, names, lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.rows)
        partial.replace(self.folder / "curves.csv")

    def draw(self) -> None:
        """Write ``curves.png``."""
        if self.rows and idist.get_rank() == 0:
            save_curves({"": self.rows}, self.folder / "curves.png")

    def state_dict(self) -> dict[str, Any]:
        """Return what a resume needs."""
        return {"rows": self.rows}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take it back."""
        self.rows = list(state["rows"])


def read_curves(path: Path) -> list[Row]:
    """Read a ``curves.csv``; what was not measured in an epoch is left out of its row."""
    with path.open(newline="", encoding="utf-8") as stream:
        return [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(stream)]


def save_curves(trainings: dict[str, list[Row]], path: Path) -> None:
    """Draw losses, metrics and learning rate over epochs, trainings above each other.

    Args:
        trainings: Title → rows.
        path: The PNG.
    """
    figure = Figure(figsize=(12, 3.6 * len(trainings)), layout="tight")
    axes = figure.subplots(len(trainings), 3, squeeze=False)
    for (title, rows), (losses, metrics, rate) in zip(trainings.items(), axes, strict=True):
        names = dict.fromkeys(name for row in rows for name in row if name != "epoch")
        of_training = [name for name in names if name in LOSSES]
        draw_curves(losses, rows, of_training).set(title=title, ylabel="Loss", yscale="log")
        validated = [n for n in names if n not in LOSSES and n != LEARNING_RATE]
        draw_curves(metrics, rows, validated).set(title=title, ylabel="Metric of validation")
        draw_curves(rate, rows, [LEARNING_RATE]).set(title=title, ylabel="Learning rate")
    figure.savefig(path, dpi=120)


def draw_curves(ax: Axes, rows: list[Row], names: list[str]) -> Axes:
    """Draw columns of a training over its epochs."""
    for name in names:
        points = [(row["epoch"], row[name]) for row in rows if name in row]
        ax.plot(*zip(*points, strict=True), marker=".", label=name)
    ax.set_xlabel("Epoch")
    if names:
        ax.legend()
    return ax
