"""Read what ``dose`` or ``ingest`` wrote of one cycle: its nuclide, activity and table."""

import csv
import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rpt_cohort import BadInput, file_sha256

SUMMARY, TABLE = "summary.json", "organs.csv"
REPORT = "report"
"""Subfolder of a cohort's cycle that holds them."""
ACTIVITY_INPUT = re.compile(r"activity_\d+|spect \d+")
"""Names of the activity images among the inputs of ``dose`` and of ``ingest``."""
CYCLE = "cycle.json"
PARTS = ("calibration", "fit", "volume")
"""Of the uncertainty, as the table's columns name them."""


@dataclass(frozen=True)
class RegionDose:
    """A region's row of one cycle.

    Attributes:
        dose_gy: Mean absorbed dose, Gy.
        bed_gy: BED, Gy; ``None`` where the table has none.
        relative_sd: Relative standard uncertainty of the dose; ``None`` where unknown.
        relative_95: Half of the dose's 95 % interval, relative; likewise.
        unknown_parts: Those of ``PARTS`` that ``relative_sd`` does not hold.
    """

    dose_gy: float
    bed_gy: float | None
    relative_sd: float | None
    relative_95: float | None
    unknown_parts: tuple[str, ...] = ()


@dataclass(frozen=True)
class CycleTable:
    """One cycle.

    Attributes:
        nuclide: ICRP-107 name.
        engine: The dose engine's name.
        net_mbq: Administered activity less residuals, MBq.
        regions: Name → row.
        inputs: File → SHA-256.
        activity_sha256: Of the cycle's activity images.
        patient: Of a cohort's cycle, by its ``cycle.json``; ``None`` where there is none.
        cycle: Its number, likewise.
    """

    nuclide: str
    engine: str
    net_mbq: float
    regions: dict[str, RegionDose]
    inputs: dict[str, str]
    activity_sha256: tuple[str, ...]
    patient: str | None = None
    cycle: int | None = None


def read_cycle_table(folder: Path) -> CycleTable:
    """Read a folder that ``dose`` wrote, or a cohort's cycle that ``ingest`` wrote.

    Raises:
        BadInput: It is none, or its files are broken.
    """
    name, told = str(folder), folder / CYCLE
    if not (folder / SUMMARY).is_file() and (folder / REPORT).is_dir():
        folder = folder / REPORT
    for file in (SUMMARY, TABLE):
        if not (folder / file).is_file():
            raise BadInput(
                f"'{name}' must be a folder that `dose` wrote, or a cohort's cycle that `ingest` "
                f"wrote, and has no {file}. Name one of those."
            )
    inputs = {file: file_sha256(folder / file) for file in (SUMMARY, TABLE)}
    try:
        summary = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
        hashes = summary["provenance"]["inputs"]
        with (folder / TABLE).open(newline="", encoding="utf-8") as stream:
            rows = {row["name"]: _region(row) for row in csv.DictReader(stream)}
        cycle = CycleTable(
            nuclide=str(summary["nuclide"]),
            engine=str(summary["engine"]),
            net_mbq=_finite(summary["net_administered_mbq"]),
            regions=rows,
            inputs=inputs,
            activity_sha256=tuple(hashes[key] for key in hashes if ACTIVITY_INPUT.fullmatch(key)),
            **_whose(told),
        )
    except (KeyError, TypeError, ValueError, OSError, csv.Error, RecursionError) as error:
        raise BadInput(
            f"'{folder}' must hold {SUMMARY} and {TABLE} as `dose` writes them, and they are not. "
            "Compute the dose anew."
        ) from error
    if not (cycle.net_mbq > 0 and rows):
        raise BadInput(
            f"'{folder}' must tell an activity above 0 MBq and at least one region. "
            "Compute the dose anew."
        )
    return cycle


def _whose(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    content = json.loads(path.read_text(encoding="utf-8"))
    return {"patient": str(content["patient"]), "cycle": int(content["cycle"])}


def _region(row: dict[str, Any]) -> RegionDose:
    sd_pct, half_95_pct = (_maybe(row[name]) for name in ("relative_sd_pct", "relative_95_pct"))
    return RegionDose(
        dose_gy=_finite(row["dose_mean_gy"]),
        bed_gy=_maybe(row["bed_gy"]),
        relative_sd=None if sd_pct is None else sd_pct / 100.0,
        relative_95=None if half_95_pct is None else half_95_pct / 100.0,
        unknown_parts=tuple(part for part in PARTS if _maybe(row[f"{part}_sd_pct"]) is None),
    )


def _maybe(cell: str) -> float | None:
    return None if cell == "" else _finite(cell)


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number) or number < 0:
        raise ValueError(f"must be a finite number, 0 or above, got {number!r}")
    return number
