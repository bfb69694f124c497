"""What a decay emits, and where a medium absorbs it: from decay data to voxel kernels."""
