"""The frames of one NM object: stored values, and the vectors that tell what each is.

Source: DICOM PS3.3, C.8.4.8 (NM Multi-frame): each vector holds an index from 1 for every
frame.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Shaped
from pydicom.pixels import get_decoder, pixel_array
from pydicom.uid import UID
from rpt_cohort import BadInput

from rpt_dosimetry.attributes import BITS_STORED, NUMBER_OF_FRAMES, SAMPLES_PER_PIXEL, Tag
from rpt_dosimetry.elements import components
from rpt_dosimetry.nm.attributes import REPEATED_VECTORS
from rpt_dosimetry.reading import DICOM_ERRORS, quiet


def stored_frames(dataset: Any) -> Shaped[np.ndarray, "frame row column"]:
    """Decode the stored values of every frame.

    Args:
        dataset: A pydicom dataset with its pixels.

    Returns:
        Integers as stored, before any scaling.

    Raises:
        BadInput: No pixels, no decoder for their compression, truncated or damaged pixels,
            colour, or values beyond Bits Stored.
    """
    if "PixelData" not in dataset:
        raise BadInput("Pixel Data (7FE0,0010) must be there, and the NM object has none.")
    if components(dataset, SAMPLES_PER_PIXEL) != ["1"]:
        raise BadInput(f"{SAMPLES_PER_PIXEL} must be 1, a grey image; the NM object is not one.")
    _need_decoder(dataset)
    try:
        with quiet():
            values = np.asarray(pixel_array(dataset))
    except DICOM_ERRORS as error:
        raise BadInput(
            "Pixel Data (7FE0,0010) must be whole, and that of the NM object is truncated or "
            "damaged. Copy or export it anew."
        ) from error
    values = values[None] if values.ndim == 2 else values
    if values.ndim != 3 or len(values) != frame_count(dataset):
        raise BadInput(
            f"Pixel Data (7FE0,0010) must hold as many frames as {NUMBER_OF_FRAMES} tells, "
            f"{frame_count(dataset)}, got shape {values.shape}. Export the object anew."
        )
    _check_range(values, dataset)
    return values


def frame_count(dataset: Any) -> int:
    """Return Number of Frames, 1 where it is missing.

    Raises:
        BadInput: It is no whole number above 0.
    """
    text = components(dataset, NUMBER_OF_FRAMES) or ["1"]
    if len(text) != 1 or not text[0].isdecimal() or not int(text[0]):
        raise BadInput(f"{NUMBER_OF_FRAMES} must be a whole number above 0, and it is not.")
    return int(text[0])


def vector(dataset: Any, tag: Tag) -> list[int] | None:
    """Return a frame vector, an index from 1 a frame; ``None`` where it is missing.

    Raises:
        BadInput: It does not hold one index a frame.
    """
    texts = components(dataset, tag)
    if not texts:
        return None
    count = frame_count(dataset)
    if len(texts) != count or not all(text.isdecimal() and int(text) for text in texts):
        raise BadInput(
            f"{tag} must hold one index from 1 for each of {count} frames, and it holds "
            f"{len(texts)} values or others. Export the object anew."
        )
    return [int(text) for text in texts]


def refuse_repeats(dataset: Any, *, alone: Sequence[Tag] = ()) -> None:
    """Refuse an object whose frames differ in time or gate, or in another vector.

    Args:
        dataset: The NM object.
        alone: Further vectors that must tell one index only.

    Raises:
        BadInput: A vector tells several.
    """
    for tag in (*REPEATED_VECTORS, *alone):
        indices = set(vector(dataset, tag) or [])
        if len(indices) > 1:
            raise BadInput(
                f"{tag} must tell one index for all frames, got {len(indices)}: the object is "
                "gated, dynamic or of several windows. Export one static image."
            )


def _need_decoder(dataset: Any) -> None:
    with quiet():
        syntax = UID(str(dataset.file_meta.get("TransferSyntaxUID", "")))
        try:
            available = not syntax.is_compressed or get_decoder(syntax).is_available
        except (NotImplementedError, ValueError):
            available = False
    if not available:
        raise BadInput(
            "Transfer Syntax UID (0002,0010) must tell a compression that can be decoded here, "
            "and it does not. Export the object uncompressed."
        )


def _check_range(values: Shaped[np.ndarray, "frame row column"], dataset: Any) -> None:
    bits = int("".join(components(dataset, BITS_STORED)) or 0)
    signed = values.dtype.kind == "i"
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    if values.dtype.kind not in "iu" or values.min() < low or values.max() > high:
        raise BadInput(
            f"Pixel values must be integers within {BITS_STORED}, {bits} bits, and they are not."
        )
