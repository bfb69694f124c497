"""The numbers in ``organs.nii.gz``: TotalSegmentator v2 ``total`` ids, and ours above 117.

Source: TotalSegmentator v2 class map (Wasserthal et al., Radiol AI 2023); 118–199 are
this project's own.
"""

SPLEEN = 1
KIDNEY_RIGHT = 2
KIDNEY_LEFT = 3
LIVER = 5
SALIVARY_GLANDS = range(150, 156)
REMAINING_BODY = 199
LARGEST = REMAINING_BODY

ORGANS: dict[str, tuple[int, ...]] = {
    "kidney": (KIDNEY_RIGHT, KIDNEY_LEFT),
    "liver": (LIVER,),
    "spleen": (SPLEEN,),
    "salivary_glands": tuple(SALIVARY_GLANDS),
}
"""What an organ's name means in every table: one name → the ids it unites."""
