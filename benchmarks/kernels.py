"""Voxel kernels, spheres and organs of Lu-177 beside what is published.

``make bench`` prints the tables and writes them to ``benchmarks/kernels.md``. The voxel tables of
Lanconelli et al., Phys Med Biol 57 (2012) 517, are read from the third-party test data.
"""

import os
import sys
from pathlib import Path

import numpy as np
from rpt_dosimetry.radiation.electrons import electron_kernel
from rpt_dosimetry.radiation.kernel import KEV_PER_MGY_G_PER_MBQ_S, compute_kernel
from rpt_dosimetry.radiation.media import SOFT_TISSUE_G_PER_CM3, PointKernel
from rpt_dosimetry.radiation.photons import photon_kernel

ROOT = Path(__file__).parents[1]
TESTDATA = Path(os.environ.get("RPT_TESTDATA", ROOT.parent / "shared" / "testdata"))
SIZES_MM = ("3", "4.42", "4.8", "6")
PLACES = {"self": (0, 0, 0), "face": (0, 0, 1), "edge": (0, 1, 1), "corner": (1, 1, 1)}

SPHERES = ((2.21, 1.06e-2), (14.6, 1.63e-3), (116.0, 2.07e-4), (932.0, 2.65e-5))
"""Mass, g, and published self-dose in soft tissue, mGy/(MBq·s)."""

ORGANS = {
    "left kidney": (152.98, 1.5662e-4, (4.5, 1.5, 5.5)),
    "spleen": (149.97, 1.5967e-4, (3.5, 2.0, 6.0)),
    "liver": (1799.8, 1.3713e-5, (16.0, 8.0, 6.0)),
}
"""Mass, g, and self-dose, mGy/(MBq·s), of the ICRP-110 adult male (OpenDose); the proportions of
the axes of an ellipsoid in its place (ours: roughly those of the ORNL phantom's organ)."""


def lanconelli(size_mm: str) -> np.ndarray:
    """Read the rows i, j, k, S (mGy/(MBq·s)) of one voxel size."""
    path = TESTDATA / "vsv_lu177" / f"Lu177_{size_mm}mm_soft.txt"
    return np.asarray(np.loadtxt(path, skiprows=2))


