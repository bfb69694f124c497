"""Clocks, nuclides and tracers as text."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rpt_cohort import BadInput
from rpt_dosimetry import choose_pet, convert, find_series
from rpt_dosimetry.dicom.reading import (
    parse_date,
    parse_datetime,
    parse_decimal,
    parse_offset,
    parse_time,
)
from rpt_dosimetry.dicom.tracer import name_tracer
from rpt_dosimetry.radiation.nuclide import (
    IN_HEADERS,
    check_half_life,
    code_of_nuclide,
    half_life_s,
    nuclide_in_text,
    nuclide_of_code,
)


@given(moment=st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 12, 31)))
def test_a_moment_survives_writing_and_reading(moment: datetime) -> None:
    text = f"{moment.year:04}{moment:%m%d%H%M%S.%f}"
    read, offset = parse_datetime(text)
    assert abs(read - moment) < timedelta(microseconds=2)
    assert offset is None


def test_legacy_forms() -> None:
    assert parse_date("2024.02.29") == datetime(2024, 2, 29)
    assert parse_time("10:20:30.5") == timedelta(hours=10, minutes=20, seconds=30.5)
    assert parse_time("235960") == timedelta(days=1)
    assert parse_offset("-0330") == -timedelta(hours=3, minutes=30)


@pytest.mark.parametrize(
    "text", ["", "2024", "20240230", "29.02.2024", "00010101", "99991231", "٢٠٢٤٠٢٢٩"]
)
def test_no_date(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_date(text)


@pytest.mark.parametrize("text", ["1", "+1", "-1.5", ".5", "5.", "1E3", "1e-03", "-0.1e+2"])
def test_decimal(text: str) -> None:
    assert parse_decimal(text) == float(text)


@pytest.mark.parametrize(
    "text", ["", ".", "1_0", "1e5_0", "inf", "nan", "1e400", "٣", "1 0", "0x1"]
)
def test_no_decimal(text: str) -> None:
    with pytest.raises(ValueError, match="decimal number"):
        parse_decimal(text)


@pytest.mark.parametrize("text", ["", "1", "24", "1060", "100061", "10.5", "-10", "10:0"])
def test_no_time(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_time(text)


@pytest.mark.parametrize("text", ["2024", "20240229", "20240229100000+2500", "20240229+0100"])
def test_no_datetime(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_datetime(text)


@pytest.mark.parametrize(
    ("text", "nuclide"),
    [
        ("^18^Fluorine", "F-18"),
        ("Fluorine-18", "F-18"),
        ("18F", "F-18"),
        ("Fluorodeoxyglucose F^18^", "F-18"),
        ("18F-PSMA-11", "F-18"),
        ("^68^Gallium", "Ga-68"),
        ("Ga68-PSMA", "Ga-68"),
        ("[68Ga]Ga-PSMA-11", "Ga-68"),
        ("177 Lutetium", "Lu-177"),
        ("PSMA-1007", None),
        ("FDG -- fluorodeoxyglucose", None),
        ("68Ga or 18F", None),
        ("Lu-177m", None),
        ("177mLu", None),
        ("177m lutetium", None),
        ("Lu-177 and Lu-177m", "Lu-177"),
        ("Ga68mAb", "Ga-68"),
        ("", None),
    ],
)
def test_nuclide_in_text(text, nuclide) -> None:
    assert nuclide_in_text(text) == nuclide


def test_meaning_goes_before_a_mistaken_code() -> None:
    assert nuclide_of_code(value="C-131A1", meaning="^68^Gallium") == "Ga-68"
    assert nuclide_of_code(value="C-111A1", meaning="") == "F-18"
    assert nuclide_of_code(value="C-XXXX", meaning="") is None


@pytest.mark.parametrize("told_s", [6582.0, 6586.2, 6588.0, 6600.0])
def test_half_lives_in_use_for_fluorine(told_s: float) -> None:
    # ICRP 107: 109.77 min; NIST, older scanners and IAEA differ by up to 0.2 %.
    assert check_half_life(told_s, coded="F-18") == ("F-18", "")
    assert check_half_life(told_s, coded=None) == ("F-18", "")


@pytest.mark.parametrize("nuclide", IN_HEADERS)
def test_half_life_in_another_unit(nuclide: str) -> None:
    _, fault = check_half_life(half_life_s(nuclide) / 60, coded=nuclide)
    assert "looks like minutes" in fault


def test_half_life_of_nothing_known() -> None:
    assert check_half_life(12_345.0, coded=None) == (None, "")


def test_a_code_that_is_written_is_read() -> None:
    assert code_of_nuclide("Ga-68") == ("C-131A3", "SRT", "^68^Gallium")
    for name in ("F-18", "Ga-68", "Lu-177"):
        value, _, meaning = code_of_nuclide(name)
        assert nuclide_of_code(value=value, meaning="") == nuclide_in_text(meaning) == name


@pytest.mark.parametrize(
    ("text", "nuclide", "tracer"),
    [
        ("68Ga-PSMA-11", "Ga-68", "68Ga-PSMA-11"),
        ("PSMA HBED-CC", "Ga-68", "68Ga-PSMA-11"),
        ("gallium Ga 68 gozetotide", "Ga-68", "68Ga-PSMA-11"),
        ("[18F]PSMA-1007", "F-18", "18F-PSMA-1007"),
        ("F-18 PSMA 11", "F-18", "18F-PSMA-11"),
        ("Piflufolastat (18F)", "F-18", "18F-DCFPyL"),
        ("DCFPyL", "F-18", "18F-DCFPyL"),
        ("FDG -- fluorodeoxyglucose", "F-18", "18F-FDG"),
        ("Fluorodeoxyglucose F^18^", "F-18", "18F-FDG"),
        ("Ga68-PSMA", "Ga-68", "unknown"),
        ("PSMA-617", "Ga-68", "unknown"),
        ("PSMA-1007", "Ga-68", "unknown"),
        ("PSMA-11 or DCFPyL", "F-18", "unknown"),
        ("FDG", None, "unknown"),
        ("FDG", "Ga-68", "unknown"),
        ("Solution", "F-18", "unknown"),
        ("", "F-18", "unknown"),
    ],
)
def test_tracer(text, nuclide, tracer) -> None:
    assert name_tracer(texts=[text], codes=[], nuclide=nuclide) == tracer


def test_tracer_by_code() -> None:
    assert name_tracer(texts=[""], codes=["C-B1031"], nuclide="F-18") == "18F-FDG"


def test_tracer_of_a_series(pet_series, convert_series) -> None:
    assert convert_series(pet_series()).radiopharmaceutical.tracer == "18F-PSMA-1007"


GALLIUM = {"RadionuclideHalfLife": "4062.6", "RadionuclideCodeSequence": None}


@pytest.mark.parametrize(
    ("inject", "told", "tracer", "by"),
    [
        ({"Radiopharmaceutical": "Ga68-PSMA", **GALLIUM}, "68Ga-PSMA-11", "68Ga-PSMA-11", "user"),
        ({"Radiopharmaceutical": None, **GALLIUM}, "68Ga-PSMA-11", "68Ga-PSMA-11", "user"),
        ({"Radiopharmaceutical": "Solution"}, "18F-DCFPyL", "18F-DCFPyL", "user"),
        ({"Radiopharmaceutical": "PSMA-11 or DCFPyL"}, "18F-DCFPyL", "18F-DCFPyL", "user"),
        ({}, "18F-PSMA-1007", "18F-PSMA-1007", "header"),
        ({}, None, "18F-PSMA-1007", "header"),
        ({"Radiopharmaceutical": "Ga68-PSMA", **GALLIUM}, None, "unknown", None),
    ],
)
def test_a_told_tracer(inject, told, tracer, by, pet_series, tmp_path) -> None:
    chosen = choose_pet(find_series(pet_series(inject=inject).write(tmp_path)), None)
    found = convert(chosen, tracer=told)
    assert found.radiopharmaceutical.tracer == tracer
    assert found.radiopharmaceutical.tracer_told_by == by
    assert any("as told" in one for one in found.warnings) == (by == "user")


@pytest.mark.parametrize(
    ("inject", "told", "message"),
    [
        ({}, "68Ga-PSMA-11", "must be what the header names, 18F-PSMA-1007, got 68Ga-PSMA-11"),
        ({"Radiopharmaceutical": "FDG"}, "18F-PSMA-1007", "header names, 18F-FDG, got"),
        ({"Radiopharmaceutical": "PSMA"}, "68Ga-PSMA-11", "of the header's nuclide, F-18, got"),
        (
            {"Radiopharmaceutical": "PSMA", **GALLIUM},
            "18F-PSMA-1007",
            "of the header's nuclide, Ga-68, got",
        ),
        ({"Radiopharmaceutical": "PSMA-617", **GALLIUM}, "68Ga-PSMA-11", "names, PSMA-617, got"),
        ({"Radiopharmaceutical": "FDG", **GALLIUM}, "68Ga-PSMA-11", "names, FDG, got"),
        (
            {
                "Radiopharmaceutical": "PSMA",
                "RadionuclideHalfLife": "12345",
                "RadionuclideCodeSequence": None,
            },
            "68Ga-PSMA-11",
            r"\(0018,1075\) must be that of the tracer, 68Ga-PSMA-11, got 12345 s",
        ),
    ],
)
def test_a_told_tracer_that_the_header_refutes(inject, told, message, pet_series, tmp_path) -> None:
    chosen = choose_pet(find_series(pet_series(inject=inject).write(tmp_path)), None)
    with pytest.raises(BadInput, match=message):
        convert(chosen, tracer=told)


def test_text_that_contradicts_the_nuclide(pet_series, convert_series) -> None:
    suv = convert_series(pet_series(inject={"Radiopharmaceutical": "68Ga-PSMA-1007"}))
    assert suv.radiopharmaceutical.tracer == "unknown"
    assert any("names Ga-68, the series is of F-18" in sentence for sentence in suv.warnings)


@pytest.mark.parametrize(("half_life_d", "nuclide"), [(6.906, "Tb-161"), (6.647, "Lu-177")])
def test_of_two_close_half_lives_the_nearest_is_meant(half_life_d, nuclide) -> None:
    found = check_half_life(half_life_d * 86400.0 * 1.003, coded=None)
    assert found == (nuclide, "")
