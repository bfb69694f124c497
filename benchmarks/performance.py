"""The tables of ``bundle/docs/README.md`` and ``eval/README.md``, from ``rpt_eval compare``.

``make performance`` makes the cohort of the shipped weights, predicts it with them and with
the controls, compares the testing cases, and calls this on the comparison.
"""

import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

OUT = Path(__file__).with_suffix(".md")
COLUMNS = {
    ("body", "nrmse_range"): ("body: NRMSE, % of range", 100.0, 2),
    ("body", "nrmse_euclid"): ("body: ‖error‖ ÷ ‖reference‖", 1.0, 3),
    ("body", "ssim"): ("body: SSIM", 1.0, 3),
    ("organs_mean", "nrmse_masked"): ("organs: NRMSE masked, %", 100.0, 2),
    ("lesion", "nrmse_euclid"): ("lesions: ‖error‖ ÷ ‖reference‖", 1.0, 2),
}
ORGANS = ("kidney", "liver", "spleen", "salivary_glands")
ORGAN_COLUMNS = {
    (organ, metric): (f"{organ.replace('_', ' ')}: {title}", 1.0, digits)
    for metric, title, digits in (
        ("shape_error", "shape error", 3),
        ("ape_organ_mean", "MAPE of the mean, %", 1),
    )
    for organ in ORGANS
}
NAMES = {"measured": "measured", "truth": "true"}
REGIONS = ("kidney", "liver", "spleen", "lesion")


def main() -> None:
    """Print and write the tables of comparison folders, each against its reference."""
    text = "\n".join(line for folder in sys.argv[1:] for line in _lines(Path(folder)))
    sys.stdout.write(text)
    OUT.write_text(text, encoding="utf-8")


def _lines(folder: Path) -> Iterator[str]:
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    with (folder / "tests.csv").open(encoding="utf-8", newline="") as stream:
        tests = list(csv.DictReader(stream))
    methods = [method["name"] for method in summary["methods"]]
    found = {(e["method"], e["region"], e["metric"]): e for e in summary["results"]}
    yield (
        f"Against the {NAMES[summary['against']]} dose: {summary['n_cycles']} testing cycles of "
        f"{summary['n_patients']} {summary['origin']} patients; mean ± SD over patients."
    )
    yield ""
    for columns in (COLUMNS, ORGAN_COLUMNS):
        yield from _table(methods, found, columns)
        yield ""
    if summary["against"] == "measured":
        yield (
            f"Paired tests over patients, {methods[0]} against each other method, ‖error‖ ÷ "
            "‖reference‖: difference (95 % interval; Holm-adjusted P). Above 0, "
            f"{methods[0]} is the better."
        )
        yield ""
        yield from _tests(methods[1:], tests)
        yield ""


def _table(
    methods: list[str],
    found: dict[tuple[str, str, str], Any],
    columns: dict[tuple[str, str], tuple[str, float, int]],
) -> Iterator[str]:
    yield "| method | " + " | ".join(title for title, _, _ in columns.values()) + " |"
    yield "|---" * (len(columns) + 1) + "|"
    for method in methods:
        cells = []
        for (region, metric), (_, factor, digits) in columns.items():
            entry = found.get((method, region, metric))
            if entry is None:  # a map of zeros has no shape
                cells.append("–")
                continue
            mean, sd = (factor * entry[f"{of}_over_patients"] for of in ("mean", "sd"))
            cells.append(f"{mean:.{digits}f} ± {sd:.{digits}f}")
        yield f"| `{method}` | " + " | ".join(cells) + " |"


def _tests(others: list[str], tests: list[dict[str, str]]) -> Iterator[str]:
    yield "| against | body | " + " | ".join(REGIONS) + " |"
    yield "|---" * (len(REGIONS) + 2) + "|"
    rows = {(row["other"], row["region"]): row for row in tests if row["metric"] == "nrmse_euclid"}
    for other in others:
        cells = []
        for region in ("body", *REGIONS):
            row = rows[other, region]
            difference, low, high, p = (
                float(row[name])
                for name in (
                    "mean_loss_difference",
                    "interval_95_low",
                    "interval_95_high",
                    "p_holm",
                )
            )
            cells.append(f"{difference:+.2f} ({low:+.2f} to {high:+.2f}; {p:.2g})")
        yield f"| `{other}` | " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
