"""Voxel kernels of a nuclide in a medium, electrons and photons apart, and their balance.

From a point kernel to a voxel kernel: the decay is anywhere in the source voxel and the
absorption anywhere in the target. Averaged over both, their distance along each axis is weighted
by a triangle that is 1 at the offset's centre and 0 one voxel away. All offsets' triangles
together are 1 everywhere, so that the voxel kernel holds the point kernel's energy.
"""

import itertools
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Float32

from rpt_dosimetry.radiation.electrons import electron_kernel
from rpt_dosimetry.radiation.media import PointKernel, find_medium
from rpt_dosimetry.radiation.photons import photon_kernel

Spacing = tuple[float, float, float]
"""Sides of a voxel along its axes, mm."""
Octant = Float[np.ndarray, "i j k"]
"""Energy per decay, keV, at the offsets 0, 1, 2 … along each axis; its mirror images are the
other seven octants."""

NEAR, MIDDLE = 2, 12
"""Offsets, in units of the longest side: nearer than ``NEAR`` the integral goes over spheres
(the point kernel is singular), nearer than ``MIDDLE`` over cells, beyond it is the value at the
centre (right within 0.1 %)."""

_DIRECTIONS, _RADII, _GAUSS = 400, 500, 2
MM_PER_CM = 10.0


def voxel_octant(
    kernel: PointKernel,
    *,
    spacing_mm: Spacing,
    shape: tuple[int, int, int],
    density_g_per_cm3: float,
) -> Octant:
    """Integrate a point kernel over pairs of voxels.

    Args:
        shape: How many offsets along each axis, that of the source voxel included.

    Returns:
        Energy absorbed in the voxel at each offset per decay in the source voxel, keV.
    """
    side = np.array(spacing_mm) / MM_PER_CM * density_g_per_cm3  # g/cm²
    near, middle = (
        tuple(int(n) for n in np.minimum(shape, np.ceil(reach * side.max() / side)))
        for reach in (NEAR, MIDDLE)
    )
    octant = _at_centres(kernel, side, shape)
    octant[_corner(middle)] = _over_cells(kernel, side, middle)
    octant[_corner(near)] = _over_spheres(kernel, side, near)
    return octant


def whole_octant(kernel: PointKernel, *, spacing_mm: Spacing, density_g_per_cm3: float) -> Octant:
    """Integrate a point kernel of finite reach over spheres, to its last offset."""
    side = np.array(spacing_mm) / MM_PER_CM * density_g_per_cm3
    return _over_spheres(kernel, side, _reached(kernel, side))


def _reached(kernel: PointKernel, side: Float[np.ndarray, "3"]) -> tuple[int, ...]:
    """Count the offsets that a point kernel of finite reach can get to, 0 included."""
    return tuple(int(n) + 2 for n in kernel.edge_g_per_cm2[-1] / side)


def whole_sum(octant: Octant) -> float:
    """Sum the kernel over all eight octants; the planes between them count once."""
    part: np.ndarray = octant
    for _ in range(3):
        part = 2.0 * part.sum(axis=0) - part[0]
    return float(part)


def mirrored(octant: Octant) -> Float[np.ndarray, "x y z"]:
    """Return the whole kernel: odd sizes, the source voxel at the centre."""
    whole = octant
    for axis in range(3):
        others = np.flip(np.delete(whole, 0, axis=axis), axis=axis)
        whole = np.concatenate([others, whole], axis=axis)
    return whole


def octant_directions(turn: int) -> Float[np.ndarray, "n 3"]:
    """Spread unit vectors evenly over an octant, alike for all permutations of the axes.

    Args:
        turn: Another number gives other directions of the same kind.
    """
    golden = (np.sqrt(5.0) - 1.0) / 2.0
    step = np.arange(_DIRECTIONS)
    cosine = 1.0 - (step + (0.5 + turn * golden) % 1.0) / _DIRECTIONS
    azimuth = ((step + turn) * golden**2 % 1.0) * np.pi / 2.0
    sine = np.sqrt(1.0 - cosine**2)
    spread = np.stack([sine * np.cos(azimuth), sine * np.sin(azimuth), cosine], axis=1)
    return np.concatenate([spread[:, order] for order in itertools.permutations(range(3))])


def _corner(shape: tuple[int, ...]) -> tuple[slice, ...]:
    return tuple(slice(0, n) for n in shape)


def _at_centres(
    kernel: PointKernel, side: Float[np.ndarray, "3"], shape: tuple[int, int, int]
) -> Octant:
    x, y, z = (np.arange(n) * length for n, length in zip(shape, side, strict=True))
    return _density(kernel, x[:, None, None], y[:, None], z) * float(side.prod())


