"""From a clinic's DICOM folders to cohort cycles: find, read, register, mask, dose, write."""
