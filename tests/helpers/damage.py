"""Change a file of a copy in place."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np


def change(
    path: Path, to: Callable[[np.ndarray], np.ndarray], *, affine: np.ndarray | None = None
) -> None:
    """Change the values of a NIfTI file, their type with them; its grid stays, or is ``affine``."""
    image = nib.Nifti1Image.from_filename(path)
    data = to(np.asanyarray(image.dataobj).copy())
    nib.save(nib.Nifti1Image(data, image.affine if affine is None else affine), path)


def change_json(path: Path, *keys: str | int, **entries: Any) -> None:
    """Change entries of a JSON file, or of what lies in it below ``keys``."""
    content = json.loads(path.read_text())
    part = content
    for key in keys:
        part = part[key]
    part |= entries
    path.write_text(json.dumps(content))
