"""The branches by Units, each against the formula of its publication."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rpt_cohort import BadInput
from rpt_dosimetry.suv import (
    body_surface_area_m2,
    ideal_body_weight_kg,
    lean_body_mass_james_kg,
    lean_body_mass_janmahasatian_kg,
)

# Computed by hand for 70 kg and 175 cm from the formulas in DICOM PS3.16, codes 126402–126406.
NORMS_KG = {
    ("LBM", "M"): 57.80,  # 1.10·70 − 120·0.16
    ("LBM", "F"): 51.22,  # 1.07·70 − 148·0.16
    ("LBMJAMES128", "M"): 56.52,  # 1.10·70 − 128·0.16
    ("LBMJAMES128", "F"): 51.22,
    ("LBMJAMES128", "O"): 53.87,
    ("LBMJANMA", "M"): 55.857,  # 9270·70 / (6680 + 216·22.857)
    ("LBMJANMA", "F"): 45.197,  # 9270·70 / (8780 + 244·22.857)
    ("IBW", "M"): 72.38,  # 48 + 1.06·23
    ("IBW", "F"): 66.43,  # 45.5 + 0.91·23
    ("IBW", "O"): 69.405,
}


@pytest.mark.parametrize(("suv_type", "sex"), NORMS_KG)
def test_gml_of_other_body_sizes(suv_type, sex, pet_series, convert_series) -> None:
    changes = {"Units": "GML", "SUVType": suv_type, "PatientSex": sex}
    suv = convert_series(pet_series(set=changes))
    assert suv.factor.factor[0] == pytest.approx(70.0 / NORMS_KG[suv_type, sex], rel=1e-4)
    assert suv.factor.units_branch == f"GML: {suv_type}"
    assert suv.volume.data.max() == pytest.approx(119 * 2 * suv.factor.factor[0], rel=1e-6)


@pytest.mark.parametrize("suv_type", ["BW", "", None])
def test_gml_of_body_weight_stays(suv_type, pet_series, convert_series) -> None:
    suv = convert_series(pet_series(set={"Units": "GML", "SUVType": suv_type}))
    assert suv.factor.factor == [1.0] * 4


def test_cm2ml(pet_series, convert_series) -> None:
    # Du Bois: 0.007184 · 70^0.425 · 175^0.725 = 1.8481 m²
    suv = convert_series(pet_series(set={"Units": "CM2ML"}))
    assert suv.factor.factor[0] == pytest.approx(70e3 / 1.8481e4, rel=1e-4)


@pytest.mark.parametrize("creator", ["Philips PET Private Group", None])
def test_philips_suv_factor(creator, pet_series, convert_series) -> None:
    def change(dataset, index) -> None:
        if creator:
            dataset.add_new((0x7053, 0x0010), "LO", creator)
        dataset.add_new((0x7053, 0x1000), "DS", f"0.00{index + 1}")
        dataset.add_new((0x7053, 0x1009), "DS", "7")

    suv = convert_series(pet_series(set={"Units": "CNTS"}, change=change))
    np.testing.assert_allclose(suv.factor.factor, [0.001, 0.002, 0.003, 0.004])
    assert suv.factor.units_branch == "CNTS: Philips SUV factor"


def test_philips_factor_stored_without_type(pet_series, convert_series) -> None:
    def change(dataset, index) -> None:
        dataset.add_new((0x7053, 0x1000), "UN", b"0.0005 ")

    suv = convert_series(pet_series(set={"Units": "CNTS"}, change=change))
    assert suv.factor.factor == [0.0005] * 4


@pytest.mark.parametrize("suv_factor", [None, "0"])
def test_philips_activity_factor_goes_on_as_bqml(suv_factor, pet_series, convert_series) -> None:
    def change(dataset, index) -> None:
        block = dataset.private_block(0x7053, "Philips PET Private Group", create=True)
        if suv_factor is not None:
            block.add_new(0x00, "DS", suv_factor)
        block.add_new(0x09, "DS", "3")

    counts = convert_series(pet_series(set={"Units": "CNTS"}, change=change))
    becquerels = convert_series(pet_series())
    np.testing.assert_allclose(counts.volume.data, 3 * becquerels.volume.data, rtol=1e-6)
    assert counts.factor.units_branch == "CNTS: Philips activity factor, then BQML"


def test_a_foreign_private_block_is_not_philips(pet_series, convert_series) -> None:
    def change(dataset, index) -> None:
        block = dataset.private_block(0x7053, "SOMEBODY ELSE", create=True)
        block.add_new(0x00, "DS", "0.5")

    with pytest.raises(BadInput, match="CNTS need Philips SUV Scale Factor"):
        convert_series(pet_series(set={"Units": "CNTS"}, change=change))


def test_philips_block_that_was_moved(pet_series, convert_series) -> None:
    def change(dataset, index) -> None:
        dataset.private_block(0x7053, "SOMEBODY ELSE", create=True).add_new(0x00, "DS", "9")
        block = dataset.private_block(0x7053, "Philips PET Private Group", create=True)
        block.add_new(0x00, "DS", "0.5")

    suv = convert_series(pet_series(set={"Units": "CNTS"}, change=change))
    assert suv.factor.factor == [0.5] * 4


# 120 voxels of 0.048 mL: a SUV of 12152.8 g/mL everywhere makes the 70 kg of the patient.
def filled(share: float) -> dict[str, Any]:
    return {"stored": np.ones((4, 5, 6), np.int16), "slope": float(f"{12152.8 * share:.6g}")}


def of_units(units: str, share: float) -> dict[str, Any]:
    made = filled(share)
    if units == "CM2ML":
        made["slope"] = float(f"{made['slope'] / 3.7876:.6g}")  # 70e3 / 1.8481e4, as above
    if units == "BQML":
        made["slope"] = float(f"{made['slope'] * 370e6 * 2 ** (-3600 / 6586.2) / 70e3:.6g}")
    return made


def philips(dataset, index) -> None:
    dataset.add_new((0x7053, 0x1000), "DS", "1")


@pytest.mark.parametrize("units", ["GML", "CM2ML", "CNTS", "BQML"])
@pytest.mark.parametrize(("share", "verdict"), [(0.9, ""), (1.2, "told"), (1.7, "refused")])
def test_more_than_was_injected(units, share, verdict, pet_series, convert_series) -> None:
    series = pet_series(**of_units(units, share), set={"Units": units}, change=philips)
    if verdict == "refused":
        with pytest.raises(BadInput, match=r"got 1.7 times as much.* 119 kg .* weighs 70 kg"):
            convert_series(series)
        return
    warnings = convert_series(series).warnings
    told = [one for one in warnings if one.startswith("SUV times volume sums to")]
    assert bool(told) == (verdict == "told")
    assert all("84 kg" in one and "1.2 times what was injected" in one for one in told)


@pytest.mark.parametrize("units", ["GML", "CM2ML", "CNTS", "BQML"])
@pytest.mark.parametrize(("share", "told"), [(0.003, False), (0.0019, True), (1e-6, True)])
def test_next_to_nothing_of_what_was_injected(
    units, share, told, pet_series, convert_series
) -> None:
    """As of values in kBq/mL that are told as Bq/mL."""
    field = {"spacing_mm": (40.0, 40.0), "step_mm": 30.0}  # 5.76 L
    made = of_units(units, share / 1000)
    series = pet_series(**made, **field, set={"Units": units}, change=philips)
    warnings = [one for one in convert_series(series).warnings if "next to nothing" in one]
    assert len(warnings) == told
    for one in warnings:
        assert one.startswith(f"SUV times volume sums to {70 * share:.4g} kg")
        assert f"weighs 70 kg: a share of {share:.2g}, " in one
        assert "in kBq/mL and not in Bq/mL" in one
    cut_out = pet_series(**made, set={"Units": units}, change=philips)  # 5.76 mL
    assert not [one for one in convert_series(cut_out).warnings if "next to nothing" in one]


def test_a_dose_in_kbq(pet_series, convert_series) -> None:
    half_full = filled(0.5)
    half_full["slope"] = float(f"{half_full['slope'] * 370e6 * 2 ** (-3600 / 6586.2) / 70e3:.9g}")
    series = pet_series(**half_full, inject={"RadionuclideTotalDose": "370000"})
    with pytest.raises(BadInput, match=r"got 500 times as much.*\(0018,1074\), in Bq"):
        convert_series(series)


def test_weight_in_grams_and_height_in_centimetres(pet_series, convert_series) -> None:
    changes = {"Units": "GML", "SUVType": "LBMJAMES128"}
    usual = convert_series(pet_series(set=changes))
    odd = convert_series(
        pet_series(set={**changes, "PatientWeight": "70000", "PatientSize": "175"})
    )
    assert odd.factor.factor == pytest.approx(usual.factor.factor)
    assert odd.patient.weight_kg == 70.0
    assert any("taken as g" in sentence for sentence in odd.warnings)
    assert any("taken as cm" in sentence for sentence in odd.warnings)


REFUSED = {
    "PROPCPS": ({"Units": "PROPCPS"}, r"Units \(0054,1001\) must be BQML.*got PROPCPS"),
    "PROPCNTS": ({"Units": "PROPCNTS"}, "got PROPCNTS"),
    "1CM": ({"Units": "1CM"}, "got 1CM"),
    "no units": ({"Units": None}, r"Units \(0054,1001\) must be there"),
    "free text": ({"Units": "JANE DOE\\X"}, "got no code of DICOM"),
    "counts": ({"Units": "CNTS"}, r"\(7053,1000\).*\(7053,1009\)"),
    "BSA in g/mL": ({"Units": "GML", "SUVType": "BSA"}, r"SUV Type \(0054,1006\).*got BSA"),
    "BW in cm2/mL": ({"Units": "CM2ML", "SUVType": "BW"}, r"SUV Type \(0054,1006\) must be BSA"),
    "no height": (
        {"Units": "CM2ML", "PatientSize": None},
        r"Patient's Size \(0010,1020\) must be 0.3 to 2.5 m",
    ),
    "no sex": (
        {"Units": "GML", "SUVType": "IBW", "PatientSex": ""},
        r"Patient's Sex \(0010,0040\) must be M, F or O",
    ),
    "hardly a height": (
        {"Units": "CM2ML", "PatientSize": "1e-200"},
        r"Patient's Size \(0010,1020\) must be 0.3 to 2.5 m",
    ),
    "impossible body": (
        {"Units": "GML", "SUVType": "LBM", "PatientSize": "0.5"},
        r"body size of SUV Type \(0054,1006\) LBM must be above 0 kg",
    ),
    "no weight": ({"PatientWeight": None}, r"Patient's Weight \(0010,1030\) must be there"),
    "weight 0": ({"PatientWeight": "0"}, r"Patient's Weight \(0010,1030\) must be above 0 kg"),
    "hardly a weight": ({"PatientWeight": "1e-300"}, r"\(0010,1030\) must be 1 to 500 kg"),
    "too heavy": ({"PatientWeight": "1e308"}, r"\(0010,1030\) must be 1 to 500 kg"),
    "no attenuation": ({"CorrectedImage": ["NORM", "DECY"]}, r"\(0028,0051\) must contain ATTN"),
    "no corrections": ({"CorrectedImage": None}, r"\(0028,0051\) must contain ATTN"),
    "slope 0": ({"RescaleSlope": "0"}, r"Rescale Slope \(0028,1053\) must be above 0"),
    "no slope": ({"RescaleSlope": None}, r"Rescale Slope \(0028,1053\) must be there"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case, pet_series, convert_series) -> None:
    changes, message = REFUSED[case]
    with pytest.raises(BadInput, match=message):
        convert_series(pet_series(set=changes))


def test_normalisation_that_is_not_told(pet_series, convert_series) -> None:
    suv = convert_series(pet_series(set={"CorrectedImage": ["ATTN", "DECY"]}))
    expected = convert_series(pet_series())
    assert suv.factor.factor == expected.factor.factor
    assert any("(0028,0051) does not contain NORM" in one for one in suv.warnings)
    assert not any("NORM" in one for one in expected.warnings)


@pytest.mark.parametrize("creator", [True, False])
def test_philips_factor_that_is_no_number(creator, pet_series, convert_series) -> None:
    def change(dataset, index) -> None:
        if creator:
            dataset.add_new((0x7053, 0x0010), "LO", "Philips PET Private Group")
        dataset.add_new((0x7053, 0x1000), "LO", "Jane Doe")
        dataset.add_new((0x7053, 0x1009), "DS", "3")

    suv = convert_series(pet_series(set={"Units": "CNTS"}, change=change))
    assert suv.factor.units_branch == "CNTS: Philips activity factor, then BQML"
    assert any("(7053,1000) must be one finite number" in one for one in suv.warnings)


sizes = {
    "weight_kg": st.floats(40, 150),
    "height_cm": st.floats(140, 210),
}


@given(**sizes)
def test_other_sex_lies_in_the_middle(weight_kg: float, height_cm: float) -> None:
    def each(sex):
        both = {"weight_kg": weight_kg, "height_cm": height_cm, "sex": sex}
        return np.array(
            [
                lean_body_mass_james_kg(**both, male_term=128.0),
                lean_body_mass_janmahasatian_kg(**both),
                ideal_body_weight_kg(height_cm=height_cm, sex=sex),
            ]
        )

    np.testing.assert_allclose(each("O"), (each("M") + each("F")) / 2)


@given(**sizes)
def test_surface_grows_with_both_sizes(weight_kg: float, height_cm: float) -> None:
    surface_m2 = body_surface_area_m2(weight_kg=weight_kg, height_cm=height_cm)
    assert surface_m2 < body_surface_area_m2(weight_kg=weight_kg * 1.01, height_cm=height_cm)
    assert surface_m2 < body_surface_area_m2(weight_kg=weight_kg, height_cm=height_cm * 1.01)
