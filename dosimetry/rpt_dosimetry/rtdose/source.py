"""Read the dose to write: a NIfTI volume in Gy, not in Gy/GBq.

The numbers do not tell the two apart. The contract's names do, and so does the JSON beside.
"""

import json
from pathlib import Path

import numpy as np
from rpt_cohort import BadInput, Volume, read_volume

PER_ACTIVITY, IN_GY = "dose.nii.gz", "dose_gy.nii.gz"
"""By the contract always Gy/GBq; ``dose_gy.nii.gz`` is Gy."""

LEAST_GBQ, LARGEST_GBQ = 0.01, 50.0
"""Ours: a MBq value is beyond them."""
_SUFFIXES = (".nii.gz", ".nii")
_TOLD = "absorbed dose, Gy"


def read_dose_per_activity(path: Path, *, administered_gbq: float) -> Volume:
    """Read a dose per activity and multiply it by the activity.

    Args:
        path: A NIfTI file in Gy/GBq. A JSON of the same name beside it must not tell Gy.
        administered_gbq: Net administered activity, GBq.

    Returns:
        The dose, Gy, float64.

    Raises:
        BadInput: The file cannot be read or is in Gy, or the activity is out of its bounds.
    """
    if not LEAST_GBQ <= administered_gbq <= LARGEST_GBQ:
        raise BadInput(
            f"--administered-gbq must be from {LEAST_GBQ:g} to {LARGEST_GBQ:g} GBq, got "
            f"{administered_gbq:g} GBq. 7400 MBq is 7.4 GBq."
        )
    if path.name.lower() == IN_GY or _told_quantity(path) == _TOLD:
        raise BadInput(
            "With --administered-gbq the dose must be in Gy/GBq, and its name or JSON tells Gy. "
            "Leave the option out."
        )
    volume = read_volume(path, name="The dose")
    return Volume(volume.data.astype(np.float64) * administered_gbq, volume.affine)


def read_dose_gy(path: Path) -> Volume:
    """Read an absorbed dose in Gy.

    Args:
        path: A NIfTI file. A JSON of the same name beside it is asked for its quantity.

    Returns:
        The dose, Gy, float64.

    Raises:
        BadInput: The file cannot be read, or its name or JSON tells another quantity.
    """
    if path.name.lower() == PER_ACTIVITY:
        raise BadInput(
            f"The dose must be in Gy, and {PER_ACTIVITY} is the name of a dose per activity, "
            "Gy/GBq. Give dose_gy.nii.gz, or the administered activity by --administered-gbq."
        )
    quantity = _told_quantity(path)
    if quantity is not None and quantity != _TOLD:
        raise BadInput(
            f"The dose must be in Gy, and the JSON beside it does not tell '{_TOLD}' but another "
            "quantity. Give the map in Gy."
        )
    volume = read_volume(path, name="The dose")
    return Volume(volume.data.astype(np.float64), volume.affine)


def _told_quantity(path: Path) -> str | None:
    """Return the quantity that the JSON beside a map tells, if any."""
    suffix = next((one for one in _SUFFIXES if path.name.endswith(one)), "")
    beside = path.with_name(path.name.removesuffix(suffix) + ".json")
    if not suffix or not beside.is_file():
        return None
    try:
        told = json.loads(beside.read_bytes())
    except (OSError, ValueError) as error:
        raise BadInput(
            "The JSON beside the dose must be readable, to tell its unit, and it is not. Mend or "
            "remove it."
        ) from error
    quantity = told.get("quantity") if isinstance(told, dict) else None
    return quantity if isinstance(quantity, str) else None
