"""The frames of one NM object: stored values, and the vectors that tell what each is.

Source: DICOM PS3.3, C.8.4.8 (NM Multi-frame): each vector holds an index from 1 for every
frame.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Shaped
from rpt_cohort import BadInput

from rpt_dosimetry.attributes import NUMBER_OF_FRAMES, Tag
from rpt_dosimetry.elements import components
from rpt_dosimetry.nm.attributes import REPEATED_VECTORS
from rpt_dosimetry.pixels import decoded


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
    values = decoded(dataset, name="the NM object")
    values = values[None] if values.ndim == 2 else values
    if values.ndim != 3 or len(values) != frame_count(dataset):
        raise BadInput(
            f"Pixel Data (7FE0,0010) must hold as many frames as {NUMBER_OF_FRAMES} tells, "
            f"{frame_count(dataset)}, got shape {values.shape}. Export the object anew."
        )
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
