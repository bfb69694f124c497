"""Which PETs a file of weights has seen: hashes beside it, so that no one tests on them unawares.

``model.json`` beside ``model.pt`` lists a hash of each PET that it was trained on, and of
each that chose the best epoch. Not of the file or of its voxels: a PET that was saved
again in another type or orientation, or made again by a virtual patient's seed on another
processor, differs in its last bits. The hash is of ∫ SUVⁿ dV for n = 1 … 4, each to
0.05 %, which no two patients share; it tells of a patient no more than this.
"""

import hashlib
import itertools
import json
import logging
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

logger = logging.getLogger(__name__)

Fingerprint = tuple[float, ...]
POWERS = (1, 2, 3, 4)
STEP = 1e-3  # of a natural logarithm; two PETs within half of it are taken for the same
TOLD = {
    "training": "that the weights were TRAINED ON: their maps are NO TEST of the weights.",
    "validation": "that chose the best epoch of the training: their maps flatter the weights.",
}
PARTS = tuple(TOLD)


def fingerprint(suv: nib.Nifti1Image) -> Fingerprint:
    """Return log ∫ SUVⁿ dV, dV in mL, in steps of ``STEP``, for each of ``POWERS``.

    Args:
        suv: SUV, g/mL, 0 or more and not 0 everywhere.
    """
    values = np.asanyarray(suv.dataobj).astype(np.float64)
    voxel_ml = abs(float(np.linalg.det(suv.affine[:3, :3]))) / 1000
    return tuple(math.log(float((values**power).sum()) * voxel_ml) / STEP for power in POWERS)


def kept_hash(pet: Fingerprint) -> str:
    """Return the hash that stands for a PET in ``model.json``."""
    return _hash(round(value) for value in pet)


def seen_in(pet: Fingerprint, pets: Mapping[str, Iterable[str]]) -> str | None:
    """Return the part of ``PARTS`` in which a PET was seen, or None.

    Args:
        pet: The PET.
        pets: Part → hashes, of ``model.json``.
    """
    # Within half a step of another's value, its rounded value is the one below or above.
    around = itertools.product(*((math.floor(value), math.ceil(value)) for value in pet))
    hashes = {_hash(steps) for steps in around}
    return next((part for part in PARTS if hashes & set(pets[part])), None)


def file_sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file's content, in hex."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_model_json(path: Path, pets: Mapping[str, Iterable[str]]) -> None:
    """Write which PETs the weights at ``path`` have seen beside them, whole.

    Args:
        path: ``model.pt``.
        pets: Part → hashes.
    """
    content: dict[str, Any] = {
        "weights_sha256": file_sha256(path),
        "pet_hash": "of its uptake's first four moments, scripts/fingerprints.py",
        **{part: sorted(pets[part]) for part in PARTS},
    }
    partial = path.with_name(f".{path.stem}.json.partial")
    partial.write_text(json.dumps(content, indent=4) + "\n", encoding="utf-8")
    partial.replace(path.with_suffix(".json"))


def tell_seen(
    fingerprints: Mapping[str, Fingerprint], weights_path: str
) -> dict[str, str | None] | None:
    """Warn of PETs that the weights have seen.

    Args:
        fingerprints: Path of a PET → its fingerprint.
        weights_path: ``model.pt``, beside which ``model.json`` tells what it has seen.

    Returns:
        Path of a PET → the part in which it was seen, or None; None where nothing tells.
    """
    path = Path(weights_path).with_suffix(".json")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        pets = {part: set(content[part]) for part in PARTS}
        of_these = content["weights_sha256"] == file_sha256(weights_path)
    except (OSError, ValueError, LookupError, TypeError):
        pets, of_these = {}, False
    if not of_these:
        logger.warning(
            "%s beside the weights does not tell which PETs they were trained on: see for yourself "
            "that no patient here was among them.",
            path.name,
        )
        return None
    seen = {pet: seen_in(found, pets) for pet, found in fingerprints.items()}
    for part, sentence in TOLD.items():
        count = sum(found == part for found in seen.values())
        if count:
            logger.warning("%d of %d PETs are among those %s", count, len(seen), sentence)
    return seen


def _hash(steps: Iterable[int]) -> str:
    return hashlib.sha256(" ".join(map(str, steps)).encode()).hexdigest()
