"""Rigid and deformable registration of scans, and one resampling onto one grid."""
