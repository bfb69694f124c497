"""What a population of virtual patients looks like beside what is published."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool
from rpt_kinetics.dose import LU177_ELECTRON_KEV

from rpt_phantom.agents.agent import AGENTS, DEFAULT_THERAPY, DEFAULT_TRACER
from rpt_phantom.agents.biology import draw_biology
from rpt_phantom.agents.levels import draw_heterogeneity
from rpt_phantom.agents.voxel_kinetics import VoxelKinetics, voxel_kinetics
from rpt_phantom.anatomy import Anatomy, Tissue, draw_body, draw_lesions, ids, voxelise
from rpt_phantom.grid import Grid
from rpt_phantom.person import draw_person

WHOLE_BODY_GRID = Grid((80, 52, 200), (6.0, 6.0, 6.0), (-237.0, -153.0, -560.0))
"""Holds head and trunk; 6 mm suffice for means of sharp organs."""
G_GY_PER_MBQ_H = LU177_ELECTRON_KEV * 1.602176634e-16 * 3600e6 * 1e3
"""Self-dose of the electrons, g·Gy/(MBq·h): 0.0853."""
PHOTON_FACTOR = 1.05
"""Photons add a few percent to an organ's self-dose. Ours."""

PAROTIDS = (ids.PAROTID_LEFT, ids.PAROTID_RIGHT)
PET_TIME_H = 1.0


@dataclass(frozen=True)
class Quantity:
    """A published quantity.

    Attributes:
        name: With its unit.
        low: Lower end of the published range.
        high: Upper end.
        source: What the range is.
    """

    name: str
    low: float
    high: float
    source: str

    @property
    def published(self) -> str:
        """The range and what it is, in words."""
        if np.isnan(self.low):
            return self.source
        ends = f"{self.low:g}" if self.low == self.high else f"{self.low:g}–{self.high:g}"
        return f"{ends}; {self.source}"


_APPROX = "approx., common knowledge of the field"
PUBLISHED = (
    Quantity("kidney SUV", 25, 50, _APPROX),
    Quantity("liver SUV", 4, 6, _APPROX),
    Quantity("spleen SUV", 6, 10, _APPROX),
    Quantity("parotid SUV", 12, 17, _APPROX),
    Quantity("proximal small bowel SUV", 8, 12, _APPROX),
    Quantity("blood SUV", 1.5, 2.0, _APPROX),
    Quantity("muscle SUV", 0.5, 0.8, _APPROX),
    Quantity("lesion SUV", 5, 40, _APPROX),
    Quantity("kidney Gy/GBq", 0.69, 0.72, "Okamoto 2017; Ells 2024 (I&T)"),
    Quantity("liver Gy/GBq", 0.08, 0.12, "approx. 0.1 (I&T)"),
    Quantity("spleen Gy/GBq", 0.2, 0.4, "approx. (I&T)"),
    Quantity("parotid Gy/GBq", 0.39, 0.6, "I&T"),
    Quantity("marrow Gy/GBq", 0.025, 0.035, "0.03"),
    Quantity("lesion Gy/GBq", 1.0, 5.0, "approx."),
    Quantity("kidney half-life h", 8.5, 152, "median 35.5 (617)"),
    Quantity("liver half-life h", 22.9, 22.9, "median (617)"),
    Quantity("spleen half-life h", 16.8, 16.8, "median (617)"),
    Quantity("parotid half-life h", 42.2, 42.2, "median (617)"),
    Quantity("marrow half-life h", 32.0, 32.0, "median (617)"),
    Quantity("whole body half-life h", 30.9, 50.1, "40.5 ± 9.6 (617)"),
    Quantity("excreted at 4 h", 0.35, 0.65, "50 ± 15 %"),
    Quantity("excreted at 12 h", 0.55, 0.85, "70 ± 15 %"),
    Quantity("bladder SUV", np.nan, np.nan, "no range found"),
)
"""Of `reference/clinical.md`: SUVmean of 68Ga-PSMA-11 at 60 min, doses of the named therapy,
effective half-lives (24 to 96 h here) and excretion. For Lu-PSMA I&T no half-lives were found."""


