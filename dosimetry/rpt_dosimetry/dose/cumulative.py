"""Dose over several cycles, and the activity that still reaches a limit."""

import csv
import json
import math
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rpt_cohort import BadInput, file_sha256

from rpt_dosimetry.dose.activity_series import MBQ_PER_GBQ
from rpt_dosimetry.tia.uncertainty import NORMAL_95

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
        net_mbq: Administered activity less residuals.
        inputs: File → SHA-256.
        patient: Of a cohort's cycle, by its ``cycle.json``; ``None`` where there is none.
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
    """Read a folder that ``dose`` wrote, or a cohort's cycle that ``ingest`` wrote."""
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


DEFINITIONS = {
    "regions": "by name: lesion_3 must be the same lesion in all cycles, which no file tells; "
    "organs hold the lesions in them",
    "dose_gy": "sum of the cycles' mean doses",
    "bed_gy": "sum of the cycles' BED: cycles are weeks apart, and repair is done between",
    "relative_sd": "of the sum, as if the cycles' uncertainties were one and the same error "
    "(one calibration, one way to draw organs): the sum of the cycles' absolute ones; ours",
    "activity_to_limit_mbq": "(limit - dose so far) / dose per activity of the LAST cycle named; "
    "0 where the limit is reached",
    "interval_95_mbq": "by first-order propagation (JCGM 100:2008) of half the dose's relative "
    "95 % interval u, the same error for the past and the next cycle, and of 1.96 times the "
    "sample's relative standard deviation s of the dose per activity between cycles: plus and "
    "minus sqrt((limit u)^2 + (1.96 (limit - dose) s)^2) / dose per activity; not below 0; s is "
    "left out with one cycle; null where u is unknown",
    "unknown_parts": "parts of the uncertainty that are unknown in some cycle and NOT in the "
    "interval, which is then too narrow",
}


@dataclass(frozen=True)
class ActivityToLimit:
    """How much activity still reaches a limit; see ``DEFINITIONS``.

    Attributes:
        limit_gy: Of the mean dose.
        dose_gy: So far.
        last_gy_per_gbq: Of the last cycle.
        between_cycles_relative_sd: Its spread over the cycles; ``None`` with one cycle.
        activity_to_limit_mbq: 0 where the limit is reached.
        interval_95_mbq: ``None`` where the dose's uncertainty is unknown.
        unknown_parts: Parts of the uncertainty that the interval does not hold.
    """

    limit_gy: float
    dose_gy: float
    last_gy_per_gbq: float
    between_cycles_relative_sd: float | None
    activity_to_limit_mbq: float
    interval_95_mbq: tuple[float, float] | None
    unknown_parts: tuple[str, ...]


def activity_to_limit(
    rows: Sequence[RegionDose], *, name: str, net_mbq: Sequence[float], limit_gy: float
) -> ActivityToLimit:
    """Compute the activity of a further cycle that brings a region to its limit.

    Args:
        rows: The region in each cycle, the last one last.

    Raises:
        BadInput: The last cycle gave the region no dose, so no activity reaches the limit.
    """
    per_gbq = [row.dose_gy * MBQ_PER_GBQ / mbq for row, mbq in zip(rows, net_mbq, strict=True)]
    if not per_gbq[-1] > 0:
        raise BadInput(
            f"A region with a --limit must have a dose above 0 Gy in the last cycle, and {name} "
            "has 0 Gy. Leave its limit out."
        )
    dose = sum(row.dose_gy for row in rows)
    spread = statistics.stdev(per_gbq) / statistics.fmean(per_gbq) if len(per_gbq) > 1 else None
    left_gy = limit_gy - dose
    relative_95 = _of_the_sum(rows, [row.relative_95 for row in rows])
    interval = None
    if relative_95 is not None:
        spread_95 = NORMAL_95 * (spread or 0.0)
        half_gbq = math.hypot(limit_gy * relative_95, left_gy * spread_95) / per_gbq[-1]
        low, high = (
            max(0.0, left_gy / per_gbq[-1] + sign * half_gbq) * MBQ_PER_GBQ for sign in (-1, 1)
        )
        interval = (low, high)
    return ActivityToLimit(
        limit_gy=limit_gy,
        dose_gy=dose,
        last_gy_per_gbq=per_gbq[-1],
        between_cycles_relative_sd=spread,
        activity_to_limit_mbq=max(0.0, left_gy / per_gbq[-1]) * MBQ_PER_GBQ,
        interval_95_mbq=interval,
        unknown_parts=_unknown_parts(rows),
    )


