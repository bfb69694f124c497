"""Lesions: metastases in the marrow, along the chains of nodes, in the prostate, in the liver.

Each is an ellipsoid with an irregular outline that stays within its host: a bone metastasis in
marrow and cortex, so that a large one fills the bone as diffuse disease does. A patient's burden is
drawn first, then in how many lesions it is, then their log-normal radii. Uptake, and its fall over
the cycles, is kinetics'.

All numbers are ours. Published is a PSMA-avid volume of 302 mL, quartiles 47 and 1,076 mL (of
356 patients; Gafita et al., J Nucl Med 63 (2022) 226): with as much, what lesions release and
organs take up again would make the organs' half-lives longer than published.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Float32, Int, UInt8
from scipy.spatial.transform import Rotation

from rpt_phantom.anatomy import ids
from rpt_phantom.anatomy.atlas import Atlas
from rpt_phantom.anatomy.body import Body
from rpt_phantom.anatomy.tissues import CELLULARITY, Tissue
from rpt_phantom.grid import Vector

BURDEN_ML, BURDEN_LOG_STD = (1.0, 100.0, 2500.0), 1.6
"""Of all lesions as they are drawn: least, median, most; their hosts cut some of it off."""
MOST_LESIONS, LESIONS_OF_1_ML, LESIONS_POWER, LESIONS_LOG_STD = 80, 3.0, 0.45, 0.5
"""How many there are: a power of the burden in mL, log-normal about it."""
RADIUS_LOG_STD, LEAST_RADIUS_MM, MOST_RADIUS_MM = 0.45, 4.0, 60.0
MOST_SOFT_RADIUS_MM = 25.0  # of what is not in bone
NODE_SHARE = (0.05, 0.6)  # of a patient's lesions, least and most
PROSTATE_SHARE, LIVER_SHARE = 0.35, 0.06  # of patients with a lesion there
NECROTIC_SHARE, NECROTIC_RADIUS_MM, NECROTIC_CORE = 0.3, 14.0, 0.5  # of nodes and in the liver
NODE_REACH_MM = (5.0, 14.0)  # from a vessel's middle
ROUGHNESS, WAVES = 0.22, 6
VOLUME_PER_CYCLE, VOLUME_PER_CYCLE_LOG_STD = 0.75, 0.25
MOST_PER_CYCLE = 1.2
TRIES = 40

BONE_HOSTS = tuple(one for one in ids.BONES if one != ids.SKULL)
NODE_VESSELS = {
    "iliac": (0.45, (ids.ILIAC_ARTERY_LEFT, ids.ILIAC_ARTERY_RIGHT)),
    "retroperitoneal": (0.40, (ids.AORTA, ids.VENA_CAVA)),
    "mediastinal": (0.15, (ids.TRACHEA,)),
}
"""Chain → its share among nodes, and what it runs along."""


@dataclass(frozen=True)
class Lesion:
    """One lesion, as it is at one cycle, before the patient's size and deformation.

    Attributes:
        site: ``bone``, a key of ``NODE_VESSELS``, ``prostate`` or ``liver``.
        hosts: Organ numbers within which it stays.
        centre_mm: In the atlas, mm.
        half_axes_mm: Of the ellipsoid, mm.
        tilt_deg: Rotations about x, y and z, degrees.
        waves: Of the outline: direction times wave number, and phase, one a row.
        necrotic: Share of the radius that is necrotic; 0 for none.
        volume_per_cycle: Volume from cycle to cycle, relative to the one before.
    """

    site: str
    hosts: tuple[int, ...]
    centre_mm: Vector
    half_axes_mm: Vector
    tilt_deg: Vector
    waves: tuple[tuple[float, float, float, float], ...]
    necrotic: float
    volume_per_cycle: float

    @property
    def in_bone(self) -> bool:
        """Whether bone hosts it."""
        return self.site == "bone"

    @property
    def radius_mm(self) -> float:
        """Of the sphere of the ellipsoid's volume, mm."""
        return float(np.prod(self.half_axes_mm) ** (1 / 3))

    def depth(self, points_mm: Float32[np.ndarray, "3 ..."]) -> Float32[np.ndarray, "..."]:
        """Return 0 in its middle, 1 on its outline, more outside."""
        turn = Rotation.from_euler("xyz", self.tilt_deg, degrees=True).as_matrix()
        rows = (turn.T / np.array(self.half_axes_mm)[:, None]).astype(np.float32)
        away = [p - np.float32(c) for p, c in zip(points_mm, self.centre_mm, strict=True)]
        x, y, z = (row[0] * away[0] + row[1] * away[1] + row[2] * away[2] for row in rows)
        rough = sum(np.sin(a * x + b * y + c * z + phase) for a, b, c, phase in self.waves)
        scale = np.float32(ROUGHNESS * np.sqrt(2.0 / WAVES))
        return np.asarray(np.sqrt(x**2 + y**2 + z**2) + scale * rough, dtype=np.float32)

    def box_mm(self) -> tuple[Vector, Vector]:
        """Return a box in the atlas that holds it, mm."""
        reach = max(self.half_axes_mm) * (1.0 + ROUGHNESS * np.sqrt(2.0 * WAVES))
        x, y, z = self.centre_mm
        return (x - reach, y - reach, z - reach), (x + reach, y + reach, z + reach)


