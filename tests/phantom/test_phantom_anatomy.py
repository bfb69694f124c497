"""The anatomy: the shipped map, a body of one's own, its lesions and its CT."""

import io
from dataclasses import replace
from importlib import resources

import numpy as np
import pytest
from rpt_cohort import BadInput
from rpt_phantom.anatomy import (
    Anatomy,
    Atlas,
    Body,
    Lesion,
    Tissue,
    at_cycle,
    averaged,
    ct_image,
    draw_body,
    draw_lesions,
    ids,
    organs_cut,
    shipped_atlas,
    shipped_atlases,
    sized_body,
    surely_within,
    voxelise,
)
from rpt_phantom.anatomy.body import body_surface_m2
from rpt_phantom.anatomy.deformation import (
    LATTICE,
    Deformation,
    draw_velocity_mm,
    flow_mm,
    jacobian_of,
)
from rpt_phantom.anatomy.lesions import BURDEN_ML, MOST_LESIONS, NODE_VESSELS
from rpt_phantom.grid import Grid
from scipy.ndimage import binary_erosion, label

ATLAS = Body(shipped_atlas("man"))
WHOLE = Grid.centred((124, 100, 296), 3.6)
FINE = Grid((164, 104, 60), (2.4, 2.4, 2.4), (-195.6, -123.6, 40.0))
KIDNEYS = (ids.KIDNEY_LEFT, ids.KIDNEY_RIGHT)


def volumes_ml(anatomy: Anatomy | Atlas) -> np.ndarray:
    return np.bincount(anatomy.organs.ravel(), minlength=256) * anatomy.grid.voxel_ml


@pytest.fixture(scope="module")
def bodies() -> list[Body]:
    rng = np.random.default_rng
    return [draw_body(rng(n), weight_kg=60.0 + 3 * n, height_cm=165.0 + n) for n in range(14)]


@pytest.fixture(scope="module")
def patients(bodies) -> list[Anatomy]:
    return [voxelise(body, draw_lesions(np.random.default_rng(9), body), WHOLE) for body in bodies]


@pytest.fixture(scope="module")
def chest() -> Anatomy:
    return voxelise(ATLAS, (), FINE)


@pytest.mark.parametrize("shape", ["man", "woman"])
def test_the_map_holds_what_a_torso_holds(shape) -> None:
    """Volumes of the meshes after filling: liver 1718, spleen 224, pancreas 74 mL (their README).

    Kidneys: 187 and 157 mL; the woman's are put into the man's box.
    """
    atlas = shipped_atlas(shape)
    found = volumes_ml(atlas)
    assert found[ids.LIVER] == pytest.approx(1718 if shape == "man" else 1950, rel=0.06)
    assert found[ids.SPLEEN] == pytest.approx(224 if shape == "man" else 340, rel=0.15)
    for kidney, whole_ml in zip(KIDNEYS, (187, 157), strict=True):
        here = atlas.organs == kidney
        assert 0.75 * whole_ml < found[kidney] < 1.15 * whole_ml
        parts = np.bincount(atlas.tissue[here], minlength=256) / here.sum()
        assert 0.5 < parts[Tissue.KIDNEY_CORTEX] < 0.9
        assert 0.1 < parts[Tissue.KIDNEY_MEDULLA] < 0.4
        # The patient's left is at negative x.
        middle = np.argwhere(here).mean(axis=0) * atlas.grid.spacing_mm + atlas.grid.first_mm
        assert (middle[0] < 0) == (kidney == ids.KIDNEY_LEFT)
        assert abs(middle[2]) < 60
    for organ in (*ids.SPINE, *ids.RIBS, *ids.PELVIS_BONES, *ids.LUNGS, *ids.GLANDS):
        assert found[organ] > 0, organ
    assert 3000 < found[list(ids.LUNGS)].sum() < 6000
    assert (atlas.tissue[atlas.organs == 0] == Tissue.AIR).all()
    assert (atlas.tissue[atlas.organs > 0] != Tissue.AIR).all()


