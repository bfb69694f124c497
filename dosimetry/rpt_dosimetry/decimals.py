"""Decimal numbers in headers: how DICOM writes them, and what is plausible.

Source of the form: DICOM PS3.5, 6.2, value representations DS and IS. The bounds are ours:
wide enough for every patient, phantom and scanner met, and narrow enough that a damaged or
invented number is refused by its tag instead of spoiling the arithmetic that follows.
"""

import re
from dataclasses import dataclass

from rpt_cohort import BadInput

from rpt_dosimetry.attributes import (
    DECAY_FACTOR,
    FRAME_DURATION,
    FRAME_REFERENCE_TIME,
    HALF_LIFE,
    ORIENTATION,
    PIXEL_SPACING,
    POSITION,
    Tag,
)

# Python's float() takes more: "1_000", "inf" and other scripts' digits.
_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_DAY_MS = 86_400_000.0


@dataclass(frozen=True)
class Bounds:
    """What a value may be.

    Attributes:
        low: Smallest value.
        high: Largest value.
        unit: Of both; empty for a pure number.
    """

    low: float
    high: float
    unit: str


BOUNDS: dict[Tag, Bounds] = {
    HALF_LIFE: Bounds(1.0, 1e10, "s"),
    FRAME_DURATION: Bounds(0.0, _DAY_MS, "ms"),
    FRAME_REFERENCE_TIME: Bounds(-10 * _DAY_MS, 10 * _DAY_MS, "ms"),
    DECAY_FACTOR: Bounds(1e-6, 1e6, ""),
    PIXEL_SPACING: Bounds(0.1, 50.0, "mm"),
    POSITION: Bounds(-1e5, 1e5, "mm"),
    ORIENTATION: Bounds(-2.0, 2.0, ""),
}
"""Of tags whose unit is never guessed; those of weight, height and dose stand where they are
read."""


def parse_decimal(text: str) -> float:
    """Read one DS or IS value.

    Raises:
        ValueError: Not a decimal number, or beyond what a float holds.
    """
    if _DECIMAL.fullmatch(text) is None or abs(value := float(text)) == float("inf"):
        raise ValueError("a decimal number is written 12.5 or -1.25e+2")
    return value


def read_decimal(text: str, tag: Tag) -> float:
    """Read one value of ``tag``, refusing by its name; the text itself is not shown.

    Raises:
        BadInput: Not one finite decimal number, or out of the bounds of ``tag``.
    """
    try:
        value = parse_decimal(text)
    except ValueError as error:
        raise BadInput(
            f"{tag} must be one finite number, and it is not. Correct the header."
        ) from error
    if tag in BOUNDS:
        check_bounds(value, tag, BOUNDS[tag])
    return value


def check_bounds(value: float, tag: Tag, bounds: Bounds) -> None:
    """Refuse a value that is not plausible.

    Raises:
        BadInput: It lies out of ``bounds``.
    """
    if not bounds.low <= value <= bounds.high:
        unit = f" {bounds.unit}" if bounds.unit else ""
        raise BadInput(
            f"{tag} must be {bounds.low:g} to {bounds.high:g}{unit}, got {value:g}{unit}. "
            "Correct the header."
        )
