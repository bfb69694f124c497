"""What patients differ by, and the random fields within their organs."""

from importlib.resources import files

import numpy as np
import pytest
from rpt_phantom.agents import THERAPIES, TRACERS, Biology, Region, draw_biology
from rpt_phantom.agents.agent import CODE, TISSUES, parse_rates, rate_table
from rpt_phantom.agents.biology import average_biology
from rpt_phantom.agents.levels import (
    CORRELATION_LENGTH_MM,
    Heterogeneity,
    draw_heterogeneity,
    patient_groups,
)
from rpt_phantom.anatomy import Anatomy
from rpt_phantom.grid import Grid

GRID = Grid.centred((100, 90, 80), 2.4)
WHOLE = (slice(0, 100), slice(0, 90), slice(0, 80))


def biology(
    patient: int, cycle: int = 1, *, cycle_seed: int = 0, tracer: str = TRACERS[0]
) -> Biology:
    return draw_biology(
        np.random.default_rng(patient),
        np.random.default_rng(10_000 + patient + cycle_seed),
        tracer=tracer,
        therapy=THERAPIES[0],
        cycle=cycle,
    )


def empty(grid: Grid = GRID) -> Anatomy:
    organs = np.zeros(grid.shape, np.uint8)
    density = np.zeros(grid.shape, np.float32)
    lesions, hu = np.zeros(grid.shape, np.uint16), np.zeros(grid.shape, np.int16)
    return Anatomy(grid, organs, organs, lesions, hu, density)


def fields(*seeds: int) -> Heterogeneity:
    shared, pet, therapy = (np.random.default_rng(seed) for seed in seeds)
    return draw_heterogeneity(empty(), shared, pet, therapy)


def test_factors_have_mean_1_and_correlate() -> None:
    drawn = [biology(patient) for patient in range(1500)]
    pet, therapy = (
        np.array([b.uptake[Region.SPLEEN] for b in agent])
        for agent in zip(*((d.pet, d.therapy) for d in drawn), strict=True)
    )
    # Standard error 1.2 %; the limits at 2.5 SD take 0.6 % away.
    assert [pet.mean(), therapy.mean()] == pytest.approx([1.0, 1.0], abs=0.035)
    assert np.corrcoef(np.log(pet), np.log(therapy))[0, 1] == pytest.approx(0.93, abs=0.03)
    assert np.log(pet).std() == pytest.approx(np.hypot(0.425, 0.08), rel=0.06)
    liver = np.array([d.pet.uptake[Region.LIVER] for d in drawn])
    assert abs(np.corrcoef(np.log(pet), np.log(liver))[0, 1]) < 0.1
    lesions = np.array([[d.pet.lesion_uptake[0], d.therapy.lesion_uptake[0]] for d in drawn])
    assert np.corrcoef(np.log(lesions.T))[0, 1] == pytest.approx(0.93, abs=0.03)


def test_tumour_uptake_falls_over_the_cycles_and_the_organs_stay() -> None:
    """73, 50, 44 % of the first (population model of Lu-PSMA I&T)."""
    cycles = [biology(4, cycle) for cycle in (1, 2, 3, 4, 7)]
    tumour = np.array([b.therapy.uptake[Region.LESION] for b in cycles])
    assert tumour / tumour[0] == pytest.approx([1, 0.73, 0.50, 0.44, 0.44])
    assert len({b.therapy.uptake[Region.LIVER] for b in cycles}) == 1
    other = biology(4, 2, cycle_seed=99)
    change = np.log(other.pet.uptake[Region.LIVER] / cycles[1].pet.uptake[Region.LIVER])
    assert 0 < abs(change) < 0.4
    assert np.array_equal(other.pet.lesion_uptake, cycles[1].pet.lesion_uptake)


def test_another_tracer_leaves_the_therapy_as_it_is() -> None:
    one, other = biology(5), biology(5, tracer="18F-PSMA-1007")
    assert one.therapy.uptake == other.therapy.uptake
    assert one.pet.agent != other.pet.agent


def test_the_same_generators_give_the_same_patient() -> None:
    one, same, other = biology(6), biology(6), biology(7)
    assert one.pet.uptake == same.pet.uptake != other.pet.uptake


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"tracer": "68Ga-DOTATATE"}, "tracer must be one of 68Ga-PSMA-11, .* got '68Ga-DOTATATE'"),
        ({"therapy": "225Ac-PSMA"}, "therapy must be one of"),
        ({"cycle": 0}, "cycle must be 1 or above, got 0"),
    ],
)
def test_refuses_what_is_unknown(changed, message) -> None:
    usual = {"tracer": TRACERS[0], "therapy": THERAPIES[0], "cycle": 1}
    with pytest.raises(ValueError, match=message):
        draw_biology(np.random.default_rng(0), np.random.default_rng(1), **(usual | changed))


