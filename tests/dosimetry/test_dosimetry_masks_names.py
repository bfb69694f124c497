"""Names and codes of organs: what means which id, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rpt_cohort import BadInput
from rpt_cohort.labels import KIDNEY_LEFT, ORGANS, SALIVARY_GLANDS
from rpt_dosimetry.masks.names import OWN_TABLE, read_organ_table

TABLE = read_organ_table()


@pytest.mark.parametrize(
    ("name", "organ"),
    [
        *[("kidney_left", 3), ("Kidney Left", 3), ("Left kidney", 3), ("Kidney_L", 3)],
        *[("Niere links", 3), ("rechte Niere", 2), ("KIDNEY-RT", 2), ("Leber", 5)],
        *[("vertebrae_L5", 27), ("rib_left_10", 101), ("Bladder", 21), ("Parotid_R", 150)],
        *[("Glnd_Submand_L", 153), ("SpinalCord", 79), ("remaining body", 199)],
        *[("kidney", None), ("liver metastasis", None), ("lesion1 liver R lobe", None), ("", None)],
    ],
)
def test_names(name, organ) -> None:
    assert TABLE.find(name) == organ


def test_the_ids_are_the_contracts() -> None:
    assert set(TABLE.names) == {*range(1, 118), *SALIVARY_GLANDS, 199}
    assert {TABLE.names[id_] for id_ in ORGANS["kidney"]} == {"kidney_right", "kidney_left"}
    assert TABLE.names[ORGANS["liver"][0]] == "liver"
    assert TABLE.names[ORGANS["spleen"][0]] == "spleen"
    assert TABLE.find("kidney_left") == KIDNEY_LEFT


def test_a_code_goes_before_a_name() -> None:
    assert TABLE.find("whatever", code="64033007", side="left") == 3
    assert TABLE.find("kidney_left", code="64033007", side="right") == 2
    # a code that the table does not hold leaves the name
    assert TABLE.find("kidney_left", code="1", side="") == 3


@given(st.sampled_from(sorted(TABLE.names)), st.randoms(use_true_random=False))
def test_order_case_and_punctuation_do_not_matter(organ, random) -> None:
    words = TABLE.names[organ].split("_")
    random.shuffle(words)
    name = random.choice(["_", " ", "-", ", "]).join(words)
    assert TABLE.find(random.choice([name, name.upper(), name.title()])) == organ


def test_unknown_names_are_listed() -> None:
    """With their numbers; words that the table does not know may be a patient's."""
    regions_drawn = [("Liver", "", ""), ("PTV Doe", "", ""), ("left Liver Jane", "", "")]
    with pytest.raises(BadInput, match=r"and 2 of 3 are not: '2: … …', '3: left liver …' \("):
        TABLE.need(regions_drawn)
    assert TABLE.need(regions_drawn[:1]) == [5]


def test_two_regions_of_one_organ_are_refused() -> None:
    with pytest.raises(BadInput, match="several regions mean 'kidney_left'"):
        TABLE.need([("Kidney_L", "", ""), ("Niere links", "", "")])


def edited(folder, old, new):
    path = folder / "organs.csv"
    path.write_text(OWN_TABLE.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    return path


def test_an_alias_can_be_added(tmp_path) -> None:
    table = read_organ_table(edited(tmp_path, "niere|rein", "niere|rein|nier"))
    assert table.find("nier rechts") == 2
    assert table.find("nier links") is None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("id,name", "number,name", "must have the columns id, name, side, sct_code, aliases"),
        ("1,spleen,,78961009,milz|rate", "1,spleen", "must have the columns"),
        ("5,liver", "500,liver", "id in line 6 of the table of organs must be 1 to 199"),
        ("5,liver", "x,liver", "id in line 6"),
        ("5,liver", "4,liver", "Line 6 of the table of organs must have an id of its own"),
        ("5,liver,,", "5,liver,middle,", "side left, right or none"),
        ("leber|foie", "milz", "'milz' in line 6 of the table of organs means two"),
        ("10200004", "78961009", "means two"),
    ],
)
def test_tables_that_do_not_do(old, new, message, tmp_path) -> None:
    with pytest.raises(BadInput, match=message):
        read_organ_table(edited(tmp_path, old, new))


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00\xd8"])
def test_files_that_are_no_table(content, tmp_path) -> None:
    path = tmp_path / "organs.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadInput, match="must be a CSV file in UTF-8"):
        read_organ_table(path)
