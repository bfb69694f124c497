"""What commands share: where they write, and their warnings."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rpt_cohort import BadInput, Volume, json_bytes, nifti_bytes, write_together
from rpt_cohort.command import refuse_existing, warn

SUFFIX = ".nii.gz"


def out_and_json(out: Path | None, *, overwrite: bool) -> tuple[Path, Path]:
    """Return a volume's path and that of the JSON beside it.

    Raises:
        BadInput: ``out`` is missing, has another suffix, or its folder cannot be written to; or
            one of the two is there and ``overwrite`` does not allow to replace it.
    """
    if out is None:
        raise BadInput(f"OUT must be named, a file that ends in {SUFFIX}. --list needs none.")
    if not out.name.endswith(SUFFIX) or out.name == SUFFIX:
        raise BadInput(f"OUT must end in {SUFFIX}, got '{out}'.")
    if not out.parent.is_dir():
        raise BadInput(f"The folder of {out.name} must exist, got '{out}'. Create it first.")
    if not os.access(out.parent, os.W_OK | os.X_OK):
        raise BadInput(f"The folder of {out.name} must be writable, and that of '{out}' is not.")
    beside = out.with_name(out.name.removesuffix(SUFFIX) + ".json")
    for path in (out, beside):
        if path.is_dir():
            raise BadInput(f"{path} must be a file name, got a folder. Name a file inside it.")
    refuse_existing(out, beside, overwrite=overwrite)
    return out, beside


def warn_of_each(sentences: Sequence[str]) -> None:
    """Say each warning on stderr."""
    for sentence in sentences:
        warn(sentence)


def write_volume(
    targets: tuple[Path, Path], volume: Volume, told: Mapping[str, Any], *, dtype: type[np.generic]
) -> None:
    """Write a volume and the JSON beside it, both or none."""
    image = nifti_bytes(volume.data, volume.affine, dtype=dtype)
    write_together(dict(zip(targets, (image, json_bytes(told)), strict=True)))
