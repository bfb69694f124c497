"""Images that come as NIfTI, each with a JSON of what its header cannot tell beside it."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from rpt_cohort import BadInput, Volume
from rpt_cohort.volumes import turned_to_ras

SUFFIXES = (".nii.gz", ".nii")
SUV, ACTIVITY, COUNTS = (
    "SUV, body weight, g/mL",
    "activity concentration at mid-scan, Bq/mL",
    "counts",
)
HU = "CT number, HU"
"""What ``quantity`` may say: what the commands suv, activity and ct write, and counts."""
ORGAN_NUMBERS = "organ number, TotalSegmentator v2 total"
LESION_NUMBERS = "lesion number"
LARGEST_LESION = np.iinfo(np.uint16).max
VOXELS_SHA256 = "voxels_sha256"
"""Key of the JSON: by it another volume beside an old JSON is known."""
SPACING_MM = "spacing_mm"
SAME_SPACING = 1e-2
"""Relative, ours."""


@dataclass(frozen=True)
class Nifti:
    """A NIfTI file and its sidecar.

    Attributes:
        sidecar: The JSON beside it; ``None`` where there is none, or none is read.
        told: What it holds.
    """

    path: Path
    sidecar: Path | None
    told: Mapping[str, Any]

    @property
    def paths(self) -> tuple[Path, ...]:
        """The image and its sidecar."""
        return (self.path,) if self.sidecar is None else (self.path, self.sidecar)

    def number(self, key: str) -> float | None:
        """Return a number of the sidecar; ``None`` where it is missing or null.

        Raises:
            BadInput: It is no finite number above 0.
        """
        value = self.told.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e15:
            raise BadInput(f"{key} of the JSON beside the image must be a number above 0.")
        return float(value)

    def need(self, key: str) -> float:
        """Return a number of the sidecar.

        Raises:
            BadInput: It is missing, or no finite number above 0.
        """
        value = self.number(key)
        if value is None:
            raise BadInput(f"The JSON beside the image must tell {key}, and it does not.")
        return value

    def text(self, key: str) -> str | None:
        """Return a text of the sidecar; ``None`` where it is missing or null.

        Raises:
            BadInput: It is no text, or an empty one.
        """
        value = self.told.get(key)
        if value is None or (isinstance(value, str) and value.strip()):
            return value
        raise BadInput(f"{key} of the JSON beside the image must be a text or null, and it is not.")

    def quantity(self, *allowed: str) -> str:
        """Return what the image's values are.

        Raises:
            BadInput: ``quantity`` of the sidecar is not one of those allowed.
        """
        found = self.told.get("quantity")
        if found not in allowed:
            wanted = " or ".join(f"'{one}'" for one in allowed)
            raise BadInput(
                f"quantity of the JSON beside the image must be {wanted}, and it is not."
            )
        return str(found)

    def refuse_other_voxels(self, volume: Volume) -> None:
        """Refuse a volume that is not the one that the JSON beside it tells of.

        Raises:
            BadInput: The JSON holds the hash of other voxels, or another spacing.
        """
        spacing_mm = self.told.get(SPACING_MM)
        if spacing_mm is not None:
            three = (
                isinstance(spacing_mm, list)
                and len(spacing_mm) == 3
                and all(isinstance(one, int | float) for one in spacing_mm)
            )
            # Of an image that was turned they stand in another order.
            if not three or not np.allclose(
                sorted(spacing_mm), sorted(volume.spacing_mm), rtol=SAME_SPACING
            ):
                raise BadInput(
                    f"The image must have the {SPACING_MM} that the JSON beside it tells, and its "
                    f"voxels are {' × '.join(f'{one:.4g}' for one in volume.spacing_mm)} mm. Mend "
                    "the wrong one of the two."
                )
        told = self.told.get(VOXELS_SHA256)
        if told is not None and told != voxels_sha256(volume):
            raise BadInput(
                "The image must be the one that the JSON beside it tells of, and by "
                f"{VOXELS_SHA256} its voxels are others. Make both anew; where you changed the "
                "voxels and the rest of the JSON still holds, take that key out of it."
            )


@contextmanager
def role_named(role: str) -> Iterator[None]:
    """Begin the sentence of a refusal with the role of the scan."""
    try:
        yield
    except BadInput as error:
        raise BadInput(f"{role}: {error}") from error


def voxel_ml(affine: Float[np.ndarray, "4 4"]) -> float:
    """Return the volume of a voxel, mL."""
    return abs(float(np.linalg.det(affine[:3, :3]))) / 1000.0


def voxels_sha256(volume: Volume) -> str:
    """Return the SHA-256 of a volume's values as little-endian float32 in C order.

    Their axes are turned to the right, front and head first: a file that was only reoriented
    keeps its hash.
    """
    data = turned_to_ras(volume).data
    with np.errstate(over="ignore", invalid="ignore"):
        return sha256(np.ascontiguousarray(data, dtype="<f4").tobytes()).hexdigest()


def is_nifti(name: str | Path) -> bool:
    """Tell by its name whether a source is a NIfTI file."""
    return str(name).endswith(SUFFIXES)


def find_nifti(path: Path, *, need_sidecar: bool) -> Nifti:
    """Find an image and read the JSON beside it, ``A.json`` for ``A.nii.gz``.

    Args:
        path: The image; its values are not read.

    Raises:
        BadInput: The image or a sidecar that is needed is missing or no JSON object; names of
            files, which may hold a patient's, are not repeated.
    """
    if not path.is_file():
        raise BadInput("The NIfTI file must be there, and there is none. Check its path.")
    if not need_sidecar:
        return Nifti(path, None, {})
    beside = beside_of(path)
    if not beside.is_file():
        raise BadInput(
            "A NIfTI image must have a JSON of the same name beside it that tells its quantity "
            "and times (see --example), and there is none."
        )
    return Nifti(path, beside, _read(beside, name="The JSON beside a NIfTI image"))


def nifti_and_beside(path: Path) -> Nifti:
    """Find an image and read the JSON beside it where there is one.

    Raises:
        BadInput: The JSON is there and is no JSON object.
    """
    beside = beside_of(path)
    if not beside.is_file():
        return Nifti(path, None, {})
    return Nifti(path, beside, _read(beside, name=f"'{beside.name}' beside it"))


def check_beside(path: Path, volume: Volume, *, name: str, quantity: str | None = None) -> Nifti:
    """Read the JSON beside an image where there is one, and see that it tells of this image.

    Args:
        quantity: What the JSON must say, if it says any; ``None`` for anything.

    Raises:
        BadInput: It is no JSON object, or tells of other voxels or of another quantity.
    """
    with role_named(name):
        image = nifti_and_beside(path)
        image.refuse_other_voxels(volume)
        if quantity is not None and "quantity" in image.told:
            image.quantity(quantity)
    return image


def check_labels(mask: Volume, *, name: str, largest: int) -> None:
    """Refuse a mask that is not of numbers from 0 to ``largest``, or marks nothing."""
    values = mask.data
    whole = np.isfinite(values).all() and (values >= 0).all() and (values <= largest).all()
    if not whole or (values % 1 != 0).any():
        raise BadInput(
            f"{name} must hold whole numbers from 0 to {largest}, and holds others. "
            "Give a mask of labels, not of probabilities."
        )
    if not values.any():
        raise BadInput(f"{name} must mark something by numbers above 0, and is 0 everywhere.")


def beside_of(path: Path) -> Path:
    """Return where the JSON of an image is, ``A.json`` for ``A.nii.gz``."""
    suffix = next((one for one in SUFFIXES if path.name.endswith(one)), path.suffix)
    return path.with_name(path.name.removesuffix(suffix) + ".json")


def _read(path: Path, *, name: str) -> dict[str, Any]:
    try:
        told: Any = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(
            f"{name} must be JSON, and cannot be read as that. Write it anew."
        ) from error
    if not isinstance(told, dict):
        raise BadInput(f"{name} must be an object of JSON, and it is another value. Write it anew.")
    return told


FRAME_SHA256 = "frame_of_reference_uid_sha256"
"""Key of the JSON beside a volume: in whose world it stands, by which regions find it."""


def uid_sha256(uid: str) -> str | None:
    """Return the hash by which a UID is told; ``None`` where there is none."""
    return sha256(uid.encode()).hexdigest() if uid else None
