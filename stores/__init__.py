"""Pixels at rest: the versioned Zarr patch store and what reads it."""
