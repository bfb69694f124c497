"""``kernel``: the voxel S-values of a nuclide."""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rpt_cohort import BadInput, json_bytes, nifti_bytes, provenance, write_together
from rpt_cohort.command import Overwrite, say

from rpt_dosimetry.commands.targets import out_and_json
from rpt_dosimetry.radiation.electrons import ELECTRONS
from rpt_dosimetry.radiation.kernel import (
    Kernel,
    Spacing,
    compute_kernel,
    cut_shape,
    kernel_shape,
    whole_sum,
)
from rpt_dosimetry.radiation.media import MEDIA, find_medium
from rpt_dosimetry.radiation.nuclide import find_nuclide
from rpt_dosimetry.radiation.photons import PHOTONS, SEED

LEAST_MM, LARGEST_MM = 0.5, 50.0
WRITTEN_VOXELS = 2**22
"""Ours: 17 MB. Far from the source a kernel is long and nearly 0: at 2.21 mm the last per cent of
the energy would make 313 voxels a side of 161."""
_MEDIA = ", ".join(
    f"{one.name} ({one.what}, {one.density_g_per_cm3:g} g/mL)" for one in MEDIA.values()
)


def kernel(
    voxel_mm: Annotated[
        str,
        typer.Option(metavar="X,Y,Z", help="Sides of a voxel, mm, such as 4.8,4.8,4.8."),
    ],
    out: Annotated[
        Path,
        typer.Option(
            metavar="KERNEL.nii.gz",
            help="Voxel S-values to write, mGy/(MBq·s); KERNEL.json comes beside it.",
        ),
    ],
    nuclide: Annotated[str, typer.Option(help="ICRP-107 name.")] = "Lu-177",
    medium: Annotated[str, typer.Option(help=f"One of {_MEDIA}.")] = "soft",
    overwrite: Overwrite = False,
) -> None:
    """Compute the voxel S-values (mGy/(MBq·s)) of a nuclide in an infinite medium.

    The source voxel is at the centre; every side has an odd number of voxels and reaches until
    less than 1 % of the absorbed energy lies outside, or the kernel has 4 million voxels (161 a
    side). left_out of KERNEL.json tells what lies outside. Electrons go by their spectrum, range
    and multiple scattering, photons by Monte Carlo with a fixed seed.
    """
    target, beside = out_and_json(out, overwrite=overwrite)
    spacing_mm = _spacing(voxel_mm)
    shape = kernel_shape(nuclide, spacing_mm=spacing_mm, medium_name=medium)
    x, y, z = cut_shape(shape, spacing_mm=spacing_mm, most_voxels=WRITTEN_VOXELS)
    offsets = x // 2 + 1, y // 2 + 1, z // 2 + 1
    computed = compute_kernel(nuclide, spacing_mm=spacing_mm, medium_name=medium, largest=offsets)
    values = computed.s_mgy_per_mbq_s()
    affine = np.diag([*spacing_mm, 1.0])
    affine[:3, 3] = -np.array(spacing_mm) * (np.array(values.shape) // 2)
    told = _story(computed, values, nuclide=nuclide, medium=medium)
    write_together(
        {
            target: nifti_bytes(values, affine, dtype=np.float32),
            beside: json_bytes(told),
        }
    )
    say(
        f"{target.name}: {nuclide} in {medium} ({told['medium_is']}, "
        f"{computed.density_g_per_cm3:g} g/mL), {told['shape'][0]} × {told['shape'][1]} × "
        f"{told['shape'][2]} voxels; self {told['self_mgy_per_mbq_s']:.4g} mGy/(MBq·s); "
        f"{computed.absorbed_kev:.2f} of {computed.emitted_kev:.2f} keV per decay inside, "
        f"{told['left_out']:.2%} left out."
    )


def _spacing(text: str) -> Spacing:
    try:
        x, y, z = (float(part) for part in text.split(","))
    except ValueError as error:
        raise BadInput(
            f"--voxel-mm must be three numbers such as 4.8,4.8,4.8, got '{text}'."
        ) from error
    if not all(LEAST_MM <= side <= LARGEST_MM for side in (x, y, z)):  # NaN compares as false
        raise BadInput(
            f"--voxel-mm must be sides from {LEAST_MM:g} to {LARGEST_MM:g} mm, got '{text}'."
        )
    return x, y, z


def _story(computed: Kernel, values: np.ndarray, *, nuclide: str, medium: str) -> dict[str, Any]:
    found, material = find_nuclide(nuclide), find_medium(medium)
    centre = tuple(n // 2 for n in values.shape)
    return {
        "quantity": "voxel S-value, mGy/(MBq·s)",
        "nuclide": nuclide,
        "half_life_h": found.half_life_h,
        "medium": medium,
        "medium_is": material.what,
        "density_g_per_cm3": material.density_g_per_cm3,
        "mass_percent": dict(material.mass_percent),
        "voxel_mm": list(computed.spacing_mm),
        "voxel_g": computed.voxel_g,
        "shape": list(values.shape),
        "self_mgy_per_mbq_s": float(values[centre]),
        "energy_kev_per_decay": {
            "emitted_electrons": found.electron_kev,
            "emitted_photons": found.photon_kev,
            "absorbed_electrons": whole_sum(computed.electron_kev),
            "absorbed_photons": whole_sum(computed.photon_kev),
            "absorbed": computed.absorbed_kev,
            "escaped": computed.escaped_kev,
        },
        "left_out": computed.escaped_kev / computed.emitted_kev,
        "provenance": provenance(
            package="rpt-dosimetry",
            command="kernel",
            parameters={
                "nuclide": nuclide,
                "medium": medium,
                "voxel_mm": list(computed.spacing_mm),
                "photons": PHOTONS,
                "electrons": ELECTRONS,
            },
            seed=SEED,
            libraries=("rpt-cohort", "icrp107-database", "xraydb", "numpy", "nibabel"),
        ),
    }
