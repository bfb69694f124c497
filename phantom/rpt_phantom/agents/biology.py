"""What differs between patients and cycles: uptake, release and clearance, in part correlated.

Source: tumour uptake in later cycles, 73 / 50 / 44 % of the first: population model of Lu-PSMA
I&T, EJNMMI Phys 11 (2024), doi 10.1186/s40658-024-00642-2. Every spread and correlation is ours.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from rpt_phantom.agents.agent import THERAPIES, TISSUES, TRACERS, RateRow, Region, rate_table

POPULATION = 3
"""Version of this population: rates, spreads and correlations, here and in ``rates/``, in every
provenance. Frozen before a network is trained on it; a change makes a new version."""
TRACER_THERAPY_CORRELATION = 0.93
"""Of logarithms of one patient's factors. Ours, so that a PET tells an organ's dose as well as
published; between tumours of one ligand, PSMA-617, r is 0.915 in 9 patients."""
CYCLE_STD = 0.08  # of the logarithm of an organ's uptake, cycle to cycle; ours
CLEARANCE_STD = 0.15  # of the logarithm of the clearance, patient to patient; ours
MIX_STD = 0.4
"""Of the logarithm of how strong an organ's own fields are, patient to patient, against the shared
one, which is as much weaker: what makes the correlation of PET and dose within an organ differ
between patients. Ours."""
LESION_STD = 0.45  # of the logarithm of the uptake, lesion to lesion in one patient; ours
LESION_RELEASE_STD = 0.15  # of the logarithm of k₄, lesion to lesion; ours
TUMOUR_UPTAKE_BY_CYCLE = (1.0, 0.73, 0.50, 0.44)  # first, second, third, fourth and later
MOST_LESIONS = 256
AS_ANOTHER = {
    Region.KIDNEY_MEDULLA: Region.KIDNEY_CORTEX,
    Region.SUBMANDIBULAR: Region.PAROTID,
    Region.JEJUNUM: Region.DUODENUM,
    Region.ILEUM: Region.DUODENUM,
}
"""Parts of one organ vary together from patient to patient: each has the deviates of another."""
_DEVIATE = [TISSUES.index(AS_ANOTHER.get(region, region)) for region in TISSUES]


@dataclass(frozen=True)
class AgentBiology:
    """One patient's factors for one agent and cycle; over patients their means are 1.

    Attributes:
        uptake: Region → factor of K₁.
        release: Region → factor of k₄.
        lesion_uptake: Factor of K₁ of each lesion, on top of the region's; number 1 first.
        lesion_release: Factor of k₄ of each lesion, on top of the region's.
        clearance: Factor of the clearance from plasma.
        own: Region → factor of the spreads over voxels by the agent's own field; its square has
            a mean of 1.
        shared: Region → the same of the shared field.
    """

    agent: str
    uptake: dict[Region, float]
    release: dict[Region, float]
    lesion_uptake: Float[np.ndarray, " lesion"]
    lesion_release: Float[np.ndarray, " lesion"]
    clearance: float
    own: dict[Region, float]
    shared: dict[Region, float]


@dataclass(frozen=True)
class Biology:
    """One patient at one cycle."""

    pet: AgentBiology
    therapy: AgentBiology
    cycle: int


def draw_biology(
    rng_patient: np.random.Generator,
    rng_cycle: np.random.Generator,
    *,
    tracer: str,
    therapy: str,
    cycle: int,
) -> Biology:
    """Draw one patient's factors at one cycle.

    The number of draws depends on no argument: a patient with another tracer, or at another
    cycle, keeps the same deviates.

    Args:
        rng_patient: Source of what the patient keeps over the cycles; fresh for each call.
        rng_cycle: Source of what changes with the cycle.
        tracer: One of ``TRACERS``.
        therapy: One of ``THERAPIES``.

    Raises:
        ValueError: The tracer, therapy or cycle is unknown.
    """
    for what, name, known in (("tracer", tracer, TRACERS), ("therapy", therapy, THERAPIES)):
        if name not in known:
            raise ValueError(f"{what} must be one of {', '.join(known)}, got {name!r}.")
    if cycle < 1:
        raise ValueError(f"cycle must be 1 or above, got {cycle}. The first cycle is 1.")
    regions = len(TISSUES)
    uptake, release = _pairs(rng_patient, regions), _pairs(rng_patient, regions)
    lesions, slow = _pairs(rng_patient, MOST_LESIONS), _pairs(rng_patient, MOST_LESIONS)
    clearance = _pairs(rng_patient, 1)
    change = _pairs(rng_cycle, regions)
    own, shared = _mix(rng_patient)
    pet, treated = (
        AgentBiology(
            agent=name,
            uptake=_uptake(rate_table(name), uptake[k], change[k], cycle),
            release=_release(rate_table(name), release[k]),
            lesion_uptake=_factor(lesions[k], LESION_STD),
            lesion_release=_factor(slow[k], LESION_RELEASE_STD),
            clearance=float(_factor(clearance[k], CLEARANCE_STD)[0]),
            own=own,
            shared=shared,
        )
        for k, name in enumerate((tracer, therapy))
    )
    return Biology(pet, treated, cycle)


def average_biology(tracer: str, therapy: str) -> Biology:
    """Return the patient whose every factor is 1."""
    ones: dict[Region, float] = dict.fromkeys(TISSUES, 1.0)
    lesions = np.ones(MOST_LESIONS)
    pet, treated = (
        AgentBiology(name, ones, ones, lesions, lesions, 1.0, ones, ones)
        for name in (tracer, therapy)
    )
    return Biology(pet, treated, 1)


def _uptake(
    table: dict[Region, RateRow],
    deviate: Float[np.ndarray, " region"],
    change: Float[np.ndarray, " region"],
    cycle: int,
) -> dict[Region, float]:
    stds = np.array([table[region].k1_std_patients for region in TISSUES])
    factors = _factor(deviate[_DEVIATE], stds) * _factor(change[_DEVIATE], CYCLE_STD)
    uptake = dict(zip(TISSUES, factors.tolist(), strict=True))
    uptake[Region.LESION] *= TUMOUR_UPTAKE_BY_CYCLE[min(cycle, len(TUMOUR_UPTAKE_BY_CYCLE)) - 1]
    return uptake


def _release(
    table: dict[Region, RateRow], deviate: Float[np.ndarray, " region"]
) -> dict[Region, float]:
    stds = np.array([table[region].k4_std_patients for region in TISSUES])
    return dict(zip(TISSUES, _factor(deviate[_DEVIATE], stds).tolist(), strict=True))


def _mix(rng_patient: np.random.Generator) -> tuple[dict[Region, float], dict[Region, float]]:
    """Draw how strong own and shared fields are; tracer and therapy have one mix."""
    deviate = np.clip(rng_patient.standard_normal(len(TISSUES)), -2.5, 2.5)[_DEVIATE]
    own, shared = (
        dict(zip(TISSUES, np.exp(sign * MIX_STD * deviate - MIX_STD**2).tolist(), strict=True))
        for sign in (1, -1)
    )
    return own, shared


def _factor(
    deviate: Float[np.ndarray, " n"], std: float | Float[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    # A log-normal of mean 1: its mean is above its median.
    factor: Float[np.ndarray, " n"] = np.exp(std * deviate - np.square(std) / 2)
    return factor


def _pairs(rng: np.random.Generator, count: int) -> Float[np.ndarray, "agent n"]:
    """Return normal deviates of tracer and therapy, correlated; within ± 2.5."""
    first, second = rng.standard_normal((2, count))
    correlation = TRACER_THERAPY_CORRELATION
    mixed = correlation * first + np.sqrt(1 - correlation**2) * second
    pairs: Float[np.ndarray, "agent n"] = np.clip(np.stack([first, mixed]), -2.5, 2.5)
    return pairs
