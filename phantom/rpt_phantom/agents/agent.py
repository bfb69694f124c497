"""The agents, the regions that they meet, and their population rate constants."""

import csv
from dataclasses import dataclass, fields
from enum import StrEnum
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from itertools import dropwhile, takewhile

import numpy as np
from jaxtyping import UInt8
from rpt_cohort import schema
from rpt_dosimetry.radiation.nuclide import half_life_s

from rpt_phantom.anatomy import ids
from rpt_phantom.anatomy.tissues import Tissue

SLOWEST_PER_MIN, FASTEST = 1e-9, 10.0
"""Of k₂ and k₄, and of every value. Ours: the balance scales its compartments by them, and far
beyond these limits it loses digits."""
BLOOD_TO_PLASMA = 0.6
"""Concentration in blood over that in plasma: no agent in the cells, haematocrit 0.4. Ours."""
URINE_RESIDENCE_MIN = (7.0, 45.0)
"""Mean time in kidney pelvis with ureters and in the bladder, min: two well-stirred pools. Ours:
some 14 mL at a urine flow of 2 mL/min; a hydrated patient voids often."""
BILE_RESIDENCE_MIN = (40.0, 30.0 * 60.0)
"""Mean time in the gallbladder and in the colon, min. Ours: a part of the bile passes it by."""


class Region(StrEnum):
    """What a voxel is to the kinetics."""

    NOTHING = "nothing"  # air, chyme
    KIDNEY_CORTEX = "kidney_cortex"
    KIDNEY_MEDULLA = "kidney_medulla"
    LIVER = "liver"
    SPLEEN = "spleen"
    PAROTID = "parotid"
    SUBMANDIBULAR = "submandibular"  # and sublingual
    DUODENUM = "duodenum"
    JEJUNUM = "jejunum"
    ILEUM = "ileum"
    COLON_WALL = "colon_wall"
    STOMACH_WALL = "stomach_wall"
    OTHER_WALL = "other_wall"  # of heart, gallbladder and bladder
    PANCREAS = "pancreas"
    ADRENAL = "adrenal"
    THYROID = "thyroid"
    LUNG = "lung"
    BRAIN = "brain"
    MUSCLE = "muscle"
    FAT = "fat"
    MARROW = "marrow"  # spongiosa
    CORTICAL_BONE = "cortical_bone"
    LESION = "lesion"
    BLOOD = "blood"
    KIDNEY_PELVIS = "kidney_pelvis"
    BLADDER = "bladder"
    BILE = "bile"
    STOOL = "stool"


POOLS = (Region.KIDNEY_PELVIS, Region.BLADDER, Region.BILE, Region.STOOL)
"""Excreta on their way out."""

KIDNEY_TISSUES = (Region.KIDNEY_CORTEX, Region.KIDNEY_MEDULLA)
"""What they bind and release again leaves by the urine: tubules take up what is filtered, and
what they break down passes on into it. Elsewhere it comes back to plasma. Ours."""

TISSUES = tuple(r for r in Region if r not in (Region.NOTHING, Region.BLOOD, *POOLS))
"""Regions with rate constants."""

CODE = {region: code for code, region in enumerate(Region)}

_BY_TISSUE = {
    Tissue.FAT: Region.FAT,
    Tissue.MUSCLE: Region.MUSCLE,
    Tissue.SOFT: Region.MUSCLE,
    Tissue.LUNG: Region.LUNG,
    Tissue.KIDNEY_CORTEX: Region.KIDNEY_CORTEX,
    Tissue.KIDNEY_MEDULLA: Region.KIDNEY_MEDULLA,
    Tissue.KIDNEY_PELVIS: Region.KIDNEY_PELVIS,
    Tissue.WALL: Region.OTHER_WALL,
    Tissue.BLOOD: Region.BLOOD,
    Tissue.SPONGIOSA: Region.MARROW,
    Tissue.CORTICAL_BONE: Region.CORTICAL_BONE,
    Tissue.JEJUNUM: Region.JEJUNUM,
    Tissue.NECROSIS: Region.FAT,  # next to none
}

