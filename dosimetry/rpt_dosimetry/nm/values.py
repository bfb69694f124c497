"""From stored values to counts, or to Bq/mL where the object maps them to it.

The NM module has no rescale slope, and vendors write one nevertheless; Hermes writes a Real
World Value Mapping to ``{counts}`` (UCL/STIR issue 1123). Both map the stored value itself
(DICOM PS3.3, C.7.6.16.2.11), so the mapping goes first and is never applied on top.
"""

from dataclasses import dataclass
from typing import Any

from rpt_cohort import BadInput

from rpt_dosimetry.attributes import CODE_VALUE, RESCALE_INTERCEPT, RESCALE_SLOPE, Tag
from rpt_dosimetry.decimals import read_decimal
from rpt_dosimetry.elements import components
from rpt_dosimetry.nm.attributes import (
    MAPPED_FIRST,
    MAPPED_INTERCEPT,
    MAPPED_LAST,
    MAPPED_SLOPE,
    MEASUREMENT_UNITS_CODE,
    PRIVATE,
    REAL_WORLD_VALUE_MAPPING,
)
from rpt_dosimetry.nm.reading import items

COUNTS, BQ_PER_ML = "counts", "Bq/mL"

_UNITS = {"{counts}": (COUNTS, 1.0), "Bq/ml": (BQ_PER_ML, 1.0), "kBq/ml": (BQ_PER_ML, 1000.0)}
"""UCUM code, capitals aside → quantity, and what one of it is."""


@dataclass(frozen=True)
class Scaling:
    """What makes a quantity of a stored value.

    Attributes:
        quantity: ``counts`` or ``Bq/mL``.
        branch: Which tags it is from.
        slope: The quantity per stored value.
        intercept: The quantity at stored value 0.
    """

    quantity: str
    branch: str
    slope: float
    intercept: float


def find_scaling(dataset: Any, *, least: int, largest: int) -> Scaling:
    """Find what the stored values of an NM object are.

    Args:
        dataset: The NM object.
        least: Least stored value.
        largest: Largest stored value.

    Returns:
        The Real World Value Mapping where it is to counts or Bq/mL, else Rescale Slope and
        Intercept, else counts as stored.

    Raises:
        BadInput: A mapping to another unit, by a table, or not of all values; a slope that is
            not above 0; or a vendor's private scaling, whose meaning is not published.
    """
    mappings = items(dataset, REAL_WORLD_VALUE_MAPPING)
    if mappings:
        return _mapped(mappings, least, largest)
    slope, intercept = _number(dataset, RESCALE_SLOPE), _number(dataset, RESCALE_INTERCEPT)
    if slope is not None:
        _check_slope(slope, RESCALE_SLOPE)
        return Scaling(COUNTS, "rescale slope", slope, intercept or 0.0)
    _refuse_private(dataset)
    return Scaling(COUNTS, "as stored", 1.0, 0.0)


def _mapped(mappings: list[Any], least: int, largest: int) -> Scaling:
    for mapping in mappings:
        units = [
            "".join(components(code, CODE_VALUE)).lower()
            for code in items(mapping, MEASUREMENT_UNITS_CODE)
        ]
        known = [_UNITS[name] for name in _UNITS if [name.lower()] == units]
        if known:
            quantity, size = known[0]
            break
    else:
        raise BadInput(
            f"{REAL_WORLD_VALUE_MAPPING} must map to {{counts}} or Bq/ml, and it does not. Export "
            "the series in counts."
        )
    slope, intercept = _number(mapping, MAPPED_SLOPE), _number(mapping, MAPPED_INTERCEPT)
    first, last = _number(mapping, MAPPED_FIRST), _number(mapping, MAPPED_LAST)
    if slope is None or intercept is None:
        raise BadInput(f"{MAPPED_SLOPE} and {MAPPED_INTERCEPT} must be there; tables are not read.")
    _check_slope(slope, MAPPED_SLOPE)
    if (first is not None and least < first) or (last is not None and largest > last):
        raise BadInput(
            f"{REAL_WORLD_VALUE_MAPPING} must cover all stored values, {least} to {largest}, and "
            f"it covers {first} to {last}. Export the series in counts."
        )
    return Scaling(quantity, "real world value mapping", slope * size, intercept * size)


def _refuse_private(dataset: Any) -> None:
    for tag, neutral in PRIVATE:
        value = _number(dataset, tag)
        if value is not None and value != neutral:
            raise BadInput(
                f"{tag} must be {neutral:g} where {RESCALE_SLOPE} is missing, got {value:g}: what "
                "this private scaling does to the counts is not published. Export the series "
                "with a rescale slope."
            )


def _check_slope(slope: float, tag: Tag) -> None:
    if not slope > 0:
        raise BadInput(f"{tag} must be above 0, got {slope:g}. Export the series anew.")


def _number(holder: Any, tag: Tag) -> float | None:
    texts = components(holder, tag)
    return read_decimal("\\".join(texts), tag) if texts else None
