"""The work of the ``register`` command: from files to a folder, whole or not at all."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rpt_cohort import (
    Volume,
    file_sha256,
    json_bytes,
    new_folder,
    nifti_bytes,
    provenance,
    read_volume,
)
from rpt_cohort.command import naming, part_of_work, tell_done

from rpt_dosimetry.nifti import (
    FRAME_SHA256,
    HU,
    VOXELS_SHA256,
    Nifti,
    beside_of,
    check_beside,
    voxels_sha256,
)
from rpt_dosimetry.registration import deformable
from rpt_dosimetry.registration.pair import (
    SEED,
    SETTINGS,
    Registration,
    Scan,
    Start,
    check_picture,
    deformed,
    register,
    story,
)
from rpt_dosimetry.registration.resampling import Resampled, resample_ct, resample_emission
from rpt_dosimetry.registration.transform import GridMm, one_grid, shifted

FIXED, MOVING, COVERED, CT = "fixed.nii.gz", "moving.nii.gz", "covered.nii.gz", "ct.nii.gz"
LIBRARIES = ("rpt-cohort", "SimpleITK", "numpy", "scipy", "nibabel", "matplotlib")
DISPLACEMENT, JACOBIAN = "displacement_mm.nii.gz", "jacobian.nii.gz"
TRANSFORM, PICTURE, SUMMARY = "fixed_to_moving.tfm", "check.png", "registration.json"
HANDED_ON = (
    *("quantity", "tracer", "nuclide", "half_life_s", "injected_activity_mbq", "weight_kg"),
    *("height_cm", "sex", "pet_time_min", "injection_to_mid_scan_h", "duration_s", "units_branch"),
    *("decay_branch", "cps_per_mbq", "relative_sd_pct", "total_relative_sd_pct", "warnings"),
)
"""Keys of the JSON beside an image that hold for it on another grid, too."""


@dataclass(frozen=True)
class RegistrationFiles:
    """Where the images are; ``moving`` is carried to ``fixed``."""

    fixed: Path
    moving: Path
    fixed_ct: Path | None = None
    moving_ct: Path | None = None
    mask: Path | None = None

    def read(self) -> tuple[Scan, Scan, Volume | None]:
        """Read the fixed scan, the moving scan and the mask."""
        return (
            Scan(
                _read(self.fixed, name="The fixed image"),
                _maybe(self.fixed_ct, name="The fixed CT (--fixed-ct)", quantity=HU),
            ),
            Scan(
                _read(self.moving, name="The moving image"),
                _maybe(self.moving_ct, name="The moving CT (--moving-ct)", quantity=HU),
            ),
            _maybe(self.mask, name="The mask (--mask)"),
        )

    def sha256(self) -> dict[str, str]:
        """Return role → SHA-256 of the file."""
        return {role: file_sha256(path) for role, path in self.__dict__.items() if path}


def write_registration(
    files: RegistrationFiles, *, start: Start, deform: bool, slice_voxels: int, out: Path
) -> tuple[Registration, Resampled]:
    """Register two scans and write both on one grid.

    Raises:
        BadInput: Something given cannot be used, or the registration failed; nothing is left
            behind.
    """
    with new_folder(out) as folder:
        fixed, moving, mask = files.read()
        beside = {
            FIXED: check_beside(files.fixed, fixed.emission, name="The fixed image"),
            MOVING: check_beside(files.moving, moving.emission, name="The moving image"),
        }
        with part_of_work(0.1, 0.4 if deform else 0.8):
            registration = register(fixed, moving, mask=mask, start=start)
        if deform:
            registration = deformed(registration)
        tell_done(0.8)
        grid, stays = one_grid(fixed.emission, slice_voxels=slice_voxels), shifted(np.zeros(3))
        still = resample_emission(fixed.emission, grid, stays, name="The fixed image")
        carried = resample_emission(
            moving.emission,
            grid,
            registration.rigid,
            name="The moving image",
            deformation=registration.deformation,
        )
        tell_done(0.9)
        maps = {FIXED: still.data, MOVING: carried.data, COVERED: carried.covered}
        for name, values in maps.items():
            (folder / name).write_bytes(nifti_bytes(values, grid.affine, dtype=np.float32))
        for name, image in ((FIXED, still), (MOVING, carried)):
            _write_beside(folder / name, beside[name], image, grid, world=beside[FIXED])
        if fixed.ct is not None:
            hu = resample_ct(fixed.ct, grid, stays)
            (folder / CT).write_bytes(nifti_bytes(np.rint(hu), grid.affine, dtype=np.int16))
        picture = check_picture(
            registration, fixed_emission=still.data, moving_emission=carried.data, grid=grid
        )
        (folder / PICTURE).write_bytes(picture)
        (folder / TRANSFORM).write_bytes(registration.rigid.tfm())
        if (field := registration.deformation) is not None:
            for name, values in ((DISPLACEMENT, field.displacement_mm), (JACOBIAN, field.ratio)):
                (folder / name).write_bytes(nifti_bytes(values, field.affine, dtype=np.float32))
        report = story(registration, still, carried, grid)
        settings = SETTINGS | (deformable.SETTINGS if deform else {})
        report["provenance"] = provenance(
            package="rpt-dosimetry",
            command="register",
            parameters={"start": start, "slice_voxels": slice_voxels, **settings},
            inputs=files.sha256(),
            seed=SEED,
            libraries=(*LIBRARIES, "itk-elastix") if deform else LIBRARIES,
        )
        (folder / SUMMARY).write_bytes(json_bytes(report))
    return registration, carried


def _write_beside(
    path: Path, source: Nifti, image: Resampled, grid: GridMm, *, world: Nifti
) -> None:
    """Hand on what the JSON beside an image told, where it told something that still holds.

    ``world`` is the image in whose world they stand: the fixed one.
    """
    facts = {key: source.told[key] for key in HANDED_ON if key in source.told}
    facts |= {key: world.told[key] for key in (FRAME_SHA256,) if key in world.told}
    if source.sidecar is None or not facts:
        return
    volume = Volume(image.data, grid.affine)
    content = facts | {
        "made_by": f"register: resampled to the grid of {SUMMARY}, the integral kept; "
        f"{path.name} of its folder",
        "shape": list(grid.shape),
        "spacing_mm": list(volume.spacing_mm),
        VOXELS_SHA256: voxels_sha256(volume),
        "provenance": provenance(
            package="rpt-dosimetry",
            command="register",
            parameters={},
            inputs={"image": file_sha256(source.path), "json": file_sha256(source.sidecar)},
            libraries=LIBRARIES,
        ),
    }
    beside_of(path).write_bytes(json_bytes(content))


def _maybe(path: Path | None, *, name: str, quantity: str | None = None) -> Volume | None:
    if path is None:
        return None
    volume = _read(path, name=name)
    with naming(path):
        check_beside(path, volume, name=name, quantity=quantity)
    return volume


def _read(path: Path, *, name: str) -> Volume:
    with naming(path):
        return read_volume(path, name=name)
