"""Owns write, edit, delete and read: what a principal does to an artifact itself."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

from .access import FREE, Access, Allowed, Asks
from .actions import Contract, Delete, Edit, Read, Tool, Write
from .answers import Answer, Code, Done, Failed, Refused
from .artifact import ID_GRAMMAR, Artifact, bound, is_id
from .artifacts import no_room
from .config import STORED_BYTES, ArtifactSpec, Limits
from .contracts import CODE, CONTRACTS, DELETE, EDIT, READ, WRITE, fault_of, payee_of
from .door import sentence
from .facts import (
    Allocated,
    ArtifactDeleted,
    ArtifactWritten,
    ContentReplaced,
    ScripTransferred,
)
from .ports import Checked, CodeRunner
from .records import BlobRef
from .schemas import ResultValidator, SchemaError, Validator
from .transaction import Price, Transaction


class Changes:
    """The four actions that need no frame.

    Each asks the contract, unless its answer is ``allowed`` already. One that has to wait for a
    person's approval is otherwise possible, did nothing, and answers what the contract ``Asks``.
    """

    __slots__ = ("_access", "_artifacts", "_code", "_limits", "_prices", "_tx")

    def __init__(
        self,
        tx: Transaction,
        limits: Limits,
        prices: Mapping[str, Price],
        code: CodeRunner,
        access: Access,
    ) -> None:
        self._tx = tx
        self._access = access
        self._artifacts = tx.state.artifacts.by_id
        self._limits = limits
        self._prices = prices
        self._code = code

    def missing(self, id: str) -> Refused:
        """The refusal for an id that is not there; names what is nearest."""
        artifacts = self._tx.state.artifacts
        if id in artifacts.gone:
            return Refused(Code.NOT_FOUND, f"{id!r} was deleted; its id is not used again")
        near = get_close_matches(id[: self._limits.id_chars_max], self._candidates(id), 1)
        hint = f"did you mean {near[0]!r}?" if near else "genesis_store search finds artifacts"
        return Refused(Code.NOT_FOUND, f"there is no artifact {id[:80]!r}: {hint}")

    def read(self, caller: str, action: Read, allowed: Allowed | None = None) -> Answer | Asks:
        """Answer the content; what a priced contract asks is paid in the same step."""
        artifact = self._artifacts.get(action.id)
        if artifact is None:
            return self.missing(action.id)
        may = allowed or self._access.may(caller, artifact, READ)
        if not isinstance(may, Allowed):
            return may
        price = self._prices["read"]
        no = self._tx.afford(caller, may.price_scrip, price)
        if no is not None:
            return no
        if type(may) is Asks:
            return may
        self._tx.charge(price)
        if may.price_scrip:
            self._pay(caller, artifact, may)
        return Done(artifact.content)

    def write(self, caller: str, action: Write, allowed: Allowed | None = None) -> Answer | Asks:
        """Make an artifact or replace one."""
        artifacts = self._tx.state.artifacts
        before = artifacts.by_id.get(action.id)
        no = self._fault_of_write(caller, action, before)
        if no is not None:
            return no
        may: Allowed | Refused = allowed or FREE
        if before is not None and allowed is None:
            may = self._access.may(caller, before, WRITE)
        if not isinstance(may, Allowed):
            return may
        price = self._prices["write"]
        no = self._tx.afford(caller, may.price_scrip, price)
        if no is not None:
            return no
        stored_for = artifacts.principal_of(caller)
        owner = stored_for if before is None else before.owner
        old = before or Artifact(
            action.id, owner, "text", "", "", Contract(), (), False, False, owner, 0, 0
        )
        kind = old.type if action.type is None else action.type
        description = old.description if action.description is None else action.description
        interface = _interface(action, before, kind)
        size = self._size(action.content) + len(description.encode())
        room = self._room(stored_for, before, size)
        if room is not None:
            return room
        if old.encumbered_by:
            return Refused(Code.ENCUMBERED, bound(old))
        if type(may) is Asks:
            return may
        self._tx.charge(price)
        if may.price_scrip:
            self._pay(caller, old, may)
        self._store(stored_for, before, size)
        self._tx.note(
            ArtifactWritten(
                action.id,
                owner,
                kind,
                description,
                action.content,
                old.contract if action.contract is None else action.contract,
                interface,
                old.standing,
                old.loop,
                stored_for,
                size,
            )
        )
        return Done(None)

    def edit(self, caller: str, action: Edit, allowed: Allowed | None = None) -> Answer | Asks:
        """Replace one piece of text by another; what is replaced occurs exactly once."""
        artifact = self._artifacts.get(action.id)
        if artifact is None:
            return self.missing(action.id)
        may = allowed or self._access.may(caller, artifact, EDIT)
        if not isinstance(may, Allowed):
            return may
        price = self._prices["edit"]
        no = self._tx.afford(caller, may.price_scrip, price)
        if no is not None:
            return no
        if artifact.encumbered_by:
            return Refused(Code.ENCUMBERED, bound(artifact))
        if type(may) is Asks:
            return may
        text = self.text(artifact.content)
        first = text.find(action.old) if action.old else -1
        if first < 0 or text.find(action.old, first + 1) >= 0:
            self._tx.charge(price)
            how = "is not" if first < 0 else "occurs more than once"
            detail = f"the text to replace {how} in {artifact.id}: it must be there exactly once"
            return Failed(Code.EDIT_MISMATCH, detail)
        text = text.replace(action.old, action.new)
        size = len(text.encode()) + len(artifact.description.encode())
        if size > self._limits.content_bytes_max:
            return self._too_large()
        fault = self._check_code(text) if artifact.type == CODE else None
        if fault is not None:
            return Refused(Code.DEFINITION_INVALID, fault)
        stored_for = self._tx.state.artifacts.principal_of(caller)
        room = self._room(stored_for, artifact, size)
        if room is not None:
            return room
        self._tx.charge(price)
        if may.price_scrip:
            self._pay(caller, artifact, may)
        self._store(stored_for, artifact, size)
        content = self._tx.keep(text)
        self._tx.note(ContentReplaced(artifact.id, content, stored_for, size))
        return Done(None)

    def delete(self, caller: str, action: Delete, allowed: Allowed | None = None) -> Answer | Asks:
        """Delete an artifact that is nobody's holder of anything."""
        artifact = self._artifacts.get(action.id)
        if artifact is None:
            return self.missing(action.id)
        may = allowed or self._access.may(caller, artifact, DELETE)
        if not isinstance(may, Allowed):
            return may
        price = self._prices["delete"]
        no = self._tx.afford(caller, may.price_scrip, price)
        if no is not None:
            return no
        if artifact.encumbered_by:
            return Refused(Code.ENCUMBERED, bound(artifact))
        if type(may) is Asks:
            return may
        self._tx.charge(price)
        if artifact.standing or artifact.type == "genesis":
            detail = f"{artifact.id} is a principal or a genesis artifact: those stay"
            return Failed(Code.NOT_DELETABLE, detail)
        if may.price_scrip:
            self._pay(caller, artifact, may)
        self._store(artifact.stored_for, artifact, 0)
        self._tx.note(ArtifactDeleted(artifact.id))
        return Done(None)

    def text(self, content: str | BlobRef) -> str:
        """Content as text, wherever it is kept."""
        text = self._tx.value(content)
        assert isinstance(text, str)
        return text

    def _pay(self, caller: str, artifact: Artifact, may: Allowed) -> None:
        payee = may.payee or payee_of(artifact)
        self._tx.note(ScripTransferred(caller, payee, may.price_scrip))

    def _fault_of_write(
        self, caller: str, action: Write, before: Artifact | None
    ) -> Refused | None:
        limits = self._limits
        if before is None:
            if action.id in self._tx.state.artifacts.gone:
                detail = f"{action.id!r} was deleted; its id is not used again: take another"
                return Refused(Code.ID_TAKEN, detail)
            if not is_id(action.id, limits.id_chars_max):
                detail = f"an id is {ID_GRAMMAR}, at most {limits.id_chars_max} characters"
                return Refused(Code.ID_INVALID, detail)
            if action.id in CONTRACTS:
                detail = f"{action.id!r} is the name of a contract: take another id"
                return Refused(Code.ID_TAKEN, detail)
        fault = self._fault_of_definition(action, before)
        if fault is not None:
            return Refused(Code.DEFINITION_INVALID, fault)
        if before is not None and caller != before.owner and _changes_more(action):
            detail = f"only {before.owner}, its owner, changes more than the content of {before.id}"
            return Refused(Code.PERMISSION_DENIED, detail)
        return None

    def _fault_of_definition(self, action: Write, before: Artifact | None) -> str | None:
        limits = self._limits
        if len(action.description or "") > limits.description_chars_max:
            return f"a description has at most {limits.description_chars_max} characters"
        old_type = "text" if before is None else before.type
        new_type = old_type if action.type is None else action.type
        standing = before is not None and before.standing
        reserved = "genesis" in (old_type, new_type) or (new_type == "principal" and not standing)
        if new_type != old_type and reserved:
            return f"an artifact of type {old_type} cannot become one of type {new_type}"
        if not is_id(new_type, limits.id_chars_max):
            return f"a type is {ID_GRAMMAR}"
        if action.contract is not None:
            there: Mapping[str, Artifact] | Mapping[str, ArtifactSpec] = self._artifacts
            if action.contract.id == action.id:  # it counts as what this write makes of it
                interface = _interface(action, before, new_type)
                spec = ArtifactSpec(action.id, "", type=new_type, interface=interface)
                there = {action.id: spec}
            fault = fault_of(action.contract, limits, there, self._candidates)
            if fault is not None:
                return fault
        if action.interface and new_type != CODE:
            return "only an artifact of type code has an interface of its own"
        if new_type == CODE:
            fault = self._check_code(self.text(action.content))
            if fault is not None:
                return fault
        return fault_of_interface(action.interface or (), limits)

    def _check_code(self, text: str) -> str | None:
        return fault_of_code(self._tx, self._code, text)

    def _too_large(self) -> Refused:
        detail = f"content has at most {self._limits.content_bytes_max} bytes"
        return Refused(Code.CONTENT_TOO_LARGE, detail)

    def _size(self, content: str | BlobRef) -> int:
        return len(self.text(content).encode())

    def _room(self, who: str, before: Artifact | None, size: int) -> Refused | None:
        freed = before.stored_bytes if before is not None and before.stored_for == who else 0
        left = self._tx.state.resources.remaining(who, STORED_BYTES, self._tx.state.now_us)
        if size <= left + freed:
            return None
        return Refused(Code.QUOTA_EXCEEDED, no_room(who, size, left + freed))

    def _store(self, who: str, before: Artifact | None, size: int) -> None:
        note = self._tx.note
        if before is not None and before.stored_for == who:
            if size != before.stored_bytes:
                note(Allocated(who, STORED_BYTES, size - before.stored_bytes))
            return
        if before is not None and before.stored_bytes:
            note(Allocated(before.stored_for, STORED_BYTES, -before.stored_bytes))
        if size:
            note(Allocated(who, STORED_BYTES, size))

    def _candidates(self, id: str) -> list[str]:
        catalog = self._tx.state.artifacts.catalog
        return catalog.page("all", id[:1], 100) + catalog.page("all", id[:3], 100)


