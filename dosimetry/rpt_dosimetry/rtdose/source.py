"""Read the dose to write: a NIfTI volume in Gy, not in Gy/GBq.

The numbers do not tell the two apart. The contract's names do, and so does the JSON beside.
"""

import json
from pathlib import Path

import numpy as np
from rpt_cohort import BadInput, Volume, read_volume

PER_ACTIVITY = "dose.nii.gz"
"""By the contract always Gy/GBq; ``dose_gy.nii.gz`` is Gy."""

_SUFFIXES = (".nii.gz", ".nii")
_TOLD = "absorbed dose, Gy"


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
            "Gy/GBq. Give dose_gy.nii.gz, or multiply by the administered activity in GBq and "
            "save it under that name."
        )
    _check_json(path)
    volume = read_volume(path, name="The dose")
    return Volume(volume.data.astype(np.float64), volume.affine)


def _check_json(path: Path) -> None:
    suffix = next((one for one in _SUFFIXES if path.name.endswith(one)), "")
    beside = path.with_name(path.name.removesuffix(suffix) + ".json")
    if not suffix or not beside.is_file():
        return
    try:
        told = json.loads(beside.read_bytes())
    except (OSError, ValueError) as error:
        raise BadInput(
            "The JSON beside the dose must be readable, to tell its unit, and it is not. Mend or "
            "remove it."
        ) from error
    quantity = told.get("quantity") if isinstance(told, dict) else None
    if isinstance(quantity, str) and quantity != _TOLD:
        raise BadInput(
            f"The dose must be in Gy, and the JSON beside it does not tell '{_TOLD}' but another "
            "quantity. Give the map in Gy."
        )
