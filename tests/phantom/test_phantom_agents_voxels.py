"""Kinetics in every voxel: the body's balance, levels against exact voxels, heterogeneity."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from rpt_kinetics import Rates, pet_concentration, time_integrated_activity
from rpt_phantom.agents import (
    THERAPIES,
    TRACERS,
    Biology,
    Heterogeneity,
    Region,
    VoxelKinetics,
    agent_of,
    draw_biology,
    draw_heterogeneity,
    voxel_kinetics,
)
from rpt_phantom.agents.agent import rate_table
from rpt_phantom.agents.biology import average_biology
from rpt_phantom.agents.levels import FIELD_REACH, ORGAN_LEVELS
from rpt_phantom.anatomy import (
    Anatomy,
    Body,
    Lesion,
    Tissue,
    draw_lesions,
    ids,
    shipped_atlas,
    voxelise,
)
from rpt_phantom.grid import Grid

LONG = Grid((46, 32, 120), (10.0, 10.0, 10.0), (-225.0, -155.0, -560.0))
TRUNK = Grid((46, 32, 46), (10.0, 10.0, 10.0), (-225.0, -155.0, -220.0))
WEIGHT_KG = 78.0
LU177_H = agent_of(THERAPIES[0]).half_life_h


def some_lesions(body: Body) -> tuple[Lesion, ...]:
    """Return 7 lesions of 28 mL together: so few that they hardly change the organs."""
    return draw_lesions(np.random.default_rng(5), body)


@pytest.fixture(scope="module")
def anatomy() -> Anatomy:
    body = Body(shipped_atlas("man"))
    return voxelise(body, some_lesions(body), LONG)


@pytest.fixture(scope="module")
def biology() -> Biology:
    rngs = np.random.default_rng(1), np.random.default_rng(2)
    return draw_biology(*rngs, tracer=TRACERS[0], therapy=THERAPIES[0], cycle=1)


def fields_of(anatomy: Anatomy, *seeds: int) -> Heterogeneity:
    shared, pet, therapy = (np.random.default_rng(seed) for seed in seeds or (1, 2, 3))
    return draw_heterogeneity(anatomy, shared, pet, therapy)


def solve(anatomy, biology, agent="therapy", *, heterogeneity=1.0, seeds=(1, 2, 3)):
    return voxel_kinetics(
        anatomy,
        biology,
        agent,
        weight_kg=WEIGHT_KG,
        fields=fields_of(anatomy, *seeds),
        heterogeneity=heterogeneity,
    )


@pytest.fixture(scope="module")
def therapy(anatomy, biology) -> VoxelKinetics:
    return solve(anatomy, biology)


@pytest.fixture(scope="module")
def pet(anatomy, biology) -> VoxelKinetics:
    return solve(anatomy, biology, "pet")


@pytest.mark.parametrize("time_h", [0.0, 0.02, 1.0, 24.0, 500.0])
def test_voxels_pools_and_what_has_left_are_the_injected_activity(therapy, time_h) -> None:
    time_min = time_h * 60.0
    held = float(therapy.fraction_per_ml(time_h).sum(dtype=float)) * LONG.voxel_ml
    balance = therapy.balance
    everything = balance.in_blood(time_min) + balance.in_tissues(time_min)
    everything += sum(balance.pools(time_min).values()) + therapy.excreted(time_h)
    assert everything == pytest.approx(1.0, abs=1e-10)
    beyond = therapy.off_grid(time_h)
    assert held + beyond + therapy.excreted(time_h) == pytest.approx(1.0, abs=1e-6)
    assert beyond > -1e-9


def test_a_grid_of_the_trunk_sees_the_same_patient(anatomy, biology) -> None:
    """What the grid does not hold is estimated from the weight; the balance hardly changes."""
    body = Body(shipped_atlas("man"))
    short = solve(voxelise(body, some_lesions(body), TRUNK), biology, heterogeneity=0.0)
    whole = solve(anatomy, biology, heterogeneity=0.0)
    for time_h in (1.0, 24.0):
        assert short.plasma_per_ml(time_h) == pytest.approx(whole.plasma_per_ml(time_h), rel=0.05)
    assert short.off_grid(24.0) > whole.off_grid(24.0) > 0


@pytest.mark.parametrize("levelled", [True, False])
def test_a_voxel_is_its_own_two_tissue_model(anatomy, therapy, biology, levelled) -> None:
    """rpt_kinetics voxel by voxel, from the fields: exact at a level's k₄, else within half one."""
    row = rate_table(THERAPIES[0])[Region.SPLEEN]
    spleen = (anatomy.organs == ids.SPLEEN) & (anatomy.lesions == 0)
    fields = fields_of(anatomy)
    everywhere = tuple(slice(0, n) for n in anatomy.grid.shape)
    shared, own = (fields.within(name, everywhere)[spleen] for name in ("shared", "therapy"))
    width = 2 * FIELD_REACH / ORGAN_LEVELS
    release = (np.floor(own.clip(-2.99, 2.99) / width) + 0.5) * width if levelled else own
    factors = biology.therapy
    strength, common = factors.own[Region.SPLEEN], factors.shared[Region.SPLEEN]
    k1 = np.exp(row.k1_std_shared * common * shared + row.k1_std_own * strength * own)
    slower = np.exp(row.k4_std_own * strength * release)
    rates = Rates(
        k1_ml_per_min_per_ml=(
            row.k1_ml_per_min_per_ml * factors.uptake[Region.SPLEEN] * k1 / k1.mean()
        ),
        k2_per_min=row.k2_per_min,
        k3_per_min=row.k3_per_min,
        k4_per_min=row.k4_per_min * factors.release[Region.SPLEEN] * slower.mean() / slower,
        vb=row.vb,
    )
    curve = therapy.balance.input_function
    # Of the logarithm of k₄; at 30 h the curve falls more than k₄ rises, the integral less.
    half_level = row.k4_std_own * strength * width / 2
    for time_h, elasticity in ((1.0, 1.0), (30.0, 2.5)):
        exact = pet_concentration(rates, curve, time_h * 60.0)
        within = 1e-5 if levelled else elasticity * half_level
        assert therapy.fraction_per_ml(time_h)[spleen] == pytest.approx(exact, rel=within)
    area = time_integrated_activity(rates, curve, half_life_min=LU177_H * 60.0) / 60.0
    ours = therapy.residence_h_per_ml(LU177_H)[spleen]
    assert ours == pytest.approx(area, rel=1e-5 if levelled else 1.2 * half_level)
    assert np.corrcoef(ours, area)[0, 1] > 0.998


