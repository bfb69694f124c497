"""Presets: parameter files of the study, in TOML, with units in the keys."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, is_dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

from rpt_kinetics.study_parameters import StudyParameters

FOLDER = files("rpt_kinetics") / "presets"
SUFFIX = ".toml"
PAPER_PRESETS = ("homogeneous", "heterogeneous", "varied")
TargetOf = Literal["overall", "per cluster"]


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A parameter file.

    Attributes:
        name: The file's name without ending.
        description: A sentence.
        why_not_unique: A sentence: what else gives the same correlation.
        target_pearson_r: The paper's, where the preset is made to meet one.
        target_of: Whether that is r over the organ, or in each sub-tissue.
        parameters: What the study computes with.
    """

    name: str
    description: str
    why_not_unique: str
    target_pearson_r: float | None
    target_of: TargetOf
    parameters: StudyParameters


def preset_names() -> list[str]:
    """Return the presets of this package: the paper's three, then the others by name."""
    names = {file.name.removesuffix(SUFFIX) for file in FOLDER.iterdir()}
    return [*PAPER_PRESETS, *sorted(names - set(PAPER_PRESETS))]


def read_preset(name: str) -> Preset:
    """Read a preset of this package, or a file of the same form.

    Args:
        name: Such as ``varied``, or the path of a ``.toml`` file.

    Raises:
        ValueError: There is neither, or the file is at fault.
    """
    if name in preset_names():
        return preset_of(tomllib.loads((FOLDER / f"{name}{SUFFIX}").read_text("utf-8")), name=name)
    path = Path(name)
    if path.suffix != SUFFIX or not path.is_file():
        raise ValueError(
            f"The preset must be one of {', '.join(preset_names())}, or a {SUFFIX} file like "
            f"theirs, got '{path.name}'. Check the spelling and the folder."
        )
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path.name} must be a readable TOML file: {error}.") from error
    return preset_of(content, name=path.stem)


def preset_of(content: Mapping[str, Any], *, name: str) -> Preset:
    """Return the preset that a parameter file's content describes.

    Raises:
        ValueError: A key is unknown or missing, or a value is of the wrong kind or out of range.
    """
    heads = get_type_hints(Preset)
    texts = {"description": "", "why_not_unique": ""}
    head: dict[str, Any] = texts | {"target_pearson_r": None, "target_of": "overall"}
    for key in head:
        if key in content:
            kind = float if key == "target_pearson_r" else heads[key]
            head[key] = _value(f"{name}: {key}", content[key], kind)
    rest = {key: value for key, value in content.items() if key not in head}
    parameters = _filled(StudyParameters, rest, where=f"{name}: ")
    return Preset(name=name, parameters=parameters, **head)


def _filled(kind: type[Any], table: Mapping[str, Any], *, where: str) -> Any:
    """Make a dataclass from a table whose keys are its fields."""
    kinds = get_type_hints(kind)
    unknown = sorted(set(table) - set(kinds))
    if unknown:
        raise ValueError(
            f"{where}'{unknown[0]}' is no parameter of the study. Write one of {', '.join(kinds)}."
        )
    missing = [key for key in kinds if key not in table and not hasattr(kind, key)]
    if missing:
        raise ValueError(f"{where}{missing[0]} must be given, and it is missing. Add it.")
    return kind(**{key: _value(f"{where}{key}", table[key], kinds[key]) for key in table})


def _value(name: str, value: Any, kind: Any) -> Any:
    if is_dataclass(kind) and isinstance(kind, type):
        if not isinstance(value, Mapping):
            raise ValueError(f"{name} must be a table, got {value!r}. Write [{name.split()[-1]}].")
        return _filled(kind, value, where=f"{name}.")
    if choices := get_args(kind):
        if value not in choices:
            raise ValueError(f"{name} must be one of {', '.join(choices)}, got {value!r}.")
        return value
    accepted = (int, float) if kind is float else kind
    if not isinstance(value, accepted) or isinstance(value, bool):
        word = {float: "a number", int: "a whole number", str: "a text"}[kind]
        raise ValueError(f"{name} must be {word}, got {value!r}.")
    try:
        return kind(value)
    except OverflowError as error:
        raise ValueError(f"{name} must be a number of fewer than 300 digits. Check it.") from error


def in_words(parameters: StudyParameters) -> dict[str, float | int | str]:
    """Return the parameters as one flat table, ``voxel_cv.k1`` and the like."""
    flat: dict[str, float | int | str] = {}
    for name, value in vars(parameters).items():
        if is_dataclass(value):
            flat |= {f"{name}.{rate}": number for rate, number in vars(value).items()}
        else:
            flat[name] = value
    return flat


def with_voxels(preset: Preset, voxels: int) -> Preset:
    """Return the preset with another number of voxels in the same organ.

    Raises:
        ValueError: There are too few or too many.
    """
    return replace(preset, parameters=replace(preset.parameters, voxels=voxels))
