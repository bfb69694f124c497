"""Population rate constants: one CSV file for each agent, one row for each region."""

import csv
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files

from rpt_phantom.agents.regions import TISSUES, Region

SLOWEST_PER_MIN, FASTEST = 1e-9, 10.0
"""Of k₂ and k₄, and of every value. Ours: the balance scales its compartments by them, and far
beyond these limits it loses digits."""


@dataclass(frozen=True)
class RateRow:
    """Rate constants of one region and agent, and how far they spread.

    Every spread is the standard deviation of the natural logarithm.

    Attributes:
        k1_ml_per_min_per_ml: K₁, mL plasma/min/mL tissue; mean over patients and voxels.
        k2_per_min: k₂, 1/min.
        k3_per_min: k₃, 1/min.
        k4_per_min: k₄, 1/min.
        vb: Share of a voxel that is blood.
        k1_std_shared: Of K₁ over voxels, by the field that tracer and therapy share.
        k1_std_own: Of K₁ over voxels, by the agent's own field.
        k4_std_own: Of k₄ over voxels, by the agent's own field: slow release where it is high.
        k1_std_patients: Of K₁ over patients.
        k4_std_patients: Of k₄ over patients.
    """

    k1_ml_per_min_per_ml: float
    k2_per_min: float
    k3_per_min: float
    k4_per_min: float
    vb: float
    k1_std_shared: float
    k1_std_own: float
    k4_std_own: float
    k1_std_patients: float
    k4_std_patients: float


@cache
def rate_table(agent: str) -> dict[Region, RateRow]:
    """Read an agent's population rate constants.

    Args:
        agent: Its name, such as ``68Ga-PSMA-11``.

    Returns:
        Region → its row, for every region that has rates.
    """
    name = f"{agent}.csv"
    text = files("rpt_phantom.agents").joinpath("rates", name).read_text(encoding="utf-8")
    return parse_rates(text, name)


def parse_rates(text: str, name: str) -> dict[Region, RateRow]:
    """Read a table of rate constants.

    Args:
        text: CSV with a header; lines that start with # are comments.
        name: Of the file, for messages.

    Raises:
        ValueError: A region lacks, or a value is impossible.
    """
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    table = {Region(row.pop("region")): _row(row, name) for row in csv.DictReader(lines)}
    missing = sorted(set(TISSUES) - set(table))
    if missing:
        raise ValueError(
            f"{name} must have a row for every region, and has none for {', '.join(missing)}."
        )
    return table


def _row(row: dict[str, str], name: str) -> RateRow:
    rates = RateRow(**{field.name: float(row[field.name]) for field in fields(RateRow)})
    for field in fields(RateRow):
        value = getattr(rates, field.name)
        least = SLOWEST_PER_MIN if field.name in ("k2_per_min", "k4_per_min") else 0.0
        most = 0.99 if field.name == "vb" else FASTEST
        if not least <= value <= most:
            raise ValueError(
                f"{name}: {field.name} must be from {least:g} to {most:g}, got {value:g}. "
                "Rates are per minute, not per hour; a release that never comes is 1e-9 /min."
            )
    return rates
