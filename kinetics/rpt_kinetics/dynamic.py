"""A dynamic image on disk, read frame by frame, and its parametric maps as NIfTI."""

import gzip
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError
from numpy.typing import NDArray

from rpt_kinetics.basis import Scan
from rpt_kinetics.errors import BadInput
from rpt_kinetics.exponentials import Floats
from rpt_kinetics.parametric import FITTED, FLAGS, MAPS, parametric_values

# Bytes of voxel curves held at a time; more voxels take further passes over the frames.
BUDGET_BYTES = 2**28
GRID_TOLERANCE_MM = 1e-3
# Ours, as rpt_cohort has it: sform and qform further apart say two places.
MOST_APART_VOXELS = 0.5
# What a damaged NIfTI file raises; they have no common base.
NIFTI_ERRORS = (
    *(ImageFileError, HeaderDataError, WrapStructError),
    *(OSError, EOFError, MemoryError, OverflowError, ValueError, zlib.error),
)


@dataclass(frozen=True, eq=False)
class Dynamic:
    """A dynamic image whose frames are read when they are needed, and a mask on its grid.

    Attributes:
        image: nibabel's proxy, shape (x, y, z, m).
        mask: Shape (x, y, z).
        affine: Voxel index → position, mm, RAS+ world.
    """

    image: Any
    mask: NDArray[np.bool_]
    affine: Floats

    @property
    def voxels(self) -> int:
        """Voxels in the mask."""
        return int(self.mask.sum())

    def curves(self, voxels: slice) -> Floats:
        """Return the curves of some of the mask's voxels, the file's unit, shape (n, m).

        Raises:
            BadInput: The file is damaged.
        """
        frames = [
            _values(self.image, (..., frame))[self.mask][voxels]
            for frame in range(self.image.shape[3])
        ]
        return np.stack(frames, axis=1)

    def batches(self) -> Iterator[slice]:
        """Yield slices of the mask's voxels, so that each fits the budget of memory."""
        step = max(1, BUDGET_BYTES // (8 * self.image.shape[3]))
        return (slice(start, start + step) for start in range(0, self.voxels, step))


def read_dynamic(path: Path, mask_path: Path, *, frames: int) -> Dynamic:
    """Open a dynamic image with its mask (inside where not 0).

    Args:
        path: 4-D NIfTI, shape (x, y, z, m).
        mask_path: 3-D NIfTI on the same grid.
        frames: m, from the table of frames.

    Raises:
        BadInput: A file is no NIfTI, shapes or grids disagree, or the mask is empty.
    """
    image, mask_image = _open(path), _open(mask_path)
    if len(image.shape) != 4:
        raise BadInput(
            f"{path.name} must have four dimensions (x, y, z, frames), got shape {image.shape}. "
            "Join the frames in one file."
        )
    if image.shape[3] != frames:
        raise BadInput(
            f"{path.name} must have one frame for each of {frames} rows of the table of frames, "
            f"got {image.shape[3]}. Check that the table belongs to the image."
        )
    if mask_image.shape != image.shape[:3]:
        raise BadInput(
            f"{mask_path.name} must be on the grid of {path.name}, {image.shape[:3]} voxels, got "
            f"{mask_image.shape}. Resample it to that grid."
        )
    corners = np.array(list(np.ndindex(2, 2, 2))) * (np.array(image.shape[:3]) - 1)
    difference = np.asarray(mask_image.affine - image.affine, dtype=np.float64)
    off_mm = np.linalg.norm(corners @ difference[:3, :3].T + difference[:3, 3], axis=1).max()
    if not off_mm <= GRID_TOLERANCE_MM:
        raise BadInput(
            f"{mask_path.name} must have the affine of {path.name}, and its corner voxels lie "
            f"{off_mm:.3g} mm off. Resample it to that grid."
        )
    inside = _values(mask_image, ...)
    if not np.isfinite(inside).all() or not inside.any():
        raise BadInput(
            f"{mask_path.name} must hold 0 outside and another finite number inside, and has "
            "nothing inside or a value that is not finite. Draw the mask anew."
        )
    return Dynamic(image, inside != 0, np.asarray(image.affine, dtype=np.float64))


def map_files(
    dynamic: Dynamic,
    scan: Scan,
    batches: Iterable[slice],
    *,
    model: str,
    vb: float | None,
    factor: Floats,
    standard_deviation: Floats | None,
) -> tuple[dict[str, bytes], dict[int, int]]:
    """Fit every voxel of the mask, batch by batch.

    Args:
        dynamic: The image.
        scan: Its frames and the input function.
        batches: Of :meth:`Dynamic.batches`, perhaps under a progress bar.
        model: ``1tcm`` or ``2tcm_irreversible``.
        vb: V_b held at this share; None fits it.
        factor: Turns the file's values into the input's unit, corrected for decay. Shape (m,).
        standard_deviation: Of one voxel in the frames, the input's unit, or None. Shape (m,).

    Returns:
        File name → NIfTI of each map and of the misfit (NaN where there is no fit) and of
        ``flag``, and each flag → number of voxels.

    Raises:
        BadInput: A value in the mask is not finite, or no voxel can be fitted.
    """
    misfit = misfit_name(standard_deviation)
    maps = {
        name: np.full(dynamic.mask.shape, np.nan, dtype=np.float32)
        for name in (*MAPS[model], misfit)
    }
    flag = np.zeros(dynamic.mask.shape, dtype=np.uint8)
    places = np.flatnonzero(dynamic.mask)
    for batch in batches:
        values = parametric_values(
            dynamic.curves(batch) * factor,
            scan,
            model=model,
            vb=vb,
            standard_deviation=standard_deviation,
        )
        here = places[batch]
        flag.flat[here] = values.flag
        for name, volume in maps.items():
            volume.flat[here] = values.misfit if name == misfit else values.maps[name]
    files = {f"{name}.nii.gz": _nifti_bytes(volume, dynamic) for name, volume in maps.items()}
    counts = {number: int(np.sum(flag == number)) for number in FLAGS}
    if not counts[FITTED]:
        why = [f"{FLAGS[number]} ({n} voxels)" for number, n in counts.items() if number and n]
        raise BadInput(
            f"At least one voxel of the mask must be fit, and none is: {'; '.join(why)}. "
            "Check the mask, the input function and the units."
        )
    return files | {"flag.nii.gz": _nifti_bytes(flag, dynamic)}, counts


def misfit_name(standard_deviation: Floats | None) -> str:
    """Return what the map of the misfit holds, see :class:`parametric.ParametricValues`."""
    return "rms_residual" if standard_deviation is None else "chi_square_per_degree"


def _open(path: Path) -> Any:
    try:
        image = nib.load(path)
    except NIFTI_ERRORS as error:
        raise _unreadable(path.name) from error
    if not isinstance(image, nib.Nifti1Image):  # NIfTI-2 is one, too
        raise _unreadable(path.name)
    _check_place(image, path.name)
    return image


def _check_place(image: Any, name: str) -> None:
    """Refuse a header that does not tell one place in mm; the maps are to lie in it."""
    header, affine = image.header, image.affine
    sform, qform = int(header["sform_code"]) > 0, int(header["qform_code"]) > 0
    if not (sform or qform):
        raise BadInput(
            f"{name} must tell where it lies, and its header has neither sform nor qform (both "
            "codes are 0): left and right may be exchanged. Write it anew with its affine."
        )
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        raise BadInput(f"{name} must have an invertible affine. Write it anew with its geometry.")
    if int(header["xyzt_units"]) & 7 not in (0, 2):
        raise BadInput(f"{name} must be in mm, and its header states another unit. Write it in mm.")
    if sform and qform:
        rounded = header.copy()
        try:
            qform_mm = image.get_qform()
            rounded.set_qform(affine)
        except (HeaderDataError, ValueError):  # the sform is whole, and goes before it
            return
        corners = np.array(list(np.ndindex(2, 2, 2))) * (np.array(image.shape[:3]) - 1)
        # Near half a turn a quaternion of 32 bits is good to some 1e-3 rad: then hold the qform
        # against what it could store of the sform.
        shifts = np.stack([qform_mm - affine, qform_mm - rounded.get_qform()])
        apart_mm = corners @ shifts[:, :3, :3].swapaxes(1, 2) + shifts[:, None, :3, 3]
        apart = np.abs(apart_mm @ np.linalg.inv(affine[:3, :3]).T).max(axis=(1, 2))
        if not apart.min() <= MOST_APART_VOXELS:
            raise BadInput(
                f"{name} must lie in one place, and its header tells two: by its qform a corner "
                f"lies {np.linalg.norm(apart_mm[0], axis=1).max():.3g} mm from where its sform has "
                "it. Write it anew with the right one alone."
            )


def _values(image: Any, where: Any) -> Floats:
    try:
        return np.asarray(image.dataobj[where], dtype=np.float64)
    except NIFTI_ERRORS as error:
        raise _unreadable(Path(image.get_filename()).name) from error


def _unreadable(name: str) -> BadInput:
    return BadInput(
        f"{name} must be a whole NIfTI file (.nii or .nii.gz) and cannot be read as one. "
        "Check the path, or write it anew."
    )


def _nifti_bytes(volume: NDArray[Any], dynamic: Dynamic) -> bytes:
    image = nib.Nifti1Image(volume, dynamic.affine)
    header = dynamic.image.header
    image.set_sform(dynamic.affine, code=int(header["sform_code"]) or "scanner")
    image.set_qform(dynamic.affine, code=int(header["qform_code"]) or "scanner")
    image.header.set_xyzt_units("mm")
    # No clock in the file.
    return gzip.compress(image.to_bytes(), compresslevel=6, mtime=0)
