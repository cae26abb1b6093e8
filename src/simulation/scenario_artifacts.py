"""Owns the artifacts of a scenario: how they are written there, their code from files, their methods.

Whether the kernel can begin with them is the kernel's to say; here is told in which line it stands.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from pydantic import Field

from ..world import ArtifactFault, ArtifactSpec, Contract, Tool
from .config_model import Count, Model, Text, Texts
from .settings import Fault, nearest, shown

_TOOL_KEYS: Final = tuple(field.encode_name for field in msgspec.structs.fields(Tool))


class ContractEntry(Model):
    """The access policy of an artifact."""

    id: Text = Field(description="Name of the contract.")
    price_scrip: Count = Field(default=0, description="Price under `pay_per_use`.")
    members: Texts = Field(default=(), description="Whom `members` admits.")


class ArtifactEntry(Model):
    """An artifact that is there at the beginning."""

    id: Text = Field(description="Its id.")
    owner: Text = Field(description="Id of the principal that owns it.")
    content: str = Field(default="", description="Its content.")
    content_file: Annotated[Path, Field(strict=False)] | None = Field(
        default=None,
        description="File that holds its content instead; from the scenario's own folder.",
    )
    type: Text = Field(default="text", description="What its content is; `code` can be invoked.")
    description: str = Field(default="", description="What it is, for a search.")
    contract: ContractEntry = Field(
        default=ContractEntry(id="private"), description="Who may do what to it."
    )
    interface: tuple[dict[str, Any], ...] = Field(
        default=(),
        strict=False,
        description="The methods of one of type `code`, each a tool as MCP has them: `name`, "
        "`description`, `inputSchema`, `outputSchema`.",
    )

    def within(self, folder: Path) -> ArtifactEntry:
        """Return it with its file found from a folder."""
        if self.content_file is None:
            return self
        return self.model_copy(update={"content_file": (folder / self.content_file).resolve()})

    def faults(self, contracts: Collection[str]) -> Iterator[Fault]:
        """Yield what the kernel could not be given, each with its key in the entry.

        Args:
            contracts: ids that a contract can have: those built in, and of the scenario's artifacts.
        """
        id = self.contract.id
        if id not in contracts:
            yield ("contract", "id"), f"there is no contract {id!r}{nearest(id, contracts)}"
        try:
            self._text()
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "it is not text in UTF-8"
            assert self.content_file is not None, self
            yield ("content_file",), f"{shown(self.content_file)} can't be read: {why}"
        if self.content and self.content_file is not None:
            yield ("content_file",), "content is given as well: leave out one of them"
        for index, tool in enumerate(self.interface):
            for key in tool:
                if key not in _TOOL_KEYS:
                    told = f"unknown key {key!r}{nearest(str(key), _TOOL_KEYS)}"
                    yield ("interface", index), told
            try:
                msgspec.convert(tool, Tool)
            except msgspec.ValidationError as error:
                yield ("interface", index), f"this is no method: {error}"

    def spec(self) -> ArtifactSpec:
        """Return it as the kernel takes it; what has faults has none."""
        contract = Contract(self.contract.id, self.contract.price_scrip, self.contract.members)
        tools = msgspec.convert(self.interface, tuple[Tool, ...])
        return ArtifactSpec(
            self.id, self.owner, self._text(), self.type, self.description, contract, tools
        )

    def told(self, fault: ArtifactFault) -> Fault:
        """Return where in the entry the kernel's fault stands; of a file's, also the line there."""
        if fault.field == "content" and self.content_file is not None:
            return ("content_file",), f"{shown(self.content_file)}, {fault.reason}"
        return (fault.field,), fault.reason

    def _text(self) -> str:
        if self.content_file is None:
            return self.content
        return self.content_file.read_text(encoding="utf-8")