def test_residence_is_the_integral_of_the_decaying_curve(anatomy, therapy) -> None:
    kidney = anatomy.where(Tissue.KIDNEY_CORTEX)
    decay = np.log(2) / LU177_H

    def curve(time_h: float) -> float:
        return therapy.mean_fraction_per_ml(kidney, time_h) * np.exp(-decay * time_h)

    nodes, shares = np.polynomial.legendre.leggauss(8)
    edges = [0.0, 0.05, 0.3, 1.0, 4.0, 20.0, 100.0, 600.0, 4000.0]
    numeric = 0.0
    for start, end in pairwise(edges):
        times = start + (end - start) * (nodes + 1) / 2
        numeric += (end - start) / 2 * float(shares @ [curve(time_h) for time_h in times])
    assert therapy.mean_residence_h_per_ml(kidney, LU177_H) == pytest.approx(numeric, rel=1e-4)


def test_means_are_those_of_the_maps(anatomy, pet) -> None:
    mask = np.isin(anatomy.organs, (ids.LIVER, ids.KIDNEY_LEFT)) | (anatomy.lesions > 0)
    image, residence = pet.fraction_per_ml(1.0), pet.residence_h_per_ml(1.128)
    assert image.dtype == residence.dtype == np.float32
    assert pet.mean_fraction_per_ml(mask, 1.0) == pytest.approx(image[mask].mean(), rel=1e-5)
    means = pet.mean_residence_h_per_ml(mask, 1.128)
    assert means == pytest.approx(residence[mask].mean(), rel=1e-5)
    assert image[anatomy.organs == 0].max() == 0


