"""Read and write one NIfTI volume, checked."""

import gzip
import logging
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from jaxtyping import Float, Shaped
from nibabel.filebasedimages import ImageFileError
from nibabel.imageglobals import logger as nibabel_logger
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError

from rpt_cohort.errors import BadInput

GZIP_MAGIC = b"\x1f\x8b"
NIFTI_ERRORS = (
    *(ImageFileError, HeaderDataError, WrapStructError),
    *(OSError, EOFError, MemoryError, OverflowError, ValueError, zlib.error),
)
"""What a damaged NIfTI file raises; they have no common base."""
GRID_TOLERANCE_MM = 1e-3
MOST_APART_VOXELS = 0.5
"""Ours: between the places of a header's sform and qform at a corner, along an axis; beyond, the
file says two places."""
TOLD_APART_VOXELS = 0.05
"""Ours: from which the difference is told."""
LEAST_STATED_MM, MOST_STATED_MM = 0.01, 100.0
"""Ours: bounds of a voxel's size where a header states another unit than mm."""
_NIFTI2_HEADER_BYTES = (540).to_bytes(4, "little"), (540).to_bytes(4, "big")
_MM_PER_UNIT = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 1e-3}
"""Code of ``xyzt_units`` (not told, m, mm, µm) → mm. Source: nifti1.h, NIFTI_UNITS."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Volume:
    """A 3D array on a grid.

    Attributes:
        data: Values, shape (x, y, z), in the type they are stored in.
        affine: Voxel index → position, mm, RAS+ world of NIfTI.
    """

    data: Shaped[np.ndarray, "x y z"]
    affine: Float[np.ndarray, "4 4"]

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between voxel centres along each axis, mm."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(x), float(y), float(z)

    @property
    def axis_codes(self) -> str:
        """Where the axes point, such as ``RAS``."""
        return "".join(code or "?" for code in nib.orientations.aff2axcodes(self.affine))


def read_volume(path: Path, *, name: str | None = None) -> Volume:
    """Read a 3D NIfTI file, NIfTI-1 or NIfTI-2; a fourth axis of length 1 is dropped.

    Where sform and qform lie apart by little, the sform is taken and the difference is logged as
    a warning.

    Args:
        path: A ``.nii`` or ``.nii.gz`` file.
        name: What an error calls it; the file's own name by default.

    Returns:
        Its values (scaling applied where the header has one) and affine.

    Raises:
        BadInput: Missing, not a NIfTI file, truncated, not 3D, of complex or structured values,
            or its header does not tell one place in one unit of length.
    """
    name = name or str(path)
    if not path.is_file():
        raise BadInput(f"{name} must be a NIfTI file, and there is none. Check the path.")
    try:
        content = path.read_bytes()
        # Unpacked here and not by nibabel, which leaves the checksum unread.
        content = gzip.decompress(content) if content[:2] == GZIP_MAGIC else content
        with _quiet():
            second = content[:4] in _NIFTI2_HEADER_BYTES
            image = (nib.Nifti2Image if second else nib.Nifti1Image).from_bytes(content)
        data = np.asanyarray(image.dataobj)
    except NIFTI_ERRORS as error:
        raise BadInput(
            f"{name} must be a whole NIfTI file and cannot be read as one. Write it anew."
        ) from error
    if data.ndim == 4 and data.shape[3] == 1:
        data = data[..., 0]
    if data.ndim != 3:
        raise BadInput(f"{name} must be 3D, got shape {data.shape}. Give one volume a file.")
    if data.dtype.kind not in "biuf":
        raise BadInput(f"{name} must hold real numbers, got {data.dtype}.")
    return Volume(np.ascontiguousarray(data), _affine_mm(image, name))


def _affine_mm(image: Any, name: str) -> Float[np.ndarray, "4 4"]:
    """Return where a NIfTI image lies, mm; nothing is guessed for a header that does not tell it.

    Source: nifti1.h, methods 2 (qform) and 3 (sform); its method 1, for neither, has no
    orientation, and libraries mirror it differently.
    """
    sform, qform = int(image.header["sform_code"]) > 0, int(image.header["qform_code"]) > 0
    if not (sform or qform):
        raise BadInput(
            f"{name} must tell where it lies, and its header has neither sform nor qform (both "
            "codes are 0): left and right may be exchanged. Write it anew with its affine."
        )
    affine = np.asarray(image.affine, dtype=np.float64)
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        raise BadInput(f"{name} must have an invertible affine. Write it anew with its geometry.")
    unit_mm = _unit_mm(image, name)
    if sform and qform:
        _compare_forms(image, name, unit_mm=unit_mm)
    affine_mm: Float[np.ndarray, "4 4"] = affine * np.array([[unit_mm]] * 3 + [[1.0]])
    return affine_mm


def _unit_mm(image: Any, name: str) -> float:
    code = int(image.header["xyzt_units"]) & 7
    unit_mm = _MM_PER_UNIT.get(code)
    if unit_mm is None:
        raise BadInput(
            f"{name} must state its unit of length as m, mm or µm, and xyzt_units has the unknown "
            f"code {code}. Write it anew in mm."
        )
    size_mm = np.linalg.norm(image.affine[:3, :3], axis=0) * unit_mm
    sound = size_mm.min() >= LEAST_STATED_MM and size_mm.max() <= MOST_STATED_MM
    if unit_mm != 1.0 and not sound:
        raise BadInput(
            f"{name} must have voxels of {LEAST_STATED_MM:g} to {MOST_STATED_MM:g} mm, and by the "
            f"unit that its header states they are {' × '.join(f'{one:.4g}' for one in size_mm)} "
            "mm. If its affine is in mm, write it anew with that unit."
        )
    return unit_mm


def _compare_forms(image: Any, name: str, *, unit_mm: float) -> None:
    """Refuse a qform that is another place than the sform; tell of one that is a little off.

    Raises:
        BadInput: They are two places.
    """
    rounded = image.header.copy()
    try:
        qform = image.get_qform()
        rounded.set_qform(image.affine)
    except (HeaderDataError, ValueError):
        logger.warning("%s has a qform that cannot be read; its sform was taken.", name)
        return
    apart, apart_mm = _apart(image, qform, image.affine, unit_mm=unit_mm)
    told = f"{apart_mm:.3g} mm ({apart:.2g} voxels)"
    # Near half a turn a quaternion of 32 bits is good to some 1e-3 rad: then hold it against what
    # it could store of the sform.
    least, _ = _apart(image, qform, rounded.get_qform(), unit_mm=unit_mm)
    if not min(apart, least) <= MOST_APART_VOXELS:
        raise BadInput(
            f"{name} must lie in one place, and its header tells two: by its qform a corner lies "
            f"{told} from where its sform has it. Write it anew with the right one alone."
        )
    if apart > TOLD_APART_VOXELS:
        logger.warning(
            "%s: by its qform a corner lies %s from where its sform, which was taken, has it.",
            name,
            told,
        )


def _apart(
    image: Any,
    one: Float[np.ndarray, "4 4"],
    other: Float[np.ndarray, "4 4"],
    *,
    unit_mm: float,
) -> tuple[float, float]:
    """Return how far two affines put a corner apart: voxels along an axis, and mm."""
    corners = np.array(list(np.ndindex(2, 2, 2))) * (np.array(image.shape[:3]) - 1)
    shift = one - other
    apart = corners @ shift[:3, :3].T + shift[:3, 3]
    voxels = np.abs(apart @ np.linalg.inv(image.affine[:3, :3]).T).max()
    return float(voxels), float(np.linalg.norm(apart, axis=1).max()) * unit_mm


@contextmanager
def _quiet() -> Iterator[None]:
    """Hold back nibabel's guesses at what is wrong with a header."""
    before, nibabel_logger.disabled = nibabel_logger.disabled, True
    try:
        yield
    finally:
        nibabel_logger.disabled = before


