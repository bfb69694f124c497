"""Change files of a copied cohort or prediction folder."""

import json
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np

Change = Callable[[np.ndarray], np.ndarray]


def replace_values(path: Path, change: Change) -> None:
    """Change the values of a NIfTI file in place; grid and type stay."""
    image = nib.Nifti1Image.from_filename(path)
    data = np.asanyarray(image.dataobj)
    nib.save(nib.Nifti1Image(change(data).astype(data.dtype), image.affine, image.header), path)


def replace_json(path: Path, **changes: object) -> None:
    """Change entries of a JSON file in place."""
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