def test_half_life_joins_biology_and_decay(anatomy, therapy) -> None:
    liver = anatomy.organs == ids.LIVER
    early, late = (therapy.mean_fraction_per_ml(liver, time_h) for time_h in (24.0, 96.0))
    biological_h = np.log(2) * 72.0 / np.log(early / late)
    expected = 1 / (1 / biological_h + 1 / LU177_H)
    assert therapy.effective_half_life_h(liver, LU177_H) == pytest.approx(expected)
    assert 18 < expected < 30
    assert 30 < therapy.whole_body_half_life_h(LU177_H) < 52


def test_a_litre_of_tumour_lowers_the_organs_by_the_balance(anatomy) -> None:
    average = average_biology(TRACERS[0], THERAPIES[0])
    lesions = np.where(anatomy.where(Tissue.SPONGIOSA), np.uint16(1), np.uint16(0))
    litre = np.cumsum(lesions).reshape(lesions.shape) <= 1000 / LONG.voxel_ml
    seen = {}
    for name, numbers in (("none", lesions * 0), ("litre", lesions * litre.astype(np.uint16))):
        sick = replace(anatomy, lesions=numbers)
        for agent in ("pet", "therapy"):
            made = solve(sick, average, agent, heterogeneity=0.0)
            kidney = anatomy.where(Tissue.KIDNEY_CORTEX)
            seen[name, agent] = made.mean_fraction_per_ml(kidney, 1.0 if agent == "pet" else 24.0)
            seen[name, agent, "plasma"] = made.plasma_per_ml(1.0)
    for agent in ("pet", "therapy"):
        assert seen["litre", agent, "plasma"] < seen["none", agent, "plasma"]
        # A litre at an SUV of some 20 holds a quarter of the tracer: the sink effect. Here 30 and
        # 40 % less in the kidney; urine and the rest of the body give way as well.
        assert 0.5 < seen["litre", agent] / seen["none", agent] < 0.8


def liver_of(anatomy: Anatomy) -> np.ndarray:
    """Its parenchyma: its vessels hold blood, however even it is."""
    return (anatomy.organs == ids.LIVER) & anatomy.where(Tissue.SOFT) & (anatomy.lesions == 0)


def test_heterogeneity_0_makes_even_organs_with_the_same_mean(anatomy, biology) -> None:
    even, mixed = (solve(anatomy, biology, "pet", heterogeneity=h) for h in (0.0, 1.0))
    parenchyma = anatomy.where(Tissue.KIDNEY_CORTEX, Tissue.KIDNEY_MEDULLA) & (anatomy.lesions == 0)
    tables = (
        liver_of(anatomy),
        anatomy.organs == ids.SPLEEN,
        anatomy.where(Tissue.MUSCLE) & (anatomy.lesions == 0),
        anatomy.lesions == np.bincount(anatomy.lesions.ravel())[1:].argmax() + 1,
    )
    flat, bumpy = even.fraction_per_ml(1.0), mixed.fraction_per_ml(1.0)
    for mask in tables:
        assert np.ptp(flat[mask]) <= 1e-5 * flat[mask].mean()
        assert bumpy[mask].std() > 0.02 * bumpy[mask].mean() or mask is tables[-1]
        assert bumpy[mask].mean() == pytest.approx(flat[mask].mean(), rel=0.03)
    # The kidney's vessels differ by V_b alone.
    assert np.ptp(flat[parenchyma]) < 0.06 * flat[parenchyma].mean()
    assert bumpy[parenchyma].mean() == pytest.approx(flat[parenchyma].mean(), rel=0.03)


