"""See that what is typed after ``python -m monai.bundle run`` is there to be changed.

MONAI takes every ``--NAME VALUE``; a mistyped name would change nothing, in silence.
"""

import ast
import difflib
import inspect
import re
import sys
from collections.abc import Sequence
from typing import Any

from monai.bundle import ConfigParser, ConfigWorkflow, run
from monai.bundle.utils import DEFAULT_EXP_MGMT_SETTINGS

from scripts.errors import BadInput, is_monai_command

FLAG = re.compile(r"--?(\+?[A-Za-z_][^=]*)(?:=(.*))?", re.DOTALL)  # as Fire has it


def require_known_names() -> None:
    """See that every name on MONAI's command line is one of its configuration.

    Raises:
        BadInput: A name that neither MONAI nor the configuration files know.
    """
    if is_monai_command():
        refuse_unknown(sys.argv[1:])


def refuse_unknown(words: Sequence[str]) -> None:
    """See that every ``--NAME`` among ``words`` is one of MONAI's or of the configuration.

    Raises:
        BadInput: A name that neither MONAI nor the configuration files know.
    """
    given = _given(words)
    files = given.get("config_file")
    if files is None:
        return
    parser = ConfigParser()
    parser.read_config(_literal(files))
    known = {"workflow_name", *inspect.signature(run).parameters}
    known |= set(inspect.signature(ConfigWorkflow.__init__).parameters)
    if "tracking" in given:
        known |= set(DEFAULT_EXP_MGMT_SETTINGS["mlflow"]["configs"])
    for name in given:
        parent, _, last = name.replace("::", "#").rpartition("#")
        section = parser.get(parent)
        if isinstance(section, list) and last.isdigit():
            continue
        # A component refuses an argument that it does not know.
        if isinstance(section, dict) and (last in section or "_target_" in section):
            continue
        if name in known or name.startswith(ConfigParser.meta_key):
            continue
        near = difflib.get_close_matches(name, [*parser.get(), *known], n=1)
        meant = f"Did you mean --{near[0]}?" if near else "See the top of the configuration files."
        raise BadInput(
            f"--{name} must be a name of the configuration, and is none: it would change nothing. "
            f"{meant}"
        )


def _given(words: Sequence[str]) -> dict[str, Any]:
    """Return name → value of the command line's flags, and of its ``--args_file``."""
    given: dict[str, Any] = {}
    for word, following in zip(words, [*words[1:], ""], strict=True):
        flag = FLAG.fullmatch(word)
        if word == "--":
            break
        if flag is not None:
            name = flag[1].lstrip("+").replace("-", "_")
            given[name] = following if flag[2] is None else flag[2]
    if "args_file" in given:
        given = {**ConfigParser.load_config_file(given["args_file"]), **given}
    return given


def _literal(files: str | list[str]) -> str | list[str]:
    """Read a file's name, or a list of names, as Fire reads it."""
    try:
        value = ast.literal_eval(files) if isinstance(files, str) else files
    except (ValueError, SyntaxError):
        return files
    return list(value) if isinstance(value, list | tuple) else files
