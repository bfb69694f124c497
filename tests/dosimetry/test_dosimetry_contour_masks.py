"""Contours to masks: areas and volumes in closed form, holes, oblique grids, refusals."""

import json

import nibabel as nib
import numpy as np
import pydicom
import pytest
from helpers.dicom import FRAME, save, structure_set
from hypothesis import given
from hypothesis import strategies as st
from rpt_cohort import BadInput, Volume
from rpt_dosimetry.dicom.contours import (
    Structure,
    contour_mask,
    contour_volume_ml,
    inside,
    read_structures,
)

CORNERS = 720


def circle(radius: float, center=(0.0, 0.0)) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
    return np.stack([center[0] + radius * np.cos(angle), center[1] + radius * np.sin(angle)], 1)


def at(points: np.ndarray, height: float) -> np.ndarray:
    return np.column_stack([points, np.full(len(points), height)])


def region(*contours_mm: np.ndarray, xor: bool = False, open_contours: int = 0) -> Structure:
    return Structure(7, "Kidney of Jane", contours_mm, (xor,) * len(contours_mm), open_contours)


def grid(shape=(64, 64, 40), spacing_mm=(2.0, 2.0, 3.0), turn=None) -> Volume:
    """A volume around the origin, turned by a rotation matrix."""
    affine = np.eye(4)
    affine[:3, :3] = (np.eye(3) if turn is None else turn) @ np.diag(spacing_mm)
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Volume(np.zeros(shape, np.float32), affine)


def mask_of(structure: Structure, image: Volume) -> np.ndarray:
    told: list[str] = []
    found = contour_mask(structure, image, told)
    assert told == []
    return found


def sphere(radius_mm: float, step_mm: float) -> list[np.ndarray]:
    """Contours of a sphere at half-steps, where the slices of an even grid stand."""
    count = int(radius_mm / step_mm + 0.5)
    heights = (np.arange(-count, count) + 0.5) * step_mm
    return [
        at(circle(np.sqrt(radius_mm**2 - height**2)), height)
        for height in heights
        if abs(height) < radius_mm
    ]


def test_area_of_a_circle() -> None:
    image = grid(spacing_mm=(1.0, 1.0, 3.0))
    mask = mask_of(region(at(circle(25.0), 1.5)), image)
    assert np.flatnonzero(mask.any((0, 1))).tolist() == [20]
    # Gauss's circle problem: counting points is off by far less than the circumference, 157.
    x = np.arange(64) - 31.5
    assert mask.sum() == (x[:, None] ** 2 + x**2 < 25.0**2).sum()
    assert mask.sum() == pytest.approx(np.pi * 25.0**2, abs=16)


def test_volume_and_centre_of_a_sphere() -> None:
    image = grid(spacing_mm=(1.0, 1.0, 2.0), shape=(64, 64, 40))
    mask = mask_of(region(*sphere(28.0, 2.0)), image)
    volume_mm3 = mask.sum() * 2.0
    slabs_mm3 = sum(np.pi * (28.0**2 - h**2) * 2.0 for h in np.arange(-27.0, 28.0, 2.0))
    assert volume_mm3 == pytest.approx(slabs_mm3, rel=5e-3)
    assert volume_mm3 == pytest.approx(4 / 3 * np.pi * 28.0**3, rel=6e-3)
    centre = np.argwhere(mask).mean(0) @ image.affine[:3, :3].T + image.affine[:3, 3]
    np.testing.assert_allclose(centre, 0, atol=1e-9)


def test_a_hole_and_an_island_in_it() -> None:
    image = grid(spacing_mm=(1.0, 1.0, 3.0))
    rings = [at(circle(radius), 1.5) for radius in (30.0, 20.0, 10.0)]
    mask = mask_of(region(*rings), image)
    alone = [mask_of(region(one), image) for one in rings]
    np.testing.assert_array_equal(mask, alone[0] & ~alone[1] | alone[2])
    assert mask.sum() == pytest.approx(np.pi * (900 - 400 + 100), abs=30)


def test_a_keyhole_is_the_hole() -> None:
    image = grid(spacing_mm=(1.0, 1.0, 3.0))
    outer, inner = circle(30.0), circle(20.0)[::-1]
    inner = np.roll(inner, 1, axis=0)  # begins where the outer one does
    keyhole = np.concatenate([outer, outer[:1], inner, inner[:1]])
    mask = mask_of(region(at(keyhole, 1.5)), image)
    np.testing.assert_array_equal(mask, mask_of(region(at(outer, 1.5), at(inner, 1.5)), image))


def square(half: float, center=(0.0, 0.0)) -> np.ndarray:
    return np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]]) * half + center


