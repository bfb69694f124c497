"""NM objects: reconstructed tomography and whole-body planar views, as counts."""
