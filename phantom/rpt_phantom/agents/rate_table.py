"""Population rate constants: one CSV file for each agent, one row for each region."""

import csv
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files

from rpt_phantom.agents.regions import TISSUES, Region


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

    Raises:
        ValueError: The file lacks a region, or a value is impossible.
    """
    name = f"{agent}.csv"
    text = files("rpt_phantom.agents").joinpath("rates", name).read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    table = {Region(row.pop("region")): _row(row, name) for row in csv.DictReader(lines)}
    missing = set(TISSUES) - set(table)
    if missing:
        raise ValueError(
            f"{name} must have a row for every region, and {sorted(missing)} lack one."
        )
    return table


def _row(row: dict[str, str], name: str) -> RateRow:
    values = {field.name: float(row[field.name]) for field in fields(RateRow)}
    if min(values.values()) < 0 or values["vb"] >= 1:
        raise ValueError(f"{name}: values must be at least 0, and vb below 1, got {values}.")
    if not min(values["k2_per_min"], values["k4_per_min"]) > 0:
        # The balance scales its compartments by them; slow release serves for none.
        raise ValueError(f"{name}: k2_per_min and k4_per_min must be above 0 /min, got {values}.")
    return RateRow(**values)
