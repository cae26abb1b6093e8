"""A server of the modern era, made with the official SDK, whose tools ask for input first."""

import time

from mcp.server.mcpserver import Context, MCPServer
from mcp_types import (
    CreateMessageRequest,
    CreateMessageRequestParams,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequest,
    InputRequiredResult,
    ListRootsRequest,
    ListRootsResult,
)

server = MCPServer("asking")


def question() -> InputRequest:
    params = ElicitRequestFormParams(
        message="Which?", requested_schema={"type": "object", "properties": {}}
    )
    return ElicitRequest(params=params)


@server.tool()
def confirm(context: Context) -> str | InputRequiredResult:
    """Ask a human and for the roots, then tell what came."""
    if context.input_responses is None:
        asked: dict[str, InputRequest] = {"human": question(), "roots": ListRootsRequest()}
        return InputRequiredResult(input_requests=asked, request_state="first round")
    human, roots = context.input_responses["human"], context.input_responses["roots"]
    assert isinstance(human, ElicitResult)
    assert isinstance(roots, ListRootsResult)
    uris = [str(root.uri) for root in roots.roots]
    return f"{human.action} {uris} {context.request_state}"


@server.tool()
def patience(context: Context) -> str | InputRequiredResult:
    """Want three rounds, and nothing but the state back."""
    rounds = int(context.request_state or 0)
    if rounds < 3:
        return InputRequiredResult(request_state=str(rounds + 1))
    return f"{rounds} rounds"


@server.tool()
def endless(pause_s: float) -> str | InputRequiredResult:
    """Never have enough."""
    time.sleep(pause_s)
    return InputRequiredResult(input_requests={"human": question()})


@server.tool()
def sample() -> str | InputRequiredResult:
    """Ask for what this client never offers."""
    params = CreateMessageRequestParams(messages=[], max_tokens=1)
    return InputRequiredResult(input_requests={"model": CreateMessageRequest(params=params)})


if __name__ == "__main__":
    server.run()
