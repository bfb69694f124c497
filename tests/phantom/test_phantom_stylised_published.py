"""The stylised adult against what the report publishes (Cristy & Eckerman, ORNL/TM-8381, 1987)."""

import numpy as np
import pytest
from rpt_phantom.stylised import (
    AxisGrid,
    StylisedAnatomy,
    Tissue,
    abdomen,
    ids,
    outline,
    reference_body,
    skeleton,
    thorax,
    voxelise,
)
from rpt_phantom.stylised.published import BONE_VOLUME_ML, GLAND_MASS_G, MASS_G
from rpt_phantom.stylised.solids import mirrored, volume_ml
from rpt_phantom.stylised.tissues import LUNG_G_PER_ML, SOFT_G_PER_ML

PUBLISHED_SHARE = 0.05


@pytest.fixture(scope="module")
def adult() -> StylisedAnatomy:
    """The whole adult from the thighs to the crown, on voxels of 2.5 mm."""
    grid = AxisGrid((160, 100, 460), (2.5, 2.5, 2.5), (-198.75, -123.75, -500.0))
    return voxelise(reference_body(), (), grid)


def volume(adult: StylisedAnatomy, organs: tuple[int, ...], *tissues: Tissue) -> float:
    here = np.isin(adult.organs, organs)
    if tissues:
        here &= adult.where(*tissues)
    return float(here.sum() * adult.grid.voxel_ml)


UPPER_CM, LOWER_CM = "upper large intestine", "lower large intestine"
SOLIDS_ML = {
    f"{UPPER_CM} content": lambda: (
        volume_ml(abdomen.ascending_colon(inset_cm=abdomen.ASCENDING_WALL_CM))
        + volume_ml(abdomen.transverse_colon(inset_cm=abdomen.TRANSVERSE_WALL_CM))
    ),
    f"{LOWER_CM} content": lambda: (
        volume_ml(abdomen.descending_colon(inset_cm=abdomen.DESCENDING_WALL_CM))
        + volume_ml(abdomen.sigmoid_colon(inset_cm=abdomen.SIGMOID_WALL_CM))
    ),
    f"{UPPER_CM} wall": lambda: (
        (volume_ml(abdomen.ascending_colon()) + volume_ml(abdomen.transverse_colon()))
        - SOLIDS_ML[f"{UPPER_CM} content"]()
    ),
    f"{LOWER_CM} wall": lambda: (
        (volume_ml(abdomen.descending_colon()) + volume_ml(abdomen.sigmoid_colon()))
        - SOLIDS_ML[f"{LOWER_CM} content"]()
    ),
    "gallbladder wall": lambda: (
        volume_ml(abdomen.gallbladder())
        - volume_ml(abdomen.gallbladder(inset_cm=abdomen.GALLBLADDER_WALL_CM))
    ),
    "gallbladder content": lambda: volume_ml(
        abdomen.gallbladder(inset_cm=abdomen.GALLBLADDER_WALL_CM)
    ),
    "urinary bladder wall": lambda: (
        volume_ml(abdomen.bladder()) - volume_ml(abdomen.bladder(inset_cm=abdomen.BLADDER_WALL_CM))
    ),
    "adrenals": lambda: 2 * volume_ml(abdomen.left_adrenal()),
}
"""Where a wall is thinner than a voxel or pieces share a number, the solids are measured."""


@pytest.mark.parametrize("name", sorted(SOLIDS_ML))
def test_masses_of_solids_are_the_published(name: str) -> None:
    assert SOLIDS_ML[name]() * SOFT_G_PER_ML == pytest.approx(MASS_G[name], rel=PUBLISHED_SHARE)


