"""Where a patient is computed: voxels of 2.4 mm in a box around the body, and those of the case.

The box is longer than the case's field of view, so that blur, scatter and photons come in from
beyond its ends, and hardly wider than the body. It is the same for all cycles of a patient. Two
voxels of the box along each axis make one of the case's.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Shaped

from rpt_phantom.anatomy import AxisGrid, Body, world_box_mm
from rpt_phantom.grid import IN_PLANE, SPACING_MM, Grid, torso_grid
from rpt_phantom.spect.projection import coarser

FINER = 2
"""Voxels of the truth along an edge of the case's."""
END_SLICES = 5
"""Of the case's, beyond each end of it: 24 mm, 4 SD of SPECT's blur; ours."""
AROUND_MM = 30.0
"""From the body, at its drawn setup, to the sides of the box: blur and shifts; ours."""


@dataclass(frozen=True)
class Box:
    """The grids of one patient, with one middle.

    Attributes:
        case: Grid of the case's files.
        fine: Voxels of 2.4 mm around the body.
        coarse: Voxels of 4.8 mm around the body, which are voxels of ``case`` where both are.
    """

    case: Grid
    fine: AxisGrid
    coarse: AxisGrid

    def on_case(
        self, values: Shaped[np.ndarray, "a b c"], *, outside: float = 0.0
    ) -> Shaped[np.ndarray, "x y z"]:
        """Put values on the case's grid.

        Args:
            values: One for each voxel of ``coarse``.
            outside: The value beside the box.
        """
        inside = values[:, :, END_SLICES:-END_SLICES]
        ends = [((n - m) // 2,) * 2 for n, m in zip(self.case.shape, inside.shape, strict=True)]
        return np.pad(inside, ends, constant_values=np.asarray(outside, values.dtype))

    def square(
        self, values: Float32[np.ndarray, "a b c"], *, outside: float = 0.0
    ) -> Float32[np.ndarray, "n n c"]:
        """Widen values of ``fine`` to whole slices, as a turning camera needs them."""
        wide = IN_PLANE * FINER
        ends = [((wide - n) // 2,) * 2 for n in values.shape[:2]]
        return np.pad(values, [*ends, (0, 0)], constant_values=np.float32(outside))


def case_axes(case: Grid) -> AxisGrid:
    """Return a case's grid as one along the patient's axes."""
    return AxisGrid.centred(case.shape, case.spacing_mm)


def patient_box(body: Body, *, slices: int) -> Box:
    """Choose a patient's grids.

    Args:
        body: The patient, without what changes from cycle to cycle.
        slices: Slices of the case.

    Raises:
        BadInput: ``slices`` is out of its range.
    """
    case = torso_grid(slices)
    low_mm, high_mm = world_box_mm(body, *body.atlas.body_mm)
    shape = []
    for axis in (0, 1):
        reach_mm = max(-low_mm[axis], high_mm[axis]) + AROUND_MM
        # Even, as the case's slices are, so that the middles are one.
        shape.append(min(2 * int(np.ceil(reach_mm / SPACING_MM)), IN_PLANE))
    coarse = (shape[0], shape[1], slices + 2 * END_SLICES)
    fine = (coarse[0] * FINER, coarse[1] * FINER, coarse[2] * FINER)
    return Box(
        case,
        AxisGrid.centred(fine, SPACING_MM / FINER),
        AxisGrid.centred(coarse, SPACING_MM),
    )


def averaged_by_volume(values: Float32[np.ndarray, "a b c"]) -> Float32[np.ndarray, "x y z"]:
    """Average values of ``fine`` over the voxels of ``coarse``."""
    return coarser(values, FINER)


def averaged_by_mass(
    values: Float32[np.ndarray, "a b c"], density_g_per_ml: Float32[np.ndarray, "a b c"]
) -> Float32[np.ndarray, "x y z"]:
    """Average what counts per mass, such as dose, over the voxels of ``coarse``."""
    mass = coarser(density_g_per_ml, FINER)
    return np.asarray(coarser(values * density_g_per_ml, FINER) / mass, dtype=np.float32)
