"""Outlines and structure sets: masks come back voxel by voxel."""

import numpy as np
import pytest
from helpers.virtual_dicom import GRIDS, SHAPE, Body, affine, in_ras, visit
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from rpt_cohort import BadInput, Volume
from rpt_dosimetry.dicom.contours import contour_mask, inside, read_structures
from rpt_dosimetry.masks.names import read_organ_table
from rpt_phantom.dicom.header import infusion_begin, save
from rpt_phantom.dicom.images import ct_series
from rpt_phantom.dicom.rtstruct import Drawing, lesion_names, organ_names, outlines, structure_set

BEGIN = infusion_begin(1)


@given(arrays(np.bool_, st.tuples(st.integers(1, 7), st.integers(1, 7))))
def test_outlines_enclose_the_centres_of_their_pixels(mask) -> None:
    found = np.zeros_like(mask)
    for corners in outlines(mask):
        assert len(corners) >= 4
        # Each side runs along one axis, and the next along the other.
        sides = np.diff(np.vstack([corners, corners[:1]]), axis=0) != 0
        assert (sides.sum(axis=1) == 1).all()
        assert (sides != np.roll(sides, 1, axis=0)).all()
        found ^= inside(corners - 0.5, *mask.shape)
    assert np.array_equal(found, mask)


def test_outline_of_a_ring_and_of_touching_corners() -> None:
    ring = np.ones((3, 3), dtype=np.bool_)
    ring[1, 1] = False
    assert [one.tolist() for one in outlines(ring)] == [
        [[0, 0], [0, 3], [3, 3], [3, 0]],
        [[1, 1], [2, 1], [2, 2], [1, 2]],
    ]
    assert [len(one) for one in outlines(np.eye(3, dtype=np.bool_))] == [4, 4, 4]
    assert outlines(np.zeros((3, 3), dtype=np.bool_)) == []


def drawn(labels: Volume, names, path) -> tuple[dict[str, np.ndarray], list[str]]:
    """Write a structure set and return the masks that are read of it, in RAS."""
    ct_hu = Volume(np.zeros(labels.data.shape, dtype=np.int16), labels.affine)
    on = Drawing(ct_hu, tuple(ct_series(ct_hu, visit(), begin=BEGIN)), visit())
    made = structure_set(labels, names, on, label="ORGANS", kind="ORGAN", begin=BEGIN)
    save(made, path / "organs.dcm")
    warnings: list[str] = []
    uid = visit().frame_of_reference_uid
    structures = read_structures(path / "organs.dcm", frame_of_reference_uid=uid)
    image = in_ras(ct_hu)
    return {one.name: contour_mask(one, image, warnings) for one in structures}, warnings


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_masks_come_back_exactly(grid, share, tmp_path) -> None:
    """Of speckle, with holes, islands in holes and voxels at the edge of the image."""
    rng = np.random.default_rng(int(10 * share))
    labels = np.where(rng.random(SHAPE) < share, rng.integers(1, 4, SHAPE), 0).astype(np.uint8)
    masks, warnings = drawn(Volume(labels, grid), organ_names(labels), tmp_path)
    assert list(masks) == ["spleen", "kidney_right", "kidney_left"]
    for id_, name in enumerate(masks, start=1):
        assert np.array_equal(masks[name], in_ras(Volume(labels == id_, grid)).data)
    # Planes without a voxel are gaps, which are left empty and told.
    assert all("left empty" in one for one in warnings)


@pytest.mark.slow
def test_a_large_organ_far_from_the_origin(tmp_path) -> None:
    """Decimals cut off must not move an edge over a centre."""
    shape = (160, 150, 3)
    labels = (np.random.default_rng(1).random(shape) < 0.5).astype(np.uint8) * 5
    grid = affine((0.9765625, 0.9765625, 1.0), shape, (2001.123457, -1999.98765, 1803.3))
    masks, _ = drawn(Volume(labels, grid), organ_names(labels), tmp_path)
    assert np.array_equal(masks["liver"], labels == 5)


