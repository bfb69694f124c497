"""What vendors write in their own way: each quirk once, with its evidence.

Private attributes are rows of ``PRIVATE``, which are loaded with every header; what they are good
for is told by the tables below and read by the function after them. To add a quirk: its row or
function here, and a test of a header that has it.

Source of the private ones: pydicom's dictionary, which lists them without a meaning.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from rpt_cohort import BadInput

from rpt_dosimetry.dicom.reading import (
    Header,
    Private,
    number_of,
    parse_datetime,
    read_clock,
    shown,
)

GE_SCAN = Private("GE scan date and time", 0x0009, 0x100D, "GEMS_PETD_01", vr="DT")
PHILIPS_SUV = Private(
    "Philips SUV Scale Factor", 0x7053, 0x1000, "Philips PET Private Group", neutral=0.0
)
PHILIPS_ACTIVITY = Private(
    "Philips Activity Concentration Scale Factor",
    *(0x7053, 0x1009, "Philips PET Private Group"),
    neutral=0.0,
)
PRIVATE = (
    GE_SCAN,
    Private("GE Pixel Scale", 0x0011, 0x103B, "GEMS_GENIE_1", neutral=1.0),
    Private("GE Pixel Offset", 0x0011, 0x103C, "GEMS_GENIE_1", neutral=0.0),
    Private("Siemens Pixel scale factor", 0x0033, 0x1038, "SIEMENS MED NM", neutral=1.0),
    Private("Siemens Rescale intercept", 0x0057, 0x1006, "SIEMENS MED NM", neutral=0.0),
    Private("Siemens Rescale Slope", 0x0057, 0x1007, "SIEMENS MED NM", neutral=1.0),
    PHILIPS_SUV,
    PHILIPS_ACTIVITY,
)
START_TIMES = {GE_SCAN: "GE private scan date and time"}
"""What tells the START of a decay correction before the series' time does, and its branch."""
COUNT_FACTORS = {
    PHILIPS_SUV: ("Philips SUV factor", "g/mL"),
    PHILIPS_ACTIVITY: ("Philips activity factor", "Bq/mL"),
}
"""What makes a quantity of Units CNTS, in the order in which they are asked for."""
COUNTS, BQ_PER_ML = "counts", "Bq/mL"
MAPPED_UNITS = {
    "{counts}": (COUNTS, 1.0),
    "Bq/ml": (BQ_PER_ML, 1.0),
    "kBq/ml": (BQ_PER_ML, 1000.0),
}
"""Hermes and others: UCUM code of a Real World Value Mapping, capitals aside → quantity, and what
one of it is. The NM module has no rescale slope, and vendors write one nevertheless; Hermes writes
a mapping to ``{counts}`` (UCL/STIR issue 1123). Both map the stored value itself (DICOM PS3.3,
C.7.6.16.2.11), so the mapping goes first and is never applied on top."""


def start_times(header: Header, private: Private) -> list[datetime]:
    """GE: return when the scan began, to which START refers; none where a slice lacks it.

    Series of GE tell it in the private date and time, whatever later processing made of Series
    Time. Source: Vácha et al., Comprehensive manual for SUV computation (IBSI-SUV, 2026); QIBA
    FDG-PET/CT profile, vendor-neutral pseudo-code for SUV.
    """
    texts = header.texts(private)
    if not all(texts):
        return []
    read = [read_clock(parse_datetime, text, private) for text in texts]
    zone = header.zone if any(offset is not None for _, offset in read) else None
    return [
        written if offset is None or zone is None else written - offset + zone
        for written, offset in read
    ]


def bed_begins(acquired: list[datetime], references_ms: Sequence[float]) -> list[datetime]:
    """GE: tell beds apart that share one acquisition time by Frame Reference Time.

    A scan of several beds has one and the same Acquisition Time in every slice; Frame Reference
    Time counts from it. Source: real series of GE.

    Args:
        references_ms: Frame Reference Time, ms, one a slice; empty where it is not told.

    Returns:
        When each slice's frame began.
    """
    if len(set(acquired)) > 1 or not references_ms:
        return acquired
    first_ms = min(references_ms)
    return [
        moment + timedelta(milliseconds=one_ms - first_ms)
        for moment, one_ms in zip(acquired, references_ms, strict=True)
    ]


def count_factor(header: Header, private: Private) -> list[float]:
    """Philips: return the factor of counts, one a slice; none where it is missing or 0.

    A private attribute need not be what it seems; one that is no number leaves the next rule.
    Source: Vácha et al., Comprehensive manual for SUV computation (IBSI-SUV, 2026); QIBA
    FDG-PET/CT profile, vendor-neutral pseudo-code for SUV.
    """
    factor = header.if_readable(lambda: header.numbers(private))
    if not factor or not any(factor):
        return []
    if min(factor) <= 0:
        raise BadInput(f"{shown(private)} must be above 0 in every slice, got {min(factor):g}.")
    return factor


def refuse_private_scaling(dataset: Any) -> None:
    """GE, Siemens, Philips: refuse NM counts with a private scaling, whose meaning is not told."""
    for private in PRIVATE:
        value = None if private.neutral is None else number_of(dataset, private)
        if value is not None and value != private.neutral:
            raise BadInput(
                f"{shown(private)} must be {private.neutral:g} where {shown('RescaleSlope')} is "
                f"missing, got {value:g}: what this private scaling does to the counts is not "
                "published. Export the series with a rescale slope."
            )
