"""The outlines of a plane's regions along the edges of its pixels.

A contour through pixel corners encloses exactly the centres that it was traced from; one through
centres or half-way values would lose or gain pixels when a mask is made of it again.
"""

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Int

_STEPS = ((0, 1), (1, 0), (0, -1), (-1, 0))
"""Row and column of a step to the right, down, to the left and up; each turns clockwise."""

Corner = tuple[int, int]


def outlines(mask: Bool[np.ndarray, "rows columns"]) -> list[Int[np.ndarray, "corners 2"]]:
    """Trace the outlines of a mask, holes included.

    Args:
        mask: One plane.

    Returns:
        Closed polygons, row and column of each corner, counted from the outer corner of the first
        pixel: corner (r, c) lies at the position (r − 0.5, c − 0.5). Pixels that touch at a
        corner alone have polygons of their own. A point lies in the mask where an odd number of
        polygons enclose it.
    """
    steps_from = _edges(mask)
    found = []
    for corner in sorted(steps_from):
        while steps_from[corner]:
            found.append(np.array(list(_corners(corner, steps_from)), dtype=np.int64))
    return found


def _edges(mask: Bool[np.ndarray, "rows columns"]) -> dict[Corner, set[int]]:
    """Return the steps that leave each corner along an edge, the mask on their right."""
    padded = np.pad(mask, 1)
    inside = padded[1:-1, 1:-1]
    sides = (
        (inside & ~padded[:-2, 1:-1], (0, 0)),  # the upper side begins at the upper left corner
        (inside & ~padded[1:-1, 2:], (0, 1)),
        (inside & ~padded[2:, 1:-1], (1, 1)),
        (inside & ~padded[1:-1, :-2], (1, 0)),
    )
    steps_from: dict[Corner, set[int]] = defaultdict(set)
    for step, (edge, (down, right)) in enumerate(sides):
        for row, column in np.argwhere(edge).tolist():
            steps_from[row + down, column + right].add(step)
    return dict(steps_from)


def _corners(start: Corner, steps_from: dict[Corner, set[int]]) -> Iterator[Corner]:
    """Follow one outline, taking its edges away, and yield the corners where it turns."""
    corner, last = start, None
    while steps := steps_from[corner]:
        # Where two regions touch, the clockwise turn stays with the one.
        step = min(steps) if last is None else next(s for s in _turns(last) if s in steps)
        steps.remove(step)
        if step != last:
            yield corner
        corner = (corner[0] + _STEPS[step][0], corner[1] + _STEPS[step][1])
        last = step
        if corner == start:
            return


def _turns(last: int) -> tuple[int, int, int]:
    """Return the steps that may follow one: clockwise, straight on, counter-clockwise."""
    return (last + 1) % 4, last, (last + 3) % 4
