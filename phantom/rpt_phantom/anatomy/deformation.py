"""A smooth, invertible change of shape: each patient's own, with organs of his own size and place.

Ours: the flow along a stationary velocity, integrated by scaling and squaring (Arsigny et al.,
MICCAI 2006), on a lattice fixed in the patient. The velocity is a Gaussian field plus, around each
named organ, a radial part that makes its volume what it shall be and a shift. Only the inverse is
kept, because a voxel asks where it came from.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32
from scipy.ndimage import gaussian_filter, map_coordinates

from rpt_phantom.anatomy.atlas import Atlas
from rpt_phantom.grid import Grid, Vector

LATTICE = Grid((41, 33, 95), (12.0, 12.0, 12.0), (-240.0, -192.0, -516.0))
SMOOTHNESS_MM = 55.0  # σ of the filter that makes the velocity from white noise
RMS_MM = (4.0, 8.0)  # least and most expected length of a displacement
MOST_MM = 36.0  # longest velocity, and so displacement
ORGAN_BLUR_MM = 14.0  # how far an organ's own part reaches beyond it, 1 SD
SQUARINGS = 6
_ROUNDS, _RELAXED = 5, 1.6  # of fitting volumes, each of which undoes a part of the others'

Field = Float32[np.ndarray, "3 a b c"]


@dataclass(frozen=True, eq=False)
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


def draw_deformation(
    rng: np.random.Generator,
    atlas: Atlas,
    volume_factors: Mapping[int, float],
    shifts_mm: Mapping[int, Vector],
) -> Deformation:
    """Draw a deformation after which organs have the volumes that they shall have.

    Args:
        volume_factors: Organ number → volume after over before, within some percent of what comes.
        shifts_mm: Organ number → by how far it is moved, mm, about.
    """
    usual = draw_velocity_mm(rng, rms_mm=float(rng.uniform(*RMS_MM)))
    organs = {number: _Organ.of(atlas, number) for number in volume_factors}
    moved = usual + sum(
        organs[number].share
        * np.array(shifts_mm.get(number, (0.0,) * 3), np.float32)[:, None, None, None]
        for number in organs
    )
    wanted = {number: float(np.log(factor)) for number, factor in volume_factors.items()}
    growth = {number: wanted[number] / (3.0 * organs[number].mean_share) for number in organs}
    for _ in range(_ROUNDS):
        change = jacobian_of(flow_mm(_velocity(moved, organs, growth)))
        for number, organ in organs.items():
            factor = float((change * organ.inside).sum() / organ.inside.sum())
            missing = wanted[number] - float(np.log(factor))
            growth[number] += _RELAXED * missing / (3.0 * organ.mean_share)
    return Deformation(flow_mm(-_velocity(moved, organs, growth)))


def _velocity(moved: Field, organs: Mapping[int, "_Organ"], growth: Mapping[int, float]) -> Field:
    """Add the organs' radial parts, and shorten what is longer than ``MOST_MM``, smoothly."""
    velocity_mm = moved + sum(
        np.float32(growth[number]) * organs[number].radial_mm for number in organs
    )
    length = np.sqrt((velocity_mm**2).sum(axis=0))
    return np.asarray(velocity_mm / np.sqrt(1.0 + (length / np.float32(MOST_MM)) ** 2))


@dataclass(frozen=True, eq=False)
class _Organ:
    """An organ on the lattice.

    Attributes:
        inside: Share of the organ around each node.
        share: 1 within the organ, falling to 0 around it.
        radial_mm: From its middle outwards, mm, times ``share``.
    """

    inside: Float32[np.ndarray, "a b c"]
    share: Float32[np.ndarray, "a b c"]
    radial_mm: Field

    @property
    def mean_share(self) -> float:
        """Mean of ``share`` over the organ."""
        return float((self.share * self.inside).sum() / self.inside.sum())

    @classmethod
    def of(cls, atlas: Atlas, number: int) -> "_Organ":
        window = atlas.grid.cut(*atlas.boxes_mm[number])
        first = [one.start for one in window]
        found = np.argwhere(atlas.organs[window] == number) + first
        places = found * atlas.grid.spacing_mm + atlas.grid.first_mm
        nodes = (places - LATTICE.first_mm) / LATTICE.spacing_mm
        inside = np.histogramdd(
            nodes, bins=LATTICE.shape, range=[(-0.5, n - 0.5) for n in LATTICE.shape]
        )[0].astype(np.float32)
        filled = np.minimum(inside / (12.0**3 / np.prod(atlas.grid.spacing_mm)), 1.0)
        share = gaussian_filter(filled, ORGAN_BLUR_MM / LATTICE.spacing_mm[0], mode="constant")
        share /= share.max()
        axes = np.meshgrid(*[LATTICE.positions_mm(axis) for axis in range(3)], indexing="ij")
        away = np.stack(axes) - places.mean(axis=0)[:, None, None, None]
        return cls(inside, share.astype(np.float32), (away * share).astype(np.float32))


def draw_velocity_mm(rng: np.random.Generator, *, rms_mm: float) -> Field:
    """Draw a smooth velocity, in mm per unit of time.

    Args:
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


def jacobian_of(displacement_mm: Field) -> Float32[np.ndarray, "a b c"]:
    """Return the local change of volume of a displacement on the lattice."""
    rows = [np.gradient(part, *LATTICE.spacing_mm) for part in displacement_mm]
    matrix = np.moveaxis(np.array(rows, np.float32), (0, 1), (-2, -1)) + np.eye(3, dtype=np.float32)
    return np.asarray(np.linalg.det(matrix), dtype=np.float32)


def _hats(axis: int, at_mm: Float[np.ndarray, " n"]) -> Float32[np.ndarray, "n m"]:
    """Return weights of linear interpolation from the lattice, one row for each point."""
    n = LATTICE.shape[axis]
    place = (at_mm - LATTICE.first_mm[axis]) / LATTICE.spacing_mm[axis]
    place = np.clip(place, 0.0, n - 1.0)[:, None]
    return np.maximum(1.0 - np.abs(place - np.arange(n)), 0.0).astype(np.float32)
