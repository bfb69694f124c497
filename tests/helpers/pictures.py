"""What tests of pictures share: the drawn figure, and which side of the patient is where."""

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure


def drawn_figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Keep every figure that is saved from here on."""
    figures: list[Figure] = []
    save = Figure.savefig

    def kept(figure: Figure, *args: object, **options: object) -> None:
        figures.append(figure)
        save(figure, *args, **options)

    monkeypatch.setattr(Figure, "savefig", kept)
    return figures


def patient_axes(figure: Figure) -> list[Axes]:
    """Return the panels that show a patient."""
    return [ax for ax in figure.axes if ax.images]


def letters(ax: Axes) -> str:
    """Return the letters of a panel from left to right, as they are seen."""
    places = sorted((text.get_position()[0], text.get_text()) for text in ax.texts)
    return "".join(letter for _, letter in places)


def brightest_place(ax: Axes, *, image: int = -1) -> tuple[float, float]:
    """Return where the brightest voxel is seen: 0 to 1 from the left, and from the top."""
    shown = ax.images[image]
    values = np.ma.filled(shown.get_array().astype(float), np.nan)
    row, column = np.unravel_index(np.nanargmax(values), values.shape)
    left, right, bottom, top = shown.get_extent()
    x = left + (column + 0.5) / values.shape[1] * (right - left)
    y = top + (row + 0.5) / values.shape[0] * (bottom - top)
    (seen_left, seen_right), (seen_low, seen_high) = ax.get_xlim(), ax.get_ylim()
    return (x - seen_left) / (seen_right - seen_left), (y - seen_high) / (seen_low - seen_high)
