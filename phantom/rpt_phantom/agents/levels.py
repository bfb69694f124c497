"""From voxels to compartments: random fields, a K₁ multiplier per voxel, and levels of k₄.

A two-tissue curve is linear in K₁: a voxel's multiplier is exact. Release is not, so the field
that changes k₄ is cut into levels, each a compartment of its own.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Float, Float32, Int, UInt16
from rpt_kinetics import Rates

from rpt_phantom.agents.agent import CODE, TISSUES, RateRow, Region, rate_table, region_codes
from rpt_phantom.agents.biology import MOST_LESIONS, AgentBiology
from rpt_phantom.anatomy.tissues import Tissue
from rpt_phantom.anatomy.voxels import Anatomy
from rpt_phantom.grid import Grid, gaussian_field

COARSE_MM = 7.2
"""Spacing of the fields' own grid, mm: well below the correlation length. Ours."""
CORRELATION_LENGTH_MM = 25.0
"""Distance at which a field's autocorrelation is 1/e, mm. Ours: beyond the SPECT's resolution,
so that what it does survives the blur."""
FieldName = Literal["shared", "pet", "therapy"]
Window = tuple[slice, slice, slice]
ORGAN_LEVELS, LESION_LEVELS = 24, 8
"""Levels of k₄ in an organ and in a lesion. Ours."""
FIELD_REACH = 3.0
"""Levels span ± 3 standard deviations; what lies beyond takes the outermost."""
Groups = Int[np.ndarray, " voxel"]


@dataclass(frozen=True)
class Heterogeneity:
    """Three fields of mean 0 and variance 1, on a coarse grid about the middle of ``grid``.

    Attributes:
        coarse: Grid of the fields.
        shared: Of tracer and therapy, the same over the cycles.
    """

    grid: Grid
    coarse: Grid
    shared: Float32[np.ndarray, "a b c"]
    pet: Float32[np.ndarray, "a b c"]
    therapy: Float32[np.ndarray, "a b c"]

    def within(self, name: FieldName, window: Window) -> Float32[np.ndarray, "x y z"]:
        """Return one field at the voxels of a window, its variance 1 between nodes as well."""
        field: Float32[np.ndarray, "a b c"] = getattr(self, name)
        for axis in range(3):
            low, weight_low, weight_high = self._between(axis, window[axis])
            shape = [1, 1, 1]
            shape[axis] = -1
            field = np.take(field, low, axis=axis) * weight_low.reshape(shape) + np.take(
                field, low + 1, axis=axis
            ) * weight_high.reshape(shape)
        return field

    def _between(
        self, axis: int, window: slice
    ) -> tuple[np.ndarray, Float32[np.ndarray, " n"], Float32[np.ndarray, " n"]]:
        """Return the lower node of each voxel, and both nodes' weights."""
        n, spacing = self.coarse.shape[axis], self.coarse.spacing_mm[axis]
        middle_mm = self.grid.first_mm[axis] + (
            (self.grid.shape[axis] - 1) / 2 * self.grid.spacing_mm[axis]
        )
        at = (self.grid.positions_mm(axis)[window] - middle_mm) / spacing + (n - 1) / 2
        low = np.clip(np.floor(at).astype(np.intp), 0, n - 2)
        share: Float[np.ndarray, " n"] = at - low
        # Neighbouring nodes correlate by exp(−d²/L²); a mean of both alone would vary less.
        alike = np.exp(-((spacing / CORRELATION_LENGTH_MM) ** 2))
        std = np.sqrt(share**2 + (1 - share) ** 2 + 2 * alike * share * (1 - share))
        return low, ((1 - share) / std).astype(np.float32), (share / std).astype(np.float32)


def draw_heterogeneity(
    anatomy: Anatomy,
    rng_shared: np.random.Generator,
    rng_pet: np.random.Generator,
    rng_therapy: np.random.Generator,
) -> Heterogeneity:
    """Draw a patient's three fields.

    Args:
        anatomy: The patient; only its grid matters, so that fields stay over the cycles.
        rng_shared: Of the shared field; in the same state at every cycle.
        rng_pet: Of the tracer's own field.
        rng_therapy: Of the therapy's own field.
    """
    grid = anatomy.grid
    extent_mm = [(n - 1) * edge for n, edge in zip(grid.shape, grid.spacing_mm, strict=True)]
    a, b, c = (int(np.ceil(extent / COARSE_MM)) + 2 for extent in extent_mm)
    coarse = Grid.centred((a, b, c), COARSE_MM)
    shared, pet, therapy = (
        gaussian_field(coarse, rng, correlation_length_mm=CORRELATION_LENGTH_MM)
        for rng in (rng_shared, rng_pet, rng_therapy)
    )
    return Heterogeneity(grid, coarse, shared, pet, therapy)


@dataclass(frozen=True)
class Group:
    """A region, or one lesion, of one patient.

    Attributes:
        row: Its rates, the patient's factors and the dial applied.
    """

    region: Region
    row: RateRow


