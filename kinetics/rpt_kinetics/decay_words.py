"""What a table says of its decay correction: the column, or an option that stands for it."""

from collections.abc import Sequence

from rpt_kinetics.errors import BadInput
from rpt_kinetics.tables import Table

DECAY_CORRECTIONS = ("injection", "scan_start", "none")


def stated_decay_correction(
    table: Table,
    given: str | None = None,
    *,
    option: str = "decay_correction",
    allowed: Sequence[str] = DECAY_CORRECTIONS,
) -> str:
    """Return what a table's column ``decay_correction`` or the option says.

    Args:
        table: With or without the column.
        given: The option's word, or None.
        option: Its name, for refusals.
        allowed: The words that may be said.

    Raises:
        BadInput: Neither says it, they disagree, or the word is not allowed.
    """
    words = set(table.columns.get("decay_correction", [])) | ({given} if given else set())
    choices = ", ".join(allowed)
    if not words:
        raise BadInput(
            f"{table.name} must say whether it is corrected for decay, and does not. Give "
            f"{option} or a column decay_correction, one of {choices} (to what it is corrected)."
        )
    if len(words) > 1:
        fix = f"and {option} agree" if given else "hold one word"
        raise BadInput(
            f"{table.name} must have one decay correction, got {' and '.join(sorted(words))}. "
            f"Make the column decay_correction {fix}."
        )
    word = words.pop()
    if word not in allowed:
        raise BadInput(
            f"The decay correction of {table.name} must be {choices}, got '{word}'. Say none if "
            "it is not corrected; corrected to another time, multiply it with "
            "e^(λ·(that time − injection)), and say injection."
        )
    return word
