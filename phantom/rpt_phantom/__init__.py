"""Virtual patients with known truth: PSMA PET, CT, organs, lesions and absorbed dose.

Imports run one way: grid → anatomy → agents, spect, motion → person, settings → truth → pet,
measured → imaging → coverage → patient → case_files → cohort; case_files, dicom → clinic →
resemblance; gallery draws files.
"""

__version__ = "0.1.0"
