"""Owns what becomes of questions to a model or a person: those of tool servers, and of contracts.

A question is an action of the world, taken for the principal whose call is under way: it pays. Where
the world has no model, or nobody who answers, it is refused at once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import Any, Final

from ..adapters.mcp_asks import Host, McpRefusal
from ..world import Answer, Done, EffectRequest, EffectResult, Failed, Invoke, Refused

MODEL: Final = "genesis_model"
HUMAN: Final = "genesis_human"
TOKENS_MAX: Final = 4_096
Taken = Callable[[EffectRequest, Invoke], Awaitable[Answer]]
"""Takes an action for the principal of an effect, and tells its final answer."""


def host_of(artifacts: Collection[str], taken: Taken) -> Host:
    """What a world with these artifacts offers to its tool servers.

    A model answers ``complete(messages, system?, max_tokens)`` with ``{"text", "model"}``; a person
    answers ``ask(question, schema?, from)`` with an object that fits the schema.
    """

    async def sample(asker: Any, params: dict[str, Any]) -> dict[str, Any] | McpRefusal:
        args: dict[str, Any] = {
            "messages": params.get("messages", []),
            "max_tokens": min(_tokens(params.get("maxTokens")), TOKENS_MAX),
        }
        if isinstance(params.get("systemPrompt"), str):
            args["system"] = params["systemPrompt"]
        answer = await taken(asker, Invoke(MODEL, "complete", args))
        if not isinstance(answer, Done) or not isinstance(answer.result, dict):
            return McpRefusal(_why(answer))
        return {
            "role": "assistant",
            "content": {"type": "text", "text": str(answer.result.get("text", ""))},
            "model": str(answer.result.get("model", MODEL)),
            "stopReason": "endTurn",
        }

    async def elicit(asker: Any, params: dict[str, Any]) -> dict[str, Any] | McpRefusal:
        args = {"question": str(params.get("message", "")), "from": asker.artifact}
        if isinstance(params.get("requestedSchema"), dict):
            args["schema"] = params["requestedSchema"]
        answer = await taken(asker, Invoke(HUMAN, "ask", args))
        if not isinstance(answer, Done) or not isinstance(answer.result, dict):
            return McpRefusal(_why(answer))
        return {"action": "accept", "content": answer.result}

    return Host(
        sample if MODEL in artifacts else None,
        elicit if HUMAN in artifacts else None,
    )


class Approver:
    """The performer of approvals: asks a person whether an action may be."""

    patience_s = 0.0

    def __init__(self, artifacts: Collection[str], taken: Taken) -> None:
        """Nobody is asked yet.

        Args:
            artifacts: of the world. taken: takes what asks the person.
        """
        self._is_anybody_there = HUMAN in artifacts
        self._taken = taken

    async def perform(self, request: EffectRequest) -> EffectResult:
        """Ask, and tell what was answered; whatever is no yes is a no."""
        if not self._is_anybody_there:
            return _decided(False, "nobody is there to approve it")
        asked: Any = request.payload
        told = f": {asked['contract_says']}" if asked["contract_says"] else ""
        carried, size = asked["asks_for"], asked["size_bytes"]
        with_what = f"It carries {size} bytes, which begin: {carried} " if size else ""
        method = f" {asked['method']}" if asked["method"] else ""
        question = (
            f"May {asked['caller']} {asked['action']} {asked['artifact']}{method}? "
            f"{with_what}Its contract {asked['contract']} asks{told}"
        )
        args = {"question": question, "from": request.artifact, "schema": _DECISION}
        answer = await self._taken(request, Invoke(HUMAN, "ask", args))
        if not isinstance(answer, Done) or not isinstance(answer.result, dict):
            return _decided(False, _why(answer))
        return _decided(answer.result.get("approved") is True, answer.result.get("reason"))

    async def close(self) -> None:
        """Nothing was started."""


_DECISION: Final = {
    "type": "object",
    "properties": {"approved": {"type": "boolean"}, "reason": {"type": "string"}},
    "required": ["approved"],
}


def _decided(is_approved: bool, reason: Any) -> EffectResult:
    return EffectResult({"approved": is_approved, "reason": str(reason or "")})


def _tokens(asked: Any) -> int:
    return asked if isinstance(asked, int) and asked > 0 else TOKENS_MAX


def _why(answer: Answer) -> str:
    if isinstance(answer, Refused | Failed):
        return f"{answer.code.name}: {answer.detail}"
    return "what was answered is no answer to this"
