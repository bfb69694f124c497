"""Random fields within organs: one that tracer and therapy share, and one of each's own."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Float32

from rpt_phantom.anatomy.axis_grid import AxisGrid
from rpt_phantom.anatomy.voxels import Anatomy
from rpt_phantom.fields import gaussian_field
from rpt_phantom.grid import Grid

COARSE_MM = 7.2
"""Spacing of the fields' own grid, mm: well below the correlation length. Ours."""
CORRELATION_LENGTH_MM = 25.0
"""Distance at which a field's autocorrelation is 1/e, mm. Ours: beyond the SPECT's resolution,
so that what it does survives the blur (`reference/kinetics.md`)."""

FieldName = Literal["shared", "pet", "therapy"]
Window = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Heterogeneity:
    """Three fields of mean 0 and variance 1, on a coarse grid about the middle of ``grid``.

    Attributes:
        grid: The anatomy's grid.
        coarse: Grid of the fields.
        shared: Of tracer and therapy, the same over the cycles.
        pet: The tracer's own.
        therapy: The therapy's own.
    """

    grid: AxisGrid
    coarse: Grid
    shared: Float32[np.ndarray, "a b c"]
    pet: Float32[np.ndarray, "a b c"]
    therapy: Float32[np.ndarray, "a b c"]

    def within(self, name: FieldName, window: Window) -> Float32[np.ndarray, "x y z"]:
        """Return one field at the voxels of a window, its variance 1 between nodes as well."""
        field: Float32[np.ndarray, "a b c"] = getattr(self, name)
        for axis in range(3):
            low, weight_low, weight_high = self._between(axis, window[axis])
            shape = [1, 1, 1]
            shape[axis] = -1
            field = np.take(field, low, axis=axis) * weight_low.reshape(shape) + np.take(
                field, low + 1, axis=axis
            ) * weight_high.reshape(shape)
        return field

    def _between(
        self, axis: int, window: slice
    ) -> tuple[np.ndarray, Float32[np.ndarray, " n"], Float32[np.ndarray, " n"]]:
        """Return the lower node of each voxel, and both nodes' weights."""
        n, spacing = self.coarse.shape[axis], self.coarse.spacing_mm
        middle_mm = self.grid.first_mm[axis] + (
            (self.grid.shape[axis] - 1) / 2 * self.grid.spacing_mm[axis]
        )
        at = (self.grid.positions_mm(axis)[window] - middle_mm) / spacing + (n - 1) / 2
        low = np.clip(np.floor(at).astype(np.intp), 0, n - 2)
        share: Float[np.ndarray, " n"] = at - low
        # Neighbouring nodes correlate by exp(−d²/L²); a mean of both alone would vary less.
        alike = np.exp(-((spacing / CORRELATION_LENGTH_MM) ** 2))
        std = np.sqrt(share**2 + (1 - share) ** 2 + 2 * alike * share * (1 - share))
        return low, ((1 - share) / std).astype(np.float32), (share / std).astype(np.float32)


def draw_heterogeneity(
    anatomy: Anatomy,
    rng_shared: np.random.Generator,
    rng_pet: np.random.Generator,
    rng_therapy: np.random.Generator,
) -> Heterogeneity:
    """Draw a patient's three fields.

    Args:
        anatomy: The patient; only its grid matters, so that fields stay over the cycles.
        rng_shared: Of the shared field; in the same state at every cycle.
        rng_pet: Of the tracer's own field.
        rng_therapy: Of the therapy's own field.
    """
    grid = anatomy.grid
    extent_mm = [(n - 1) * edge for n, edge in zip(grid.shape, grid.spacing_mm, strict=True)]
    a, b, c = (int(np.ceil(extent / COARSE_MM)) + 2 for extent in extent_mm)
    coarse = Grid((a, b, c), COARSE_MM)
    shared, pet, therapy = (
        gaussian_field(coarse, rng, correlation_length_mm=CORRELATION_LENGTH_MM)
        for rng in (rng_shared, rng_pet, rng_therapy)
    )
    return Heterogeneity(grid, coarse, shared, pet, therapy)