@dataclass(frozen=True)
class Levels:
    """Every voxel's compartment, and every compartment's rates.

    Attributes:
        index: Compartment of each voxel of the grid; 0 where there is nothing.
        multiplier: Of K₁ in each voxel; mean 1 in each group.
        regions: Region of each compartment; those with rates come last, in ``rates``.
        rates: Of the compartments from ``first`` on.
        first: Number of the first compartment with rates.
        weight_ml: Σ volume × multiplier of each compartment, mL.
    """

    index: UInt16[np.ndarray, "x y z"]
    multiplier: Float32[np.ndarray, "x y z"]
    regions: tuple[Region, ...]
    rates: Rates
    first: int
    weight_ml: Float[np.ndarray, " compartment"]
    volume_ml: Float[np.ndarray, " compartment"]


def patient_row(
    row: RateRow,
    biology: AgentBiology,
    region: Region,
    *,
    uptake: float,
    release: float,
    heterogeneity: float,
) -> RateRow:
    """Return a population's row with a patient's factors, its spreads scaled by mix and dial."""
    own, shared = biology.own[region] * heterogeneity, biology.shared[region] * heterogeneity
    return replace(
        row,
        k1_ml_per_min_per_ml=row.k1_ml_per_min_per_ml * uptake,
        k4_per_min=row.k4_per_min * release,
        k1_std_shared=row.k1_std_shared * shared,
        k1_std_own=row.k1_std_own * own,
        k4_std_own=row.k4_std_own * own,
    )


def group_numbers(anatomy: Anatomy) -> tuple[Window, UInt16[np.ndarray, "x y z"]]:
    """Return the body's window and each voxel's group: a region's code, or one per lesion."""
    window = _window(anatomy)
    pairs = anatomy.organs[window].astype(np.uint16) * np.uint16(region_codes().shape[1])
    pairs += anatomy.tissue[window]
    groups = region_codes().astype(np.uint16).reshape(-1)[pairs]
    lesions = anatomy.lesions[window]
    if lesions.max(initial=0) > MOST_LESIONS:
        raise ValueError(
            f"A patient must have at most {MOST_LESIONS} lesions, got number {lesions.max()}."
        )
    alive = (lesions > 0) & (anatomy.tissue[window] != Tissue.NECROSIS)
    np.add(lesions, len(Region) - 1, out=groups, where=alive)
    return window, groups


def _window(anatomy: Anatomy) -> Window:
    body = anatomy.organs > 0
    spans = []
    for others in ((1, 2), (0, 2), (0, 1)):
        along = np.flatnonzero(body.any(axis=others))
        if not len(along):
            raise ValueError("The anatomy must hold a part of the body, and its grid holds none.")
        spans.append(slice(int(along[0]), int(along[-1]) + 1))
    return spans[0], spans[1], spans[2]


def patient_groups(
    biology: AgentBiology, *, lesions: int, heterogeneity: float, medulla_share: float
) -> list[Group | None]:
    """Return the group of each number: regions by their code, then lesions; None without rates.

    The dial at 0 gives cortex and medulla one K₁ and one K₁/k₄, their means by volume, so that
    the kidney keeps what it takes up and how long.

    Args:
        biology: The patient's factors for the agent.
        heterogeneity: The dial, 0 to 1.
        medulla_share: Volume of the medulla over that of medulla and cortex.
    """
    table = dict(rate_table(biology.agent))
    cortex, medulla = table[Region.KIDNEY_CORTEX], table[Region.KIDNEY_MEDULLA]
    k1 = cortex.k1_ml_per_min_per_ml - medulla.k1_ml_per_min_per_ml
    kept_cortex, kept_medulla = (
        row.k1_ml_per_min_per_ml / row.k4_per_min for row in (cortex, medulla)
    )
    for region, share in (
        (Region.KIDNEY_CORTEX, medulla_share),
        (Region.KIDNEY_MEDULLA, medulla_share - 1),
    ):
        to_mean, row = (heterogeneity - 1) * share, table[region]
        if not to_mean:
            continue
        k1_here = row.k1_ml_per_min_per_ml + to_mean * k1
        kept = row.k1_ml_per_min_per_ml / row.k4_per_min + to_mean * (kept_cortex - kept_medulla)
        table[region] = replace(row, k1_ml_per_min_per_ml=k1_here, k4_per_min=k1_here / kept)
    groups: list[Group | None] = [None] * len(Region)
    of_lesions = zip(biology.lesion_uptake[:lesions], biology.lesion_release[:lesions], strict=True)
    factors = [(region, 1.0, 1.0) for region in TISSUES]
    factors += [(Region.LESION, float(uptake), float(slow)) for uptake, slow in of_lesions]
    for number, (region, uptake, release) in enumerate(factors):
        row = patient_row(
            table[region],
            biology,
            region,
            uptake=biology.uptake[region] * uptake,
            release=biology.release[region] * release,
            heterogeneity=heterogeneity,
        )
        if number < len(TISSUES):
            groups[CODE[region]] = Group(region, row)
        else:
            groups.append(Group(region, row))
    return groups


