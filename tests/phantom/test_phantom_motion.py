import numpy as np
import pytest
from rpt_phantom.grid import Grid
from rpt_phantom.motion import CLIP, SHIFT_STD_MM, STILL, Motion, draw_motion, moved

GRID = Grid.centred((40, 30, 50), 2.4)


def test_whole_voxels_are_moved_exactly() -> None:
    values = np.random.default_rng(0).random(GRID.shape, np.float32)
    matrix = np.eye(4)
    matrix[:3, 3] = (2.4, -4.8, 7.2)
    carried = moved(values, GRID, Motion(matrix))
    assert carried[2:-2, 2:-3, 4:-4] == pytest.approx(values[1:-3, 4:-1, 1:-7], abs=1e-5)


def test_still_is_the_same() -> None:
    values = np.ones(GRID.shape, np.float32)
    assert moved(values, GRID, STILL) is values


def test_point_goes_where_the_motion_says() -> None:
    motion = draw_motion(np.random.default_rng(3))
    values = np.zeros(GRID.shape, np.float32)
    values[25, 12, 30] = 1.0
    start = GRID.affine @ [25, 12, 30, 1]
    carried = moved(values, GRID, motion).astype(np.float64)
    centre = np.array(np.nonzero(carried)) @ carried[np.nonzero(carried)] / carried.sum()
    found = GRID.affine @ [*centre, 1]
    assert found[:3] == pytest.approx((motion.matrix @ start)[:3], abs=1.2)
    assert motion.rigid.moved_mm(start[None, :3])[0] == pytest.approx((motion.matrix @ start)[:3])


def test_shifts_stay_within_the_box() -> None:
    for seed in range(50):
        shift = draw_motion(np.random.default_rng(seed)).matrix[:3, 3]
        assert (np.abs(shift) <= np.array(SHIFT_STD_MM) * CLIP + 1e-9).all()