def octant(size_mm: str) -> np.ndarray:
    """Return our S-values of cubes at the offsets 0 to 5, mGy/(MBq·s)."""
    values = compute_kernel("Lu-177", spacing_mm=(float(size_mm),) * 3).s_mgy_per_mbq_s()
    i, j, k = (n // 2 for n in values.shape)
    return values[i : i + 6, j : j + 6, k : k + 6]


def sphere_kev(kernel: PointKernel, mass_g: float) -> float:
    """Return what a uniform sphere absorbs of itself, keV per decay.

    The chance that a point at distance r from another in a sphere of radius R is in it too is
    1 − 3r/(4R) + r³/(16R³).
    """
    volume_cm3 = mass_g / SOFT_TISSUE_G_PER_CM3
    radius = (3 * volume_cm3 / (4 * np.pi)) ** (1 / 3) * SOFT_TISSUE_G_PER_CM3  # g/cm²
    edge = np.linspace(0, min(2 * radius, kernel.edge_g_per_cm2[-1]), 20_001)
    middle = (edge[1:] + edge[:-1]) / 2
    chance = 1 - 3 * middle / (4 * radius) + middle**3 / (16 * radius**3)
    return float(np.diff(kernel.within_kev(edge)) @ chance)


def ellipsoid_kev(kernel: PointKernel, mass_g: float, axes: tuple[float, float, float]) -> float:
    """Return the same of an ellipsoid, from 200,000 points and directions (fixed seed)."""
    random = np.random.default_rng(5)
    volume_cm3 = mass_g / SOFT_TISSUE_G_PER_CM3
    scale = (3 * volume_cm3 / (4 * np.pi) / np.prod(axes)) ** (1 / 3)
    half_axes = np.array(axes) * scale * SOFT_TISSUE_G_PER_CM3  # g/cm²
    place = random.normal(size=(200_000, 3))
    place *= random.random((200_000, 1)) ** (1 / 3) / np.linalg.norm(place, axis=1)[:, None]
    way = random.normal(size=(200_000, 3))
    way /= np.linalg.norm(way, axis=1)[:, None] * half_axes
    a, b, c = (way**2).sum(1), (place * way).sum(1), (place**2).sum(1) - 1
    return float(kernel.within_kev((-b + np.sqrt(b**2 - a * c)) / a).mean())


def self_dose(mass_g: float, axes: tuple[float, float, float] | None = None) -> tuple[float, float]:
    """Return the electrons' and the photons' self-dose of a sphere or ellipsoid, mGy/(MBq·s)."""
    kernels = electron_kernel("Lu-177", "soft"), photon_kernel("Lu-177", "soft")
    electrons, photons = (
        sphere_kev(kernel, mass_g) if axes is None else ellipsoid_kev(kernel, mass_g, axes)
        for kernel in kernels
    )
    unit = mass_g * KEV_PER_MGY_G_PER_MBQ_S
    return electrons / unit, photons / unit


def voxel_row(size_mm: str) -> str:
    """Return a line of the table of voxels."""
    kernel = compute_kernel("Lu-177", spacing_mm=(float(size_mm),) * 3)
    ours, table = octant(size_mm), lanconelli(size_mm)
    published = np.zeros((6, 6, 6))
    published[tuple(table[:, :3].astype(int).T)] = table[:, 3]
    ratio = ours / published - 1
    cells = [
        f"{ours[place]:.3g} / {published[place]:.3g} ({ratio[place]:+.1%})"
        for place in PLACES.values()
    ]
    far = ratio[np.indices(ratio.shape).max(axis=0) >= 2]
    share = kernel.escaped_kev / kernel.emitted_kev
    side = 2 * kernel.photon_kev.shape[0] - 1
    cells += [f"{far.min():+.1%} to {far.max():+.1%}", str(side), f"{share:.2%}"]
    return f"| {size_mm} | {' | '.join(cells)} |"


def body_row(name: str, mass_g: float, published: float, *shape: tuple[float, float, float]) -> str:
    """Return a line of the table of spheres and organs."""
    electrons, photons = self_dose(mass_g, *shape)
    part = photons / (published - electrons)
    ratio = (electrons + photons) / published
    form = "ellipsoid" if shape else "sphere"
    return f"| {name}, {mass_g:g} g | {form} | {published:.3g} | {ratio:.3f} | {part:.2f} |"


def gate_line() -> str:
    """Compare with the GATE kernel that PyTheranostics 0.1 ships: 4.7952 mm, density 1.00."""
    kernel = compute_kernel("Lu-177", spacing_mm=(4.7952,) * 3, medium_name="water")
    values = kernel.s_mgy_per_mbq_s()
    i, j, k = (n // 2 for n in values.shape)
    own, face = values[i, j, k] / 0.20662 - 1, values[i, j, k + 1] / 2.257e-3 - 1
    return f"GATE kernel of PyTheranostics 0.1, in water: self {own:+.1%}, face {face:+.1%}."


def main() -> None:
    """Compute, print and write the tables."""
    lines = [
        "Lu-177, soft tissue of 1.04 g/cm³, mGy/(MBq·s): ours / Lanconelli et al. (2012).",
        "",
        f"| voxel, mm | {' | '.join(PLACES)} | all offsets with one ≥ 2 | side | energy outside |",
        "|---|---|---|---|---|---|---|---|",
        *(voxel_row(size_mm) for size_mm in SIZES_MM),
        "",
        gate_line(),
        "",
        "| self-dose | as | published, mGy/(MBq·s) | ours ÷ published | photon part |",
        "|---|---|---|---|---|",
        *(body_row("sphere", *sphere) for sphere in SPHERES),
    ]
    for name, (mass_g, published, axes) in ORGANS.items():
        lines += [body_row(name, mass_g, published, axes), body_row(name, mass_g, published)]
    lines += [
        "",
        "The photon part is ours ÷ (published − our electrons); where a body absorbs few photons, "
        "it is the difference of two nearly equal numbers and tells little.",
        "",
    ]
    text = "\n".join(lines)
    sys.stdout.write(text)
    (ROOT / "benchmarks" / "kernels.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
