"""The artifacts that are there when a world begins, one file each."""