def test_a_damaged_map_is_one_sentence(tmp_path, monkeypatch) -> None:
    whole = resources.files("rpt_phantom.anatomy").joinpath("atlas.npz").read_bytes()
    monkeypatch.setattr("rpt_phantom.anatomy.atlas.resources.files", lambda _: tmp_path)
    flipped = []
    for at in (100, 700, 1200, 100_000):
        content = bytearray(whole)
        content[at] ^= 0xFF
        flipped.append(bytes(content))
    other = io.BytesIO()
    np.savez(other, table=np.zeros((3, 2)), man=np.zeros((3, 3)), low_mm=[0, 0], spacing_mm=2)
    damaged = (b"", b"PK\x03\x04 and no more", whole[:5000], other.getvalue(), *flipped)
    for content in (None, *damaged):
        if content is not None:
            (tmp_path / "atlas.npz").write_bytes(content)
        with pytest.raises(BadInput, match="must be in the package, whole"):
            shipped_atlas.__wrapped__("man")


def test_volumes_are_as_published(bodies, patients) -> None:
    """Kidneys 164 and 170 mL, liver by the surface area, spleen 198 ± 88 mL: see ``body``."""
    found = np.array([volumes_ml(anatomy) for anatomy in patients])
    surface = [
        body_surface_m2(weight_kg=60.0 + 3 * n, height_cm=165.0 + n) for n in range(len(bodies))
    ]
    liver = found[:, ids.LIVER] / (-794.0 + 1267.0 * np.array(surface))
    assert np.median(liver) == pytest.approx(1.0, abs=0.15)
    assert 0.08 < np.log(liver).std() < 0.30
    kidneys = found[:, list(KIDNEYS)].mean(axis=1)
    assert np.median(kidneys) == pytest.approx(167.0, rel=0.15)
    assert 120.0 < np.median(found[:, ids.SPLEEN]) < 280.0
    assert (found[:, ids.KIDNEY_LEFT] != found[:, ids.KIDNEY_RIGHT]).all()


def test_no_organ_is_torn(bodies, patients) -> None:
    for anatomy in patients[:6]:
        for organ in (*KIDNEYS, ids.LIVER, ids.SPLEEN):
            here = anatomy.organs == organ
            sizes = np.bincount(label(here)[0].ravel())[1:]
            assert sizes.max() > 0.99 * here.sum()


def test_the_deformation_is_invertible(bodies) -> None:
    for body in bodies:
        assert body.deformation is not None
        change = jacobian_of(body.deformation.origin_mm)
        assert change.min() > 0
        assert change.std() > 0.02


@pytest.mark.slow
def test_two_hundred_patients_are_drawn() -> None:
    for seed in range(200):
        rng = np.random.default_rng(1000 + seed)
        weight_kg, height_cm = rng.uniform(50, 110), rng.uniform(155, 195)
        body = draw_body(rng, weight_kg=weight_kg, height_cm=height_cm)
        assert body.deformation is not None
        assert jacobian_of(body.deformation.origin_mm).min() > 0
        assert draw_lesions(rng, body)


def test_a_strong_flow_folds_as_displacement_but_not_as_flow() -> None:
    """What the integration is for: the velocity itself, taken as displacement, folds."""
    velocity = draw_velocity_mm(np.random.default_rng(2), rms_mm=50.0)
    assert jacobian_of(velocity).min() < 0
    assert jacobian_of(flow_mm(velocity)).min() > 0


def test_interpolation_hits_the_nodes_and_is_linear_between() -> None:
    field = np.random.default_rng(4).normal(size=(3, *LATTICE.shape)).astype(np.float32)
    x, y, z = (LATTICE.positions_mm(axis) for axis in range(3))
    at = Deformation(field).on_axes(x[10:12], y[7:8], np.array([z[3], (z[3] + z[4]) / 2]))
    assert at[:, :, 0, 0] == pytest.approx(field[:, 10:12, 7, 3], abs=1e-5)
    assert at[:, 0, 0, 1] == pytest.approx(field[:, 10, 7, 3:5].mean(axis=1), abs=1e-5)


