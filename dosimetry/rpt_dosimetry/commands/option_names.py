"""Call the arguments of what a command calls as the options that its user gave."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rpt_cohort import BadInput


@contextmanager
def options_named(names: Sequence[str]) -> Iterator[None]:
    """Rewrite arguments in the sentence of a refusal: ``time_h`` becomes ``--time-h``.

    Args:
        names: The arguments that are options of the command.
    """
    try:
        yield
    except BadInput as error:
        arguments = rf"(?<![\w-])({'|'.join(names)})\b"
        told = re.sub(arguments, lambda found: "--" + found[0].replace("_", "-"), str(error))
        raise BadInput(told) from error
