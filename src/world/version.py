"""Owns the version of the code, as it stands in a log's first record."""

VERSION = "0.1.0"
