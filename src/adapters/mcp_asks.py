"""What a server asks for in the middle of a call, put to a host on behalf of whoever calls.

Owns which questions are put, and how many (specification 2025-11-25 and 2026-07-28, "Sampling" and
"Elicitation"). It must not know sessions, processes, or what the host does with a question.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

SAMPLING: Final = "sampling/createMessage"
ELICITATION: Final = "elicitation/create"
ROOTS: Final = "roots/list"

OPEN_MAX: Final = 4
"""How many questions of one call may be open at one time."""
ASKS_MAX: Final = 16
"""How many questions one call may ask in all."""
PARAMS_BYTES_MAX: Final = 1_048_576
"""How long the parameters of one question may be, as JSON."""


class McpRefusal(msgspec.Struct, frozen=True):
    """The host's "no" to a question; the server is told the sentence, where it can be."""

    message: str


Ask = Callable[[Any, dict[str, Any]], Awaitable[dict[str, Any] | McpRefusal]]
"""Answers one question: `(asker, params)` to the `result` that the server gets, or a refusal.

`asker` is what was given to the call, `params` what the server sent: a stranger's data. It is
cancelled when the call is over. What it raises is raised by the call.
"""


class Host(msgspec.Struct, frozen=True):
    """What a client offers to its servers; they are told of no more than is there.

    `sample` asks a model (`CreateMessageResult`), `elicit` asks whoever calls to fill in a form
    (`ElicitResult`); a question that sends them to a URL is declined.
    """

    sample: Ask | None = None
    elicit: Ask | None = None

    def capabilities(self) -> dict[str, Any]:
        """Return what the server is told of it, in the protocol's words."""
        offered = {"sampling": self.sample, "elicitation": self.elicit}
        return {name: {} for name, ask in offered.items() if ask is not None}

    def ask_for(self, method: object) -> Ask | None:
        """Return what answers a method, if it is offered."""
        return {SAMPLING: self.sample, ELICITATION: self.elicit}.get(str(method))


NO_HOST: Final = Host()


class Asks:
    """The questions of one call. `asker` is who is asked and who pays; None refuses them all."""

    def __init__(self, host: Host, asker: Any) -> None:
        self.open = 0
        """How many are open now."""
        self._host = host
        self._asker = asker
        self._count = 0

    async def answer(self, method: str, params: Any) -> dict[str, Any] | McpRefusal:
        """Put one question to the host; a refused elicitation is answered with a decline."""
        answer = await self._put(method, params)
        if isinstance(answer, McpRefusal) and method == ELICITATION:
            return {"action": "decline"}
        return answer

    async def _put(self, method: str, params: Any) -> dict[str, Any] | McpRefusal:
        ask = self._host.ask_for(method)
        if ask is None:
            return McpRefusal(f"{method} is not offered by this client")
        if self._asker is None:
            return McpRefusal("nobody can be asked or charged on behalf of this call")
        if not isinstance(params, dict) or params.get("mode", "form") != "form":
            return McpRefusal(f"this form of {method} is not offered by this client")
        if self.open >= OPEN_MAX or self._count >= ASKS_MAX:
            limits = f"{OPEN_MAX} at a time and {ASKS_MAX} in all"
            return McpRefusal(f"one call may ask for {limits}; this one asks for more")
        if len(msgspec.json.encode(params)) > PARAMS_BYTES_MAX:
            return McpRefusal(f"the parameters have over {PARAMS_BYTES_MAX} bytes")
        self._count += 1
        self.open += 1
        try:
            return await ask(self._asker, params)
        finally:
            self.open -= 1
