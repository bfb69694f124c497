"""Scans that come as NIfTI, each with a JSON of what its header cannot tell beside it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rpt_cohort import BadInput

SUFFIXES = (".nii.gz", ".nii")
SUV, ACTIVITY, COUNTS = (
    "SUV, body weight, g/mL",
    "activity concentration at mid-scan, Bq/mL",
    "counts",
)
"""What ``quantity`` may say; the first two are what the commands suv and activity write."""


@dataclass(frozen=True)
class Nifti:
    """A NIfTI file and its sidecar.

    Attributes:
        path: The image.
        sidecar: The JSON beside it; ``None`` for a CT, which needs none.
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


def is_nifti(name: str | Path) -> bool:
    """Tell by its name whether a source is a NIfTI file."""
    return str(name).endswith(SUFFIXES)


def find_nifti(path: Path, *, need_sidecar: bool) -> Nifti:
    """Find an image and read the JSON beside it, ``A.json`` for ``A.nii.gz``.

    Args:
        path: The image; its values are not read.
        need_sidecar: Whether the JSON must be there.

    Raises:
        BadInput: The image or a sidecar that is needed is missing or no JSON object; names of
            files, which may hold a patient's, are not repeated.
    """
    if not path.is_file():
        raise BadInput("The NIfTI file must be there, and there is none. Check its path.")
    if not need_sidecar:
        return Nifti(path, None, {})
    suffix = next(one for one in SUFFIXES if path.name.endswith(one))
    beside = path.with_name(path.name.removesuffix(suffix) + ".json")
    try:
        told: Any = json.loads(beside.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(
            "A NIfTI image must have a JSON of the same name beside it that tells its quantity "
            "and times (see --example), and it is missing or no JSON."
        ) from error
    if not isinstance(told, dict):
        raise BadInput("The JSON beside a NIfTI image must be an object, and it is not.")
    return Nifti(path, beside, told)