def assign_levels(
    anatomy: Anatomy,
    window: Window,
    numbers: UInt16[np.ndarray, "x y z"],
    groups: list[Group | None],
    fields: Heterogeneity,
    own: FieldName,
) -> Levels:
    """Give each voxel its multiplier of K₁ and its level of k₄.

    Args:
        window: The body's part of the grid.
        numbers: Group of each voxel of the window.
    """
    inside = numbers > 0
    group = numbers[inside].astype(np.intp)
    shared_field, own_field = (fields.within(name, window)[inside] for name in ("shared", own))
    multiplier = _multiplier(group, groups, shared_field, own_field)
    compartments = _Compartments(groups)
    compartment = compartments.of_voxels(group, own_field)
    voxel_ml = anatomy.grid.voxel_ml
    volume_ml = np.bincount(compartment, minlength=compartments.count) * voxel_ml
    weight_ml = np.bincount(compartment, multiplier, minlength=compartments.count) * voxel_ml
    index = np.zeros(anatomy.grid.shape, np.uint16)
    scale = np.zeros(anatomy.grid.shape, np.float32)
    index[window][inside] = compartment
    scale[window][inside] = multiplier
    return Levels(
        index=index,
        multiplier=scale,
        regions=compartments.regions,
        rates=compartments.rates(volume_ml),
        first=len(Region),
        weight_ml=weight_ml,
        volume_ml=volume_ml,
    )


def _multiplier(
    group: Groups,
    groups: list[Group | None],
    shared_field: Float32[np.ndarray, " voxel"],
    own_field: Float32[np.ndarray, " voxel"],
) -> Float32[np.ndarray, " voxel"]:
    """Return the multiplier of K₁ in each voxel, of mean 1 in each group."""
    shared = np.array([g.row.k1_std_shared if g else 0.0 for g in groups], np.float32)
    own = np.array([g.row.k1_std_own if g else 0.0 for g in groups], np.float32)
    multiplier = np.exp(shared[group] * shared_field + own[group] * own_field)
    count = np.maximum(np.bincount(group, minlength=len(groups)), 1)
    mean = np.bincount(group, multiplier, minlength=len(groups)) / count
    mean[mean == 0] = 1.0
    result: Float32[np.ndarray, " voxel"] = multiplier / mean.astype(np.float32)[group]
    return result


class _Compartments:
    """Numbers of compartments: one for each region without rates, then every group's levels."""

    def __init__(self, groups: list[Group | None]) -> None:
        self.groups = groups
        self.levels = np.array([_level_count(group) for group in groups])
        self.start = len(Region) + np.concatenate([[0], np.cumsum(self.levels)[:-1]])
        self.start[: len(Region)][self.levels[: len(Region)] == 0] = [
            code for code in range(len(Region)) if self.levels[code] == 0
        ]
        self.count = len(Region) + int(self.levels.sum())
        spread = [group.region for group in groups if group for _ in range(_level_count(group))]
        self.regions = (*Region, *spread)

    def of_voxels(
        self, group: Groups, own_field: Float32[np.ndarray, " voxel"]
    ) -> Int[np.ndarray, " voxel"]:
        """Return the compartment of each voxel."""
        levels = self.levels[group]
        step = (levels / (2 * FIELD_REACH)).astype(np.float32)
        level = ((own_field + np.float32(FIELD_REACH)) * step).astype(np.intp)
        level = np.clip(level, 0, np.maximum(levels - 1, 0))
        result: Int[np.ndarray, " voxel"] = self.start[group] + level
        return result

    def rates(self, volume_ml: Float[np.ndarray, " compartment"]) -> Rates:
        """Return the rates of every compartment that has some; a group keeps its mean of 1/k₄."""
        rows: list[tuple[float, ...]] = []
        for number, group in enumerate(self.groups):
            if group is None:
                continue
            n, row = int(self.levels[number]), group.row
            field = FIELD_REACH * ((2 * np.arange(n) + 1) / n - 1)
            longer = np.exp(row.k4_std_own * field)
            here = volume_ml[self.start[number] :][:n]
            mean = float(here @ longer / here.sum()) if here.sum() > 0 else 1.0
            k1, k2, k3 = row.k1_ml_per_min_per_ml, row.k2_per_min, row.k3_per_min
            rows += [(k1, k2, k3, row.k4_per_min * mean / one, row.vb) for one in longer]
        k1, k2, k3, k4, vb = np.array(rows).T
        return Rates(k1_ml_per_min_per_ml=k1, k2_per_min=k2, k3_per_min=k3, k4_per_min=k4, vb=vb)


def _level_count(group: Group | None) -> int:
    if group is None:
        return 0
    if group.row.k4_std_own == 0:
        return 1
    return LESION_LEVELS if group.region == Region.LESION else ORGAN_LEVELS
