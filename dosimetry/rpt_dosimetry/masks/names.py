"""What a region's name or code means: the contract's organ numbers, by an editable table.

A name is compared word by word, in any order, without regard to case and punctuation, and
whole: ``Kidney_L``, ``left kidney`` and ``Niere links`` are one organ, and ``liver metastasis``
is not the liver. A code is SNOMED CT's of the structure together with its side.

Source of ``organs.csv``: ids 1–117, names and codes are those of TotalSegmentator v2 (class map
``total`` and its SNOMED table, Apache-2.0); the ids of the six salivary glands, in the order
parotid, submandibular, sublingual and right before left, and all aliases are ours.
"""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rpt_cohort import BadInput
from rpt_cohort.labels import LARGEST

OWN_TABLE = Path(__file__).with_name("organs.csv")
SIDES = {
    "left": ("left", "l", "lt", "links", "linke", "linker", "gauche", "sin"),
    "right": ("right", "r", "rt", "rechts", "rechte", "rechter", "droit", "droite", "dex"),
}
SIDE_CODES = {"7771000": "left", "24028007": "right"}
"""SNOMED CT's modifiers Left and Right."""

_COLUMNS = ["id", "name", "side", "sct_code", "aliases"]
_SIDE_OF = {word: side for side, words in SIDES.items() for word in words}
_MOST_TOLD = 10

Words = tuple[str, ...]


@dataclass(frozen=True)
class OrganTable:
    """Names and codes of the organs.

    Attributes:
        names: Id → name, such as ``kidney_left``.
        by_words: Sorted words of each name and alias → id.
        by_code: SNOMED CT code and side → id.
    """

    names: Mapping[int, str]
    by_words: Mapping[Words, int]
    by_code: Mapping[Words, int]

    def find(self, name: str, *, code: str = "", side: str = "") -> int | None:
        """Return the organ that a code or, where it tells none, a name means."""
        by_code = self.by_code.get((code, side)) if code else None
        return self.by_words.get(words_of(name)) if by_code is None else by_code

    def need(self, regions: Sequence[tuple[str, str, str]]) -> list[int]:
        """Find the organ of each region (name, SNOMED CT code, side), all different.

        Raises:
            BadInput: Names are not known, or two regions mean one organ.
        """
        found = [self.find(name, code=code, side=side) for name, code, side in regions]
        if unknown := [
            (number, one[0])
            for number, (one, id_) in enumerate(zip(regions, found, strict=True), start=1)
            if id_ is None
        ]:
            raise BadInput(
                f"Each region must be named in the table of organs, and {len(unknown)} of "
                f"{len(regions)} are not: {_listed(self._masked(unknown))} (words that the table "
                "does not know are not repeated: a name may hold the patient's). Add their names "
                "to the aliases of a copy of the table, or choose the regions."
            )
        ids = [id_ for id_ in found if id_ is not None]
        if repeated := sorted({self.names[id_] for id_ in ids if ids.count(id_) > 1}):
            raise BadInput(
                f"Each organ must be one region, and several regions mean {_listed(repeated)}. "
                "Choose one of them."
            )
        return ids

    def _masked(self, regions: Sequence[tuple[int, str]]) -> list[str]:
        """Return numbers and names of regions, with … for each word not in the table."""
        known = {word for words in self.by_words for word in words} | set(_SIDE_OF)
        return [
            f"{number}: "
            + " ".join(
                word if word in known else "…" for word in re.findall(r"[^\W_]+", name.casefold())
            )
            for number, name in regions
        ]


def read_organ_table(path: Path = OWN_TABLE) -> OrganTable:
    """Read a table of organs.

    Args:
        path: A CSV file with the columns id, name, side, sct_code and aliases, the last
            separated by ``|`` and without the side; the package's own by default.

    Raises:
        BadInput: The table cannot be read, an id is not 1 to 199, or two organs share a name.
    """
    names: dict[int, str] = {}
    by_words: dict[Words, int] = {}
    by_code: dict[Words, int] = {}
    for line, row in enumerate(_rows(path), start=2):
        id_, side = _id(row["id"], line), row["side"].strip()
        if id_ in names or side not in ("", *SIDES):
            raise BadInput(
                f"Line {line} of the table of organs must have an id of its own and the side left, "
                "right or none, and it has not. Correct it."
            )
        names[id_] = row["name"].strip()
        aliases = [f"{one} {side}" for one in row["aliases"].split("|") if one.strip()]
        for words in {words_of(one) for one in (names[id_], *aliases)}:
            _add(by_words, words, id_, line)
        if row["sct_code"].strip():
            _add(by_code, (row["sct_code"].strip(), side), id_, line)
    return OrganTable(names, by_words, by_code)


def words_of(name: str) -> Words:
    """Return the words of a name, sorted, sides spelt out."""
    words = re.findall(r"[^\W_]+", name.casefold())
    return tuple(sorted(_SIDE_OF.get(word, word) for word in words))


def _rows(path: Path) -> Iterable[dict[str, str]]:
    try:
        reader = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig")), strict=True)
        rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadInput("The table of organs must be a CSV file in UTF-8, and it is not.") from error
    whole = all(None not in row and None not in row.values() for row in rows)
    if reader.fieldnames != _COLUMNS or not rows or not whole:
        raise BadInput(
            f"The table of organs must have the columns {', '.join(_COLUMNS)} in every line, and "
            "it has not. Start from a copy of the package's own."
        )
    return rows


def _id(text: str, line: int) -> int:
    if not text.strip().isdecimal() or not 1 <= int(text) <= LARGEST:
        raise BadInput(
            f"The id in line {line} of the table of organs must be 1 to {LARGEST}, and it is not."
        )
    return int(text)


def _add(known: dict[Words, int], key: Words, id_: int, line: int) -> None:
    if known.setdefault(key, id_) != id_:
        raise BadInput(
            f"A name or code must mean one organ, and '{' '.join(key)}' in line {line} of the "
            "table of organs means two. Remove one."
        )


def _listed(names: Sequence[str]) -> str:
    told = ", ".join(f"'{name}'" for name in names[:_MOST_TOLD])
    return told + (", …" if len(names) > _MOST_TOLD else "")
