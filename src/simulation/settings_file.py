"""Owns files of settings: YAML, with the line of every key.

The dialect is what people take YAML to be: `true` and `false` are the only truth values, numbers are
decimal (`60_000_000` is one), keys are text and stand once, nothing becomes a date. Merging and
meaning are none of its business: `settings.py` and the models.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import yaml
from yaml.reader import ReaderError

from ..world import ConfigurationFault
from .settings import Key, Place, Settings, name_of, shown

FILE_BYTES_MAX: Final = 4_000_000
NODES_MAX: Final = 100_000
DEPTH_MAX: Final = 64

_TAG: Final = "tag:yaml.org,2002:"
_NULL: Final = _TAG + "null"
_NUMBER_STARTS: Final = "+-.0123456789"
_PLAIN: Final = (
    (_NULL, r"(?:~|null)?\Z", ("~", "n", "")),
    (_TAG + "bool", r"(?:true|false)\Z", "tf"),
    (_TAG + "int", r"[-+]?[0-9][0-9_]*\Z", _NUMBER_STARTS),
    (
        _TAG + "float",
        r"[-+]?(?:[0-9][0-9_]*(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?\Z",
        _NUMBER_STARTS,
    ),
)
"""Tag, pattern and first characters of the plain scalars that are no text."""


def read_settings(path: Path) -> Settings:
    """Read a file of settings; an empty one sets nothing.

    Raises:
        ConfigurationFault: it can't be read or is no mapping; the sentence names file and line.
    """
    name = shown(path)
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise ConfigurationFault(f"{name} is larger than {FILE_BYTES_MAX} bytes.")
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigurationFault(f"There is no file {name}.") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigurationFault(f"{name}, line {line}: this is not text in UTF-8.") from None
    except OSError as error:
        raise ConfigurationFault(f"{name} can't be read: {error.strerror}.") from None
    return parse_settings(text, name)


def parse_settings(text: str, name: str) -> Settings:
    """Read settings from YAML; `name` stands for the file.

    Raises:
        ConfigurationFault: as `read_settings`.
    """
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{name}, line {mark.line + 1}" if mark else name
        what = ", ".join(part for part in (error.context, error.problem) if part)
        raise ConfigurationFault(f"{where}: this is not YAML: {what}.") from None
    except ReaderError as error:
        line = text[: error.position].count("\n") + 1
        raise ConfigurationFault(
            f"{name}, line {line}: a character that YAML does not allow."
        ) from None
    except RecursionError:
        raise ConfigurationFault(f"{name} is nested too deeply.") from None
    if node is None or node.tag == _NULL:
        return Settings({}, origin=name)
    if not isinstance(node, yaml.MappingNode):
        line = node.start_mark.line + 1
        raise ConfigurationFault(f"{name}, line {line}: expected keys with values.")
    reader = _Reader(name)
    return Settings(reader.mapping(node, ()), reader.places, name)


def _resolvers() -> dict[str, list[tuple[str, re.Pattern[str]]]]:
    table: dict[str, list[tuple[str, re.Pattern[str]]]] = {}
    for tag, pattern, starts in _PLAIN:
        for start in starts:
            table.setdefault(start, []).append((tag, re.compile(pattern)))
    return table


class _Loader(yaml.SafeLoader):
    """The dialect, for the library."""

    yaml_implicit_resolvers = _resolvers()


class _Reader:
    """Turns nodes into values and notes their places; aliases are followed within its bounds."""

    def __init__(self, name: str) -> None:
        self.places: dict[Key, Place] = {}
        self._name = name
        self._nodes = 0

    def mapping(self, node: yaml.MappingNode, key: Key) -> dict[str, Any]:
        values: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise self._fault(key_node, "a key is a text")
            name = key_node.value
            if name in lines:
                where = name_of((*key, name))
                raise self._fault(key_node, f"{where}: given already in line {lines[name]}")
            lines[name] = line
            values[name] = self._value(value_node, (*key, name), line)
        return values

    def _value(self, node: yaml.Node, key: Key, line: int) -> Any:
        self._nodes += 1
        if self._nodes > NODES_MAX or len(key) > DEPTH_MAX:
            raise self._fault(node, f"{name_of(key[:3])}: too much, or nested too deeply")
        self.places[key] = Place(self._name, line, key)
        if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
            return self.mapping(node, key)
        if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
            return [
                self._value(item, (*key, index), item.start_mark.line + 1)
                for index, item in enumerate(node.value)
            ]
        return self._scalar(node, key)

    def _scalar(self, node: yaml.Node, key: Key) -> Any:
        text = node.value
        try:
            match node.tag:
                case "tag:yaml.org,2002:str":
                    text.encode()  # a lone surrogate is no text
                    return text
                case "tag:yaml.org,2002:null":
                    return None
                case "tag:yaml.org,2002:bool":
                    return {"true": True, "false": False}[text]
                case "tag:yaml.org,2002:int":
                    return int(text.replace("_", ""))
                case "tag:yaml.org,2002:float":
                    return float(text.replace("_", ""))
        except (KeyError, ValueError):
            raise self._fault(node, f"{name_of(key)}: this value can't be read") from None
        raise self._fault(node, f"{name_of(key)}: the tag {node.tag!r} is not known")

    def _fault(self, node: yaml.Node, text: str) -> ConfigurationFault:
        return ConfigurationFault(f"{self._name}, line {node.start_mark.line + 1}: {text}.")
