"""Read and write one NIfTI volume, checked."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from jaxtyping import Float, Shaped
from nibabel.filebasedimages import ImageFileError
from nibabel.imageglobals import logger as nibabel_logger
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
    """Read a 3D NIfTI file.

    Args:
        path: A ``.nii`` or ``.nii.gz`` file.
        name: What an error calls it; the file's own name by default.

    Returns:
        Its values (scaling applied where the header has one) and affine.

    Raises:
        BadInput: Missing, not a NIfTI file, truncated, not 3D, or of complex or
            structured values.
    """
    name = name or str(path)
    if not path.is_file():
        raise BadInput(f"{name} must be a NIfTI file, and there is none. Check the path.")
    try:
        content = path.read_bytes()
        # Unpacked here and not by nibabel, which leaves the checksum unread.
        content = gzip.decompress(content) if content[:2] == GZIP_MAGIC else content
        with _quiet():
            image = nib.Nifti1Image.from_bytes(content)
        data = np.asanyarray(image.dataobj)
    except NIFTI_ERRORS as error:
        raise BadInput(
            f"{name} must be a whole NIfTI file and cannot be read as one. Write it anew."
        ) from error
    if data.ndim != 3:
        raise BadInput(f"{name} must be 3D, got shape {data.shape}. Give one volume a file.")
    if data.dtype.kind not in "biuf":
        raise BadInput(f"{name} must hold real numbers, got {data.dtype}.")
    affine = np.asarray(image.affine, dtype=np.float64)
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        raise BadInput(f"{name} must have an invertible affine. Write it anew with its geometry.")
    return Volume(np.ascontiguousarray(data), affine)


@contextmanager
def _quiet() -> Iterator[None]:
    """Hold back nibabel's guesses at what is wrong with a header."""
    before, nibabel_logger.disabled = nibabel_logger.disabled, True
    try:
        yield
    finally:
        nibabel_logger.disabled = before


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
    # mtime: no clock in the file; level 1: noise hardly compresses further.
    return gzip.compress(image.to_bytes(), compresslevel=1, mtime=0)
