"""The hashes that a cycle's ``cycle.json`` holds: of every other file, and of itself.

By them a damaged or changed cycle is known. They stand in its provenance, whose content the
schema leaves open: a cohort made without them is a cohort, too.
"""

import gzip
import zlib
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from rpt_cohort.files import file_sha256, json_bytes
from rpt_cohort.schema import FILES_OPTIONAL, CycleInfo
from rpt_cohort.volumes import compressed

OUTPUTS = "outputs"
"""Of the provenance: file → SHA-256."""
SEAL = "sha256_of_the_rest"
"""Of the provenance: of all else that ``cycle.json`` tells."""


def output_sha256(folder: Path) -> dict[str, str]:
    """Return file → SHA-256 of all that a cycle's folder holds beside ``cycle.json``."""
    files = [one for one in sorted(folder.rglob("*")) if one.is_file()]
    return {
        one.relative_to(folder).as_posix(): file_sha256(one)
        for one in files
        if one != folder / "cycle.json"
    }


def sealed_bytes(info: CycleInfo) -> bytes:
    """Encode ``cycle.json`` with a hash of all that it tells."""
    content = info.model_dump(mode="json")
    content["provenance"][SEAL] = sha256(json_bytes(content)).hexdigest()
    return json_bytes(content)


def is_sealed(info: CycleInfo) -> bool:
    """Tell whether a ``cycle.json`` is as ``sealed_bytes`` wrote it."""
    content = info.model_dump(mode="json")
    told = content["provenance"].pop(SEAL, None)
    whole: bool = told == sha256(json_bytes(content)).hexdigest()
    return whole


def is_recorded(info: CycleInfo) -> bool:
    """Tell whether a ``cycle.json`` holds the hashes of the cycle's files."""
    return isinstance(info.provenance.get(OUTPUTS), dict)


def _as_written(path: Path) -> str | None:
    """Return the hash of a ``.nii.gz`` compressed as we do it: another packing changes nothing."""
    if not path.name.endswith(".nii.gz"):
        return None
    try:
        return sha256(compressed(gzip.decompress(path.read_bytes()))).hexdigest()
    except (OSError, EOFError, zlib.error):
        return None


def changes(folder: Path, info: CycleInfo) -> Iterator[str]:
    """Yield, a sentence each, what of a cycle is not as it was made.

    Args:
        folder: Of the cycle.
        info: Its ``cycle.json``; one without hashes tells of no change.
    """
    mend = "Make the cycle anew, or take the file from a copy."
    if SEAL in info.provenance and not is_sealed(info):
        yield f"cycle.json was changed after it was made, by the hash of its content. {mend}"
    if not is_recorded(info):
        return
    made, there = info.provenance[OUTPUTS], output_sha256(folder)
    for file in sorted({*made, *there}):
        if file not in there:
            yield f"{file} is missing, and the cycle was made with it. {mend}"
        elif file not in made:
            if file in FILES_OPTIONAL:  # what no room reads may lie there
                yield f"{file} was added after the cycle was made. Move it away."
        elif made[file] != there[file] and made[file] != _as_written(folder / file):
            yield f"{file} was changed after it was made, by its hash in cycle.json. {mend}"