def _over_cells(
    kernel: PointKernel, side: Float[np.ndarray, "3"], shape: tuple[int, ...]
) -> Octant:
    """Integrate by Gauss and Legendre's rule on either side of each offset's centre."""
    node, share = np.polynomial.legendre.leggauss(_GAUSS)
    node = np.r_[(node - 1.0) / 2.0, (node + 1.0) / 2.0]
    share = np.r_[share, share] / 2.0 * (1.0 - np.abs(node))
    total = np.zeros(shape)
    for i, j, k in itertools.product(range(len(node)), repeat=3):
        x, y, z = (
            (np.arange(n) + node[at]) * length
            for n, at, length in zip(shape, (i, j, k), side, strict=True)
        )
        total += share[i] * share[j] * share[k] * _density(kernel, x[:, None, None], y[:, None], z)
    return total * float(side.prod())


def _over_spheres(
    kernel: PointKernel, side: Float[np.ndarray, "3"], shape: tuple[int, ...]
) -> Octant:
    """Integrate over directions and radii: a point's energy goes to its eight offsets.

    The triangles of the eight offsets around a point are the weights of trilinear interpolation.
    """
    size = tuple(n + 1 for n in shape)
    reach = min(float(kernel.edge_g_per_cm2[-1]), float(np.linalg.norm(side * shape)))
    edge = np.linspace(0.0, 1.0, _RADII + 1) ** 1.5 * reach
    energy_kev = np.diff(kernel.within_kev(edge))
    total = np.zeros(int(np.prod(size)))
    for number, radius in enumerate((edge[1:] + edge[:-1]) / 2.0):
        place = radius * octant_directions(number) / side
        count = len(place)
        place = place[(place < shape).all(axis=1)]
        low = place.astype(np.intp)
        high_share = place - low
        for corner in itertools.product((0, 1), repeat=3):
            share = np.where(corner, high_share, 1.0 - high_share).prod(axis=1)
            index = np.ravel_multi_index(tuple((low + corner).T), size)
            total += np.bincount(index, share, len(total)) * (energy_kev[number] / count)
    octant = total.reshape(size)[_corner(shape)]
    for axis in range(3):  # off the plane of the source, half of the directions lead there
        octant[tuple(slice(1, None) if a == axis else slice(None) for a in range(3))] /= 2.0
    return octant


def _density(kernel: PointKernel, *place: np.ndarray) -> np.ndarray:
    """Return the energy absorbed per volume at places in g/cm²: keV per (g/cm²)³."""
    x, y, z = place
    square = x**2 + y**2 + z**2
    edge = kernel.edge_g_per_cm2[1:]  # the innermost shell reaches to 0, which has no logarithm
    centre = np.sqrt(edge[1:] * edge[:-1])
    per_radius = kernel.shell_kev[1:] / np.diff(edge)
    square = np.maximum(square, edge[0] ** 2)
    at = np.interp(np.sqrt(square).ravel(), centre, per_radius).reshape(square.shape)
    density: np.ndarray = at / (4.0 * np.pi * square)
    return density


KEV_PER_MGY_G_PER_MBQ_S = 1e-12 / 1.602176634e-16
"""1 mGy/(MBq·s) is 1e-9 Gy per decay; times g it is 1e-12 J."""

LEFT_OUT = 0.01
"""A kernel reaches until less than this part of the absorbed energy lies outside."""

_MM3_PER_CM3 = 1000.0


@dataclass(frozen=True)
class Kernel:
    """What a decay in a voxel gives to the voxels around it, in an infinite medium.

    Attributes:
        electron_kev: Energy of the electrons absorbed per decay, octant of offsets.
        photon_kev: The same of the photons, in general of another shape.
        emitted_kev: Energy of electrons and photons emitted per decay.
    """

    spacing_mm: Spacing
    density_g_per_cm3: float
    electron_kev: Float[np.ndarray, "e_i e_j e_k"]
    photon_kev: Float[np.ndarray, "p_i p_j p_k"]
    emitted_kev: float

    @property
    def voxel_g(self) -> float:
        """Mass of a voxel, g."""
        return float(np.prod(self.spacing_mm)) / _MM3_PER_CM3 * self.density_g_per_cm3

    @property
    def absorbed_kev(self) -> float:
        """Energy absorbed inside the kernel per decay, keV."""
        return whole_sum(self.electron_kev) + whole_sum(self.photon_kev)

    @property
    def escaped_kev(self) -> float:
        """Energy that leaves the kernel per decay, keV."""
        return self.emitted_kev - self.absorbed_kev

    def s_mgy_per_mbq_s(self) -> Float32[np.ndarray, "x y z"]:
        """Return the voxel S-values, mGy/(MBq·s); odd sizes, the source in the middle."""
        total = np.zeros(np.maximum(self.electron_kev.shape, self.photon_kev.shape))
        for part in (self.electron_kev, self.photon_kev):
            total[tuple(slice(0, n) for n in part.shape)] += part
        s_values = total / self.voxel_g / KEV_PER_MGY_G_PER_MBQ_S
        return mirrored(s_values.astype(np.float32))


