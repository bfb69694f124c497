"""Lesions of the stylised patient: bone metastases and lymph nodes, and how they shrink.

Ours, all numbers: a wide negative binomial for the count, log-normal radii, one in three
lesions merged from several ellipsoids. Uptake, and its fall over the cycles, is kinetics'.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from rpt_phantom.stylised import ids, skeleton, thorax
from rpt_phantom.stylised.body import StylisedBody
from rpt_phantom.stylised.frames import Points
from rpt_phantom.stylised.painting import paint_points
from rpt_phantom.stylised.solids import Inside, Solid, Vector

MOST_LESIONS, MEAN_LESIONS, DISPERSION = 40, 9.0, 0.9
RADIUS_MM, RADIUS_LOG_STD = (4.0, 8.0, 20.0), 0.40  # least, median, most
NODE_SHARE = (0.1, 0.6)  # of a patient's lesions, least and most
MERGED_SHARE, MERGED_PARTS = 0.35, (2, 4)
VOLUME_PER_CYCLE, VOLUME_PER_CYCLE_LOG_STD = 0.75, 0.25
MOST_PER_CYCLE = 1.2
TRIES, CANDIDATES = 20, 64

SITES: dict[str, tuple[float, tuple[int, ...]]] = {
    "spine": (0.45, (*ids.SPINE, ids.SACRUM)),
    "pelvis": (0.35, (ids.SACRUM, ids.HIP_LEFT, ids.HIP_RIGHT)),
    "ribs": (0.20, (*ids.RIBS, ids.STERNUM)),
    "retroperitoneum": (0.6, (ids.REMAINING_BODY,)),
    "iliac": (0.4, (ids.REMAINING_BODY,)),
}
"""Site → its share among bone lesions or nodes, and the organs that host it."""
BONE_SITES, NODE_SITES = ("spine", "pelvis", "ribs"), ("retroperitoneum", "iliac")
GREAT_VESSELS_CM = ((0.0, 2.0, 22.5), (0.0, 2.0, 37.5))  # between aorta and vena cava
GREAT_VESSELS_RADIUS_CM = 2.8  # around both


@dataclass(frozen=True)
class Ellipsoid:
    """A piece of a lesion.

    Attributes:
        centre_cm: In the report's coordinates, cm.
        half_axes_mm: Half axes, mm, before the patient's scaling and deformation.
        tilt_deg: Rotations about the report's x, y and z, degrees.
    """

    centre_cm: Vector
    half_axes_mm: Vector
    tilt_deg: Vector


@dataclass(frozen=True)
class StylisedLesion:
    """One lesion, as it is at one cycle.

    Attributes:
        site: Key of ``SITES``.
        pieces: Ellipsoids that it unites.
        radius_mm: Of the sphere of a single piece's volume, mm.
        volume_per_cycle: Volume from cycle to cycle, relative to the one before.
    """

    site: str
    pieces: tuple[Ellipsoid, ...]
    radius_mm: float
    volume_per_cycle: float

    @property
    def in_bone(self) -> bool:
        """Whether bone hosts it; else it is a lymph node."""
        return self.site in BONE_SITES

    @property
    def hosts(self) -> tuple[int, ...]:
        """Return the organ numbers within which it stays."""
        return SITES[self.site][1]

    def contains(self, points: Points) -> Inside:
        """Return which points, in the report's coordinates, cm, its pieces hold."""
        inside: Inside = np.zeros(np.broadcast(*points).shape, bool)
        for piece in self.pieces:
            inside |= _piece_contains(piece, points)
        return inside

    def box_cm(self) -> tuple[Vector, Vector]:
        """Return a box that holds it, cm."""
        centres = np.array([piece.centre_cm for piece in self.pieces])
        reach = np.array([max(piece.half_axes_mm) / 10 for piece in self.pieces])[:, None]
        low, high = (centres - reach).min(axis=0), (centres + reach).max(axis=0)
        return (
            (float(low[0]), float(low[1]), float(low[2])),
            (float(high[0]), float(high[1]), float(high[2])),
        )


