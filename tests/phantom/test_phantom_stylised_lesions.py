"""Lesions: in their hosts, of a wide number and size, smaller from cycle to cycle."""

import numpy as np
import pytest
from rpt_phantom.stylised import (
    AxisGrid,
    StylisedLesion,
    Tissue,
    at_cycle,
    draw_stylised_body,
    draw_stylised_lesions,
    ids,
    reference_body,
    voxelise,
)
from rpt_phantom.stylised.lesions import MOST_LESIONS, RADIUS_MM, SITES, Ellipsoid

GRID = AxisGrid((130, 86, 240), (3.0, 3.0, 3.0), (-193.5, -127.5, -360.0))


def patient(seed: int):
    body = draw_stylised_body(np.random.default_rng(seed), weight_kg=80.0, height_cm=176.0)
    return body, draw_stylised_lesions(np.random.default_rng(1000 + seed), body)


@pytest.fixture(scope="module")
def drawn() -> list[tuple[StylisedLesion, ...]]:
    return [
        draw_stylised_lesions(np.random.default_rng(seed), reference_body()) for seed in range(120)
    ]


@pytest.mark.parametrize("seed", [0, 1, 8])
def test_every_lesion_lies_in_its_host(seed: int) -> None:
    body, lesions = patient(seed)
    anatomy = voxelise(body, lesions, GRID)
    for number, lesion in enumerate(lesions, start=1):
        here = anatomy.lesions == number
        assert here.any()
        assert np.isin(anatomy.organs[here], lesion.hosts).all()
        if lesion.in_bone:
            assert np.isin(anatomy.organs[here], ids.BONES).all()
            assert (anatomy.hu[here] >= 550).all()
        else:
            assert anatomy.where(Tissue.FAT, Tissue.MUSCLE)[here].all()
    assert anatomy.lesions.max() == len(lesions)


def test_numbers_are_few_or_many(drawn) -> None:
    counts = [len(lesions) for lesions in drawn]
    assert min(counts) >= 1
    assert max(counts) <= MOST_LESIONS
    assert 7 < np.mean(counts) < 13
    assert np.std(counts) > 0.6 * np.mean(counts)  # far wider than a Poisson law
    assert np.mean(np.array(counts) <= 3) > 0.1


def test_sizes_and_sites_spread(drawn) -> None:
    lesions = [lesion for of_patient in drawn for lesion in of_patient]
    radii_mm = [lesion.radius_mm for lesion in lesions]
    assert min(radii_mm) == RADIUS_MM[0]
    assert 16 < max(radii_mm) <= RADIUS_MM[2]
    assert np.median(radii_mm) == pytest.approx(RADIUS_MM[1], rel=0.1)
    assert {lesion.site for lesion in lesions} == set(SITES)
    assert 0.2 < np.mean([len(lesion.pieces) > 1 for lesion in lesions]) < 0.5
    assert 0.4 < np.mean([lesion.in_bone for lesion in lesions]) < 0.85


def test_the_same_generator_gives_the_same_lesions() -> None:
    assert patient(4)[1] == patient(4)[1]
    assert patient(4)[1] != patient(5)[1]


def test_lesions_shrink_by_their_own_factor() -> None:
    """In soft tissue, where no host cuts it, the voxels' volume follows the factor."""
    sphere = Ellipsoid((13.5, 1.0, 10.0), (18.0, 18.0, 18.0), (0.0, 0.0, 0.0))
    lesion = StylisedLesion("retroperitoneum", (sphere,), 18.0, 0.6)
    grid = AxisGrid((60, 60, 60), (1.0, 1.0, 1.0), (-165.0, -40.0, -280.0))

    def volume_ml(cycle: int) -> float:
        anatomy = voxelise(reference_body(), at_cycle((lesion,), cycle), grid)
        return float((anatomy.lesions == 1).sum() * grid.voxel_ml)

    first = volume_ml(1)
    assert first == pytest.approx(4 / 3 * np.pi * 1.8**3, rel=0.03)
    assert volume_ml(2) / first == pytest.approx(0.6, rel=0.05)
    assert volume_ml(3) / first == pytest.approx(0.36, rel=0.05)


def test_most_lesions_shrink(drawn) -> None:
    factors = [lesion.volume_per_cycle for lesions in drawn for lesion in lesions]
    assert np.median(factors) == pytest.approx(0.75, rel=0.05)
    assert max(factors) <= 1.2
    assert at_cycle(drawn[0], 1)[0].radius_mm == drawn[0][0].radius_mm
    with pytest.raises(ValueError, match="cycle must be 1 or above, got 0"):
        at_cycle(drawn[0], 0)


def test_an_earlier_lesion_keeps_its_voxels() -> None:
    ball = Ellipsoid((0.0, 5.5, 40.0), (12.0, 12.0, 12.0), (0.0, 0.0, 0.0))
    lesion = StylisedLesion("spine", (ball,), 12.0, 0.75)
    grid = AxisGrid((40, 40, 40), (2.0, 2.0, 2.0), (-39.0, -94.0, 11.0))
    alone = voxelise(reference_body(), (lesion,), grid).lesions
    twice = voxelise(reference_body(), (lesion, lesion), grid).lesions
    assert alone.any()
    assert np.array_equal(alone, twice)
