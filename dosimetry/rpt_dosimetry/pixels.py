"""Decode pixels."""

from typing import Any

import numpy as np
from jaxtyping import Float, Shaped
from pydicom.pixels import get_decoder, pixel_array
from pydicom.uid import UID
from rpt_cohort import BadInput

from rpt_dosimetry.attributes import (
    BITS_STORED,
    HIGH_BIT,
    OVERLAY_BIT,
    OVERLAY_GROUPS,
    PADDING,
    PADDING_LIMIT,
    SAMPLES_PER_PIXEL,
    Tag,
)
from rpt_dosimetry.elements import components
from rpt_dosimetry.reading import DICOM_ERRORS, quiet


def stored_values(dataset: Any, *, name: str) -> Shaped[np.ndarray, "row column"]:
    """Decode the stored values of a slice; arguments and errors as :func:`decoded`.

    Raises:
        BadInput: There are several frames too.
    """
    values = decoded(dataset, name=name)
    if values.ndim != 2:
        raise BadInput(f"A slice must be 2D, got {values.ndim}D in {name}. Export one a file.")
    return values


def decoded(dataset: Any, *, name: str) -> Shaped[np.ndarray, "..."]:
    """Decode the stored values of an object.

    Args:
        dataset: A pydicom dataset with its pixels.
        name: What an error calls the object, such as ``slice 3 of 47``.

    Returns:
        Integers as stored, before the rescale slope: rows and columns, after the frames where
        there are several.

    Raises:
        BadInput: No pixels, no decoder for their compression, truncated or damaged
            pixels, colour, or values beyond Bits Stored.
    """
    if "PixelData" not in dataset:
        raise BadInput(f"Pixel Data (7FE0,0010) must be there, and {name} has none.")
    if components(dataset, SAMPLES_PER_PIXEL) != ["1"]:
        raise BadInput(f"{SAMPLES_PER_PIXEL} must be 1, a grey image; {name} is not one.")
    need_decoder(dataset, name=name)
    try:
        with quiet():
            # Bits beyond those stored are kept, to be looked at: they may be a part of the value.
            values = np.asarray(pixel_array(dataset, correct_unused_bits=False))
    except DICOM_ERRORS as error:
        raise BadInput(
            f"Pixel Data (7FE0,0010) must be whole, and that of {name} is truncated or damaged. "
            "Copy or export it anew."
        ) from error
    return _within_bits(values, dataset, name)


def rescaled(
    stored: Shaped[np.ndarray, "row column"],
    dataset: Any,
    *,
    slope: float,
    intercept: float,
    padding: float = 0.0,
) -> Float[np.ndarray, "row column"]:
    """Apply the slice's rescale slope and intercept.

    Args:
        stored: Stored values.
        dataset: The slice's header, asked for the padding value.
        slope: Rescale Slope, in the series' units per stored value.
        intercept: Rescale Intercept, in the series' units.
        padding: What a padded pixel becomes, in the series' units.

    Returns:
        Values in the series' units.
    """
    values = stored.astype(np.float64) * slope + intercept
    bounds = [value for tag in (PADDING, PADDING_LIMIT) for value in _padding(dataset, tag)]
    if bounds:  # padding stands for "no measurement here", outside the field of view
        values[(stored >= min(bounds)) & (stored <= max(bounds))] = padding
    return values


def need_decoder(dataset: Any, *, name: str) -> None:
    """Refuse an object whose pixels are compressed in a way that cannot be decoded here.

    Raises:
        BadInput: It is so, or it does not tell its transfer syntax.
    """
    with quiet():
        syntax = UID(str(dataset.file_meta.get("TransferSyntaxUID", "")))
        if not syntax:
            raise BadInput(f"Transfer Syntax UID (0002,0010) must be there, and {name} has none.")
        try:
            available = not syntax.is_compressed or get_decoder(syntax).is_available
        except (NotImplementedError, ValueError):
            available = False
        title = syntax.name if syntax.name != str(syntax) else "one that is not known"
    if not available:
        raise BadInput(
            f"The pixels of {name} must be in a compression that can be decoded here, got {title}. "
            "Export it uncompressed."
        )


def _padding(dataset: Any, tag: Tag) -> list[int]:
    element = dataset.get((tag.group, tag.element))
    if element is None or element.value in (None, "", b""):
        return []
    value = element.value
    if isinstance(value, bytes):  # implicit VR does not tell US from SS
        value = int.from_bytes(value[:2], "little")
    if not isinstance(value, int):
        raise BadInput(f"{tag} must be one whole number, and it is not.")
    signed = dataset.get("PixelRepresentation", 0) == 1
    return [value - 65536 if signed and value > 32767 else value]


def _within_bits(
    values: Shaped[np.ndarray, "..."], dataset: Any, name: str
) -> Shaped[np.ndarray, "..."]:
    """Return values of Bits Stored; what stands above them must be nothing, a sign, or overlays.

    Source: DICOM PS3.5, 8.1.1. Overlays in unused bits are retired, and older objects have them.
    """
    bits = int("".join(components(dataset, BITS_STORED)) or 0)
    whole = values.dtype.itemsize * 8
    if values.dtype.kind not in "iu" or not 0 < bits <= whole:
        raise BadInput(
            f"Pixel values must be integers within {BITS_STORED}, {bits} bits, and those of "
            f"{name} are not."
        )
    if bits == whole:
        return values
    if components(dataset, HIGH_BIT) not in ([], [str(bits - 1)]):
        raise BadInput(
            f"{HIGH_BIT} must be one less than {BITS_STORED}, {bits - 1}, and that of {name} is "
            "not. Export it anew."
        )
    values = values.astype(values.dtype.newbyteorder("="))
    stored: Shaped[np.ndarray, ...] = (values << (whole - bits)) >> (whole - bits)
    told = [dataset.get((group, OVERLAY_BIT)) for group in OVERLAY_GROUPS]
    overlays = sum({1 << int(one.value) for one in told if one is not None and one.value})
    free = (1 << (whole - bits)) - 1 & ~(overlays >> bits)
    above = values.view(f"u{values.dtype.itemsize}").astype(np.int64) >> bits & free
    if ((above != 0) & ((above != free) | (stored >= 0))).any():
        raise BadInput(
            f"Pixel values must be within {BITS_STORED}, {bits} bits, and those of {name} have "
            "others set above them: Bits Stored is wrong, or the pixels are damaged. "
            "Export it anew."
        )
    return stored
