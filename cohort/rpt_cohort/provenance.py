"""Where a result comes from: enough to make it again, nothing that tells who or where."""

import hashlib
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rpt_cohort.errors import BadInput


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
