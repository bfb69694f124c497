"""Where photons scatter last before they fly to the detector: a Monte Carlo in water.

Effective source scatter estimation: the scattered photons of a view are an attenuated projection
of an effective source, the activity convolved with this kernel. Source: Frey & Tsui, IEEE Nucl Sci
Symp Conf Rec (1996) 1082. Ours: all orders of scattering, energy windows and lines in one kernel
per window, and one mean attenuation of its photons instead of their series.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import xraydb
from jaxtyping import Float, Float32
from rpt_dosimetry.radiation.photons import ELECTRON_REST_KEV, klein_nishina_cm2

from rpt_phantom.spect.camera import LINES, PHOTON_KEV, Camera, counted_share, peak_count_per_decay

HISTORIES = 300_000
"""Per line; ours: scatter per primary of a ball comes out within 2 % of another Monte Carlo."""
SEED = 20240208
RADIUS_MM = 288.0
"""Of the kernel: 3.9 mean free paths, beyond which lie 2 % of the first scatterings."""
LOWEST_KEV = 150.0
"""4 standard deviations below the lower window of 175 keV: none is counted from below."""
_NODES_KEV = np.linspace(LOWEST_KEV, 330.0, 361)
_ORDERS = 12
_MM_PER_CM = 10.0
_CLASSICAL_RADIUS_CM = 2.8179403e-13


@dataclass(frozen=True)
class ScatterKernels:
    """One kernel for each energy window, for a detector at +x.

    Attributes:
        counts: Scattered counts per unscattered peak count, neither attenuated after, by the
            voxel of the last scattering around the source in the middle.
        attenuation: Attenuation coefficient of these photons over that of 208 keV.
    """

    counts: Float32[np.ndarray, "window x y z"]
    attenuation: Float[np.ndarray, " window"]


@dataclass
class _Photons:
    position_mm: Float[np.ndarray, "n 3"]
    direction: Float[np.ndarray, "n 3"]
    energy_kev: Float[np.ndarray, " n"]
    share: Float[np.ndarray, " n"]


@cache
def scatter_kernels(camera: Camera, *, voxel_mm: float) -> ScatterKernels:
    """Simulate the kernels in endless water.

    At each scattering the share that turns towards the detector is scored and the photon goes on
    (forced detection). Photoelectric absorption and coherent scattering take photons away, as the
    attenuation coefficient of the unscattered has it.

    Args:
        camera: Its windows, crystal and energy resolution.
        voxel_mm: Edge of a voxel, mm; a source fills the middle one.

    Returns:
        The kernels; equal in every process, as the seed is fixed.
    """
    rng = np.random.default_rng(SEED)
    half = round(RADIUS_MM / voxel_mm)
    size = 2 * half + 1
    scored = np.zeros((3, size**3))
    attenuated = np.zeros(3)
    shares = [counted_share(_NODES_KEV, window, camera) for window in camera.windows]
    for energy_kev, per_decay in LINES:
        photons = _emitted(rng, energy_kev, per_decay / peak_count_per_decay(camera), voxel_mm)
        for _ in range(_ORDERS):
            photons = _flown(rng, photons)
            _score(photons, shares, half, voxel_mm, scored, attenuated)
            photons = _scattered(rng, photons)
            if not photons.share.size:
                break
    counts = _mirrored(scored.reshape(3, size, size, size))
    per_cm = float(water_per_cm(np.array([PHOTON_KEV]), "total")[0])
    return ScatterKernels(counts.astype(np.float32), attenuated / scored.sum(axis=1) / per_cm)


def water_per_cm(energy_kev: Float[np.ndarray, " n"], kind: str) -> Float[np.ndarray, " n"]:
    """Return a linear attenuation coefficient of water, 1/cm.

    Args:
        kind: ``total`` or ``incoh``.

    Source: Elam, Ravel & Sieber 2002, by ``xraydb``.
    """
    coefficient: Float[np.ndarray, " n"] = np.interp(energy_kev, _NODES_KEV, _water_table(kind))
    return coefficient


@cache
def _water_table(kind: str) -> Float[np.ndarray, " node"]:
    hydrogen, oxygen = (xraydb.mu_elam(one, _NODES_KEV * 1000.0, kind=kind) for one in ("H", "O"))
    table: Float[np.ndarray, " node"] = 0.1119 * hydrogen + 0.8881 * oxygen
    return table


def klein_nishina_per_sr(
    energy_kev: Float[np.ndarray, " n"], cosine: Float[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    """Return the distribution of the direction after a Compton scattering, 1/sr.

    Args:
        cosine: Of the scattering angle.

    Source: Klein & Nishina, Z Phys 52 (1929) 853.
    """
    ratio = 1.0 / (1.0 + energy_kev / ELECTRON_REST_KEV * (1.0 - cosine))
    area = ratio**2 * (ratio + 1.0 / ratio - 1.0 + cosine**2) * _CLASSICAL_RADIUS_CM**2 / 2.0
    density: Float[np.ndarray, " n"] = area / klein_nishina_cm2(energy_kev)
    return density


def energy_after_kev(
    energy_kev: Float[np.ndarray, " n"], cosine: Float[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    """Return the energy after a Compton scattering by an electron at rest, keV."""
    after: Float[np.ndarray, " n"] = energy_kev / (
        1.0 + energy_kev / ELECTRON_REST_KEV * (1.0 - cosine)
    )
    return after


def _emitted(
    rng: np.random.Generator, energy_kev: float, photons_per_count: float, voxel_mm: float
) -> _Photons:
    position_mm = (rng.random((HISTORIES, 3)) - 0.5) * voxel_mm
    energies_kev = np.full(HISTORIES, energy_kev)
    share = np.full(HISTORIES, photons_per_count / HISTORIES)
    return _Photons(position_mm, _isotropic(rng, HISTORIES), energies_kev, share)


def _isotropic(rng: np.random.Generator, n: int) -> Float[np.ndarray, "n 3"]:
    along = 2.0 * rng.random(n) - 1.0
    turn = 2.0 * np.pi * rng.random(n)
    across = np.sqrt(1.0 - along**2)
    return np.stack([along, across * np.cos(turn), across * np.sin(turn)], axis=1)


def _flown(rng: np.random.Generator, photons: _Photons) -> _Photons:
    """Move photons to their next interaction; the share that scatters there stays."""
    total_per_cm = water_per_cm(photons.energy_kev, "total")
    length_mm = rng.standard_exponential(len(total_per_cm)) / total_per_cm * _MM_PER_CM
    scatters = water_per_cm(photons.energy_kev, "incoh") / total_per_cm
    position_mm = photons.position_mm + photons.direction * length_mm[:, None]
    return _Photons(position_mm, photons.direction, photons.energy_kev, photons.share * scatters)


def _score(
    photons: _Photons,
    shares: list[Float[np.ndarray, " node"]],
    half: int,
    voxel_mm: float,
    scored: Float[np.ndarray, "window voxel"],
    attenuated: Float[np.ndarray, " window"],
) -> None:
    """Add what turns to +x, per share of an isotropic source that flies there."""
    cosine = photons.direction[:, 0]
    after_kev = energy_after_kev(photons.energy_kev, cosine)
    per_primary = 4.0 * np.pi * klein_nishina_per_sr(photons.energy_kev, cosine) * photons.share
    index = np.rint(photons.position_mm / voxel_mm).astype(np.int64) + half
    size = 2 * half + 1
    seen = ((index >= 0) & (index < size)).all(axis=1) & (after_kev > LOWEST_KEV)
    after_kev, per_primary = after_kev[seen], per_primary[seen]
    voxel = (index[seen, 0] * size + index[seen, 1]) * size + index[seen, 2]
    per_cm = water_per_cm(after_kev, "total")
    for number, share in enumerate(shares):
        counts = per_primary * np.interp(after_kev, _NODES_KEV, share)
        scored[number] += np.bincount(voxel, counts, minlength=size**3)
        attenuated[number] += float(counts @ per_cm)


def _scattered(rng: np.random.Generator, photons: _Photons) -> _Photons:
    """Turn photons evenly into all directions, and weigh each by Klein and Nishina."""
    direction = _isotropic(rng, len(photons.share))
    cosine = (direction * photons.direction).sum(axis=1)
    after_kev = energy_after_kev(photons.energy_kev, cosine)
    share = photons.share * 4.0 * np.pi * klein_nishina_per_sr(photons.energy_kev, cosine)
    goes_on = after_kev > LOWEST_KEV
    return _Photons(
        photons.position_mm[goes_on], direction[goes_on], after_kev[goes_on], share[goes_on]
    )


def _mirrored(counts: Float[np.ndarray, "w x y y"]) -> Float[np.ndarray, "w x y y"]:
    """Average over the mirror images that the axis to the detector leaves alike."""
    counts = (counts + counts[:, :, ::-1]) / 2.0
    counts = (counts + counts[..., ::-1]) / 2.0
    averaged: Float[np.ndarray, "w x y y"] = (counts + counts.swapaxes(2, 3)) / 2.0
    return averaged
