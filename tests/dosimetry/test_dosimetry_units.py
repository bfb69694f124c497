"""The branches by Units, each against the formula of its publication."""

from typing import Any

import numpy as np
import pytest
from rpt_cohort import BadInput


@pytest.mark.parametrize("suv_type", ["BW", "", None])
def test_gml_of_body_weight_stays(suv_type, pet_series, convert_series) -> None:
    suv = convert_series(pet_series(set={"Units": "GML", "SUVType": suv_type}))
    assert suv.factor.factor == [1.0] * 4


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
    if units == "BQML":
        made["slope"] = float(f"{made['slope'] * 370e6 * 2 ** (-3600 / 6586.2) / 70e3:.6g}")
    return made


def philips(dataset, index) -> None:
    dataset.add_new((0x7053, 0x1000), "DS", "1")


@pytest.mark.parametrize("units", ["GML", "CNTS", "BQML"])
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


@pytest.mark.parametrize("units", ["GML", "CNTS", "BQML"])
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
    usual = convert_series(pet_series())
    odd = convert_series(pet_series(set={"PatientWeight": "70000", "PatientSize": "175"}))
    assert odd.factor.factor == pytest.approx(usual.factor.factor)
    assert (odd.patient.weight_kg, odd.patient.height_cm) == (70.0, 175.0)
    assert any("taken as g" in sentence for sentence in odd.warnings)
    assert any("taken as cm" in sentence for sentence in odd.warnings)


REFUSED = {
    "PROPCPS": ({"Units": "PROPCPS"}, r"Units \(0054,1001\) must be BQML.*got PROPCPS"),
    "PROPCNTS": ({"Units": "PROPCNTS"}, "got PROPCNTS"),
    "1CM": ({"Units": "1CM"}, "got 1CM"),
    "no units": ({"Units": None}, r"Units \(0054,1001\) must be there"),
    "free text": ({"Units": "JANE DOE\\X"}, "got no code of DICOM"),
    "counts": ({"Units": "CNTS"}, r"\(7053,1000\).*\(7053,1009\)"),
    "cm2/mL": ({"Units": "CM2ML"}, "got CM2ML"),
    **{
        f"SUV type {one}": (
            {"Units": "GML", "SUVType": one},
            rf"SUV Type \(0054,1006\) must be BW or empty.*got {one}: only SUV by body weight",
        )
        for one in ("BSA", "LBM", "LBMJAMES128", "LBMJANMA", "IBW")
    },
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
