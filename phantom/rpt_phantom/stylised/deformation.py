"""A smooth, invertible change of shape: each patient's own.

Ours: the flow along a stationary Gaussian velocity field, integrated by scaling and squaring
(Arsigny et al., MICCAI 2006), on a lattice fixed in the patient. Only the inverse is kept,
because solids are asked whether they hold the point from which a voxel came.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32
from scipy.ndimage import gaussian_filter, map_coordinates

from rpt_phantom.stylised.axis_grid import AxisGrid

LATTICE = AxisGrid(
    shape=(55, 39, 109), spacing_mm=(12.0, 12.0, 12.0), first_mm=(-324.0, -228.0, -600.0)
)
SMOOTHNESS_MM = 55.0  # σ of the filter that makes the velocity from white noise
RMS_MM = (5.0, 10.0)  # least and most expected length of a displacement
SQUARINGS = 6

Field = Float32[np.ndarray, "3 a b c"]


@dataclass(frozen=True)
class Deformation:
    """Where the points of the deformed patient come from.

    Attributes:
        origin_mm: Displacement from the deformed to the undeformed place, mm, on ``LATTICE``;
            beyond it, that of its edge.
    """

    origin_mm: Field

    @property
    def most_mm(self) -> float:
        """Return the longest displacement, mm."""
        return float(np.sqrt((self.origin_mm**2).sum(axis=0).max()))

    def on_axes(
        self,
        x_mm: Float[np.ndarray, " x"],
        y_mm: Float[np.ndarray, " y"],
        z_mm: Float[np.ndarray, " z"],
    ) -> Float32[np.ndarray, "3 x y z"]:
        """Interpolate linearly to the points of a grid.

        Args:
            x_mm: Positions along x, mm, in the patient's frame.
            y_mm: Positions along y, mm.
            z_mm: Positions along z, mm.

        Returns:
            Displacement at each point, mm.
        """
        field = self.origin_mm
        for axis, at_mm in enumerate((x_mm, y_mm, z_mm)):
            field = np.moveaxis(
                np.tensordot(_hats(axis, at_mm), field, axes=(1, axis + 1)), 0, axis + 1
            )
        return np.ascontiguousarray(field, dtype=np.float32)


def draw_deformation(rng: np.random.Generator) -> Deformation:
    """Draw a deformation of 5 to 10 mm expected root mean square.

    Args:
        rng: Source of chance.
    """
    velocity_mm = draw_velocity_mm(rng, rms_mm=float(rng.uniform(*RMS_MM)))
    return Deformation(flow_mm(-velocity_mm))


def draw_velocity_mm(rng: np.random.Generator, *, rms_mm: float) -> Field:
    """Draw a smooth velocity, in mm per unit of time.

    Args:
        rng: Source of chance.
        rms_mm: Expected root mean square of its length, mm.

    Returns:
        Velocity on the lattice; its components are independent and of one variance.
    """
    sigma = SMOOTHNESS_MM / LATTICE.spacing_mm[0]
    noise = rng.standard_normal((3, *LATTICE.shape), dtype=np.float32)
    smooth = np.stack([gaussian_filter(part, sigma, mode="wrap", truncate=3.0) for part in noise])
    # White noise of 1 comes out of a wide Gaussian filter with this variance.
    std = (2 * np.sqrt(np.pi) * sigma) ** -1.5
    return np.asarray(smooth * np.float32(rms_mm / np.sqrt(3) / std), dtype=np.float32)


def flow_mm(velocity_mm: Field) -> Field:
    """Follow a velocity for one unit of time.

    Args:
        velocity_mm: Velocity on the lattice, mm.

    Returns:
        Displacement on the lattice, mm. That of the negative velocity is the inverse.
    """
    spacing = np.array(LATTICE.spacing_mm, np.float32)[:, None, None, None]
    nodes = np.indices(LATTICE.shape, dtype=np.float32)
    step = velocity_mm / spacing / np.float32(2**SQUARINGS)
    for _ in range(SQUARINGS):
        at = nodes + step
        step = step + np.stack(
            [map_coordinates(part, at, order=1, mode="nearest") for part in step]
        )
    return np.asarray(step * spacing, dtype=np.float32)


def _hats(axis: int, at_mm: Float[np.ndarray, " n"]) -> Float32[np.ndarray, "n m"]:
    """Return weights of linear interpolation from the lattice, one row for each point."""
    n = LATTICE.shape[axis]
    place = (at_mm - LATTICE.first_mm[axis]) / LATTICE.spacing_mm[axis]
    place = np.clip(place, 0.0, n - 1.0)[:, None]
    return np.maximum(1.0 - np.abs(place - np.arange(n)), 0.0).astype(np.float32)
