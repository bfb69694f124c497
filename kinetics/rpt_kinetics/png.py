"""Figures as bytes."""

import io

from matplotlib.figure import Figure


def png_bytes(figure: Figure, *, dots_per_inch: float = 120) -> bytes:
    """Encode a figure as PNG, without the version of the library that drew it."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=dots_per_inch, metadata={"Software": None})
    return stream.getvalue()