def draw_stylised_lesions(
    rng: np.random.Generator, body: StylisedBody
) -> tuple[StylisedLesion, ...]:
    """Draw a patient's lesions as they are at the first cycle.

    Args:
        rng: Source of chance.
        body: The patient; a lesion's centre lies in its host.

    Returns:
        1 to 40 lesions; number 1 comes first. Where one overlaps an earlier one, the earlier
        keeps the voxels.
    """
    burden = rng.gamma(DISPERSION, MEAN_LESIONS / DISPERSION)
    count = min(1 + int(rng.poisson(burden)), MOST_LESIONS)
    node_share = rng.uniform(*NODE_SHARE)
    lesions: list[StylisedLesion] = []
    for _ in range(count):
        sites = NODE_SITES if rng.random() < node_share else BONE_SITES
        shares = np.array([SITES[site][0] for site in sites])
        site = str(rng.choice(sites, p=shares / shares.sum()))
        lesion = _draw_lesion(rng, body, site, lesions)
        if lesion is not None:
            lesions.append(lesion)
    return tuple(lesions)


def at_cycle(lesions: tuple[StylisedLesion, ...], cycle: int) -> tuple[StylisedLesion, ...]:
    """Return lesions as they are at a later cycle, in the same order.

    Args:
        lesions: As they are at the first cycle.
        cycle: Number of the cycle, from 1.

    Raises:
        ValueError: ``cycle`` is below 1.
    """
    if cycle < 1:
        raise ValueError(f"cycle must be 1 or above, got {cycle}.")
    return tuple(
        _resized(lesion, lesion.volume_per_cycle ** ((cycle - 1) / 3)) for lesion in lesions
    )


def _resized(lesion: StylisedLesion, by: float) -> StylisedLesion:
    """Scale a lesion's lengths about its first piece's centre."""
    first = np.array(lesion.pieces[0].centre_cm)
    pieces = []
    for piece in lesion.pieces:
        x, y, z = first + (np.array(piece.centre_cm) - first) * by
        a, b, c = np.array(piece.half_axes_mm) * by
        centre = (float(x), float(y), float(z))
        pieces.append(Ellipsoid(centre, (float(a), float(b), float(c)), piece.tilt_deg))
    return replace(lesion, pieces=tuple(pieces), radius_mm=lesion.radius_mm * by)


def _draw_lesion(
    rng: np.random.Generator, body: StylisedBody, site: str, others: list[StylisedLesion]
) -> StylisedLesion | None:
    """Draw a lesion, away from the others if there is room."""
    least, median, most = RADIUS_MM
    radius_mm = float(np.clip(median * np.exp(RADIUS_LOG_STD * rng.standard_normal()), least, most))
    centre = _draw_centre(rng, body, site, radius_mm, others)
    if centre is None:
        return None
    pieces = [_draw_piece(rng, centre, radius_mm)]
    if rng.random() < MERGED_SHARE:
        for _ in range(int(rng.integers(*MERGED_PARTS))):
            offset = rng.normal(0.0, 0.6 * radius_mm / 10, 3)
            pieces.append(_draw_piece(rng, centre + offset, radius_mm * rng.uniform(0.5, 0.8)))
    deviate = VOLUME_PER_CYCLE_LOG_STD * rng.standard_normal()
    per_cycle = min(VOLUME_PER_CYCLE * float(np.exp(deviate)), MOST_PER_CYCLE)
    return StylisedLesion(site, tuple(pieces), radius_mm, per_cycle)


def _draw_piece(
    rng: np.random.Generator, centre: Float[np.ndarray, "3"], radius_mm: float
) -> Ellipsoid:
    """Draw an ellipsoid of a given volume and random shape."""
    stretch = np.exp(0.2 * np.clip(rng.standard_normal(3), -2, 2))
    a, b, c = radius_mm * stretch / np.prod(stretch) ** (1 / 3)
    tilt = rng.uniform(0.0, 180.0, 3)
    return Ellipsoid(
        (float(centre[0]), float(centre[1]), float(centre[2])),
        (float(a), float(b), float(c)),
        (float(tilt[0]), float(tilt[1]), float(tilt[2])),
    )


