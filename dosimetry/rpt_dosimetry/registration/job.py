"""The work of the ``register`` command, with the picture by which a person judges it."""

import io
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Shaped
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
from rpt_cohort.planes import Plane, draw_plane, fullest_plane

from rpt_dosimetry.nifti import HU, VOXELS_SHA256, Nifti, beside_of, check_beside, voxels_sha256
from rpt_dosimetry.registration import deformable
from rpt_dosimetry.registration.guides import TOP
from rpt_dosimetry.registration.pair import (
    LIMITS,
    SEED,
    SETTINGS,
    Registration,
    Scan,
    Start,
    deformed,
    register,
)
from rpt_dosimetry.registration.resampling import Resampled, resample_ct, resample_emission
from rpt_dosimetry.registration.transform import GridMm, itk_values, one_grid, shifted, simpleitk
from rpt_dosimetry.suv import FRAME_SHA256

SQUARE_MM = 40.0
PLANES: tuple[Plane, ...] = ("coronal", "axial")
HOTTEST_PERCENTILE = 99.5
CONTOUR_SHARE = 0.2
"""Ours: of the hottest value; where the moving emission's line runs."""
WORDS = {"CT": "CT (soft-tissue scale)", "emission": "emission (root scale)"}


def check_picture(
    found: Registration,
    *,
    fixed_emission: Float32[np.ndarray, "x y z"],
    moving_emission: Float32[np.ndarray, "x y z"],
    grid: GridMm,
) -> bytes:
    """Draw a registration in coronal and axial planes, before and after.

    The upper row has squares of the fixed and the moving image in turn, at the start and at the
    end: an edge that steps at a square's border is off. The lower row lays the moving emission's
    outline over the fixed emission.

    Args:
        fixed_emission: On the common grid.
        moving_emission: Registered, on the common grid, in the same unit or another.

    Returns:
        A PNG; the same images give the same bytes.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(16.0, 8.0), layout="constrained")
    axes = figure.subplots(2, 4)
    steers, affine = found.fixed.values, found.fixed.affine
    body = Volume(found.fixed.body, affine)
    times = (("before", found.start.to_itk()), ("after", found.to_itk()))
    for pair, (when, transform) in enumerate(times):
        both = Volume(_checkered(steers, _carried(found, transform), body.spacing_mm), affine)
        for ax, plane in zip(axes[0][2 * pair :], PLANES, strict=False):
            at = fullest_plane(body, plane)
            draw_plane(ax, both, plane, at=at, cmap="gray", vmin=0.0, vmax=TOP)
            ax.set_title(f"{when}: squares of both, {plane}")
    _emissions(axes[1], fixed_emission, moving_emission, grid=grid)
    told = found.residual
    kind = "Rigid" if found.volumes is None else "Deformable"
    figure.suptitle(
        f"{kind} registration by {WORDS[found.fixed.kind]}: centre moved {told.centre_mm:.1f} mm, "
        f"turned {told.rotation_deg:.1f}°; normalised mutual information "
        f"{told.before.normalised_mutual_information:.3f} → "
        f"{told.after.normalised_mutual_information:.3f}; research only"
    )
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=80, metadata={"Software": None})
    return stream.getvalue()


def _emissions(
    axes: Any,
    fixed: Float32[np.ndarray, "x y z"],
    moving: Float32[np.ndarray, "x y z"],
    *,
    grid: GridMm,
) -> None:
    """Draw planes through the fixed image's hot part, and the largest values along them."""
    share, other = (Volume(_share(image), grid.affine) for image in (fixed, moving))
    hot = Volume(share.data > CONTOUR_SHARE, grid.affine)
    columns: list[tuple[Plane, int | None]] = [(plane, None) for plane in PLANES]
    columns += [(plane, fullest_plane(hot, plane)) for plane in PLANES]
    for ax, (plane, at) in zip(axes, columns, strict=True):
        draw_plane(ax, share, plane, at=at, cmap="gray_r", vmin=0.0, vmax=1.0)
        line: dict[str, Any] = {"colors": "#D55E00", "linewidths": 1.2}
        draw_plane(ax, other, plane, at=at, levels=(CONTOUR_SHARE,), **line)
        what = f"{plane}, maximum projection" if at is None else f"{plane} plane"
        ax.set_title(f"after: {what}")
    axes[0].figure.colorbar(
        axes[0].images[0],
        ax=list(axes),
        label="Fixed emission (1 = its 99.5th percentile);\norange: moving emission at "
        f"{CONTOUR_SHARE:g} of its own",
    )


def _share(image: Float32[np.ndarray, "x y z"]) -> Float32[np.ndarray, "x y z"]:
    filled = image[image > 0]
    top = np.percentile(filled, HOTTEST_PERCENTILE) if filled.size else 1.0
    share: Float32[np.ndarray, "x y z"] = np.clip(image / np.float32(top), 0, 1)
    return share


def _carried(found: Registration, transform: Any) -> Shaped[np.ndarray, "x y z"]:
    sitk = simpleitk()
    return itk_values(
        sitk.Resample(found.moving.image, found.fixed.image, transform, sitk.sitkLinear, 0.0)
    )


