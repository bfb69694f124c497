"""An agent in every voxel of a patient, at any time and integrated over all time."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Float32, UInt16
from rpt_kinetics import Rates
from rpt_kinetics.inputs import decay_rate_per_min

from rpt_phantom.agents.agent import CODE, KIDNEY_TISSUES, POOLS, RateRow, Region, agent_of
from rpt_phantom.agents.balance import Balance, whole_body_balance
from rpt_phantom.agents.biology import Biology
from rpt_phantom.agents.levels import (
    Heterogeneity,
    Levels,
    Window,
    assign_levels,
    group_numbers,
    patient_groups,
)
from rpt_phantom.anatomy.tissues import HU_AND_DENSITY, LUNG_G_PER_ML, SOFT_G_PER_ML, Tissue
from rpt_phantom.anatomy.voxels import Anatomy
from rpt_phantom.grid import Grid

STANDARD_WEIGHT_KG = 90.0
"""Of the man whose volumes follow, kg; see `rpt_phantom.anatomy.atlas`."""
STANDARD_ML = {
    Region.KIDNEY_CORTEX: 274.0,
    Region.KIDNEY_MEDULLA: 67.0,
    Region.LIVER: 1748.0,
    Region.SPLEEN: 251.0,
    Region.PAROTID: 51.0,
    Region.SUBMANDIBULAR: 20.0,
    Region.DUODENUM: 48.0,
    Region.JEJUNUM: 568.0,
    Region.ILEUM: 292.0,
    Region.COLON_WALL: 722.0,
    Region.STOMACH_WALL: 140.0,
    Region.OTHER_WALL: 427.0,
    Region.PANCREAS: 88.0,
    Region.ADRENAL: 2.0,
    Region.THYROID: 11.0,
    Region.LUNG: 4809.0,
    Region.BRAIN: 1851.0,
    Region.KIDNEY_PELVIS: 16.0,
    Region.BLADDER: 128.0,
    Region.BILE: 13.0,
    Region.STOOL: 1892.0,
}
"""mL, of the shipped map of the man, voxelised."""
REST_SHARE = {
    Region.MUSCLE: 0.62,
    Region.FAT: 0.27,
    Region.MARROW: 0.06,
    Region.CORTICAL_BONE: 0.05,
}
"""Of the mass beyond the grid that is no organ: arms, legs, shoulders. Ours."""
REST_G_PER_ML = {
    region: HU_AND_DENSITY[tissue][1]
    for region, tissue in (
        (Region.MUSCLE, Tissue.MUSCLE),
        (Region.FAT, Tissue.FAT),
        (Region.MARROW, Tissue.SPONGIOSA),
        (Region.CORTICAL_BONE, Tissue.CORTICAL_BONE),
    )
}
BLOOD_ML_PER_KG = 70.0
"""Whole blood, mL per kg of body weight. Source: ICRP Publication 89 (5.3 L at 73 kg)."""
MIN_PER_H = 60.0
# A pool without any volume would hold an infinite concentration; none is that small.
LEAST_POOL_ML = 1.0
Table = Float[np.ndarray, " entry"]
Mask = Bool[np.ndarray, "x y z"]


def off_grid_ml(
    in_grid_ml: Float[np.ndarray, " region"],
    ends: frozenset[int],
    *,
    mass_kg: float,
    weight_kg: float,
) -> Float[np.ndarray, " region"]:
    """Return the volume of each region beyond the grid, mL; blood has none here.

    An organ that lies whole within the grid has none. One that is absent, or goes on beyond the
    grid or the label map, has what lacks to the standard adult's volume at this weight. What then
    lacks to the body weight is muscle, fat and bone.

    Args:
        in_grid_ml: Volume in the grid by code of region, mL.
        ends: Codes of the regions of organs that go on.
    """
    beyond: Float[np.ndarray, " region"] = np.zeros(len(Region))
    missing_kg = weight_kg - mass_kg
    for region, standard_ml in STANDARD_ML.items():
        code = CODE[region]
        if in_grid_ml[code] == 0 or code in ends:
            whole_ml = standard_ml * weight_kg / STANDARD_WEIGHT_KG
            beyond[code] = max(0.0, whole_ml - in_grid_ml[code])
        if region not in POOLS:
            density = LUNG_G_PER_ML if region == Region.LUNG else SOFT_G_PER_ML
            missing_kg -= beyond[code] * density / 1000.0
    for region, share in REST_SHARE.items():
        beyond[CODE[region]] = max(0.0, missing_kg) * 1000.0 * share / REST_G_PER_ML[region]
    return beyond


@dataclass(frozen=True, eq=False)
class VoxelKinetics:
    """Activity after a bolus of 1, in every voxel and in the whole body.

    A voxel's curve is its multiplier times that of its compartment, plus its blood's: a look-up
    in two tables of some hundred numbers. Except in the time-integrated activity everything is
    corrected for decay to the injection. An infusion of some minutes is taken for a bolus.

    Attributes:
        levels: Every voxel's compartment and multiplier.
        balance: The whole body; its compartments are those of ``levels``, then those beyond the
            grid.
        pool_ml: Volume of each pool of excreta in the patient, on the grid and beyond, mL.
    """

    grid: Grid
    levels: Levels
    balance: Balance
    pool_ml: dict[Region, float]
    _seen: dict[tuple[str, float], tuple[Table, Table]] = field(default_factory=dict, repr=False)

    def fraction_per_ml(self, time_h: float) -> Float32[np.ndarray, "x y z"]:
        """Return the share of the injected activity per mL; × weight_kg × 1000 is the SUV."""
        return self._map(*self._tables_at(time_h))

    def residence_h_per_ml(self, half_life_h: float) -> Float32[np.ndarray, "x y z"]:
        """Return the time-integrated activity per injected activity, decay included, h/mL."""
        return self._map(*self._areas(half_life_h))

    def mean_fraction_per_ml(self, mask: Mask, time_h: float) -> float:
        """Return the mean of :meth:`fraction_per_ml` over a mask, without making the map."""
        return float(self._means(mask, *self._tables_at(time_h)))

    def mean_residence_h_per_ml(self, mask: Mask, half_life_h: float) -> float:
        """Return the mean of :meth:`residence_h_per_ml` over a mask, without making the map."""
        return float(self._means(mask, *self._areas(half_life_h)))

    def effective_half_life_h(
        self, mask: Mask, half_life_h: float, *, from_h: float = 24.0, to_h: float = 96.0
    ) -> float:
        """Return the half-life of one exponential through two times, decay included, h."""
        early, late = (self.mean_fraction_per_ml(mask, time_h) for time_h in (from_h, to_h))
        return _effective_h(early, late, half_life_h, to_h - from_h)

    def whole_body_half_life_h(
        self, half_life_h: float, *, from_h: float = 24.0, to_h: float = 96.0
    ) -> float:
        """Return the whole body's, as :meth:`effective_half_life_h`."""
        early, late = self.in_body(from_h), self.in_body(to_h)
        return _effective_h(early, late, half_life_h, to_h - from_h)

    def excreted(self, time_h: float) -> float:
        """Return the share that has left the body by urine and stool; it never falls."""
        return self.balance.excreted(time_h * MIN_PER_H)

    def in_body(self, time_h: float) -> float:
        """Return the share that is in the body, urine in the bladder included."""
        return 1.0 - self.excreted(time_h)

    def plasma_per_ml(self, time_h: float) -> float:
        """Return the concentration in plasma, share of the injected activity/mL."""
        return float(self.balance.input_function.plasma.value(time_h * MIN_PER_H))

    def blood_per_ml(self, time_h: float) -> float:
        """Return the concentration in whole blood, share of the injected activity/mL."""
        return self.balance.blood_per_ml(time_h * MIN_PER_H)

    def off_grid(self, time_h: float) -> float:
        """Return the share in the parts of the body that the grid does not hold."""
        tissue, blood = self._tables_at(time_h)
        held = self.levels.weight_ml @ tissue + self.levels.volume_ml @ blood
        return self.in_body(time_h) - float(held)

    def _tables_at(self, time_h: float) -> tuple[Table, Table]:
        if not (np.isfinite(time_h) and time_h >= 0):
            raise ValueError(
                f"time_h must be finite and at least 0 h after the injection, got {time_h!r} h."
            )
        if ("time", time_h) not in self._seen:
            time_min = time_h * MIN_PER_H
            self._seen["time", time_h] = self._tables(
                self.balance.tissues_per_ml(time_min),
                self.balance.blood_per_ml(time_min),
                self.balance.pools(time_min),
            )
        return self._seen["time", time_h]

    def _areas(self, half_life_h: float) -> tuple[Table, Table]:
        if not (np.isfinite(half_life_h) and half_life_h > 0):
            raise ValueError(
                f"half_life_h must be a finite number above 0 h, got {half_life_h!r} h. "
                "177Lu: 6.647 d is 159.5 h."
            )
        if ("area", half_life_h) not in self._seen:
            half_life_min = half_life_h * MIN_PER_H
            decay = decay_rate_per_min(half_life_min)
            tissue, blood = self._tables(
                self.balance.tissue_areas_min_per_ml(half_life_min),
                self.balance.input_function.blood.laplace(decay),
                self.balance.pool_areas_min(decay),
            )
            self._seen["area", half_life_h] = tissue / MIN_PER_H, blood / MIN_PER_H
        return self._seen["area", half_life_h]

    def _tables(
        self, tissue: Float[np.ndarray, " compartment"], blood: float, pools: dict[Region, float]
    ) -> tuple[Table, Table]:
        """Return what a voxel's multiplier scales and what it does not, by compartment."""
        first, count = self.levels.first, len(self.levels.regions)
        scaled, fixed = np.zeros(count), np.zeros(count)
        scaled[first:] = tissue[: count - first]
        fixed[first:] = blood * self.levels.rates.vb
        fixed[CODE[Region.BLOOD]] = blood
        for region, content in pools.items():
            fixed[CODE[region]] = content / max(self.pool_ml[region], LEAST_POOL_ML)
        return scaled, fixed

    def _map(self, scaled: Table, fixed: Table) -> Float32[np.ndarray, "x y z"]:
        image: Float32[np.ndarray, "x y z"] = np.take(scaled.astype(np.float32), self.levels.index)
        image *= self.levels.multiplier
        image += np.take(fixed.astype(np.float32), self.levels.index)
        return image

    def _means(self, mask: Mask, scaled: Table, fixed: Table) -> float:
        index = self.levels.index[mask]
        if not index.size:
            raise ValueError("mask must hold at least one voxel, and it holds none.")
        count = len(scaled)
        weight = np.bincount(index, self.levels.multiplier[mask], minlength=count)
        number = np.bincount(index, minlength=count)
        return float((weight @ scaled + number @ fixed) / index.size)