def _draw_centre(
    rng: np.random.Generator,
    body: StylisedBody,
    site: str,
    radius_mm: float,
    others: list[StylisedLesion],
) -> Float[np.ndarray, "3"] | None:
    """Draw a point of the host, if possible not within another lesion's reach."""
    fallback = None
    for _ in range(TRIES):
        x, y, z = _candidates(rng, site, radius_mm)
        hosted = np.isin(paint_points(body, (x, y, z)).organs, SITES[site][1])
        for centre in np.stack([x, y, z], axis=1)[hosted]:
            if _clear(centre, radius_mm, others):
                return np.asarray(centre)
            fallback = centre if fallback is None else fallback
    return fallback


def _clear(centre: Float[np.ndarray, "3"], radius_mm: float, others: list[StylisedLesion]) -> bool:
    return all(
        np.linalg.norm(centre - np.array(other.pieces[0].centre_cm)) * 10
        > 0.9 * (radius_mm + other.radius_mm)
        for other in others
    )


def _candidates(rng: np.random.Generator, site: str, radius_mm: float) -> Points:
    """Draw points that may lie in the host: in bone, or beside a great vessel."""
    if site in BONE_SITES:
        solid = _BONES[site]
        low, high = np.array(solid.low_cm), np.array(solid.high_cm)
        points = low + rng.random((CANDIDATES * 40, 3)) * (high - low)
        inside = solid.contains(points[:, 0], points[:, 1], points[:, 2])
        points = points[inside][:CANDIDATES]
        return points[:, 0], points[:, 1], points[:, 2]
    path, vessel_cm = _VESSELS[site]
    return _beside(rng, path, vessel_cm + 0.8 * radius_mm / 10, mirror=site == "iliac")


def _beside(
    rng: np.random.Generator, path: tuple[Vector, ...], away_cm: float, *, mirror: bool
) -> Points:
    """Draw points around a path at about one distance, horizontally."""
    nodes = np.array(path)
    along = rng.uniform(0, len(nodes) - 1, CANDIDATES)
    at = np.stack([np.interp(along, np.arange(len(nodes)), nodes[:, k]) for k in range(3)], axis=1)
    angle = rng.uniform(0, 2 * np.pi, CANDIDATES)
    distance = away_cm * rng.uniform(0.8, 1.3, CANDIDATES)
    at[:, 0] += distance * np.cos(angle)
    at[:, 1] += distance * np.sin(angle)
    if mirror:
        at[:, 0] *= rng.choice([-1.0, 1.0], CANDIDATES)
    return at[:, 0], at[:, 1], at[:, 2]


def _piece_contains(piece: Ellipsoid, points: Points) -> Inside:
    turn = Rotation.from_euler("xyz", piece.tilt_deg, degrees=True).as_matrix()
    rows = turn.T / (np.array(piece.half_axes_mm)[:, None] / 10)
    d = [p - np.float32(c) for p, c in zip(points, piece.centre_cm, strict=True)]
    squares = [
        (np.float32(r[0]) * d[0] + np.float32(r[1]) * d[1] + np.float32(r[2]) * d[2]) ** 2
        for r in rows
    ]
    inside: Inside = squares[0] + squares[1] + squares[2] <= 1
    return inside


_BONES: dict[str, Solid] = {
    "spine": skeleton.spine(),
    "pelvis": skeleton.pelvic_ring() | skeleton.sacrum(),
    "ribs": skeleton.ribs() | skeleton.sternum(),
}
_VESSELS: dict[str, tuple[tuple[Vector, ...], float]] = {
    "retroperitoneum": (GREAT_VESSELS_CM, GREAT_VESSELS_RADIUS_CM),
    "iliac": (thorax.LEFT_ILIAC_CM, thorax.ILIAC_RADIUS_CM),
}