def test_size_follows_weight_and_height() -> None:
    atlas = shipped_atlas("man")
    small, large = (sized_body(atlas, weight_kg=kg, height_cm=175.0) for kg in (60.0, 100.0))
    assert (large.width / small.width) ** 2 == pytest.approx(100.0 / 60.0)
    assert small.height == large.height == pytest.approx(175.0 / 183.0)
    with pytest.raises(ValueError, match=r"height_cm must be an adult's, 140 to 210 cm, got 1\.75"):
        sized_body(atlas, weight_kg=70.0, height_cm=1.75)


def test_unusual_anatomy_comes_now_and_then(monkeypatch) -> None:
    monkeypatch.setattr("rpt_phantom.anatomy.body.SINGLE_KIDNEY_SHARE", 1.0)
    monkeypatch.setattr("rpt_phantom.anatomy.body.WIDE_PELVIS_SHARE", 1.0)
    body = draw_body(np.random.default_rng(3), weight_kg=80.0, height_cm=176.0)
    kept = [organ for organ in KIDNEYS if (body.atlas.organs == organ).any()]
    assert len(kept) == 1
    here = body.atlas.organs == kept[0]
    usual = sum((atlas.tissue[here] == Tissue.KIDNEY_PELVIS).sum() for atlas in shipped_atlases())
    assert (body.atlas.tissue[here] == Tissue.KIDNEY_PELVIS).sum() > usual


def test_the_same_generator_gives_the_same_patient(bodies) -> None:
    again = draw_body(np.random.default_rng(4), weight_kg=72.0, height_cm=169.0)
    grid = Grid.centred((60, 50, 60), 7.2)
    first = voxelise(bodies[4], draw_lesions(np.random.default_rng(1), bodies[4]), grid)
    second = voxelise(again, draw_lesions(np.random.default_rng(1), again), grid)
    assert np.array_equal(first.organs, second.organs)
    assert np.array_equal(first.lesions, second.lesions)


def test_a_field_that_surely_holds_organs_cuts_none(bodies, patients) -> None:
    organs = (*KIDNEYS, ids.LIVER, ids.SPLEEN)
    surely = 0
    for body, anatomy in zip(bodies, patients, strict=True):
        for half_mm in (130.0, 216.0, 300.0):
            cut = organs_cut(anatomy, low_mm=-half_mm, high_mm=half_mm)
            if surely_within(body, organs, low_mm=-half_mm, high_mm=half_mm):
                surely += 1
                assert not cut & set(organs)
    assert surely > len(bodies)


def test_every_lesion_lies_in_its_host(bodies, patients) -> None:
    for body, anatomy in zip(bodies[:6], patients[:6], strict=True):
        for number, lesion in enumerate(draw_lesions(np.random.default_rng(9), body), start=1):
            here = anatomy.lesions == number
            assert np.isin(anatomy.organs[here], lesion.hosts).all()
            if lesion.in_bone:
                assert (anatomy.hu[here] >= 550).all()


def test_lesions_are_few_or_many_small_or_diffuse() -> None:
    drawn = [draw_lesions(np.random.default_rng(seed), ATLAS) for seed in range(100)]
    counts = [len(lesions) for lesions in drawn]
    assert 1 <= min(counts) <= 2
    assert max(counts) <= MOST_LESIONS
    assert np.std(counts) > 0.6 * np.mean(counts)  # far wider than a Poisson law
    lesions = [lesion for of_patient in drawn for lesion in of_patient]
    assert {one.site for one in lesions} == {"bone", "prostate", "liver", *NODE_VESSELS}
    radii = np.array([one.radius_mm for one in lesions])
    burdens_ml = [4 / 3 * np.pi * sum(one.radius_mm**3 for one in of) / 1000 for of in drawn]
    assert np.median(burdens_ml) == pytest.approx(BURDEN_ML[1], rel=0.25)
    assert min(burdens_ml) < 10
    assert max(burdens_ml) > 1000
    assert radii.max() > 30
    assert any(one.necrotic for one in lesions)
    assert 0.4 < np.mean([one.in_bone for one in lesions]) < 0.85