_BY_ORGAN = {
    Tissue.SOFT: {
        ids.LIVER: Region.LIVER,
        ids.SPLEEN: Region.SPLEEN,
        ids.PANCREAS: Region.PANCREAS,
        ids.ADRENAL_LEFT: Region.ADRENAL,
        ids.ADRENAL_RIGHT: Region.ADRENAL,
        ids.THYROID: Region.THYROID,
        ids.SMALL_BOWEL: Region.ILEUM,
        ids.DUODENUM: Region.DUODENUM,
        ids.BRAIN: Region.BRAIN,
        ids.SPINAL_CORD: Region.BRAIN,
        ids.PROSTATE: Region.OTHER_WALL,
        ids.LACRIMAL_LEFT: Region.PAROTID,
        ids.LACRIMAL_RIGHT: Region.PAROTID,
        ids.PAROTID_LEFT: Region.PAROTID,
        ids.PAROTID_RIGHT: Region.PAROTID,
        ids.SUBMANDIBULAR_LEFT: Region.SUBMANDIBULAR,
        ids.SUBMANDIBULAR_RIGHT: Region.SUBMANDIBULAR,
        ids.SUBLINGUAL_LEFT: Region.SUBMANDIBULAR,
        ids.SUBLINGUAL_RIGHT: Region.SUBMANDIBULAR,
    },
    Tissue.WALL: {ids.COLON: Region.COLON_WALL, ids.STOMACH: Region.STOMACH_WALL},
    Tissue.CONTENT: {
        ids.GALLBLADDER: Region.BILE,
        ids.COLON: Region.STOOL,
        ids.URINARY_BLADDER: Region.BLADDER,
    },
}


def region_codes() -> UInt8[np.ndarray, "organ tissue"]:
    """Return the code of the region of every pair of organ number and tissue."""
    table = np.zeros((256, len(Tissue)), np.uint8)
    for tissue, region in _BY_TISSUE.items():
        table[:, tissue] = CODE[region]
    for tissue, organs in _BY_ORGAN.items():
        for organ, region in organs.items():
            table[organ, tissue] = CODE[region]
    return table


@dataclass(frozen=True)
class RateRow:
    """Rate constants of one region and agent, and how far they spread.

    Every spread is the standard deviation of the natural logarithm.

    Attributes:
        k1_ml_per_min_per_ml: K₁, mL plasma/min/mL tissue; mean over patients and voxels.
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


def _rates(agent: str) -> Traversable:
    return files("rpt_phantom.agents").joinpath("rates", f"{agent}.csv")


def _lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line and not line.startswith("#")]


@cache
def rate_table(agent: str) -> dict[Region, RateRow]:
    """Read an agent's population rate constants.

    Args:
        agent: Its name, such as ``68Ga-PSMA-11``.

    Returns:
        Region → its row, for every region that has rates.
    """
    return parse_rates(_rates(agent).read_text(encoding="utf-8"), f"{agent}.csv")


def parse_rates(text: str, name: str) -> dict[Region, RateRow]:
    """Read a table of rate constants.

    Args:
        text: CSV with a header after the clearances; lines that start with # are comments.

    Raises:
        ValueError: A region lacks, or a value is impossible.
    """
    rows = dropwhile(lambda line: not line.startswith("region,"), _lines(text))
    table = {Region(row.pop("region")): _row(row, name) for row in csv.DictReader(rows)}
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
    if rates.k4_per_min > rates.k2_per_min:
        raise ValueError(
            f"{name}: k4_per_min must be at most k2_per_min, got {rates.k4_per_min:g} above "
            f"{rates.k2_per_min:g}. What is bound leaves more slowly than what is free."
        )
    return rates


@dataclass(frozen=True)
class Agent:
    """A tracer or a therapy.

    Attributes:
        name: As in the cohort's ``cycle.json``; its rates stand in ``rates/NAME.csv``.
        half_life_h: Physical half-life, h. Source: ICRP Publication 107.
        renal_ml_per_min: Plasma clearance into urine, mL/min; mean over patients.
        biliary_ml_per_min: Plasma clearance into bile, mL/min.
    """

    name: str
    half_life_h: float
    renal_ml_per_min: float
    biliary_ml_per_min: float


# Clearances stand in the files of rates. Ours: the therapies' are tuned to 50 % excreted in 4 h
# and 70 % in 12 h, and leave 3.7 % of the activity per litre of blood at 1 h (Siebinga 2023, in
# `rpt_kinetics`: 3.7 %); 68Ga-PSMA-11's to a blood SUV of 1.5-2 at 60 min.
TRACERS = tuple(name for name in schema.TRACERS if _rates(name).is_file())
THERAPIES = tuple(name for name in schema.THERAPIES if _rates(name).is_file())


@cache
def agent_of(name: str) -> Agent:
    """Return an agent by its name, with the half-life of its nuclide.

    Raises:
        ValueError: There is no such agent.
    """
    if name not in TRACERS + THERAPIES:
        raise ValueError(f"agent must be one of {', '.join(TRACERS + THERAPIES)}, got {name!r}.")
    nuclide = {**schema.TRACERS, **schema.THERAPIES}[name].nuclide
    before = takewhile(
        lambda line: not line.startswith("region,"), _lines(_rates(name).read_text("utf-8"))
    )
    clearances = {key: float(value) for key, value in (line.split(",") for line in before)}
    return Agent(name, half_life_s(nuclide) / 3600.0, **clearances)
