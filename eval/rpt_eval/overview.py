"""The few numbers of a comparison that a person looks at first."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

COLUMNS = (
    ("whole_map", "nrmse_range", "NRMSE, % of range, whole map", 100.0),
    ("body", "nrmse_euclid", "|error|/|reference|, %, body", 100.0),
    ("body", "ssim", "SSIM, body", 1.0),
    ("kidney", "ape_organ_mean", "MAPE of kidney mean, %", 1.0),
    ("organs_mean", "nrmse_masked", "NRMSE masked, %, mean over organs", 100.0),
)


def overview(results: Sequence[Mapping[str, Any]]) -> Table:
    """Return a table of methods by headline metric, mean ± SD over patients.

    Args:
        results: Entries of ``summary.summarise``.
    """
    table = Table("method", *(title for _, _, title, _ in COLUMNS))
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
    digits = 3 if factor == 1.0 and entry["unit"] == "1" else 1
    spread = f" ± {factor * sd:.{digits}f}" if sd is not None else ""
    return f"{factor * mean:.{digits}f}{spread}"
