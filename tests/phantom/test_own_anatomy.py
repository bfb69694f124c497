"""A user's own anatomy: a CT and a label map as the atlas of virtual patients."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from helpers.commands import refused
from rpt_cohort import BadInput, read_cohort, read_cycle
from rpt_cohort.labels import ORGANS
from rpt_phantom.agents import draw_biology, draw_heterogeneity, voxel_kinetics
from rpt_phantom.anatomy import (
    Body,
    OwnAnatomy,
    Tissue,
    draw_body,
    draw_lesions,
    ids,
    own_atlas,
    voxelise,
)
from rpt_phantom.anatomy.own import KIDNEY_SHARES
from rpt_phantom.clinic import check_remade, read_settings
from rpt_phantom.cohort import write_cohort
from rpt_phantom.grid import Grid
from rpt_phantom.patient import make_cycle
from rpt_phantom.settings import CohortSettings
from scipy.spatial.transform import Rotation

SPACING_MM = 6.0
SHAPE = (56, 40, 36)
HU = {0: 35.0, ids.LIVER: 60.0, ids.T12: 250.0, ids.L1: 250.0, ids.COLON: 10.0}
SOLIDS_MM = {
    ids.KIDNEY_RIGHT: ((60, -40, -20), (26, 26, 50)),
    ids.KIDNEY_LEFT: ((-60, -40, -20), (26, 26, 50)),
    ids.LIVER: ((80, 20, 40), (55, 60, 55)),
    ids.SPLEEN: ((-110, -20, 40), (22, 30, 45)),
    ids.COLON: ((0, 60, -50), (90, 18, 18)),
    ids.L1: ((0, -60, -17), (20, 20, 14)),
    ids.T12: ((0, -60, 17), (20, 20, 14)),
    ids.AORTA: ((0, -25, 0), (10, 10, 500)),
}
"""Organ → middle and half axes of its ellipsoid, mm."""


class Scan:
    """A small synthetic scan, and what is wrong with it."""

    def __init__(self) -> None:
        self.affine = np.diag([SPACING_MM] * 3 + [1.0])
        self.affine[:3, 3] = [500.0, -70.0, 1300.0]
        axes = [(np.arange(n) - (n - 1) / 2) * SPACING_MM for n in SHAPE]
        x, y, z = np.meshgrid(*axes, indexing="ij")

        def solid(centre_mm: tuple[float, ...], half_mm: tuple[float, ...]) -> np.ndarray:
            parts = zip((x, y, z), centre_mm, half_mm, strict=True)
            return sum(((at - c) / h) ** 2 for at, c, h in parts) <= 1

        body, lean = (solid((0, 0, 0), (a, b, 1e4)) for a, b in ((155, 108), (143, 96)))
        self.labels = np.zeros(SHAPE, np.uint8)
        self.hu = np.where(body, np.where(lean, 35.0, -105.0), -1000.0)
        for number, (centre_mm, half_mm) in SOLIDS_MM.items():
            here = solid(centre_mm, half_mm) & body
            self.labels[here], self.hu[here] = number, HU.get(number, 35.0)

    def write(self, folder: Path, *, turned: np.ndarray | None = None) -> tuple[Path, Path]:
        affine = self.affine if turned is None else turned @ self.affine
        paths = folder / "ct.nii.gz", folder / "labels.nii.gz"
        nib.save(nib.Nifti1Image(self.hu.astype(np.float32), affine), paths[0])
        nib.save(nib.Nifti1Image(self.labels, affine), paths[1])
        return paths


@pytest.fixture
def scan() -> Scan:
    return Scan()


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> OwnAnatomy:
    return OwnAnatomy.of(*Scan().write(tmp_path_factory.mktemp("own")))


def shares(own: OwnAnatomy, organ: int) -> dict[Tissue, float]:
    atlas = own_atlas(own)
    found, counts = np.unique(atlas.tissue[atlas.organs == organ], return_counts=True)
    return {Tissue(one): n / counts.sum() for one, n in zip(found, counts, strict=True)}


def volumes_ml(own: OwnAnatomy) -> np.ndarray:
    atlas = own_atlas(own)
    return np.bincount(atlas.organs.ravel(), minlength=256) * atlas.grid.voxel_ml


def test_organs_are_divided_as_in_the_shipped_map(own) -> None:
    for kidney in ids.KIDNEYS:
        assert shares(own, kidney) == pytest.approx(KIDNEY_SHARES, abs=1e-3)
    assert set(shares(own, ids.COLON)) == {Tissue.WALL, Tissue.CONTENT}
    assert set(shares(own, ids.L1)) == {Tissue.CORTICAL_BONE, Tissue.SPONGIOSA}
    assert shares(own, ids.LIVER) == {Tissue.SOFT: 1.0}
    assert shares(own, ids.AORTA) == {Tissue.BLOOD: 1.0}


def test_the_cortex_of_a_kidney_lies_around_its_pelvis(own) -> None:
    atlas = own_atlas(own)
    places = np.argwhere(atlas.organs == ids.KIDNEY_LEFT)
    away = np.linalg.norm(places - places.mean(axis=0), axis=1)
    tissue = atlas.tissue[atlas.organs == ids.KIDNEY_LEFT]
    means = [away[tissue == one].mean() for one in KIDNEY_SHARES]
    assert means == sorted(means, reverse=True)


def test_the_ct_tells_the_rest_of_the_body(own, scan) -> None:
    """The body's outline is an ellipse of 155 and 108 mm, the lean part one of 143 and 96 mm."""
    atlas = own_atlas(own)
    sections = np.pi / 100 * np.array([155 * 108, 143 * 96])
    found = [
        (atlas.organs > 0).sum(),
        (atlas.organs > 0).sum() - (atlas.tissue == Tissue.FAT).sum(),
    ]
    height_cm = SHAPE[2] * SPACING_MM / 10
    in_slices = np.array(found) * atlas.grid.voxel_ml / height_cm
    assert in_slices == pytest.approx(sections, rel=0.05)


