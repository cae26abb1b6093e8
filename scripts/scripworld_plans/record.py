"""What the process that runs tests notes for the one that asked for it; neither needs the other's packages."""

from dataclasses import dataclass, field


@dataclass
class Record:
    """What was seen of a run. Node ids are pytest's names of single cases; plans know files and names.

    Attributes:
        node_ids: of each required test that is there.
        collected: the node id of everything that is there, by the name that a plan would use.
        expected, deselected, empty, passed: node ids; of those that are to run, were left out
            by others than us, assert nothing as their source shows, passed.
        broken_files, skipped_files: why, by name.
        troubles: what became of those that did not pass: its kind, and words.
        seconds: how long each took, its fixtures included.
    """

    node_ids: dict[str, list[str]] = field(default_factory=dict)
    collected: dict[str, str] = field(default_factory=dict)
    expected: list[str] = field(default_factory=list)
    deselected: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    passed: list[str] = field(default_factory=list)
    broken_files: dict[str, str] = field(default_factory=dict)
    skipped_files: dict[str, str] = field(default_factory=dict)
    troubles: dict[str, tuple[str, str]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