def masks(anatomy: Anatomy) -> dict[str, Bool[np.ndarray, "x y z"]]:
    """Return the regions that are reported; lesions are in none but their own."""
    healthy = anatomy.lesions == 0
    organs = {
        "kidney": ids.KIDNEYS,
        "liver": (ids.LIVER,),
        "spleen": (ids.SPLEEN,),
        "parotid": PAROTIDS,
    }
    regions = {name: np.isin(anatomy.organs, numbers) for name, numbers in organs.items()}
    duodenum = anatomy.organs == ids.DUODENUM
    regions["proximal small bowel"] = duodenum | anatomy.where(Tissue.JEJUNUM)
    regions["blood"] = anatomy.where(Tissue.BLOOD)
    regions["muscle"] = anatomy.where(Tissue.MUSCLE)
    regions["marrow"] = anatomy.where(Tissue.SPONGIOSA)
    bladder = anatomy.organs == ids.URINARY_BLADDER
    regions["bladder"] = bladder & anatomy.where(Tissue.CONTENT)
    regions = {name: mask & healthy for name, mask in regions.items()}
    regions["lesion"] = ~healthy
    return {name: mask for name, mask in regions.items() if mask.any()}


def summary(
    anatomy: Anatomy, pet: VoxelKinetics, therapy: VoxelKinetics, *, weight_kg: float
) -> dict[str, float]:
    """Return one patient's quantities by name, as in ``PUBLISHED``.

    Args:
        anatomy: The patient.
        pet: The tracer's kinetics.
        therapy: The therapy's kinetics.
        weight_kg: Body weight, kg.
    """
    half_life_h = AGENTS[DEFAULT_THERAPY].half_life_h
    result: dict[str, float] = {}
    for name, mask in masks(anatomy).items():
        result[f"{name} SUV"] = pet.mean_fraction_per_ml(mask, PET_TIME_H) * weight_kg * 1000.0
        density = float(anatomy.density_g_per_ml[mask].mean(dtype=float))
        residence = therapy.mean_residence_h_per_ml(mask, half_life_h)
        result[f"{name} Gy/GBq"] = residence / density * 1e3 * G_GY_PER_MBQ_H * PHOTON_FACTOR
        result[f"{name} half-life h"] = therapy.effective_half_life_h(mask, half_life_h)
    result["whole body half-life h"] = therapy.whole_body_half_life_h(half_life_h)
    for time_h in (4, 12):
        result[f"excreted at {time_h} h"] = therapy.excreted(time_h)
    return result


def population(
    patients: int,
    *,
    seed: int = 0,
    tracer: str = DEFAULT_TRACER,
    therapy: str = DEFAULT_THERAPY,
    grid: Grid = WHOLE_BODY_GRID,
) -> list[dict[str, float]]:
    """Return the quantities of virtual patients at their first cycle.

    Args:
        patients: How many.
        seed: Of everything.
        tracer: The tracer.
        therapy: The therapy.
        grid: A coarse one will do.
    """
    return [
        _patient(np.random.SeedSequence((seed, n)), tracer, therapy, grid) for n in range(patients)
    ]


def _patient(
    seed: np.random.SeedSequence, tracer: str, therapy: str, grid: Grid
) -> dict[str, float]:
    person_rng, body_rng, lesion_rng, patient_rng, cycle_rng, *field_rngs = (
        np.random.default_rng(one) for one in seed.spawn(8)
    )
    person = draw_person(person_rng)
    weight_kg = person.weight_kg
    body = draw_body(body_rng, weight_kg=weight_kg, height_cm=person.height_cm)
    anatomy = voxelise(body, draw_lesions(lesion_rng, body), grid)
    biology = draw_biology(patient_rng, cycle_rng, tracer=tracer, therapy=therapy, cycle=1)
    fields = draw_heterogeneity(anatomy, *field_rngs)
    pet = voxel_kinetics(
        anatomy, biology, "pet", weight_kg=weight_kg, fields=fields, heterogeneity=1.0
    )
    treated = voxel_kinetics(
        anatomy, biology, "therapy", weight_kg=weight_kg, fields=fields, heterogeneity=1.0
    )
    return summary(anatomy, pet, treated, weight_kg=weight_kg)


def table(patients: list[dict[str, float]]) -> str:
    """Return a Markdown table: mean ± SD, median, range, beside what is published."""
    lines = ["| quantity | mean ± SD | median | range | published |", "|---|---|---|---|---|"]
    for quantity in PUBLISHED:
        values = np.array([p[quantity.name] for p in patients if quantity.name in p])
        lines.append(
            f"| {quantity.name} | {values.mean():.3g} ± {values.std():.2g} "
            f"| {np.median(values):.3g} | {values.min():.3g}–{values.max():.3g} "
            f"| {quantity.published} |"
        )
    return "\n".join(lines)