def _checkered(
    fixed: Shaped[np.ndarray, "x y z"],
    moving: Shaped[np.ndarray, "x y z"],
    spacing_mm: tuple[float, float, float],
) -> Shaped[np.ndarray, "x y z"]:
    sides = np.maximum(SQUARE_MM / np.array(spacing_mm), 1.0)
    x, y, z = (np.arange(n) // side for n, side in zip(fixed.shape, sides, strict=True))
    odd = (x[:, None, None] + y[None, :, None] + z[None, None, :]) % 2 == 1
    return np.where(odd, moving, fixed)


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
    """Where the images are.

    Attributes:
        fixed: Emission image of the scan that stays.
        moving: Emission image of the scan that is carried to it.
        mask: Where to look.
    """

    fixed: Path
    moving: Path
    fixed_ct: Path | None = None
    moving_ct: Path | None = None
    mask: Path | None = None

    def read(self) -> tuple[Scan, Scan, Volume | None]:
        """Read the fixed scan, the moving scan and the mask.

        Raises:
            BadInput: A file is missing or broken.
        """
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

    Args:
        slice_voxels: Voxels along and across a slice of the common grid.
        out: Folder to write; must be new or empty.

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
            found = register(fixed, moving, mask=mask, start=start)
        if deform:
            found = deformed(found)
        tell_done(0.8)
        grid, stays = one_grid(fixed.emission, slice_voxels=slice_voxels), shifted(np.zeros(3))
        still = resample_emission(fixed.emission, grid, stays, name="The fixed image")
        carried = resample_emission(
            moving.emission,
            grid,
            found.rigid,
            name="The moving image",
            deformation=found.deformation,
        )
        tell_done(0.9)
        _write_maps(
            folder, grid, {FIXED: still.data, MOVING: carried.data, COVERED: carried.covered}
        )
        for name, image in ((FIXED, still), (MOVING, carried)):
            _write_beside(folder / name, beside[name], image, grid, world=beside[FIXED])
        if fixed.ct is not None:
            hu = resample_ct(fixed.ct, grid, stays)
            (folder / CT).write_bytes(nifti_bytes(np.rint(hu), grid.affine, dtype=np.int16))
        picture = check_picture(
            found, fixed_emission=still.data, moving_emission=carried.data, grid=grid
        )
        (folder / PICTURE).write_bytes(picture)
        (folder / TRANSFORM).write_bytes(found.rigid.tfm())
        _write_deformation(folder, found)
        told = story(found, still, carried, grid)
        settings = SETTINGS | (deformable.SETTINGS if deform else {})
        told["provenance"] = provenance(
            package="rpt-dosimetry",
            command="register",
            parameters={"start": start, "slice_voxels": slice_voxels, **settings},
            inputs=files.sha256(),
            seed=SEED,
            libraries=(*LIBRARIES, "itk-elastix") if deform else LIBRARIES,
        )
        (folder / SUMMARY).write_bytes(json_bytes(told))
    return found, carried


def story(
    found: Registration, still: Resampled, carried: Resampled, grid: GridMm
) -> dict[str, Any]:
    """Tell what a registration did, for its JSON."""
    return {
        "quantity": "emission images on one grid, in the unit they came in",
        "registered_by": found.fixed.kind,
        "fixed_to_moving_ras_mm": found.rigid.fixed_to_moving.tolist(),
        "start_ras_mm": found.start.fixed_to_moving.tolist(),
        "residual": asdict(found.residual),
        **({} if found.volumes is None else {"jacobian_in_body": found.volumes.told()}),
        "limits": LIMITS,
        "activity": {"fixed": _activity(still), "moving": _activity(carried)},
        "activity_unit": "the image's unit times mL: Bq of Bq/mL, g of a SUV in g/mL",
        "shape": list(grid.shape),
        "affine_ras_mm": grid.affine.tolist(),
    }


def _write_beside(
    path: Path, source: Nifti, image: Resampled, grid: GridMm, *, world: Nifti
) -> None:
    """Hand on what the JSON beside an image told, where it told something that still holds.

    Args:
        world: The image in whose world they stand: the fixed one.
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


def _activity(one: Resampled) -> dict[str, float]:
    return {
        "integral_before": one.integral_before,
        "integral_on_grid": one.integral_on_grid,
        "outside_grid_pct": 100.0 * one.left_share,
        "change_by_interpolation_pct": 100.0 * one.change_share,
    }


def _write_deformation(folder: Path, found: Registration) -> None:
    """Write displacement (mm, RAS+, last axis) and volume ratio, where there are any."""
    one = found.deformation
    if one is None:
        return
    for name, values in ((DISPLACEMENT, one.displacement_mm), (JACOBIAN, one.ratio)):
        (folder / name).write_bytes(nifti_bytes(values, one.affine, dtype=np.float32))


def _write_maps(folder: Path, grid: GridMm, maps: dict[str, np.ndarray]) -> None:
    for name, values in maps.items():
        (folder / name).write_bytes(nifti_bytes(values, grid.affine, dtype=np.float32))


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
