"""The photons' point kernel, by Monte Carlo in spheres around the source.

Photoelectric absorption and Klein–Nishina scattering with cross sections of bound electrons;
electrons that photons free are stopped where they are freed (at 208 keV a Compton electron
travels 0.12 mm at most, a rare photoelectron 0.5 mm). Absorption is spread over all collisions
by weight, so every photon's energy is accounted for exactly. The radius is counted in g/cm², so
that one kernel serves all densities.

The kernel of Lu-177 in soft tissue, which every dose of this package needs, is read from a table
of what ``simulate`` gives, because that takes seconds. ``python -m
rpt_dosimetry.radiation.photons`` writes the table anew; a test simulates it again.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import xraydb
from jaxtyping import Float

from rpt_dosimetry.radiation.media import Medium, PointKernel, find_medium
from rpt_dosimetry.radiation.nuclide import find_nuclide

ELECTRON_REST_KEV = 510.99895
CLASSICAL_ELECTRON_RADIUS_CM = 2.8179403e-13
AVOGADRO_PER_MOL = 6.02214076e23

_LOWEST_NODE_KEV, _HIGHEST_NODE_KEV = 1.0, 4000.0
ELAM_HIGHEST_KEV = 800.0
_NODES = 400


@dataclass(frozen=True)
class Attenuation:
    """Mass attenuation coefficients of a medium; ``log_kev``, natural, is evenly spaced."""

    log_kev: Float[np.ndarray, " n"]
    photoelectric_cm2_per_g: Float[np.ndarray, " n"]
    compton_cm2_per_g: Float[np.ndarray, " n"]


@cache
def attenuation(medium_name: str) -> Attenuation:
    """Tabulate a medium's cross sections from 1 keV to 4 MeV.

    Coherent scattering is left out: it deposits nothing, and at the angles where it matters
    it barely turns the photon. Pair production (above 1,022 keV) is not there: at 2 MeV it is
    1 % of water's attenuation, at 3 MeV 3 %.

    Source: up to 800 keV the tables of Elam, Ravel and Sieber, Radiat Phys Chem 63 (2002) 121,
    by ``xraydb``; above, Klein and Nishina's formula for free electrons, and the photoelectric
    coefficient extended by its power law.
    """
    medium = find_medium(medium_name)
    log_kev = np.linspace(np.log(_LOWEST_NODE_KEV), np.log(_HIGHEST_NODE_KEV), _NODES)
    energy_kev = np.exp(log_kev)
    tabulated = energy_kev <= ELAM_HIGHEST_KEV
    low_kev = energy_kev[tabulated]
    photoelectric, compton = _mixed(medium, low_kev, "photo"), _mixed(medium, low_kev, "incoh")
    slope, intercept = np.polyfit(log_kev[tabulated][-20:], np.log(photoelectric[-20:]), 1)
    high = ~tabulated
    return Attenuation(
        log_kev,
        np.r_[photoelectric, np.exp(intercept + slope * log_kev[high])],
        np.r_[compton, electrons_per_g(medium) * klein_nishina_cm2(energy_kev[high])],
    )


def klein_nishina_cm2(energy_kev: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Return the Compton cross section of a free electron at rest; below 1 keV digits cancel.

    Source: Klein & Nishina, Z Phys 52 (1929) 853.
    """
    k = energy_kev / ELECTRON_REST_KEV
    log = np.log1p(2 * k)
    first = (1 + k) / k**2 * (2 * (1 + k) / (1 + 2 * k) - log / k)
    second = log / (2 * k) - (1 + 3 * k) / (1 + 2 * k) ** 2
    area: Float[np.ndarray, " n"] = 2 * np.pi * CLASSICAL_ELECTRON_RADIUS_CM**2 * (first + second)
    return area


def _mixed(
    medium: Medium, energy_kev: Float[np.ndarray, " n"], kind: str
) -> Float[np.ndarray, " n"]:
    total = np.zeros_like(energy_kev)
    for element, fraction in medium.mass_fraction.items():
        total += fraction * xraydb.mu_elam(element, energy_kev * 1000.0, kind=kind)
    return total


def electrons_per_g(medium: Medium) -> float:
    """Return how many electrons a gram of a medium has."""
    mol_per_g = 0.0
    for element, fraction in medium.mass_fraction.items():
        mol_per_g += fraction * xraydb.atomic_number(element) / xraydb.atomic_mass(element)
    return AVOGADRO_PER_MOL * mol_per_g


def isotropic(count: int, random: np.random.Generator) -> Float[np.ndarray, "3 n"]:
    """Draw unit vectors of no preferred direction."""
    cosine = random.uniform(-1.0, 1.0, count)
    azimuth = random.uniform(0.0, 2 * np.pi, count)
    sine = np.sqrt(1.0 - cosine**2)
    return np.stack([sine * np.cos(azimuth), sine * np.sin(azimuth), cosine])


def turned(
    direction: Float[np.ndarray, "3 n"],
    cosine: Float[np.ndarray, " n"],
    random: np.random.Generator,
) -> Float[np.ndarray, "3 n"]:
    """Turn unit vectors by an angle each, in azimuth as chance has it.

    Source of the frame without a singular axis: Duff et al., J Comput Graph Tech 6 (2017) 1.
    """
    u, v, w = direction
    azimuth = random.uniform(0.0, 2 * np.pi, len(w))
    sine = np.sqrt(np.maximum(0.0, 1.0 - cosine**2))
    sign = np.copysign(1.0, w)
    a = -1.0 / (sign + w)
    b = u * v * a
    x, y = sine * np.cos(azimuth), sine * np.sin(azimuth)
    turned = np.stack(
        [
            x * (1.0 + sign * u**2 * a) + y * b + cosine * u,
            x * sign * b + y * (sign + v**2 * a) + cosine * v,
            -x * sign * u - y * v + cosine * w,
        ]
    )
    unit: Float[np.ndarray, "3 n"] = turned / np.sqrt((turned**2).sum(axis=0))
    return unit


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

    The energies sum to the photons' energy per decay; the same arguments give the same numbers.
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
