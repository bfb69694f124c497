"""The few numbers of a comparison that a person looks at first."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Column, Table

COLUMNS = (
    ("whole_map", "nrmse_range", "whole map:\nNRMSE,\n% of range", 100.0),
    ("body", "nrmse_euclid", "body:\n|error|/|ref|,\n%", 100.0),
    ("body", "ssim", "body:\nSSIM,\n%", 100.0),
    ("kidney", "ape_organ_mean", "kidney:\nMAPE of\nmean, %", 1.0),
)


def overview(results: Sequence[Mapping[str, Any]]) -> Table:
    """Return a table of methods by headline metric, mean ± SD over patients.

    Args:
        results: Entries of ``summary.summarise``.
    """
    name = Column("method", overflow="fold", min_width=22)
    table = Table(name, caption="mean ± SD over patients", box=SIMPLE_HEAD, padding=(0, 1))
    for _, _, title, _ in COLUMNS:
        table.add_column(title, no_wrap=True, justify="right")
    found = {(e["method"], e["region"], e["metric"]): e for e in results}
    for method in dict.fromkeys(entry["method"] for entry in results):
        cells = [
            _cell(found.get((method, region, metric)), factor)
            for region, metric, _, factor in COLUMNS
        ]
        table.add_row(method, *cells)
    return table


def _cell(entry: Mapping[str, Any] | None, factor: float) -> str:
    if entry is None:
        return "not rated"
    mean, sd = entry["mean_over_patients"], entry["sd_over_patients"]
    spread = f" ± {factor * sd:.1f}" if sd is not None else ""
    return f"{factor * mean:.1f}{spread}"
