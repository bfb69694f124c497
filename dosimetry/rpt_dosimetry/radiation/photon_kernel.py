"""The photons' point kernel, by Monte Carlo in spheres around the source.

Photoelectric absorption and Klein–Nishina scattering with cross sections of bound electrons;
electrons that photons free are stopped where they are freed (at 208 keV a Compton electron
travels 0.12 mm at most, a rare photoelectron 0.5 mm). Absorption is spread over all collisions
by weight, so every photon's energy is accounted for exactly. The radius is counted in g/cm², so
that one kernel serves all densities.

The kernel of Lu-177 in soft tissue, which every dose of this package needs, is read from a table
of what ``simulate`` gives, because that takes seconds. ``python -m
rpt_dosimetry.radiation.photon_kernel`` writes the table anew; a test simulates it again.
"""

from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Float

from rpt_dosimetry.radiation.attenuation import ELECTRON_REST_KEV, attenuation
from rpt_dosimetry.radiation.directions import isotropic, turned
from rpt_dosimetry.radiation.nuclide import find_nuclide
from rpt_dosimetry.radiation.point_kernel import PointKernel

PHOTONS = 1_000_000
BATCH = 100_000
SEED = 177
LOWEST_KEV = 5.0
"""keV; a photon below travels under 0.3 mm in soft tissue and is absorbed on the spot."""
LOWEST_SURVIVAL = 1e-3
"""A photon of which less is left is absorbed on the spot."""

LARGEST_G_PER_CM2 = 250.0
_EDGES = np.r_[0.0, np.geomspace(0.005, LARGEST_G_PER_CM2, 200)]

TABULATED = ("Lu-177", "soft")
TABLE = Path(__file__).with_name("photons_lu177_soft.csv")

Values = Float[np.ndarray, "_"]


@cache
def photon_kernel(nuclide_name: str, medium_name: str) -> PointKernel:
    """Return where a nuclide's photons are absorbed in an infinite medium; see ``simulate``."""
    if (nuclide_name, medium_name) == TABULATED:
        edge, kev = np.loadtxt(TABLE, delimiter=",", skiprows=1, unpack=True)
        return PointKernel(np.r_[0.0, edge[:-1]], kev[:-1], float(kev[-1]))
    return simulate(nuclide_name, medium_name)


def simulate(nuclide_name: str, medium_name: str) -> PointKernel:
    """Compute where a nuclide's photons are absorbed in an infinite medium.

    Args:
        nuclide_name: ICRP-107 name.
        medium_name: A key of ``MEDIA``.

    Returns:
        The kernel; its energies sum to the photons' energy per decay. The same arguments give
        the same numbers.

    Raises:
        BadInput: Unknown nuclide or medium.
    """
    photons = find_nuclide(nuclide_name).photons
    shell_kev = np.zeros(len(_EDGES))  # the last one is what lies beyond
    low = photons.energy_kev < LOWEST_KEV
    shell_kev[0] += photons.energy_kev[low] @ photons.per_decay[low]
    energy_kev, per_decay = photons.energy_kev[~low], photons.per_decay[~low]
    random = np.random.default_rng(SEED)
    carried_kev = energy_kev * per_decay
    if len(energy_kev):
        for _ in range(PHOTONS // BATCH):
            drawn = random.choice(len(energy_kev), size=BATCH, p=carried_kev / carried_kev.sum())
            # Lines are drawn by the energy they carry, which the weight gives back.
            weight = carried_kev.sum() / energy_kev[drawn] / PHOTONS
            shell_kev += _follow(energy_kev[drawn], weight, medium_name, random)
    return PointKernel(_EDGES, shell_kev[:-1], float(shell_kev[-1]))


def _follow(
    energy_kev: Values, weight: Values, medium_name: str, random: np.random.Generator
) -> Float[np.ndarray, " shells"]:
    """Follow photons from the centre until their energy is spent; return keV per shell."""
    table = attenuation(medium_name)
    step = table.log_kev[1] - table.log_kev[0]
    place = np.zeros((3, len(energy_kev)))
    direction = isotropic(len(energy_kev), random)
    survival = np.ones_like(weight)
    tally = np.zeros(len(_EDGES))
    while len(energy_kev):
        node = (np.log(energy_kev) - table.log_kev[0]) / step
        photoelectric = _at(table.photoelectric_cm2_per_g, node)
        total = photoelectric + _at(table.compton_cm2_per_g, node)
        place = place + direction * (random.exponential(size=len(node)) / total)
        absorbed = photoelectric / total
        scattered_kev, cosine = _compton(energy_kev, random)
        left = survival * (1.0 - absorbed)
        goes = (scattered_kev >= LOWEST_KEV) & (left >= LOWEST_SURVIVAL)
        deposit_kev = weight * (survival * energy_kev - np.where(goes, left * scattered_kev, 0.0))
        shell = np.searchsorted(_EDGES, np.sqrt((place**2).sum(axis=0)), side="right") - 1
        tally += np.bincount(shell, weights=deposit_kev, minlength=len(_EDGES))
        energy_kev, weight, survival = scattered_kev[goes], weight[goes], left[goes]
        place = place[:, goes]
        direction = turned(direction[:, goes], cosine[goes], random)
    return tally


def _at(table: Values, node: Values) -> Values:
    """Interpolate between the table's evenly spaced nodes."""
    low = node.astype(np.intp)
    part = node - low
    value: Values = table[low] * (1.0 - part) + table[low + 1] * part
    return value


def _compton(energy_kev: Values, random: np.random.Generator) -> tuple[Values, Values]:
    """Draw scattered energies (keV) and the cosines of the angles from Klein and Nishina.

    Source: rejection as in GEANT3, W5.03 (after Butcher & Messel, Nucl Phys 20 (1960) 15).
    """
    k = energy_kev / ELECTRON_REST_KEV
    lowest = 1.0 / (1.0 + 2.0 * k)  # scattered over incident energy, straight back
    first = -np.log(lowest)
    second = 0.5 * (1.0 - lowest**2)
    ratio, cosine = np.empty_like(k), np.empty_like(k)
    open_ = np.arange(len(k))
    while len(open_):
        u, v, w = random.random((3, len(open_)))
        low = lowest[open_]
        by_first = u * (first[open_] + second[open_]) < first[open_]
        tried = np.where(by_first, low**v, np.sqrt(low**2 + (1.0 - low**2) * v))
        t = (1.0 - tried) / (k[open_] * tried)  # 1 − cosine
        kept = w < 1.0 - tried * t * (2.0 - t) / (1.0 + tried**2)
        ratio[open_[kept]], cosine[open_[kept]] = tried[kept], 1.0 - t[kept]
        open_ = open_[~kept]
    return ratio * energy_kev, cosine


def write_table() -> None:
    """Write the table of ``TABULATED``: outer radius of each shell, the last of what is beyond."""
    kernel = simulate(*TABULATED)
    rows = np.c_[
        np.r_[kernel.edge_g_per_cm2[1:], np.inf], np.r_[kernel.shell_kev, kernel.beyond_kev]
    ]
    header = "outer_edge_g_per_cm2,absorbed_kev_per_decay"
    np.savetxt(TABLE, rows, fmt="%.17g", delimiter=",", header=header, comments="")


if __name__ == "__main__":
    write_table()