def shrinking() -> tuple[Lesion, np.ndarray, np.ndarray]:
    """Return a lesion of the liver, and where it is at the first and the second cycle."""
    lesion = next(
        one
        for seed in range(50)
        for one in draw_lesions(np.random.default_rng(seed), ATLAS)
        if one.site == "liver"
    )
    lesion = replace(
        lesion,
        volume_per_cycle=0.6,
        centre_mm=(80.0, 0.0, 60.0),
        half_axes_mm=(14.0, 17.0, 12.0),
    )
    grid = Grid((80, 80, 80), (1.0, 1.0, 1.0), (40.5, -39.5, 20.5))
    first, second = (voxelise(ATLAS, at_cycle((lesion,), cycle), grid) for cycle in (1, 2))
    return lesion, first.lesions > 0, second.lesions > 0


def test_lesions_shrink_by_their_own_factor() -> None:
    lesion, inside, later = shrinking()
    assert later.sum() / inside.sum() == pytest.approx(0.6, rel=0.05)
    assert 0.6 < inside.sum() / (4 / 3 * np.pi * lesion.radius_mm**3) < 1.5
    with pytest.raises(ValueError, match="cycle must be 1 or above, got 0"):
        at_cycle((lesion,), 0)


@pytest.mark.xfail(
    strict=True,
    reason="Waves make outlines that are not star-shaped: 50 of 7,600 voxels of 1 mm lie outside "
    "the former outline of this lesion, and none of another.",
)
def test_lesions_keep_their_outline() -> None:
    _, inside, later = shrinking()
    assert not (later & ~inside).any()


def test_an_earlier_lesion_keeps_its_voxels() -> None:
    lesion = draw_lesions(np.random.default_rng(0), ATLAS)[0]
    alone, twice = (voxelise(ATLAS, (lesion,) * n, WHOLE).lesions for n in (1, 2))
    assert alone.any()
    assert np.array_equal(alone, twice)


@pytest.mark.parametrize(
    ("tissue", "hu"), [(Tissue.LUNG, -715), (Tissue.MUSCLE, 52), (Tissue.BLOOD, 42)]
)
def test_hu_within_a_tissue(chest, tissue, hu) -> None:
    image = ct_image(chest, np.random.default_rng(0))
    core = binary_erosion(chest.where(tissue), iterations=4)
    assert image[core].mean() == pytest.approx(hu, abs=4)
    assert image[core].std() == pytest.approx(12.0, rel=0.15)


def test_noise_is_the_generators(chest) -> None:
    one, same, other = (ct_image(chest, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    assert one.dtype == np.int16
    assert one.min() >= -1024


def test_averaging_keeps_the_integral() -> None:
    grid, onto = Grid.centred((24, 24, 24), 2.0), Grid.centred((11, 11, 11), 6.0)
    values = np.random.default_rng(0).random(grid.shape, np.float32)
    coarse = averaged(values, grid, onto)
    assert coarse.sum() * onto.voxel_ml == pytest.approx(values.sum() * grid.voxel_ml, rel=1e-4)


def test_marrow_is_cellular_spongiosa(chest) -> None:
    marrow = chest.active_marrow()
    assert (marrow[~chest.where(Tissue.SPONGIOSA)] == 0).all()
    spine = np.isin(chest.organs, ids.SPINE) & chest.where(Tissue.SPONGIOSA)
    assert marrow[spine] == pytest.approx(0.70 * 0.85)
