"""The body sizes by which a standardized uptake value may be normalised.

For the sex ``O`` a size is the mean of the male and the female one.
"""

from collections.abc import Callable
from typing import Literal

Sex = Literal["M", "F", "O"]


def lean_body_mass_james_kg(
    *, weight_kg: float, height_cm: float, sex: Sex, male_term: float
) -> float:
    """Estimate the lean body mass by James' formula.

    Args:
        weight_kg: Body weight, kg.
        height_cm: Body height, cm.
        sex: Patient's sex.
        male_term: The factor of (weight/height)² for men, kg⁻¹·cm²: 128 in James'
            report, 120 in the misprint that DICOM's type ``LBM`` keeps.

    Returns:
        Lean body mass, kg.

    Source: W. P. T. James, Research on obesity, HMSO 1976; DICOM PS3.16 codes 126402
    (``LBM``, 120) and 126405 (``LBMJAMES128``).
    """

    def of_sex(one: str) -> float:
        linear, square = (1.10, male_term) if one == "M" else (1.07, 148.0)
        return linear * weight_kg - square * (weight_kg / height_cm) ** 2

    return _mean_of_sexes(of_sex, sex)


def lean_body_mass_janmahasatian_kg(*, weight_kg: float, height_cm: float, sex: Sex) -> float:
    """Estimate the lean body mass by Janmahasatian's formula.

    Args:
        weight_kg: Body weight, kg.
        height_cm: Body height, cm.
        sex: Patient's sex.

    Returns:
        Lean body mass, kg.

    Source: Janmahasatian et al., Clin Pharmacokinet 44 (2005) 1051; DICOM PS3.16 code
    126406 (``LBMJANMA``).
    """
    bmi_kg_per_m2 = weight_kg / (height_cm / 100.0) ** 2

    def of_sex(one: str) -> float:
        constant, slope = (6680.0, 216.0) if one == "M" else (8780.0, 244.0)
        return 9270.0 * weight_kg / (constant + slope * bmi_kg_per_m2)

    return _mean_of_sexes(of_sex, sex)


def ideal_body_weight_kg(*, height_cm: float, sex: Sex) -> float:
    """Estimate the ideal body weight.

    Args:
        height_cm: Body height, cm.
        sex: Patient's sex.

    Returns:
        Ideal body weight, kg.

    Source: Sugawara et al., Radiology 213 (1999) 521; DICOM PS3.16 code 126404 (``IBW``).
    """

    def of_sex(one: str) -> float:
        at_152_cm, per_cm = (48.0, 1.06) if one == "M" else (45.5, 0.91)
        return at_152_cm + per_cm * (height_cm - 152.0)

    return _mean_of_sexes(of_sex, sex)


def body_surface_area_m2(*, weight_kg: float, height_cm: float) -> float:
    """Estimate the body surface area, the same for both sexes.

    Args:
        weight_kg: Body weight, kg.
        height_cm: Body height, cm.

    Returns:
        Body surface area, m².

    Source: Du Bois and Du Bois, Arch Intern Med 17 (1916) 863; Kim et al., J Nucl Med 35
    (1994) 164; DICOM PS3.16 code 126403 (``BSA``).
    """
    return float(0.007184 * weight_kg**0.425 * height_cm**0.725)


def _mean_of_sexes(of_sex: Callable[[str], float], sex: Sex) -> float:
    # For "O" the IBSI SUV manual takes the mean of both norms, not of both SUVs.
    if sex == "O":
        return (of_sex("M") + of_sex("F")) / 2.0
    return of_sex(sex)
