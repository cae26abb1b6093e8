"""Owns what becomes of a tool server's questions: a model's completion, a person's answer, or a refusal.

A question is an action of the world, taken for the principal whose call is under way: it pays. Where
the world has no model, or nobody who answers, the server is refused at once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import Any, Final

from ..adapters.mcp_asks import Host, McpRefusal
from ..world import Answer, Done, EffectRequest, Failed, Invoke, Refused

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


def _tokens(asked: Any) -> int:
    return asked if isinstance(asked, int) and asked > 0 else TOKENS_MAX


def _why(answer: Answer) -> str:
    if isinstance(answer, Refused | Failed):
        return f"{answer.code.name}: {answer.detail}"
    return "what was answered is no answer to this"