def test_the_origin_lies_between_t12_and_l1(own, scan, tmp_path) -> None:
    atlas = own_atlas(own)
    assert np.abs(np.add(*atlas.body_mm)[:2]).max() < 1e-6
    border = (atlas.boxes_mm[ids.T12][0][2] + atlas.boxes_mm[ids.L1][1][2]) / 2
    assert abs(border) < 8
    scan.labels[np.isin(scan.labels, (ids.T12, ids.L1))] = 0
    without = own_atlas(OwnAnatomy.of(*scan.write(tmp_path)))
    kidney = [one.boxes_mm[ids.KIDNEY_LEFT][0][2] for one in (atlas, without)]
    assert kidney[0] == pytest.approx(kidney[1], abs=60)  # by organs, whose height varies


def test_a_scan_stored_in_other_axes_is_the_same_anatomy(own, scan, tmp_path) -> None:
    flip = np.diag([-1.0, -1.0, 1.0, 1.0])
    flip[:2, 3] = np.array(SHAPE[:2]) - 1
    scan.labels, scan.hu = scan.labels[::-1, ::-1], scan.hu[::-1, ::-1]
    scan.affine = scan.affine @ flip
    turned, atlas = own_atlas(OwnAnatomy.of(*scan.write(tmp_path))), own_atlas(own)
    np.testing.assert_array_equal(turned.organs, atlas.organs)
    np.testing.assert_array_equal(turned.tissue, atlas.tissue)


def test_an_oblique_scan_lies_along_the_axes(own, scan, tmp_path) -> None:
    turned = np.eye(4)
    turned[:3, :3] = Rotation.from_euler("xyz", (8, 5, 12), degrees=True).as_matrix()
    oblique = OwnAnatomy.of(*scan.write(tmp_path, turned=turned))
    whole = [n for n in SOLIDS_MM if n != ids.AORTA]
    assert volumes_ml(oblique)[whole] == pytest.approx(volumes_ml(own)[whole], rel=0.02)
    left, right = (own_atlas(oblique).boxes_mm[n] for n in (ids.KIDNEY_LEFT, ids.KIDNEY_RIGHT))
    assert left[1][0] < right[0][0]
    assert own_atlas(oblique).cut == {ids.AORTA}


def test_the_remaining_body_of_the_labels_is_kept(own, scan, tmp_path) -> None:
    bed = np.zeros(SHAPE, bool)
    bed[10:46, :3] = True
    scan.labels[(scan.hu > -300) & (scan.labels == 0)] = ids.REMAINING_BODY
    scan.hu[bed] = 0.0
    told = volumes_ml(OwnAnatomy.of(*scan.write(tmp_path)))
    assert told.sum() == pytest.approx(volumes_ml(own).sum(), rel=0.01)