COPIES = {
    "the same": lambda one: one,
    "the other way": lambda one: one[::-1],
    "begun elsewhere": lambda one: np.roll(one, 5, axis=0),
    "closed": lambda one: np.concatenate([one, one[:1]]),
    "rounded": lambda one: np.round(one, 1),
    "fewer corners": lambda one: one[::2],
    "moved within decimals": lambda one: one + 0.01,
}


@pytest.mark.parametrize("xor", [False, True])
@pytest.mark.parametrize("copy", COPIES)
def test_a_contour_that_is_stored_twice_counts_once(copy, xor) -> None:
    image = grid(spacing_mm=(1.0, 1.0, 3.0))
    ring = [circle(25.0), circle(10.0)]
    alone = mask_of(region(*(at(one, 1.5) for one in ring), xor=xor), image)
    assert alone.sum() == pytest.approx(np.pi * (625 - 100), abs=20)
    told: list[str] = []
    again = [at(COPIES[copy](one), 1.5) for one in ring]
    twice = contour_mask(region(*(at(one, 1.5) for one in ring), *again, xor=xor), image, told)
    assert told == ["ROI 7 has 2 contours twice; each was counted once."]
    assert (twice != alone).sum() <= 12  # centres within the decimals of the line


@pytest.mark.parametrize("decimal_mm", [0.0, 0.02])
def test_contours_that_cross(decimal_mm) -> None:
    """United, unless all are of the type that excludes what two share."""
    image = grid(spacing_mm=(1.0, 1.0, 3.0))
    left, right = circle(20.0, (-8.0, 0.0)), circle(20.0, (8.0, 0.0))
    pair = [at(left, 1.5), at(right, 1.5 + decimal_mm)]
    one, other = (mask_of(region(contour), image) for contour in pair)
    told: list[str] = []
    found = contour_mask(region(*pair), image, told)
    np.testing.assert_array_equal(found, one | other)
    assert told == ["ROI 7 has contours that cross in 1 planes; they were united."]
    np.testing.assert_array_equal(mask_of(region(*pair, xor=True), image), one ^ other)
    mixed = Structure(7, "", tuple(pair), (False, True), 0)
    np.testing.assert_array_equal(contour_mask(mixed, image, told), one | other)


@pytest.mark.parametrize("xor", [False, True])
@pytest.mark.parametrize(("radius", "share"), [(19.5, "95.1%"), (18.0, "81.0%"), (17.5, None)])
def test_a_contour_that_is_nearly_another_is_told(radius, share, xor) -> None:
    image = grid(spacing_mm=(1.0, 1.0, 3.0))
    rings = [at(circle(one), height) for one in (20.0, radius) for height in (1.5, 4.5)]
    told: list[str] = []
    mask = contour_mask(region(*rings, xor=xor), image, told)
    assert mask.sum() == pytest.approx(2 * np.pi * (400 - radius**2), abs=40)
    assert len(told) == (share is not None)
    if share:
        assert f"in 2 planes a contour inside another, of up to {share} of its area" in told[0]


def test_a_hole_that_touches_its_contour_and_neighbours_that_touch() -> None:
    image = grid(spacing_mm=(1.0, 1.0, 3.0))
    outer, hole = square(20.0), square(8.0, (12.02, 0.0))  # reaches out within decimals
    found = mask_of(region(at(outer, 1.5), at(hole, 1.5)), image)
    assert found.sum() == 40 * 40 - 16 * 16
    neighbours = [at(square(8.0, (x, 0.0)), 1.5) for x in (-8.0, 8.0)]
    assert mask_of(region(*neighbours), image).sum() == 32 * 16


def test_a_hole_in_two_contours_that_cross() -> None:
    image = grid(spacing_mm=(1.0, 1.0, 3.0))
    pair = [at(square(14.0, (x, 0.0)), 1.5) for x in (-6.0, 6.0)]
    found = contour_mask(region(*pair, at(square(4.0), 1.5)), image, [])
    assert found.sum() == 40 * 28 - 8 * 8


def test_an_island_in_the_hole_of_a_keyhole() -> None:
    image = grid(spacing_mm=(1.0, 1.0, 3.0))
    outer, inner = circle(30.0), np.roll(circle(20.0)[::-1], 1, axis=0)
    keyhole = np.concatenate([outer, outer[:1], inner, inner[:1]])
    found = mask_of(region(at(keyhole, 1.5), at(circle(10.0), 1.5)), image)
    assert found.sum() == pytest.approx(np.pi * (900 - 400 + 100), abs=30)