def draw_lesions(rng: np.random.Generator, body: Body) -> tuple[Lesion, ...]:
    """Draw a patient's lesions as they are at the first cycle.

    Args:
        body: The patient; a lesion's centre lies in its host.

    Returns:
        1 to ``MOST_LESIONS`` lesions; number 1 comes first.
    """
    places = _places_of(body.atlas)
    ml = float(np.clip(_log_normal(rng, BURDEN_ML[1], BURDEN_LOG_STD), BURDEN_ML[0], BURDEN_ML[2]))
    usual = LESIONS_OF_1_ML * ml**LESIONS_POWER
    count = int(np.clip(round(_log_normal(rng, usual, LESIONS_LOG_STD)), 1, MOST_LESIONS))
    node_share = rng.uniform(*NODE_SHARE)
    sites = ["node" if rng.random() < node_share else "bone" for _ in range(count)]
    sites[:1] = ["prostate"] if rng.random() < PROSTATE_SHARE else sites[:1]
    if rng.random() < LIVER_SHARE:
        sites += ["liver"] * int(rng.integers(1, 5))
    sites = sites[:MOST_LESIONS]
    radii_mm = np.exp(RADIUS_LOG_STD * rng.standard_normal(len(sites)))
    radii_mm *= (1000.0 * ml / (4 / 3 * np.pi * np.sum(radii_mm**3))) ** (1 / 3)
    lesions: list[Lesion] = []
    for site, radius_mm in zip(sites, radii_mm.tolist(), strict=True):
        lesion = _draw_lesion(rng, body, places, site, radius_mm, lesions)
        if lesion is not None:
            lesions.append(lesion)
    return tuple(lesions)


def _log_normal(rng: np.random.Generator, median: float, log_std: float) -> float:
    return median * float(np.exp(log_std * rng.standard_normal()))


def at_cycle(lesions: Sequence[Lesion], cycle: int) -> tuple[Lesion, ...]:
    """Return lesions as they are at a later cycle, in the same order.

    Raises:
        ValueError: ``cycle`` is below 1.
    """
    if cycle < 1:
        raise ValueError(f"cycle must be 1 or above, got {cycle}.")
    resized = []
    for lesion in lesions:
        by = lesion.volume_per_cycle ** ((cycle - 1) / 3)
        a, b, c = (by * one for one in lesion.half_axes_mm)
        resized.append(replace(lesion, half_axes_mm=(a, b, c)))
    return tuple(resized)