def turned_to_ras(volume: Volume) -> Volume:
    """Turn a volume's axes to the right, front and head as nearly as flips and swaps can."""
    orientation = io_orientation(volume.affine)
    data = apply_orientation(volume.data, orientation)
    affine = volume.affine @ inv_ornt_aff(orientation, volume.data.shape)
    return Volume(np.ascontiguousarray(data), affine)


def grid_fault(volume: Volume, like: Volume, *, name: str, like_name: str) -> str | None:
    """Say in a sentence how ``volume`` is not on the grid of ``like``; None where it is."""
    if volume.data.shape != like.data.shape:
        return (
            f"{name} must be on the grid of {like_name}, {like.data.shape} voxels, got "
            f"{volume.data.shape}. Resample it to that grid."
        )
    corners = np.array(list(np.ndindex(2, 2, 2))) * (np.array(like.data.shape) - 1)
    difference = volume.affine - like.affine
    shifts_mm = np.linalg.norm(corners @ difference[:3, :3].T + difference[:3, 3], axis=1)
    if shifts_mm.max() > GRID_TOLERANCE_MM:
        return (
            f"{name} must have the affine of {like_name}, and its corner voxels lie "
            f"{shifts_mm.max():.3g} mm off. Resample it to that grid."
        )
    return None


def nifti_bytes(
    data: Shaped[np.ndarray, "x y z *more"],
    affine: Float[np.ndarray, "4 4"],
    *,
    dtype: type[np.generic],
) -> bytes:
    """Encode a volume as ``.nii.gz``; the same values give the same bytes.

    Args:
        data: Values, shape (x, y, z), or (x, y, z, 3) of vectors.
        affine: Voxel index → position, mm, RAS+ world.
        dtype: Stored type, such as ``np.float32``; integers must hold every value.

    Returns:
        The file's content.

    Raises:
        BadInput: ``dtype`` cannot hold a value.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        stored = data.astype(dtype)
    whole = np.issubdtype(dtype, np.integer)
    if not (np.array_equal(stored, data) if whole else np.isfinite(stored).all()):
        raise BadInput(f"Values must fit {np.dtype(dtype).name}, got {data.min()} to {data.max()}.")
    image = nib.Nifti1Image(stored, affine)
    image.header.set_xyzt_units("mm", "sec" if data.ndim == 3 else "unknown")
    image.set_qform(affine, code="scanner")
    image.set_sform(affine, code="scanner")
    return compressed(image.to_bytes())


def compressed(content: bytes) -> bytes:
    """Compress the content of a ``.nii``; the same content gives the same bytes."""
    # mtime: no clock in the file; level 1: noise hardly compresses further.
    return gzip.compress(content, compresslevel=1, mtime=0)
