"""Owns the base of the host's failures. A refusal is the world's no, as data; a fault is the host's, raised."""

from __future__ import annotations


class Fault(Exception):
    """Something on the host's side went wrong; its text is one clear sentence for a person."""


class ConfigurationFault(Fault):
    """A configuration that cannot be used; the text names file, line and key where they are known."""


class NativeFault(Fault):
    """A genesis artifact's handler answered what no record can hold; the text names it."""


class LogFault(Fault):
    """A log that is corrupt, cut off or of another version.

    Attributes:
        seq: the first record that is wrong, None where no single one is.
    """

    def __init__(self, text: str, seq: int | None = None) -> None:
        super().__init__(text)
        self.seq = seq


class ReplayMismatch(LogFault):
    """Deciding a record again gave something else; the text shows both."""
