"""Read CSV tables of numbers, with refusals that name the column and the line."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rpt_kinetics.errors import BadInput
from rpt_kinetics.exponentials import Floats

# Ending of a column of times → minutes.
MINUTES = {"min": 1.0, "s": 1.0 / 60.0, "h": 60.0}


@dataclass(frozen=True)
class Table:
    """A CSV's columns as text.

    Attributes:
        name: The file's name.
        columns: Column name → cells, all of one length.
    """

    name: str
    columns: dict[str, list[str]]

    def numbers(self, column: str) -> Floats:
        """Return a column as finite numbers, shape (rows,).

        Raises:
            BadInput: The column is missing, or a cell is no finite number.
        """
        if column not in self.columns:
            raise BadInput(
                f"{self.name} must have a column '{column}', got "
                f"{', '.join(self.columns)}. Add it, or mend its name in the first line."
            )
        cells = self.columns[column]
        values = np.array([_number(cell) for cell in cells])
        if not np.all(np.isfinite(values)):
            row = int(np.argmax(~np.isfinite(values)))
            raise BadInput(
                f"{self.name}: column '{column}' must hold finite numbers, got '{cells[row]}' in "
                f"row {row + 1} below the header. Mend it, or leave the row out."
            )
        return values

    def minutes(self, name: str) -> Floats:
        """Return the column of times ``name_min``, ``name_s`` or ``name_h``, min, shape (rows,).

        Raises:
            BadInput: There is none or more than one, or a cell is no finite number.
        """
        found = [unit for unit in MINUTES if f"{name}_{unit}" in self.columns]
        if len(found) != 1:
            raise BadInput(
                f"{self.name} must have one column of times, named {name}_min, {name}_s or "
                f"{name}_h, got {', '.join(self.columns)}. Name it with its unit."
            )
        return self.numbers(f"{name}_{found[0]}") * MINUTES[found[0]]


def read_table(path: Path) -> Table:
    """Read a CSV whose first line names the columns; empty lines are skipped.

    Raises:
        BadInput: The file cannot be read or is no CSV with commas, has no rows, a column twice,
            or rows of another length.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
        raise BadInput(f"{path.name} must be a readable CSV file: {reason}.") from error
    try:
        rows = [[cell.strip() for cell in row] for row in csv.reader(io.StringIO(text)) if any(row)]
    except csv.Error as error:
        raise BadInput(
            f"{path.name} must be a CSV file of numbers, and cannot be read as one ({error}). "
            "Export the table anew, one short cell for each number."
        ) from error
    if len(rows) < 2:
        raise BadInput(
            f"{path.name} must have a line of column names and rows below, got {len(rows)} lines. "
            "Export the table anew, with both."
        )
    _check_shape(path.name, rows)
    return Table(path.name, {name: [row[i] for row in rows[1:]] for i, name in enumerate(rows[0])})


def _check_shape(name: str, rows: list[list[str]]) -> None:
    header = rows[0]
    if len(header) == 1 and (";" in header[0] or "\t" in header[0]):
        raise BadInput(
            f"{name} must separate cells by commas, got "
            f"{'semicolons' if ';' in header[0] else 'tabs'}. Export it with commas; write 0.5 "
            "and not 0,5."
        )
    if len(set(header)) < len(header):
        raise BadInput(
            f"{name} must name each column once, got {', '.join(header)}. Rename or leave out "
            "those that are there twice."
        )
    for number, row in enumerate(rows[1:], start=1):
        if len(row) != len(header):
            raise BadInput(
                f"{name} must have {len(header)} cells in each row, got {len(row)} in row "
                f"{number} below the header. Separate cells by commas; write 0.5 and not 0,5."
            )


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return float("nan")