def test_the_dial_scales_the_spread(anatomy, biology) -> None:
    liver = liver_of(anatomy)
    spreads = []
    for heterogeneity in (0.5, 1.0):
        image = solve(anatomy, biology, "pet", heterogeneity=heterogeneity).fraction_per_ml(1.0)
        spreads.append(np.log(image[liver]).std())
    assert spreads[0] / spreads[1] == pytest.approx(0.5, abs=0.03)


def test_pet_and_therapy_share_a_field_and_differ_by_their_own(anatomy, biology, pet) -> None:
    liver = anatomy.organs == ids.LIVER
    image = np.log(pet.fraction_per_ml(1.0)[liver])
    row = rate_table(TRACERS[0])[Region.LIVER]
    everywhere = tuple(slice(0, n) for n in anatomy.grid.shape)
    fields = fields_of(anatomy)
    shared, own = (fields.within(name, everywhere)[liver] for name in ("shared", "pet"))
    slope, *_ = np.linalg.lstsq(np.stack([shared, own, np.ones_like(own)], axis=1), image, None)
    # Blood, and the release's small part in a PET at 1 h, change the table's spreads a little.
    common, strength = biology.pet.shared[Region.LIVER], biology.pet.own[Region.LIVER]
    assert slope[0] == pytest.approx(row.k1_std_shared * common, rel=0.15)
    assert slope[1] == pytest.approx(row.k1_std_own * strength, rel=0.35)
    treated = solve(anatomy, biology).residence_h_per_ml(LU177_H)[liver]
    assert 0.1 < np.corrcoef(np.exp(image), treated)[0, 1] < 0.9


def test_slow_release_shows_in_the_dose_and_not_in_an_early_image(anatomy, biology) -> None:
    """Single-time SUV is nearly blind to k₄, the time-integrated activity is not."""
    liver = anatomy.organs == ids.LIVER
    one, other = (solve(anatomy, biology, seeds=(1, 2, k)) for k in (3, 4))
    image = one.fraction_per_ml(1.0)[liver] / other.fraction_per_ml(1.0)[liver]
    dose = one.residence_h_per_ml(LU177_H)[liver] / other.residence_h_per_ml(LU177_H)[liver]
    assert dose.std() > 2.0 * image.std()


def test_the_same_generators_give_the_same_maps(anatomy, biology, therapy) -> None:
    again = solve(anatomy, biology)
    assert np.array_equal(again.fraction_per_ml(24.0), therapy.fraction_per_ml(24.0))
    other = solve(anatomy, biology, seeds=(9, 2, 3))
    assert not np.array_equal(other.fraction_per_ml(24.0), therapy.fraction_per_ml(24.0))


def test_refuses_impossible_input(anatomy, biology, therapy) -> None:
    with pytest.raises(ValueError, match=r"heterogeneity must be from 0 .* to 1, got 1\.5"):
        solve(anatomy, biology, heterogeneity=1.5)
    with pytest.raises(ValueError, match=r"time_h must be finite and at least 0 h .* got -1"):
        therapy.fraction_per_ml(-1.0)
    with pytest.raises(ValueError, match="half_life_h must be a finite number above 0 h"):
        therapy.residence_h_per_ml(0.0)
    with pytest.raises(ValueError, match="mask must hold at least one voxel"):
        therapy.mean_fraction_per_ml(np.zeros(LONG.shape, bool), 1.0)
    other = replace(anatomy, grid=Grid(LONG.shape, LONG.spacing_mm, (0.0, 0.0, 0.0)))
    with pytest.raises(ValueError, match="fields must be drawn for the anatomy's grid"):
        voxel_kinetics(
            other,
            biology,
            "pet",
            weight_kg=WEIGHT_KG,
            fields=fields_of(anatomy),
            heterogeneity=1.0,
        )
