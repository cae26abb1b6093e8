"""A server made with the official SDK, which speaks the newest protocol and the older ones."""

from mcp.server.mcpserver import MCPServer

server = MCPServer("sdk")


@server.tool()
def add(a: int, b: int) -> int:
    """Add two integers."""
    return a + b


@server.tool()
def fail() -> str:
    """Fail, always."""
    raise ValueError("this tool always fails")


if __name__ == "__main__":
    server.run()