@pytest.mark.parametrize("xor", [False, True])
@pytest.mark.parametrize("step_mm", [0.06, 0.15, 0.25, 0.6])
def test_planes_closer_than_a_tenth_of_a_slice_stay_planes(step_mm, xor) -> None:
    """A ball drawn on fine planes, on slices of 5 mm: each slice has the plane nearest to it."""
    image = grid(shape=(64, 64, 14), spacing_mm=(1.0, 1.0, 5.0))
    found = region(*sphere(24.0, step_mm), xor=xor)
    mask = mask_of(found, image)
    heights = image.affine[2, 3] + 5.0 * np.arange(14)
    areas = np.pi * np.clip(24.0**2 - heights**2, 0, None)
    np.testing.assert_allclose(mask.sum((0, 1)), areas, atol=0.02 * np.pi * 24.0**2)
    assert contour_volume_ml(found, image) == pytest.approx(4 / 3e3 * np.pi * 24.0**3, rel=0.01)


@pytest.mark.parametrize("inner", [20.0, 8.0])
@pytest.mark.parametrize("off_mm", [0.04, 0.06, 0.2])
def test_contours_a_little_off_their_plane_are_of_it(inner, off_mm) -> None:
    """A cylinder drawn twice, or one with a hole, the second set of contours beside the first."""
    image = grid(spacing_mm=(1.0, 1.0, 3.0))
    heights = image.affine[2, 3] + 3.0 * np.arange(2, 10)
    rounds = [at(circle(20.0), height) for height in heights]
    more = [at(circle(inner), height + off_mm) for height in heights]
    area = np.pi * (20.0**2 - (inner**2 if inner < 20.0 else 0.0))
    found = region(*rounds, *more)
    told: list[str] = []
    assert contour_mask(found, image, told).sum() * 3.0 == pytest.approx(area * 24.0, rel=0.02)
    assert [one for one in told if "counted once" not in one] == []
    assert contour_volume_ml(found, image) == pytest.approx(area * 24.0 / 1e3, rel=0.02)


def test_contours_of_one_plane_with_decimals() -> None:
    """A ring whose two lines stand 0.02 mm apart stays a ring, in every plane."""
    image = grid()
    heights = 1.5 + 3.0 * np.arange(4)
    rings = [
        at(circle(radius), height + decimal_mm)
        for height in heights
        for radius, decimal_mm in ((20.0, 0.0), (10.0, 0.02))
    ]
    found = mask_of(region(*rings), image)
    assert np.flatnonzero(found.any((0, 1))).tolist() == [20, 21, 22, 23]
    assert found.sum() == pytest.approx(4 * np.pi * (400 - 100) / 4.0, rel=0.02)


@given(
    boxes=st.lists(
        st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(10, 18), st.integers(10, 18)),
        min_size=1,
        max_size=5,
    ),
    xor=st.booleans(),
    repeats=st.integers(1, 2),
)
def test_boxes_agree_with_a_count_of_who_lies_in_whom(boxes, xor, repeats) -> None:
    """An independent reading of the rule, by comparing sets of voxels."""
    sets = []
    for left, low, right, high in boxes:
        box = np.zeros((20, 20), dtype=np.bool_)
        box[left:right, low:high] = True
        if not any(np.array_equal(box, one) for one in sets):
            sets.append(box)
    if xor:
        expected = np.logical_xor.reduce(sets)
    else:
        chain = {}
        for number in sorted(range(len(sets)), key=lambda one: -sets[one].sum()):
            around = [one for one in chain if not (sets[number] & ~sets[one]).any()]
            chain[number] = 1 + max((chain[one] for one in around), default=-1)
        expected = np.zeros((20, 20), dtype=np.bool_)
        for number, depth in chain.items():
            inner = [one for one in chain if not (sets[one] & ~sets[number]).any()]
            holes = [sets[one] for one in inner if chain[one] == depth + 1]
            if depth % 2 == 0:
                expected |= sets[number] & ~np.logical_or.reduce([*holes, expected & False])
    contours = [
        at(np.array([[a, b], [c, b], [c, d], [a, d]]) - 0.5, 0.0) for a, b, c, d in boxes * repeats
    ]
    image = Volume(np.zeros((20, 20, 1)), np.eye(4))
    found = contour_mask(region(*contours, xor=xor), image, [])
    np.testing.assert_array_equal(found[:, :, 0], expected)


def turned(degrees=(20.0, -35.0, 50.0)) -> np.ndarray:
    a, b, c = np.radians(degrees)
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    about_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return about_x @ about_y @ about_z


