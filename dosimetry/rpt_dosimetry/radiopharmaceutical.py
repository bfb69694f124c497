"""What the code sequences of a series say of its radiopharmaceutical."""

from typing import Any

from rpt_cohort import BadInput

from rpt_dosimetry.nuclides import nuclide_of_code
from rpt_dosimetry.reading import DICOM_ERRORS
from rpt_dosimetry.tags import Tags

_INFORMATION = (0x0054, 0x0016)
_NUCLIDE_CODE = (0x0054, 0x0300)
_PHARMACEUTICAL_CODE = (0x0054, 0x0304)
_CODE_VALUE = (0x0008, 0x0100)
_CODE_MEANING = (0x0008, 0x0104)


def coded_nuclide(tags: Tags) -> str | None:
    """Read the nuclide from Radionuclide Code Sequence (0054,0300).

    Returns:
        Such as ``F-18``; ``None`` where it is missing or not known here.

    Raises:
        BadInput: The slices name different nuclides.
    """
    found = {
        nuclide_of_code(value=value, meaning=meaning)
        for header in tags.headers
        for value, meaning in _codes(header, _NUCLIDE_CODE)
    }
    if len(found) > 1:
        raise BadInput(
            "Radionuclide Code Sequence (0054,0300) must name one nuclide in all slices, and it "
            "names several."
        )
    return found.pop() if found else None


def code_texts(tags: Tags) -> tuple[list[str], list[str]]:
    """Read Radiopharmaceutical Code Sequence (0054,0304) of the first slice.

    Returns:
        Code meanings, and code values.
    """
    codes = _codes(tags.headers[0], _PHARMACEUTICAL_CODE)
    return [meaning for _, meaning in codes], [value for value, _ in codes]


def _codes(header: Any, sequence: tuple[int, int]) -> list[tuple[str, str]]:
    try:
        items = [
            code
            for item in (header[_INFORMATION].value if _INFORMATION in header else [])
            for code in (item[sequence].value if sequence in item else [])
        ]
        return [
            (
                str(code[_CODE_VALUE].value if _CODE_VALUE in code else "").strip(),
                str(code[_CODE_MEANING].value if _CODE_MEANING in code else "").strip(),
            )
            for code in items
        ]
    except DICOM_ERRORS as error:
        raise BadInput(
            "The code sequences of Radiopharmaceutical Information Sequence (0054,0016) must be "
            "readable, and they are malformed."
        ) from error
