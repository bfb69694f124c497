"""Pictures of a patient: the patient's right on the viewer's left, whatever the file's axes."""

from itertools import permutations, product

import numpy as np
import pytest
from matplotlib.figure import Figure
from rpt_cohort import Volume
from rpt_cohort.figures import Plane, cut_plane, draw_plane, fullest_plane

SPACING_MM = (2.0, 3.0, 5.0)
SHAPE = (5, 7, 9)  # right, front, head
MARKED = (4, 6, 8)  # the patient's right, front, head
STORED = [
    (order, signs) for order in permutations(range(3)) for signs in product((1, -1), repeat=3)
]


def stored(
    order: tuple[int, ...], signs: tuple[int, ...], tilt: np.ndarray | None = None
) -> Volume:
    """A volume with one marked corner, its axes in any order and direction."""
    data = np.zeros(SHAPE)
    data[MARKED] = 1.0
    affine = np.diag([*SPACING_MM, 1.0])
    affine[:3, 3] = (-30.0, 12.0, -200.0)
    if tilt is not None:
        affine[:3, :3] = tilt @ affine[:3, :3]
    turn, flipped = np.eye(4), tuple(axis for axis in range(3) if signs[axis] < 0)
    for axis in flipped:
        turn[axis, axis], turn[axis, 3] = -1, SHAPE[axis] - 1
    return Volume(np.flip(data, flipped).transpose(order), (affine @ turn)[:, [*order, 3]])


@pytest.mark.parametrize(("order", "signs"), STORED)
@pytest.mark.parametrize(
    ("plane", "size_mm"),
    [("coronal", (45.0, 10.0)), ("sagittal", (45.0, 21.0)), ("axial", (21.0, 10.0))],
)
def test_right_front_and_head_are_where_radiologists_look_for_them(
    order: tuple[int, ...], signs: tuple[int, ...], plane: Plane, size_mm: tuple[float, float]
) -> None:
    volume = stored(order, signs)
    at = fullest_plane(volume, plane)
    for where in (at, None):
        picture, found_mm = cut_plane(volume, plane, where)
        # Right (in a sagittal plane the front) on the left; head (in an axial one the front) up.
        assert np.argwhere(picture).tolist() == [[0, 0]]
        assert found_mm == pytest.approx(size_mm)
    other = cut_plane(volume, plane, (at + 1) % 5)[0]
    assert not other.any()


def test_tilted_axes_count_as_the_nearest() -> None:
    angle = np.radians(20)
    tilt = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    )
    volume = stored((2, 0, 1), (-1, 1, -1), tilt)
    picture, size_mm = cut_plane(volume, "axial", fullest_plane(volume, "axial"))
    assert picture[0, 0] == 1
    assert size_mm == pytest.approx((21.0, 10.0))


@pytest.mark.parametrize(
    ("plane", "letters"), [("coronal", "RL"), ("axial", "RL"), ("sagittal", "AP")]
)
def test_letters_name_the_sides_once(plane: Plane, letters: str) -> None:
    ax = Figure().subplots()
    volume = stored((1, 2, 0), (1, -1, -1))
    at = fullest_plane(volume, plane)
    draw_plane(ax, volume, plane, at=at, cmap="gray")
    draw_plane(ax, volume, plane, at=at, cmap="inferno", alpha=0.5)
    draw_plane(ax, volume, plane, at=at, levels=(0.5,), colors="red")
    drawn = sorted((text.get_position()[0], text.get_text()) for text in ax.texts)
    assert "".join(letter for _, letter in drawn) == letters
    assert drawn[0][0] < 0.5 < drawn[1][0]
    left, right = ax.get_xlim()
    low, high = ax.get_ylim()
    assert left < right  # the axes turn nothing round
    assert low > high
    assert ax.get_xlabel().endswith("(mm)")


def test_lines_lie_on_the_picture() -> None:
    ax = Figure().subplots()
    volume = stored((0, 1, 2), (-1, -1, 1))
    draw_plane(ax, volume, "coronal", at=fullest_plane(volume, "coronal"))
    lines = draw_plane(ax, volume, "coronal", at=None, levels=(0.5,))
    x_mm, y_mm = np.concatenate(lines.allsegs[0]).T
    # About the middle of the first voxel, 2 mm wide and 5 mm high.
    assert x_mm.max() <= 2.0
    assert y_mm.max() <= 5.0
    assert min(x_mm.min(), y_mm.min()) >= 0.0


def test_what_is_not_known_weighs_nothing() -> None:
    volume = stored((0, 1, 2), (1, 1, 1))
    volume.data[0] = np.nan
    assert fullest_plane(volume, "sagittal") == MARKED[0]
