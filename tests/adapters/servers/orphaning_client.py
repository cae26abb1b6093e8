"""Start a stubborn server with a grandchild, print all process ids, and wait to be killed."""

import asyncio
import os
import sys

from scripworld.adapters.mcp_process import McpServerSpec
from scripworld.adapters.mcp_stdio import McpClient


async def main(server: str) -> None:
    spec = McpServerSpec("stubborn", sys.executable, (server, "stubborn"), grace_s=0.2)
    client = McpClient(spec)
    answer = await client.call_tool("grandchild", {})
    print(os.getpid(), client.pid, answer.result["content"][0]["text"], flush=True)
    await asyncio.sleep(600)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