def voxel_kinetics(
    anatomy: Anatomy,
    biology: Biology,
    agent: Literal["pet", "therapy"],
    *,
    weight_kg: float,
    fields: Heterogeneity,
    heterogeneity: float,
) -> VoxelKinetics:
    """Solve an agent's kinetics in a patient.

    Args:
        anatomy: The patient; the grid may hold a part of the body only.
        agent: The tracer or the therapy of ``biology``.
        heterogeneity: Dial that scales every spread over voxels: 0 gives even organs, 1 the
            table's spreads.

    Raises:
        ValueError: The dial is outside [0, 1], the weight not above 0 kg, or the fields belong
            to another grid.
    """
    _check(anatomy, weight_kg, fields, heterogeneity)
    factors = biology.pet if agent == "pet" else biology.therapy
    window, numbers = group_numbers(anatomy)
    in_grid, beyond = _volumes_ml(anatomy, window, numbers, weight_kg)
    kidney = (in_grid + beyond)[[CODE[Region.KIDNEY_CORTEX], CODE[Region.KIDNEY_MEDULLA]]]
    groups = patient_groups(
        factors,
        lesions=int(anatomy.lesions.max()),
        heterogeneity=heterogeneity,
        medulla_share=float(kidney[1] / kidney.sum()),
    )
    levels = assign_levels(anatomy, window, numbers, groups, fields, agent)
    nominal = [group for group in groups[: len(Region)] if group]
    rates = _joined(levels.rates, [group.row for group in nominal])
    beyond_ml = np.array([beyond[CODE[group.region]] for group in nominal])
    volume_ml = np.concatenate([levels.volume_ml[levels.first :], beyond_ml])
    weight_ml = np.concatenate([levels.weight_ml[levels.first :], beyond_ml])
    tissue_blood_ml = float(volume_ml @ rates.vb)
    vessels_ml = float(levels.volume_ml[CODE[Region.BLOOD]])
    blood_ml = max(BLOOD_ML_PER_KG * weight_kg, vessels_ml + tissue_blood_ml)
    regions = (*levels.regions[levels.first :], *(group.region for group in nominal))
    balance = whole_body_balance(
        agent_of(factors.agent),
        rates,
        weight_ml * (1.0 - rates.vb),
        np.isin(regions, KIDNEY_TISSUES),
        blood_ml=blood_ml,
        clearance=factors.clearance,
    )
    pool_ml = {region: float((in_grid + beyond)[CODE[region]]) for region in POOLS}
    return VoxelKinetics(anatomy.grid, levels, balance, pool_ml)


