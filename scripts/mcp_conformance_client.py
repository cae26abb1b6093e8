#!/usr/bin/env python3
"""The client under test of the conformance suite: what a host of agents does with one server.

Owns the host's part: it calls each tool with arguments that fit its schema, reads each resource,
and fills in a form with its defaults. The suite starts it with the URL of its server, which the
client proper reaches over a bridge; `BRIDGE` names that as JSON: `command`, `args` (where "URL"
stands for the server's) and perhaps `env`.
"""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Mapping
from typing import Any, Final

from scripworld.adapters.mcp_asks import Host
from scripworld.adapters.mcp_outcome import McpAnswer, McpCallError, McpError
from scripworld.adapters.mcp_process import McpServerSpec
from scripworld.adapters.mcp_stdio import McpClient

BRIDGE: Final = "SCRIPWORLD_CONFORMANCE_BRIDGE"
CONTEXT: Final = "MCP_CONFORMANCE_CONTEXT"
ECHO: Final = "json_schema_echo"
"""The tool that wants to get the schema of another tool, as the client has seen it."""

EXAMPLES: Final[Mapping[str, Any]] = {
    "string": "a1",
    "integer": 1,
    "number": 1.5,
    "boolean": True,
    "array": [],
    "null": None,
}


def example(schema: Any, root: Any) -> Any:
    """Return a value that fits a plain schema; nothing is ever fetched for a reference."""
    if not isinstance(schema, dict):
        return EXAMPLES["string"]
    for keyword in ("const", "default"):
        if keyword in schema:
            return schema[keyword]
    if "enum" in schema:
        return schema["enum"][0]
    reference = schema.get("$ref", "")
    if reference.startswith("#/"):
        target = root
        for step in reference[2:].split("/"):
            target = target[step]
        return example(target, root)
    if schema.get("type", "object") == "object":
        properties = schema.get("properties", {})
        return {name: example(properties.get(name), root) for name in schema.get("required", ())}
    return schema.get("minimum", EXAMPLES[schema["type"]])


def calls(tools: list[dict[str, Any]], context: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return which tools to call, and with what: as the scenario says, else each tool once."""
    if "toolCalls" in context:
        return [(call["name"], call["arguments"]) for call in context["toolCalls"]]
    planned = []
    for tool in tools:
        schema = tool.get("inputSchema", {})
        arguments = example(schema, schema)
        if tool["name"] == ECHO:
            arguments = {"schema": tools[0]["inputSchema"]}
        planned.append((tool["name"], arguments))
    return planned


async def fill_in(asker: Any, question: dict[str, Any]) -> dict[str, Any]:
    """Accept a form with its defaults, and an example where there is none (`ElicitResult`)."""
    schema = question["requestedSchema"]
    content = {name: example(field, schema) for name, field in schema["properties"].items()}
    return {"action": "accept", "content": content}


async def said(what: str, request: Awaitable[McpAnswer]) -> None:
    """Print what a request came to; for a host, an error of the server's is an answer, too."""
    try:
        print(what, json.dumps((await request).result))
    except McpCallError as error:
        print(what, error)


async def use(spec: McpServerSpec, context: Mapping[str, Any]) -> None:
    """Use one server as a host of agents would.

    Raises:
        McpError: the server could not be used.
    """
    client = McpClient(spec, Host(elicit=fill_in))
    try:
        for name, arguments in calls(await client.list_tools(), context):
            await said(name, client.call_tool(name, arguments, asker="agent"))
        if "resources" in client.capabilities:
            for resource in (await client.list_resources()).result["resources"]:
                await said(resource["uri"], client.read_resource(resource["uri"]))
        if "prompts" in client.capabilities:
            for prompt in (await client.list_prompts()).result["prompts"]:
                await said(prompt["name"], client.get_prompt(prompt["name"], {}))
    finally:
        await client.close()


def main() -> None:
    bridge = json.loads(os.environ[BRIDGE])
    spec = McpServerSpec(
        "conformance",
        bridge["command"],
        tuple(sys.argv[1] if word == "URL" else word for word in bridge["args"]),
        env=bridge.get("env", {}),
        start_timeout_s=20.0,
        call_timeout_s=10.0,
        call_timeout_max_s=20.0,
    )
    try:
        asyncio.run(use(spec, json.loads(os.environ.get(CONTEXT, "{}"))))
    except McpError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
