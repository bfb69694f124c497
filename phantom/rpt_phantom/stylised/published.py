"""What the report publishes for its adult, to hold the solids against.

Source: organ masses of the adult in Cristy & Eckerman, ORNL/TM-8381 vol. 1 (1987), as they
went into MIRDOSE 3 and OLINDA; volumes of spine, ribs and pelvis from the same report. The
report's liver is 1,910 g (1,830 mL of 1.04 g/mL); the 1,800 g often quoted are MIRD Pamphlet
5's, of nearly the same solid with 0.987 g/mL.
"""

REFERENCE_HEIGHT_CM, REFERENCE_WEIGHT_KG = 179.0, 73.0

MASS_G: dict[str, float] = {
    "liver": 1_910.0,
    "kidneys": 299.0,
    "spleen": 183.0,
    "pancreas": 94.3,
    "adrenals": 16.3,
    "stomach wall": 158.0,
    "stomach content": 260.0,
    "gallbladder wall": 10.5,
    "gallbladder content": 55.7,
    "small bowel": 1_100.0,
    "upper large intestine wall": 220.0,
    "upper large intestine content": 232.0,
    "lower large intestine wall": 167.0,
    "lower large intestine content": 143.0,
    "urinary bladder wall": 47.6,
    "urinary bladder content": 211.0,
    "lungs": 1_000.0,
    "heart wall": 316.0,
    "heart content": 454.0,
    "brain": 1_420.0,
}

BONE_VOLUME_ML: dict[str, float] = {
    "middle spine": 548.0,
    "lower spine": 206.0,
    "ribs": 694.0,
    "pelvis": 606.0,
    "cranium": 618.0,
}

GLAND_MASS_G: dict[str, float] = {"parotid": 50.0, "submandibular": 25.0, "sublingual": 10.0}
"""Both sides. Source: ICRP Publication 89 (2002)."""