def _check(
    anatomy: Anatomy,
    weight_kg: float,
    fields: Heterogeneity,
    heterogeneity: float,
) -> None:
    if not (np.isfinite(weight_kg) and weight_kg > 0):
        raise ValueError(f"weight_kg must be a finite number above 0 kg, got {weight_kg!r} kg.")
    if not 0 <= heterogeneity <= 1:
        raise ValueError(
            f"heterogeneity must be from 0 (even organs) to 1, got {heterogeneity!r}. "
            "The spreads themselves stand in rates/*.csv."
        )
    if fields.grid != anatomy.grid:
        raise ValueError(
            f"fields must be drawn for the anatomy's grid {anatomy.grid.shape}, got those of "
            f"{fields.grid.shape}. Call draw_heterogeneity with this anatomy."
        )


def _volumes_ml(
    anatomy: Anatomy,
    window: Window,
    numbers: UInt16[np.ndarray, "x y z"],
    weight_kg: float,
) -> tuple[Float[np.ndarray, " region"], Float[np.ndarray, " region"]]:
    """Return the volume of each region on the grid and beyond it, lesions apart, mL."""
    voxel_ml = anatomy.grid.voxel_ml
    in_grid = np.bincount(numbers.reshape(-1), minlength=len(Region))[: len(Region)] * voxel_ml
    in_grid[CODE[Region.NOTHING]] = 0.0
    ends = [numbers[:, :, 0]] if window[2].start == 0 else []
    ends += [numbers[:, :, -1]] if window[2].stop == anatomy.grid.shape[2] else []
    ends += [numbers[np.isin(anatomy.organs[window], list(anatomy.cut))]] if anatomy.cut else []
    reached = frozenset(int(code) for end in ends for code in np.unique(end))
    density = anatomy.density_g_per_ml[window]
    mass_kg = float(density.sum(where=anatomy.organs[window] > 0, dtype=float)) * voxel_ml / 1000.0
    beyond = off_grid_ml(in_grid, reached, mass_kg=mass_kg, weight_kg=weight_kg)
    return in_grid, beyond


def _joined(rates: Rates, rows: list[RateRow]) -> Rates:
    """Return rates with those of some rows after them."""
    more = np.array(
        [(r.k1_ml_per_min_per_ml, r.k2_per_min, r.k3_per_min, r.k4_per_min, r.vb) for r in rows]
    )
    both = [np.concatenate([one, add]) for one, add in zip(rates.in_a_row(), more.T, strict=True)]
    k1, k2, k3, k4, vb = both
    return Rates(k1_ml_per_min_per_ml=k1, k2_per_min=k2, k3_per_min=k3, k4_per_min=k4, vb=vb)


def _effective_h(early: float, late: float, half_life_h: float, between_h: float) -> float:
    rate_per_h = np.log(early / late) / between_h + np.log(2.0) / half_life_h
    return float(np.log(2.0) / rate_per_h)
