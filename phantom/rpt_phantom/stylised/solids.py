"""Solids of the stylised adult: who contains a point, and in which box to look.

Positions are in the report's coordinates, cm: x to the patient's LEFT, y to the back, z up,
origin at the centre of the base of the trunk (Cristy & Eckerman, ORNL/TM-8381, 1987).
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

Coordinate = Float[np.ndarray, "..."]
Inside = Bool[np.ndarray, "..."]
Vector = tuple[float, float, float]
Contains = Callable[[Any, Any, Any], Any]


@dataclass(frozen=True)
class Solid:
    """A set of points.

    Attributes:
        low_cm: Corner of a box that holds it, cm.
        high_cm: Opposite corner, cm.
        contains: Whether points x, y, z (cm, any one shape) are inside.
    """

    low_cm: Vector
    high_cm: Vector
    contains: Contains

    def __and__(self, other: "Solid") -> "Solid":
        """Return what both hold."""
        low, high = _tighter(self, other)
        return Solid(low, high, lambda x, y, z: self.contains(x, y, z) & other.contains(x, y, z))

    def __sub__(self, other: "Solid") -> "Solid":
        """Return what this holds and ``other`` does not."""
        return self.where(lambda x, y, z: ~other.contains(x, y, z))

    def __or__(self, other: "Solid") -> "Solid":
        """Return what either holds."""
        low, high = _wider(self, other)
        return Solid(low, high, lambda x, y, z: self.contains(x, y, z) | other.contains(x, y, z))

    def where(self, condition: Contains) -> "Solid":
        """Return the part of this that meets a condition on x, y, z (cm)."""
        return Solid(
            self.low_cm,
            self.high_cm,
            lambda x, y, z: self.contains(x, y, z) & condition(x, y, z),
        )

    @property
    def centre_cm(self) -> Vector:
        """Centre of the box, cm."""
        return _vector((a + b) / 2 for a, b in zip(self.low_cm, self.high_cm, strict=True))


def ellipsoid(centre_cm: Vector, half_axes_cm: Vector) -> Solid:
    """Return an ellipsoid along the axes."""
    (cx, cy, cz), (a, b, c) = centre_cm, half_axes_cm
    low, high = _box(centre_cm, half_axes_cm)
    return Solid(
        low,
        high,
        lambda x, y, z: ((x - cx) / a) ** 2 + ((y - cy) / b) ** 2 + ((z - cz) / c) ** 2 <= 1,
    )


def upright_cylinder(
    centre_cm: tuple[float, float], half_axes_cm: tuple[float, float], z_cm: tuple[float, float]
) -> Solid:
    """Return an elliptic cylinder along z between two heights."""
    (cx, cy), (a, b), (low, high) = centre_cm, half_axes_cm, z_cm
    return Solid(
        (cx - a, cy - b, low),
        (cx + a, cy + b, high),
        lambda x, y, z: (((x - cx) / a) ** 2 + ((y - cy) / b) ** 2 <= 1) & (z >= low) & (z <= high),
    )


def box(low_cm: Vector, high_cm: Vector) -> Solid:
    """Return a box along the axes."""
    (x0, y0, z0), (x1, y1, z1) = low_cm, high_cm
    return Solid(
        low_cm,
        high_cm,
        lambda x, y, z: (x >= x0) & (x <= x1) & (y >= y0) & (y <= y1) & (z >= z0) & (z <= z1),
    )


def tube(points_cm: tuple[Vector, ...], radius_cm: float) -> Solid:
    """Return a round tube along straight pieces between points, with round ends."""
    pieces = [_capsule(a, b, radius_cm) for a, b in pairwise(points_cm)]
    whole = pieces[0]
    for piece in pieces[1:]:
        whole = whole | piece
    return whole


def rotated(solid: Contains, origin_cm: Vector, rows: tuple[Vector, ...]) -> Contains:
    """Return a condition given in rotated coordinates, in those of the report.

    Args:
        solid: Whether a point in the rotated coordinates is inside.
        origin_cm: Their origin, cm.
        rows: Their axes as unit vectors.
    """

    def contains(x: Coordinate, y: Coordinate, z: Coordinate) -> Inside:
        dx, dy, dz = x - origin_cm[0], y - origin_cm[1], z - origin_cm[2]
        inside: Inside = solid(*(a * dx + b * dy + c * dz for a, b, c in rows))
        return inside

    return contains


def mirrored(solid: Solid) -> Solid:
    """Return the solid on the other side of the body."""
    (x0, y0, z0), (x1, y1, z1) = solid.low_cm, solid.high_cm
    return Solid((-x1, y0, z0), (-x0, y1, z1), lambda x, y, z: solid.contains(-x, y, z))


def volume_ml(solid: Solid, *, step_cm: float = 0.1) -> float:
    """Measure a solid by counting the points of a grid.

    Args:
        solid: The solid.
        step_cm: Spacing of the points, cm.

    Returns:
        Volume, mL.
    """
    axes = [
        np.arange(a + step_cm / 2, b + step_cm, step_cm, dtype=np.float64)
        for a, b in zip(solid.low_cm, solid.high_cm, strict=True)
    ]
    count = sum(
        int(np.count_nonzero(solid.contains(axes[0][:, None], axes[1][None, :], z)))
        for z in axes[2][:, None, None]
    )
    return count * step_cm**3


def _capsule(start_cm: Vector, end_cm: Vector, radius_cm: float) -> Solid:
    start, along = np.array(start_cm), np.subtract(end_cm, start_cm)
    length2 = float(along @ along)
    ax, ay, az = (float(value) for value in along)
    sx, sy, sz = (float(value) for value in start)

    def contains(x: Coordinate, y: Coordinate, z: Coordinate) -> Inside:
        dx, dy, dz = x - sx, y - sy, z - sz
        share = np.clip((dx * ax + dy * ay + dz * az) / length2, 0.0, 1.0)
        distance2 = (dx - share * ax) ** 2 + (dy - share * ay) ** 2 + (dz - share * az) ** 2
        inside: Inside = distance2 <= radius_cm**2
        return inside

    ends = np.array([start_cm, end_cm])
    low, high = ends.min(axis=0) - radius_cm, ends.max(axis=0) + radius_cm
    return Solid(_vector(low), _vector(high), contains)


def _box(centre_cm: Vector, half_cm: Vector) -> tuple[Vector, Vector]:
    pairs = list(zip(centre_cm, half_cm, strict=True))
    return _vector(c - h for c, h in pairs), _vector(c + h for c, h in pairs)


def _tighter(one: Solid, other: Solid) -> tuple[Vector, Vector]:
    low = _vector(map(max, one.low_cm, other.low_cm))
    return low, _vector(map(min, one.high_cm, other.high_cm))


def _wider(one: Solid, other: Solid) -> tuple[Vector, Vector]:
    low = _vector(map(min, one.low_cm, other.low_cm))
    return low, _vector(map(max, one.high_cm, other.high_cm))


def _vector(values: Any) -> Vector:
    x, y, z = (float(value) for value in values)
    return x, y, z