@lru_cache(maxsize=8)
def compute_kernel(
    nuclide_name: str,
    *,
    spacing_mm: Spacing,
    medium_name: str = "soft",
    largest: tuple[int, int, int] | None = None,
) -> Kernel:
    """Compute the voxel kernel of a nuclide.

    Args:
        largest: Cut the kernel to these offsets along each axis, that of the source voxel
            included; an image of n voxels needs n. Without it less than 1 % of the absorbed
            energy lies outside.
    """
    electrons, photons, density = _in_medium(nuclide_name, medium_name)
    shape = _offsets(electrons, photons, spacing_mm, density)
    if largest is not None:
        i, j, k = np.minimum(shape, largest)
        shape = int(i), int(j), int(k)
    return Kernel(
        spacing_mm,
        density,
        whole_octant(electrons, spacing_mm=spacing_mm, density_g_per_cm3=density),
        voxel_octant(photons, spacing_mm=spacing_mm, shape=shape, density_g_per_cm3=density),
        electrons.absorbed_kev + photons.absorbed_kev,
    )


def kernel_shape(
    nuclide_name: str, *, spacing_mm: Spacing, medium_name: str = "soft"
) -> tuple[int, int, int]:
    """Return how many voxels a whole kernel has along each axis; see :func:`compute_kernel`."""
    electrons, photons, density = _in_medium(nuclide_name, medium_name)
    i, j, k = _offsets(electrons, photons, spacing_mm, density)
    return 2 * i - 1, 2 * j - 1, 2 * k - 1


def cut_shape(
    whole: tuple[int, int, int], *, spacing_mm: Spacing, most_voxels: int
) -> tuple[int, int, int]:
    """Cut a kernel that has too many voxels to a cube, as far as it fits; all sizes are odd."""
    spacing, shape = np.array(spacing_mm), np.array(whole)
    side_mm = float((shape * spacing).max())
    while shape.prod(dtype=np.float64) > most_voxels:
        side_mm *= 0.995
        shape = np.minimum(whole, 2 * ((side_mm / spacing - 1.0) // 2.0).astype(int) + 1)
    x, y, z = (max(1, int(n)) for n in shape)
    return x, y, z


def absorbed_kev(
    nuclide_name: str, *, spacing_mm: Spacing, medium_name: str = "soft"
) -> tuple[float, float]:
    """Account for a whole kernel's energy by its point kernels, without computing it.

    Returns:
        Energy absorbed inside and outside the kernel, keV per decay.
    """
    electrons, photons, density = _in_medium(nuclide_name, medium_name)
    shape = kernel_shape(nuclide_name, spacing_mm=spacing_mm, medium_name=medium_name)
    half_side = np.array(shape) * np.array(spacing_mm) / 2.0 / MM_PER_CM * density
    to_face = (half_side / np.maximum(octant_directions(0), 1e-12)).min(axis=1)
    inside = electrons.absorbed_kev + float(photons.within_kev(to_face).mean())
    return inside, electrons.absorbed_kev + photons.absorbed_kev - inside


def _in_medium(nuclide_name: str, medium_name: str) -> tuple[PointKernel, PointKernel, float]:
    """Return the point kernels of electrons and photons, and the medium's density, g/cm³."""
    density = find_medium(medium_name).density_g_per_cm3
    electrons = electron_kernel(nuclide_name, medium_name)
    return electrons, photon_kernel(nuclide_name, medium_name), density


def _offsets(
    electrons: PointKernel, photons: PointKernel, spacing_mm: Spacing, density_g_per_cm3: float
) -> tuple[int, int, int]:
    """Count the offsets, the source voxel's included, until LEFT_OUT lies outside."""
    allowed_kev = LEFT_OUT * (electrons.absorbed_kev + photons.absorbed_kev)
    to_face = 1.0 / octant_directions(0).max(axis=1)  # of a cube of half-side 1, on each way
    low, high = 0.0, float(photons.edge_g_per_cm2[-1])
    while high - low > 1e-3 * high:
        half_side = (low + high) / 2.0
        outside_kev = photons.absorbed_kev - photons.within_kev(half_side * to_face).mean()
        low, high = (half_side, high) if outside_kev > allowed_kev else (low, half_side)
    half_mm = high / density_g_per_cm3 * MM_PER_CM
    # One offset more than the cube needs, as the source is a voxel and not a point; never fewer
    # than the electrons reach.
    least = _reached(electrons, np.array(spacing_mm) / MM_PER_CM * density_g_per_cm3)
    i, j, k = (
        max(int(np.ceil(half_mm / side_mm)) + 2, n)
        for side_mm, n in zip(spacing_mm, least, strict=True)
    )
    return i, j, k
