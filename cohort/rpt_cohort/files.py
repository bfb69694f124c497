"""Files: written whole or not at all, beside the target first; where a result comes from."""

import csv
import hashlib
import io
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from rpt_cohort.errors import BadInput


def json_bytes(content: Mapping[str, Any]) -> bytes:
    """Encode ``content`` as indented UTF-8 JSON; NaN and infinity are refused.

    Raises:
        ValueError: ``content`` holds a number that JSON cannot carry.
    """
    text = json.dumps(content, indent=4, ensure_ascii=False, allow_nan=False)
    return text.encode() + b"\n"


def table_bytes(columns: Mapping[str, Sequence[Any] | Shaped[np.ndarray, " rows"]]) -> bytes:
    """Encode columns of one length as CSV; a number reads back to the very same number."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    # tolist: Python's own numbers, whose repr is the shortest that reads back.
    writer.writerows(
        zip(*(np.asarray(column).tolist() for column in columns.values()), strict=True)
    )
    return stream.getvalue().encode()


def write_together(files: Mapping[Path, bytes]) -> None:
    """Write several files so that none appears before all are on disk.

    Args:
        files: Target path → content. Parent folders must exist. A file that is
            already there is replaced.

    Raises:
        BadInput: A parent folder is missing, or a target is a folder.
    """
    for path in files:
        if not path.parent.is_dir():
            raise BadInput(f"The folder of {path.name} must exist, got '{path}'. Create it first.")
        if path.is_dir():
            raise BadInput(f"'{path}' must be a file name, got a folder. Name a file inside it.")
    written: dict[Path, Path] = {}
    try:
        for path, content in files.items():
            handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
            written[path] = Path(name)
            with os.fdopen(handle, "wb") as stream:
                stream.write(content)
            Path(name).chmod(0o666 & ~_umask())
        for path, partial in written.items():
            partial.replace(path)
    finally:
        for partial in written.values():
            partial.unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Give a folder to fill, which becomes ``path`` only if the block ends well.

    Raises:
        BadInput: ``path`` is there already and is not an empty folder, or its
            parent is missing.
    """
    typed = path
    path = path.resolve()  # of a link to an empty folder, the folder is what is replaced
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise BadInput(
            f"'{path.name}' must be new or empty, and '{typed}' is not. Remove it or name another."
        )
    if not path.parent.is_dir():
        raise BadInput(
            f"The folder above '{path.name}' must exist, got '{typed}'. Create it first."
        )
    partial = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    partial.chmod(0o777 & ~_umask())
    try:
        yield partial
        if path.exists():
            path.rmdir()
        partial.replace(path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _umask() -> int:
    # The only way to read the umask is to set it.
    mask = os.umask(0)
    os.umask(mask)
    return mask


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hex.

    Raises:
        BadInput: The file cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise BadInput(f"{path} must be a readable file: {error.strerror}.") from error


def provenance(
    *,
    package: str,
    command: str,
    parameters: Mapping[str, Any],
    inputs: Mapping[str, str] | None = None,
    seed: int | None = None,
    libraries: Iterable[str] = (),
) -> dict[str, Any]:
    """Build the ``provenance`` block of a result's JSON.

    Args:
        package: The distribution that made the result, such as ``rpt-dosimetry``.
        command: Its command, such as ``suv``.
        parameters: What the result depends on; no absolute path, host or clock.
        inputs: What was read: name relative to the input folder → SHA-256.
        seed: The seed, where chance was used.
        libraries: Distributions whose version matters.

    Returns:
        A JSON-ready mapping.

    Raises:
        PackageNotFoundError: ``package`` is not installed.
    """
    return {
        "package": package,
        "version": version(package),
        "command": command,
        "parameters": dict(parameters),
        "seed": seed,
        "inputs": dict(inputs or {}),
        "libraries": {name: _version_or_absent(name) for name in libraries},
    }


def _version_or_absent(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"