def test_what_the_scan_cuts_keeps_its_size(scan, tmp_path) -> None:
    """A cut half of a liver is not blown up to a whole one; nor is a stray voxel to a spleen."""
    scan.labels[scan.labels == ids.SPLEEN] = 0
    scan.labels[15, 15, 10] = ids.SPLEEN
    scan.labels, scan.hu = scan.labels[:, :, :26], scan.hu[:, :, :26]
    cut = OwnAnatomy.of(*scan.write(tmp_path))
    atlas = own_atlas(cut)
    assert {ids.LIVER, ids.AORTA} <= atlas.cut
    assert ids.KIDNEY_LEFT not in atlas.cut
    body = draw_body(np.random.default_rng(1), weight_kg=80.0, height_cm=178.0, atlases=[atlas])
    grid = Grid.centred((140, 100, 100), 3.0)
    lesions = draw_lesions(np.random.default_rng(2), body)
    made = voxelise(body, lesions, grid)
    found = np.bincount(made.organs.ravel(), minlength=256) * grid.voxel_ml
    assert found[ids.LIVER] == pytest.approx(volumes_ml(cut)[ids.LIVER], rel=0.35)
    assert found[ids.SPLEEN] < 2
    assert made.cut == atlas.cut


def spoilt(kind: str, scan: Scan, folder: Path) -> tuple[Path, Path]:
    if kind in ("4.5", "120", "nan"):
        scan.labels = np.where(scan.labels == ids.LIVER, float(kind), scan.labels)
    elif kind == "no organs":
        scan.labels[np.isin(scan.labels, [n for of in ORGANS.values() for n in of])] = 0
    elif kind == "offset":
        scan.hu += 1024
    elif kind == "elsewhere":
        scan.hu[scan.labels > 0] = -900.0
    elif kind == "unit":
        scan.affine[:3, :3] *= 10
    ct, labels = scan.write(folder)
    if kind == "grid":
        nib.save(nib.Nifti1Image(scan.labels[:-1], scan.affine), labels)
    elif kind == "truncated":
        labels.write_bytes(labels.read_bytes()[:-200])
    elif kind == "exchanged":
        ct, labels = labels, ct
    elif kind == "missing":
        ct.unlink()
    return ct, labels


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("4.5", "whole numbers of organs.*got 4.5"),
        ("120", "TotalSegmentator v2.*got 120"),
        ("nan", "TotalSegmentator v2.*got nan"),
        ("no organs", "kidney, liver, spleen, salivary_glands"),
        ("offset", "must be in HU"),
        ("elsewhere", "must show tissue.*one scan"),
        ("unit", "one patient.*mm"),
        ("grid", "must be on the grid of ct.nii.gz"),
        ("truncated", "labels.nii.gz must be a whole NIfTI"),
        ("exchanged", "must be in HU"),
        ("missing", "ct.nii.gz must be a readable file"),
    ],
)
def test_a_bad_scan_is_told(kind, told, scan, tmp_path) -> None:
    with pytest.raises(BadInput, match=f"(?s){told}"):
        own_atlas(OwnAnatomy.of(*spoilt(kind, scan, tmp_path)))


def test_a_file_that_changes_is_told(scan, tmp_path) -> None:
    scan.hu += 2  # an atlas that was made of the same content is not made again
    named = OwnAnatomy.of(*scan.write(tmp_path))
    scan.hu += 1
    scan.write(tmp_path)
    with pytest.raises(BadInput, match=r"ct\.nii\.gz.*changed"):
        own_atlas(named)


@pytest.mark.parametrize(
    ("kind", "organs", "told"),
    [
        ("truncated", "none", "whole NIfTI"),
        ("missing", "none", "readable file"),
        ("sound", "kidney,salivary_glands", "it has no salivary glands"),
        ("cut", "liver", "must hold the liver whole, and its CT ends within it"),
        ("sound", "liver", "16 slices do not"),
    ],
)
def test_the_command_refuses_in_one_sentence(run, scan, tmp_path, kind, organs, told) -> None:
    if kind == "cut":
        scan.labels, scan.hu = scan.labels[..., :22], scan.hu[..., :22]
    ct, labels = spoilt(kind, scan, tmp_path)
    asked = ("--anatomy", ct, labels, "--organs", organs, "--slices", 16)
    done = run("patient", "--out", tmp_path / "OUT", *asked)
    refused(done, told, absent=tmp_path / "OUT")


def test_a_missing_kidney_is_told(scan, tmp_path) -> None:
    scan.labels[np.isin(scan.labels, ids.KIDNEYS)] = 0
    anatomy = OwnAnatomy.of(*scan.write(tmp_path))
    with pytest.raises(BadInput, match="it has no kidney"):
        write_cohort(
            tmp_path / "C", CohortSettings(seed=0, anatomy=anatomy), patients=1, organs=("kidney",)
        )


