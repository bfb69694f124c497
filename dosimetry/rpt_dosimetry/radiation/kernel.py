"""Voxel kernels of a nuclide in a medium, electrons and photons apart, and their balance."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Float32

from rpt_dosimetry.radiation.electron_kernel import electron_kernel
from rpt_dosimetry.radiation.media import find_medium
from rpt_dosimetry.radiation.photon_kernel import photon_kernel
from rpt_dosimetry.radiation.point_kernel import PointKernel
from rpt_dosimetry.radiation.voxel_kernel import (
    MM_PER_CM,
    Spacing,
    mirrored,
    octant_directions,
    octant_shape,
    voxel_octant,
    whole_octant,
    whole_sum,
)

KEV_PER_MGY_G_PER_MBQ_S = 1e-12 / 1.602176634e-16
"""1 mGy/(MBq·s) is 1e-9 Gy per decay; times g it is 1e-12 J."""

LEFT_OUT = 0.01
"""A kernel reaches until less than this part of the absorbed energy lies outside."""

_MM3_PER_CM3 = 1000.0


@dataclass(frozen=True)
class Kernel:
    """What a decay in a voxel gives to the voxels around it, in an infinite medium.

    Attributes:
        spacing_mm: Sides of a voxel, mm.
        density_g_per_cm3: The medium's mass density.
        electron_kev: Energy of the electrons absorbed per decay, octant of offsets, keV.
        photon_kev: The same of the photons, in general of another shape.
        emitted_kev: Energy of electrons and photons emitted per decay, keV.
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
        """Return the voxel S-values of electrons and photons, mGy/(MBq·s).

        Returns:
            Odd sizes, the source voxel at the centre.
        """
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
        nuclide_name: ICRP-107 name.
        spacing_mm: Sides of a voxel, mm; they may differ.
        medium_name: A key of ``MEDIA``.
        largest: Cut the kernel to these offsets along each axis, that of the source voxel
            included; an image of n voxels needs n.

    Returns:
        The kernel. Without ``largest`` less than 1 % of the absorbed energy lies outside.

    Raises:
        BadInput: Unknown nuclide or medium.
    """
    density = find_medium(medium_name).density_g_per_cm3
    electrons = electron_kernel(nuclide_name, medium_name)
    photons = photon_kernel(nuclide_name, medium_name)
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
    i, j, k = _offsets(
        electron_kernel(nuclide_name, medium_name),
        photon_kernel(nuclide_name, medium_name),
        spacing_mm,
        find_medium(medium_name).density_g_per_cm3,
    )
    return 2 * i - 1, 2 * j - 1, 2 * k - 1


def cut_shape(
    whole: tuple[int, int, int], *, spacing_mm: Spacing, most_voxels: int
) -> tuple[int, int, int]:
    """Cut a kernel that has too many voxels to a cube, as far as it fits.

    Args:
        whole: Voxels of the whole kernel along each axis, odd.
        spacing_mm: Sides of a voxel, mm.
        most_voxels: How many it may have.

    Returns:
        Voxels along each axis, odd.
    """
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
    electrons = electron_kernel(nuclide_name, medium_name)
    photons = photon_kernel(nuclide_name, medium_name)
    shape = kernel_shape(nuclide_name, spacing_mm=spacing_mm, medium_name=medium_name)
    density = find_medium(medium_name).density_g_per_cm3
    half_side = np.array(shape) * np.array(spacing_mm) / 2.0 / MM_PER_CM * density
    to_face = (half_side / np.maximum(octant_directions(0), 1e-12)).min(axis=1)
    inside = electrons.absorbed_kev + float(photons.within_kev(to_face).mean())
    return inside, electrons.absorbed_kev + photons.absorbed_kev - inside


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
    least = octant_shape(electrons, spacing_mm=spacing_mm, density_g_per_cm3=density_g_per_cm3)
    i, j, k = (
        max(int(np.ceil(half_mm / side_mm)) + 2, n)
        for side_mm, n in zip(spacing_mm, least, strict=True)
    )
    return i, j, k
