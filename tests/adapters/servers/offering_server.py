"""A server of the modern era, made with the official SDK, that offers and asks for everything."""

from mcp.server.mcpserver import Context, MCPServer
from mcp_types import (
    CreateMessageRequest,
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequest,
    InputRequiredResult,
    SamplingMessage,
    TextContent,
)

server = MCPServer("offering")


@server.resource("memo://first")
def first() -> str:
    """Tell the first thing."""
    return "the first memo"


@server.resource("memo://{name}/text")
def memo(name: str) -> str:
    """Tell any thing."""
    return f"the memo {name}"


@server.prompt()
def greet(who: str) -> str:
    """Ask for a greeting."""
    return f"Greet {who}."


def extra() -> str:
    return "more"


@server.tool()
async def grow(context: Context) -> str:
    """Have one more tool, and say so."""
    server.add_tool(extra)
    await context.notify_tools_changed()
    return "grown"


@server.tool()
def write(context: Context) -> str | InputRequiredResult:
    """Ask for a name and for a sentence with it."""
    given = context.input_responses
    if given is None:
        form = ElicitRequestFormParams(
            message="Who?",
            requested_schema={"type": "object", "properties": {"name": {"type": "string"}}},
        )
        return InputRequiredResult(input_requests={"who": ElicitRequest(params=form)})
    who = given.get("who")
    if isinstance(who, ElicitResult):
        content = TextContent(type="text", text=f"A line on {(who.content or {})['name']}")
        message = SamplingMessage(role="user", content=content)
        params = CreateMessageRequestParams(messages=[message], max_tokens=9)
        asked: dict[str, InputRequest] = {"line": CreateMessageRequest(params=params)}
        return InputRequiredResult(input_requests=asked)
    line = given["line"]
    assert isinstance(line, CreateMessageResult)
    assert isinstance(line.content, TextContent)
    return f"{line.model}: {line.content.text}"


if __name__ == "__main__":
    server.run()
