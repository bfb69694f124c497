"""What tests of several rooms share: commands, damage, DICOM to damage, synthetic patients."""