def cumulate_cycles(cycles: Sequence[CycleTable], limits_gy: Mapping[str, float]) -> dict[str, Any]:
    """Sum doses over cycles.

    Args:
        cycles: One or more, in the order they were given.
        limits_gy: Region → limit of the cumulative mean dose.

    Returns:
        What goes into the JSON, provenance aside.

    Raises:
        BadInput: Nuclides differ, a cycle is there twice, no region is in every cycle, or a
            limit names a region that is not.
    """
    _check_one_therapy(cycles)
    shared = [name for name in cycles[0].regions if all(name in one.regions for one in cycles)]
    if not shared:
        raise BadInput("The cycles must have a region in common, and have none. Name them alike.")
    net_mbq = [cycle.net_mbq for cycle in cycles]
    for name in limits_gy:
        if name not in shared:
            raise BadInput(
                f"--limit must name a region of every cycle's table, one of {', '.join(shared)}, "
                f"got '{name}'."
            )
    rows = {name: [cycle.regions[name] for cycle in cycles] for name in shared}
    known = {name for cycle in cycles for name in cycle.regions}
    return {
        "nuclide": cycles[0].nuclide,
        "engines": [cycle.engine for cycle in cycles],
        "net_administered_mbq": net_mbq,
        "regions": {name: _summed(rows[name], net_mbq) for name in shared},
        "not_in_every_cycle": sorted(known - set(shared)),
        "limits": {
            name: asdict(
                activity_to_limit(rows[name], name=name, net_mbq=net_mbq, limit_gy=limit_gy)
            )
            for name, limit_gy in limits_gy.items()
        },
        "definitions": DEFINITIONS,
    }


def _check_one_therapy(cycles: Sequence[CycleTable]) -> None:
    nuclides = sorted({cycle.nuclide for cycle in cycles})
    if len(nuclides) > 1:
        raise BadInput(f"The cycles must be of one nuclide, got {', '.join(nuclides)}.")
    patients = sorted({cycle.patient for cycle in cycles if cycle.patient is not None})
    if len(patients) > 1:
        raise BadInput(
            f"The cycles must be of one patient, and their cycle.json tell {', '.join(patients)}. "
            "Name cycles of one; if two names are one patient, name their folders report/."
        )
    numbers = [cycle.cycle for cycle in cycles if cycle.cycle is not None]
    if numbers != sorted(numbers):
        raise BadInput(
            "The cycles must be named in their order, the last one last, by which the limit is "
            f"reckoned, got {', '.join(map(str, numbers))}. Name them in order."
        )
    images = [cycle.activity_sha256 for cycle in cycles]
    if len(set(images)) < len(images):
        raise BadInput(
            "Each cycle must be named once, and two have the same activity images. "
            "Leave one of them out."
        )


def _summed(rows: Sequence[RegionDose], net_mbq: Sequence[float]) -> dict[str, Any]:
    dose = sum(row.dose_gy for row in rows)
    beds = [row.bed_gy for row in rows if row.bed_gy is not None]
    return {
        "dose_gy": dose,
        "dose_gy_per_gbq": dose * MBQ_PER_GBQ / sum(net_mbq),
        "relative_sd": _of_the_sum(rows, [row.relative_sd for row in rows]),
        "unknown_parts": _unknown_parts(rows),
        "bed_gy": sum(beds) if len(beds) == len(rows) else None,
        "cycle_dose_gy": [row.dose_gy for row in rows],
    }


def _unknown_parts(rows: Sequence[RegionDose]) -> tuple[str, ...]:
    return tuple(part for part in PARTS if any(part in row.unknown_parts for row in rows))


def _of_the_sum(rows: Sequence[RegionDose], relative: Sequence[float | None]) -> float | None:
    """Return the relative uncertainty of the summed dose, as if all errors were one."""
    dose = sum(row.dose_gy for row in rows)
    parts = [row.dose_gy * one for row, one in zip(rows, relative, strict=True) if one is not None]
    return sum(parts) / dose if len(parts) == len(rows) and dose > 0 else None