def test_an_oblique_grid_gives_the_same_voxels() -> None:
    contours = sphere(27.0, 3.0)
    upright = mask_of(region(*contours), grid())
    turn = turned()
    # decimals as DICOM writes them
    moved = [np.round(points @ turn.T, 3) for points in contours]
    oblique = mask_of(region(*moved), grid(turn=turn))
    assert (oblique != upright).sum() <= 2e-4 * upright.sum()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_contours_across_any_axis(axis) -> None:
    image = grid(shape=(40, 40, 40), spacing_mm=(2.0, 2.0, 2.0))
    along_z = region(*(points * [1.0, 0.8, 1.0] for points in sphere(27.0, 2.0)))
    rolled = region(*(np.roll(points, axis - 2, axis=1) for points in along_z.contours_mm))
    expected = np.moveaxis(mask_of(along_z, image), (0, 1, 2), np.roll((0, 1, 2), 2 - axis))
    np.testing.assert_array_equal(mask_of(rolled, image), expected)


@pytest.mark.parametrize("offset_mm", [0.0, 0.4, 1.0, 1.5])
@pytest.mark.parametrize("step_mm", [1.0, 3.0, 4.0])
def test_planes_between_the_slices(step_mm, offset_mm) -> None:
    """A cylinder drawn on another spacing keeps its length within half a slice at each end."""
    image = grid(spacing_mm=(2.0, 2.0, 3.0))
    heights = offset_mm + step_mm * np.arange(12)
    mask = mask_of(region(*(at(circle(20.0), round(one, 3)) for one in heights)), image)
    slices = np.flatnonzero(mask.any((0, 1)))
    assert np.diff(slices).max() == 1  # no slice is skipped
    assert len(slices) * 3.0 == pytest.approx(12 * step_mm, abs=3.0)
    assert (mask.sum((0, 1))[slices] == mask.sum((0, 1))[slices[0]]).all()


def test_gaps_and_thick_slabs_are_told() -> None:
    rounds = [at(circle(20.0), height) for height in (1.5, 4.5, 16.5)]
    told: list[str] = []
    mask = contour_mask(region(*rounds), grid(), told)
    assert np.flatnonzero(mask.any((0, 1))).tolist() == [20, 21, 25]
    # between slabs that end at 6 and 15 mm
    size_ml = np.pi * 400 * 9 / 1000
    assert told == [
        "ROI 7 has 1 gaps between its planes; they were left empty, "
        f"{size_ml:.3g} mL if the region goes on through them."
    ]
    told = []
    mask = contour_mask(region(*rounds[::2]), grid(), told)
    assert len(np.flatnonzero(mask.any((0, 1)))) == 10
    assert told == [
        "ROI 7 has a plane every 5 slices; each was taken for a slab of that thickness."
    ]
    told = []
    assert not contour_mask(region(at(circle(0.5), 1.5)), grid(), told).any()
    assert told == ["ROI 7 holds the centre of no voxel: its mask is empty."]


@pytest.mark.parametrize("below", [0, 2])
@pytest.mark.parametrize(
    ("step_mm", "count", "extra_mm"),
    [(3.0, 5, 0.3), (3.0, 6, 1.5), (6.0, 4, 0.3), (6.0, 4, 3.0), (6.0, 5, 5.0), (6.0, 6, 3.0)],
)
def test_an_extra_plane_takes_nothing_away(step_mm, count, extra_mm, below) -> None:
    """A column keeps its volume whatever plane is drawn between two of the others."""
    heights = -18.0 + step_mm * np.arange(count)
    heights = [*heights, heights[below] + extra_mm]
    found = region(*(at(square(20.0), height) for height in heights))
    volume_ml = 1.6 * step_mm * count
    assert contour_volume_ml(found, grid()) == pytest.approx(volume_ml, rel=0.01)
    told: list[str] = []
    mask = contour_mask(found, grid(shape=(64, 64, 60), spacing_mm=(2.0, 2.0, 1.0)), told)
    assert mask.sum() * 4e-3 == pytest.approx(volume_ml, abs=1.6)  # a slice
    assert not any("gaps" in one for one in told)


@given(
    corners=st.lists(
        st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=4, max_size=9, unique=True
    ),
    cut=st.integers(2, 7),
)
def test_the_two_parts_of_a_cut_polygon_share_no_voxel_and_leave_none(corners, cut) -> None:
    polygon = np.array(corners, dtype=np.float64) / 2.0  # many corners and edges on centres
    cut = min(cut, len(polygon) - 2)
    one, other = polygon[: cut + 1], np.concatenate([polygon[cut:], polygon[:1]])
    parts = inside(one, 21, 21) ^ inside(other, 21, 21)
    np.testing.assert_array_equal(parts, inside(polygon, 21, 21))