def _draw_lesion(
    rng: np.random.Generator,
    body: Body,
    places: "_Places",
    site: str,
    radius_mm: float,
    others: Sequence[Lesion],
) -> Lesion | None:
    """Draw a lesion, away from the others if there is room; ``None`` where there is no host."""
    most_mm = MOST_RADIUS_MM if site == "bone" else MOST_SOFT_RADIUS_MM
    radius_mm = float(np.clip(radius_mm, LEAST_RADIUS_MM, most_mm))
    radius_mm /= float(np.prod(body.scales)) ** (1 / 3)
    if site == "node":
        shares = np.array([share for share, _ in NODE_VESSELS.values()])
        site = str(rng.choice(list(NODE_VESSELS), p=shares / shares.sum()))
    hosts, candidates = _host(rng, places, site, radius_mm)
    if not len(candidates):
        return None
    centre = candidates[0]
    for one in candidates:
        if all(
            np.linalg.norm(one - other.centre_mm) > 0.9 * (radius_mm + other.radius_mm)
            for other in others
        ):
            centre = one
            break
    stretch = np.exp(0.2 * np.clip(rng.standard_normal(3), -2, 2))
    a, b, c = (float(one) for one in radius_mm * stretch / np.prod(stretch) ** (1 / 3))
    u, v, w = (float(one) for one in rng.uniform(0.0, 180.0, 3))
    directions = rng.standard_normal((WAVES, 3))
    directions *= rng.uniform(2.0, 6.0, (WAVES, 1)) / np.linalg.norm(
        directions, axis=1, keepdims=True
    )
    phases = rng.uniform(0.0, 2 * np.pi, (WAVES, 1))
    waves = tuple(
        (float(p), float(q), float(r), float(s))
        for p, q, r, s in np.concatenate([directions, phases], axis=1)
    )
    dead = rng.random() < NECROTIC_SHARE and radius_mm > NECROTIC_RADIUS_MM and site != "bone"
    deviate = VOLUME_PER_CYCLE_LOG_STD * rng.standard_normal()
    per_cycle = min(VOLUME_PER_CYCLE * float(np.exp(deviate)), MOST_PER_CYCLE)
    x, y, z = (float(one) for one in centre)
    return Lesion(
        site, hosts, (x, y, z), (a, b, c), (u, v, w), waves, NECROTIC_CORE * dead, per_cycle
    )


def _host(
    rng: np.random.Generator, places: "_Places", site: str, radius_mm: float
) -> tuple[tuple[int, ...], Float[np.ndarray, "n 3"]]:
    """Return a site's organ numbers, and places in it, mm, drawn at random."""
    if site == "bone":
        marrow = places.draw(rng, BONE_HOSTS, Tissue.SPONGIOSA)
        cellularity = np.array([CELLULARITY.get(int(one), 0.0) for one in places.organs_at(marrow)])
        return BONE_HOSTS, marrow[rng.random(len(marrow)) < cellularity]
    if site == "prostate":
        return (ids.PROSTATE, ids.REMAINING_BODY), places.draw(rng, (ids.PROSTATE,))
    if site == "liver":
        return (ids.LIVER,), places.draw(rng, (ids.LIVER,))
    vessels = places.draw(rng, NODE_VESSELS[site][1])
    away = rng.standard_normal(vessels.shape)
    reach = rng.uniform(*NODE_REACH_MM, (len(vessels), 1)) + 0.5 * radius_mm
    beside = vessels + away / np.linalg.norm(away, axis=1, keepdims=True) * reach
    return (ids.REMAINING_BODY,), beside[places.organs_at(beside) == ids.REMAINING_BODY]


@lru_cache(maxsize=4)
def _places_of(atlas: Atlas) -> "_Places":
    return _Places(atlas)


class _Places:
    """Where lesions can be in an atlas; looked for once for each kind of host."""

    def __init__(self, atlas: Atlas) -> None:
        self.atlas = atlas
        self.found: dict[tuple[int, ...], Int[np.ndarray, " n"]] = {}

    def draw(
        self, rng: np.random.Generator, numbers: tuple[int, ...], tissue: Tissue | None = None
    ) -> Float[np.ndarray, "n 3"]:
        """Draw ``TRIES`` places within some organs, mm; none where the atlas has none of them."""
        if numbers not in self.found:
            chosen = np.zeros(256, bool)
            chosen[list(numbers)] = True
            here = chosen[self.atlas.organs]
            if tissue is not None:
                here &= self.atlas.tissue == tissue
            self.found[numbers] = np.flatnonzero(here)
        flat = self.found[numbers]
        if not len(flat):
            return np.zeros((0, 3))
        at = np.unravel_index(flat[rng.integers(len(flat), size=TRIES)], self.atlas.organs.shape)
        inside = np.stack(at, axis=1) + rng.uniform(-0.5, 0.5, (TRIES, 3))
        return np.asarray(inside * self.atlas.grid.spacing_mm + self.atlas.grid.first_mm)

    def organs_at(self, places_mm: Float[np.ndarray, "n 3"]) -> UInt8[np.ndarray, " n"]:
        """Return the organ numbers at places; those at the map's edge for what lies beyond."""
        grid = self.atlas.grid
        at = np.rint((places_mm - grid.first_mm) / grid.spacing_mm).astype(int)
        return np.asarray(self.atlas.organs[tuple(np.clip(at, 0, np.array(grid.shape) - 1).T)])