def fault_of_code(tx: Transaction, code: CodeRunner, text: str) -> str | None:
    """Why code cannot run, or None; what its runner says is noted for the record."""
    fault = code.check(text)
    fault = None if fault is None else sentence(fault)
    tx.outcomes.append(Checked(fault))
    return fault


def fault_of_interface(interface: tuple[Tool, ...], limits: Limits) -> str | None:
    """What is wrong with an interface, or None."""
    if len(interface) > limits.tools_max:
        return f"an interface has at most {limits.tools_max} methods"
    names = [tool.name for tool in interface]
    if len(set(names)) < len(names):
        return "the methods of an interface have different names"
    for tool in interface:
        try:
            Validator(tool.input_schema, limits)
            if tool.output_schema is not None:
                ResultValidator(tool.output_schema, limits)
        except SchemaError as error:
            return f"the schema of {tool.name[:80]!r}: {error}"
    return None


def _interface(action: Write, before: Artifact | None, type: str) -> tuple[Tool, ...]:
    """The interface that an artifact has after a write that leaves it with a type."""
    if action.interface is not None:
        return action.interface
    return before.interface if before is not None and before.type == type else ()


def _changes_more(action: Write) -> bool:
    return (action.description, action.type, action.contract, action.interface) != (None,) * 4