@given(
    corners=st.lists(
        st.tuples(st.floats(0, 20), st.floats(0, 20)), min_size=3, max_size=8, unique=True
    )
)
def test_even_odd_agrees_with_the_angle_a_polygon_turns(corners) -> None:
    """Winding number by summed angles, odd = inside: another algorithm for the same rule."""
    polygon = np.array(corners)
    found = inside(polygon, 21, 21)
    for row, column in ((3, 4), (10, 10), (15, 7)):
        arms = polygon - (row, column)
        ends = np.roll(arms, -1, axis=0)
        cross = arms[:, 0] * ends[:, 1] - arms[:, 1] * ends[:, 0]
        dot = (arms * ends).sum(1)
        length = np.linalg.norm(ends - arms, axis=1)
        on_edge = (np.abs(cross) <= 1e-6 * np.maximum(length, 1e-6)) & (dot <= 1e-6)
        if on_edge.any():
            continue
        turns = round(np.arctan2(cross, dot).sum() / (2 * np.pi))
        assert found[row, column] == (turns % 2 == 1)


REFUSED = {
    "beside": (region(at(circle(20.0, (60.0, 0.0)), 1.5)), "of 720 points lie outside"),
    "above": (region(at(circle(20.0), 61.0)), "720 of 720 points lie outside"),
    "open": (region(at(circle(20.0), 1.5), open_contours=2), "must be closed, and 2 are open"),
    "none": (region(), "must have a closed contour of 3 points"),
    "two points": (region(at(circle(20.0)[:2], 1.5)), "must have a closed contour of 3"),
    "tilted": (region(at(circle(20.0), 1.5) @ turned((10.0, 0, 0)).T), "they are tilted"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_by_number_not_by_name(case) -> None:
    structure, message = REFUSED[case]
    with pytest.raises(BadInput, match=message) as refused:
        contour_mask(structure, grid(), [])
    assert "ROI 7" in str(refused.value)
    assert "Jane" not in str(refused.value)


def test_the_image_s_outermost_voxels_can_be_drawn() -> None:
    image = grid(shape=(8, 8, 4), spacing_mm=(2.0, 2.0, 3.0))
    square = np.array([[-8.0, -8], [8, -8], [8, 8], [-8, 8]])
    heights = image.affine[2, 3] + 3.0 * np.arange(4)
    assert mask_of(region(*(at(square, height) for height in heights)), image).all()


def test_from_the_file_to_the_mask(tmp_path) -> None:
    contours = [points * [-1, -1, 1] for points in sphere(27.0, 3.0)]  # RAS to DICOM's LPS
    shift = np.array([5.0, -7.0, 3.0])
    path = save(structure_set({"lesion": [points + shift for points in contours]}), tmp_path)
    (found,) = read_structures(path, frame_of_reference_uid=FRAME)
    image = grid()
    mask = mask_of(found, image)
    centre = np.argwhere(mask).mean(0) @ image.affine[:3, :3].T + image.affine[:3, 3]
    np.testing.assert_allclose(centre, shift * [-1, -1, 1], atol=0.05)


# MIM's contours of the two liver lesions, by the shoelace formula times the slice's 1.95 mm.
LESIONS = {"SCAN_001": [106.9, 2.80], "SCAN_002": [107.8, 2.88]}


@pytest.mark.parametrize("scan", LESIONS)
def test_lesions_of_a_quantitative_spect(scan, testdata, tmp_path, command) -> None:
    folder = testdata / "spect_lu177" / scan
    header = pydicom.dcmread(next((folder / "image").iterdir()), stop_before_pixels=True)
    frame = str(header.FrameOfReferenceUID)
    assert command("activity", folder / "image", tmp_path / "a.nii.gz").status == 0
    image = nib.load(tmp_path / "a.nii.gz")
    volume = Volume(image.get_fdata(dtype=np.float32), image.affine)
    total_mbq = json.loads((tmp_path / "a.json").read_text())["activity_in_field_of_view_mbq"]
    voxel_ml = abs(np.linalg.det(image.affine[:3, :3])) / 1000
    found = read_structures(next((folder / "mask").iterdir()), frame_of_reference_uid=frame)
    for structure, planimetry_ml in zip(found, LESIONS[scan], strict=True):
        assert contour_volume_ml(structure, volume) == pytest.approx(planimetry_ml, rel=0.01)
        mask = mask_of(structure, volume)
        assert mask.sum() * voxel_ml == pytest.approx(planimetry_ml, rel=0.03)
        # a lesion of the liver, drawn where the SPECT is hot
        assert volume.data[mask].mean() > 10 * total_mbq * 1e6 / (volume.data.size * voxel_ml)