@pytest.mark.parametrize("agent", [*TRACERS, *THERAPIES])
def test_every_agent_has_rates_for_every_region(agent) -> None:
    table = rate_table(agent)
    assert set(table) == set(TISSUES)
    cortex, medulla = table[Region.KIDNEY_CORTEX], table[Region.KIDNEY_MEDULLA]
    # K₁ and k₄ tell them apart: the dial at 0 makes one tissue of both.
    assert (cortex.k2_per_min, cortex.k3_per_min) == (medulla.k2_per_min, medulla.k3_per_min)
    # The medulla, which holds tubular fluid on its way out, releases a therapy twice as fast.
    faster = 2.0 if agent in THERAPIES else 1.0
    assert medulla.k4_per_min / cortex.k4_per_min == pytest.approx(faster, rel=0.05)


def test_the_dial_at_0_makes_one_tissue_of_cortex_and_medulla() -> None:
    factors = average_biology(TRACERS[0], THERAPIES[0]).therapy
    rows = {}
    for heterogeneity in (0.0, 1.0):
        groups = patient_groups(factors, lesions=0, heterogeneity=heterogeneity, medulla_share=0.25)
        rows[heterogeneity] = [
            groups[CODE[region]].row for region in (Region.KIDNEY_CORTEX, Region.KIDNEY_MEDULLA)
        ]
    one, other = rows[0.0]
    assert one.k1_ml_per_min_per_ml == pytest.approx(other.k1_ml_per_min_per_ml)
    assert one.k4_per_min == pytest.approx(other.k4_per_min)
    cortex, medulla = rows[1.0]
    mean = 0.75 * cortex.k1_ml_per_min_per_ml + 0.25 * medulla.k1_ml_per_min_per_ml
    assert one.k1_ml_per_min_per_ml == pytest.approx(mean)
    assert cortex.k4_per_min == pytest.approx(
        rate_table(THERAPIES[0])[Region.KIDNEY_CORTEX].k4_per_min
    )


def test_refuses_a_table_that_lacks_a_region_or_a_unit() -> None:
    text = files("rpt_phantom.agents").joinpath("rates", "68Ga-PSMA-11.csv").read_text("utf-8")
    lines = text.splitlines()
    with pytest.raises(ValueError, match=r"my\.csv must have a row .* has none for lesion\."):
        parse_rates("\n".join(lines[:-1]), "my.csv")
    per_hour = lines[-1].split(",")
    per_hour[4] = "0"
    with pytest.raises(ValueError, match="k4_per_min must be from 1e-09 to 10, got 0"):
        parse_rates("\n".join([*lines[:-1], ",".join(per_hour)]), "my.csv")


def test_fields_have_variance_1_between_their_nodes_too() -> None:
    values = np.stack([fields(k, 0, 0).within("shared", WHOLE) for k in range(30)])
    assert values.mean() == pytest.approx(0.0, abs=0.03)
    square = np.square(values).mean(axis=0)
    assert square.mean() == pytest.approx(1.0, abs=0.06)
    # Voxels 2.4 mm apart on nodes 7.2 mm apart: no third of them may vary less.
    thirds = [square[k::3].mean() / square.mean() for k in range(3)]
    assert thirds == pytest.approx([1.0] * 3, abs=0.03)


def test_fields_correlate_over_their_length() -> None:
    values = np.stack([fields(k, 0, 0).within("shared", WHOLE) for k in range(30)])
    for steps in (4, 10):
        product = (values[:, steps:] * values[:, :-steps]).mean()
        expected = np.exp(-((steps * 2.4 / CORRELATION_LENGTH_MM) ** 2))
        assert product == pytest.approx(expected, abs=0.05)


def test_a_patient_keeps_the_shared_field_alone() -> None:
    first, second = fields(1, 2, 3), fields(1, 4, 5)
    assert np.array_equal(first.shared, second.shared)
    assert abs(np.corrcoef(first.pet.ravel(), second.pet.ravel())[0, 1]) < 0.3
    assert abs(np.corrcoef(first.shared.ravel(), first.therapy.ravel())[0, 1]) < 0.3


def test_a_window_is_a_part_of_the_whole() -> None:
    window = (slice(13, 40), slice(5, 77), slice(60, 80))
    drawn = fields(1, 2, 3)
    assert np.array_equal(drawn.within("pet", window), drawn.within("pet", WHOLE)[window])


def test_the_mix_of_fields_differs_between_patients_and_not_between_agents() -> None:
    """What one field gains the other loses; the mean square, which is the variance, is kept."""
    made = [
        draw_biology(
            np.random.default_rng(seed),
            np.random.default_rng(seed + 1),
            tracer=TRACERS[0],
            therapy=THERAPIES[0],
            cycle=1,
        )
        for seed in range(2000)
    ]
    own, shared = (
        np.array([getattr(one.pet, name)[Region.LIVER] for one in made])
        for name in ("own", "shared")
    )
    assert np.square(own).mean() == pytest.approx(1.0, abs=0.08)
    assert np.square(shared).mean() == pytest.approx(1.0, abs=0.08)
    assert np.ptp(own * shared) < 1e-12
    assert own.std() > 0.2
    assert all(one.pet.own == one.therapy.own for one in made)
    cortex, medulla = Region.KIDNEY_CORTEX, Region.KIDNEY_MEDULLA
    assert all(one.therapy.own[cortex] == one.therapy.own[medulla] for one in made)