def test_holes_are_told_by_their_type(tmp_path) -> None:
    labels = np.zeros(SHAPE, dtype=np.uint8)
    labels[1:6, 1:8, 1:4] = 1
    labels[3, 4, 2] = 0  # a hole in one plane
    labels[1, 1, 0] = 2
    ct_hu = Volume(np.zeros(SHAPE, dtype=np.int16), GRIDS["cubes"])
    on = Drawing(ct_hu, tuple(ct_series(ct_hu, visit(), begin=BEGIN)), visit())
    volume = Volume(labels, ct_hu.affine)
    made = structure_set(volume, organ_names(labels), on, label="ORGANS", kind="ORGAN", begin=BEGIN)
    types = [
        {contour.ContourGeometricType for contour in roi.ContourSequence}
        for roi in made.ROIContourSequence
    ]
    assert types == [{"CLOSEDPLANAR_XOR"}, {"CLOSED_PLANAR"}]
    instances = {one.SOPInstanceUID: one for one in on.ct}
    for roi in made.ROIContourSequence:
        for contour in roi.ContourSequence:
            image = instances[contour.ContourImageSequence[0].ReferencedSOPInstanceUID]
            z_mm = np.array(contour.ContourData[2::3], dtype=np.float64)
            assert z_mm == pytest.approx(float(image.ImagePositionPatient[2]), abs=1e-3)


def test_every_organ_has_a_name_that_is_understood() -> None:
    table = read_organ_table()
    ids = np.array([[[0, *table.names]]], dtype=np.uint8)
    names = organ_names(ids)
    assert set(names) == set(table.names) - {199}
    assert all(table.find(name) == id_ for id_, name in names.items())


def test_organs_of_the_small_body_have_their_side(tmp_path) -> None:
    body = Body()
    masks, _ = drawn(Volume(body.labels, affine()), organ_names(body.labels), tmp_path)
    assert {name: int(mask.sum()) for name, mask in masks.items()} == {
        name: int((body.labels == id_).sum())
        for id_, name in ((2, "kidney_right"), (3, "kidney_left"), (5, "liver"))
    }
    assert np.argwhere(masks["kidney_right"])[:, 0].min() >= 20  # x runs to the right


def scattered(*slices: int) -> np.ndarray:
    labels = np.zeros(SHAPE, dtype=np.uint8)
    labels[3, 3, list(slices)] = 3
    return labels


def test_planes_with_gaps_and_one_plane(tmp_path) -> None:
    for number, slices in enumerate([(2,), (0, 1, 4)]):
        (tmp_path / str(number)).mkdir()
        labels = Volume(scattered(*slices), GRIDS["anisotropic"])
        masks, _ = drawn(labels, organ_names(labels.data), tmp_path / str(number))
        assert np.array_equal(masks["kidney_left"], labels.data == 3)


def test_lesions_are_numbered() -> None:
    assert lesion_names(np.array([[[0, 2, 1, 12]]])) == {
        1: "Lesion 1",
        2: "Lesion 2",
        12: "Lesion 12",
    }


@pytest.mark.parametrize(
    ("labels", "grid", "message"),
    [
        (scattered(1, 3), GRIDS["cubes"], "kidney_left must have two neighbouring slices"),
        (np.full(SHAPE, 140), GRIDS["cubes"], r"\[140\] are none"),
        (np.full(SHAPE, 199), GRIDS["cubes"], "hold a region that is named"),
        (np.ones(SHAPE, dtype=np.uint8), GRIDS["turned"], "must have the affine of the CT"),
    ],
)
def test_refusals(labels, grid, message) -> None:
    ct_hu = Volume(np.zeros(SHAPE, dtype=np.int16), GRIDS["cubes"])
    on = Drawing(ct_hu, tuple(ct_series(ct_hu, visit(), begin=BEGIN)), visit())
    with pytest.raises(BadInput, match=message):
        structure_set(
            Volume(labels, grid),
            organ_names(labels),
            on,
            label="ORGANS",
            kind="ORGAN",
            begin=BEGIN,
        )