@pytest.mark.parametrize(
    ("name", "organs", "tissues"),
    [
        ("liver", (ids.LIVER,), ()),
        ("kidneys", (ids.KIDNEY_LEFT, ids.KIDNEY_RIGHT), ()),
        ("spleen", (ids.SPLEEN,), ()),
        ("pancreas", (ids.PANCREAS,), ()),
        ("stomach wall", (ids.STOMACH,), (Tissue.WALL,)),
        ("stomach content", (ids.STOMACH,), (Tissue.CONTENT,)),
        ("small bowel", (ids.SMALL_BOWEL,), ()),
        ("urinary bladder content", (ids.URINARY_BLADDER,), (Tissue.CONTENT,)),
        ("heart wall", (ids.HEART,), (Tissue.WALL,)),
        ("heart content", (ids.HEART,), (Tissue.BLOOD,)),
        ("brain", (ids.BRAIN,), ()),
    ],
)
def test_masses_on_a_grid_are_the_published(adult, name, organs, tissues) -> None:
    """Also proves that no organ is hidden by what is painted after it."""
    mass_g = volume(adult, organs, *tissues) * SOFT_G_PER_ML
    assert mass_g == pytest.approx(MASS_G[name], rel=PUBLISHED_SHARE)


def test_lungs_weigh_what_is_published(adult) -> None:
    mass_g = volume(adult, ids.LUNGS) * LUNG_G_PER_ML
    assert mass_g == pytest.approx(MASS_G["lungs"], rel=PUBLISHED_SHARE)
    assert float(adult.density_g_per_ml[adult.where(Tissue.LUNG)].mean()) == pytest.approx(0.296)


@pytest.mark.parametrize(
    ("name", "organs"),
    [
        ("middle spine", tuple(range(ids.T12, ids.T1 + 1))),
        ("lower spine", tuple(range(ids.L5, ids.L1 + 1))),
    ],
)
def test_spine_has_the_published_volume(adult, name, organs) -> None:
    assert volume(adult, organs) == pytest.approx(BONE_VOLUME_ML[name], rel=PUBLISHED_SHARE)


@pytest.mark.parametrize(
    ("name", "solid"),
    [
        ("ribs", skeleton.ribs),
        ("pelvis", skeleton.pelvic_ring),
        ("cranium", outline.cranium),
    ],
)
def test_bones_have_the_published_volume(name, solid) -> None:
    assert volume_ml(solid()) == pytest.approx(BONE_VOLUME_ML[name], rel=PUBLISHED_SHARE)


@pytest.mark.parametrize(
    ("name", "solid"),
    [
        ("parotid", outline.left_parotid),
        ("submandibular", outline.left_submandibular),
        ("sublingual", outline.left_sublingual),
    ],
)
def test_salivary_glands_weigh_what_icrp_89_says(name, solid) -> None:
    mass_g = 2 * volume_ml(solid(), step_cm=0.05) * SOFT_G_PER_ML
    assert mass_g == pytest.approx(GLAND_MASS_G[name], rel=PUBLISHED_SHARE)


def test_closed_forms() -> None:
    """An ellipsoid, an elliptic cylinder and a mirrored solid have their known volumes."""
    assert volume_ml(abdomen.spleen()) == pytest.approx(4 / 3 * np.pi * 3.5 * 2 * 6, rel=0.005)
    assert volume_ml(skeleton.spine()) == pytest.approx(np.pi * 2 * 2.5 * 48.0, rel=0.005)
    left = abdomen.left_kidney()
    assert volume_ml(mirrored(left)) == pytest.approx(volume_ml(left), rel=0.005)


def test_kidney_divides_as_icrp_89_says(adult) -> None:
    """Cortex, medulla and pelvis are 70, 25 and 5 % of the kidney."""
    kidneys = (ids.KIDNEY_LEFT, ids.KIDNEY_RIGHT)
    whole = volume(adult, kidneys)
    shares = [
        volume(adult, kidneys, tissue) / whole
        for tissue in (Tissue.KIDNEY_CORTEX, Tissue.KIDNEY_MEDULLA, Tissue.KIDNEY_PELVIS)
    ]
    assert shares == pytest.approx([0.70, 0.25, 0.05], abs=0.015)


def test_lung_lobes_are_all_there(adult) -> None:
    lungs_ml = volume(adult, ids.LUNGS)
    assert all(volume(adult, (lobe,)) > 0.05 * lungs_ml for lobe in ids.LUNGS)
    right = volume(adult, ids.LUNGS[2:])
    assert right / lungs_ml == pytest.approx(1810 / 3380, abs=0.01)  # the report's volumes
    assert volume_ml(thorax.lungs(), step_cm=0.2) == pytest.approx(lungs_ml, rel=0.01)