@pytest.fixture(scope="module")
def made(own, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("made") / "COHORT"
    write_cohort(out, CohortSettings(seed=5, slices=16, anatomy=own), patients=1, workers=1)
    return out


def test_a_cohort_names_its_anatomy_by_hashes(made, own) -> None:
    told = json.loads((made / "cohort.json").read_text())["provenance"]
    assert told["parameters"]["anatomy"] == own.sha256()
    folder = made / read_cohort(made).cases[0].name
    cycle = read_cycle(folder)
    assert cycle.provenance["parameters"]["anatomy"] == own.sha256()
    assert str(own.ct.parent) not in (folder / "cycle.json").read_text()
    organs = np.asanyarray(nib.load(folder / "organs.nii.gz").dataobj)
    assert {*ids.KIDNEYS, ids.LIVER} <= set(np.unique(organs))


def test_a_cohort_is_made_again_with_the_same_files_alone(made, own, scan, tmp_path) -> None:
    moved = OwnAnatomy.of(*(Path(shutil.copy(one, tmp_path)) for one in (own.ct, own.labels)))
    settings = read_settings(made, anatomy=moved)
    assert settings == CohortSettings(seed=5, slices=16, anatomy=own)
    check_remade(made, settings, [one.name for one in read_cohort(made).cases])
    (tmp_path / "other").mkdir()
    scan.hu += 1
    for other in (None, OwnAnatomy.of(*scan.write(tmp_path / "other"))):
        with pytest.raises(BadInput, match="same two by --anatomy"):
            read_settings(made, anatomy=other)
    with pytest.raises(BadInput, match="of these settings only"):
        write_cohort(made, CohortSettings(seed=5, slices=16), patients=1, workers=1)


def test_a_cohort_of_the_shipped_anatomy_takes_no_other(made, own, tmp_path) -> None:
    told = json.loads((made / "cohort.json").read_text())
    del told["provenance"]["parameters"]["anatomy"]
    (tmp_path / "cohort.json").write_text(json.dumps(told))
    assert read_settings(tmp_path) == CohortSettings(seed=5, slices=16)
    with pytest.raises(BadInput, match="Leave --anatomy out"):
        read_settings(tmp_path, anatomy=own)


def test_what_the_scan_cuts_takes_up_beyond_it(own) -> None:
    """Kidneys that a map cuts go on to the standard size there, and take up what they then do."""
    rng = np.random.default_rng
    body = Body(own_atlas(own))
    whole = voxelise(body, (), Grid.centred((84, 56, 52), 4.8))
    cut = replace(whole, organs=np.where(whole.organs == ids.KIDNEY_RIGHT, 0, whole.organs))
    cut = replace(cut, tissue=np.where(cut.organs == 0, 0, cut.tissue))
    fields = draw_heterogeneity(whole, rng(1), rng(2), rng(3))
    biology = draw_biology(rng(4), rng(5), tracer="68Ga-PSMA-11", therapy="177Lu-PSMA-I&T", cycle=1)
    off = [
        voxel_kinetics(
            one, biology, "pet", weight_kg=78.7, fields=fields, heterogeneity=0.0
        ).off_grid(1.0)
        for one in (whole, cut, replace(cut, cut=frozenset(ids.KIDNEYS)))
    ]
    assert off[2] > off[1] + 0.01
    assert off[2] > off[0]


def test_an_example_of_totalsegmentator_makes_a_patient(testdata) -> None:
    """A CT of 90 mm that cuts kidneys, liver and spleen; their volumes by counting its voxels."""
    folder = testdata / "totalsegmentator"
    own = OwnAnatomy.of(folder / "example_ct_sm.nii.gz", folder / "example_seg.nii.gz")
    labels = np.asanyarray(nib.load(folder / "example_seg.nii.gz").dataobj)
    counted = np.bincount(labels.ravel(), minlength=256) * 0.027
    large = np.flatnonzero(counted > 20)[1:]  # without the air
    assert volumes_ml(own)[large] == pytest.approx(counted[large], rel=0.07)
    assert set(ORGANS["kidney"]) <= own_atlas(own).cut
    settings = CohortSettings(seed=1, slices=24, anatomy=own)
    made = make_cycle(settings, patient=1, cycle=1)
    kidney = np.isin(made.organs, ORGANS["kidney"]) & (made.fov > 0)
    liver = np.isin(made.organs, ORGANS["liver"]) & (made.fov > 0)
    assert 10 < made.pet_suv[kidney].mean() < 70
    assert 0.1 < made.true_dose_gy_per_gbq[kidney].mean() < 2
    assert made.pet_suv[liver].mean() < made.pet_suv[kidney].mean() / 2
