"""DICOM objects, read without trust: series, headers, times, pixels, contours."""
