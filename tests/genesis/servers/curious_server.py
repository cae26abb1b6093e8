"""A small MCP server of the handshake era that asks while it answers: a model, or whoever calls.

`think` asks a model and tells its words, `confirm` asks a person. Anything refused is told.
"""

import json
import sys

TOOLS = [
    {"name": name, "inputSchema": {"type": "object", "properties": {"about": {"type": "string"}}}}
    for name in ("think", "confirm")
]


def send(message):
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def heard(id):
    """The answer to a request of ours; nothing else comes in between, because one call is made."""
    for line in sys.stdin:
        message = json.loads(line)
        if message.get("id") == id and "method" not in message:
            return message
    raise SystemExit


def asked(method, params):
    send({"id": f"{method}-1", "method": method, "params": params})
    answer = heard(f"{method}-1")
    if "error" in answer:
        return f"refused: {answer['error']['message']}"
    result = answer["result"]
    return json.dumps(result.get("content", result.get("action")), sort_keys=True)


def call(name, about):
    if name == "think":
        content = {"type": "text", "text": about}
        params = {"messages": [{"role": "user", "content": content}], "maxTokens": 50}
        return asked("sampling/createMessage", params)
    schema = {"type": "object", "properties": {"sure": {"type": "boolean"}}}
    return asked("elicitation/create", {"message": about, "requestedSchema": schema})


def main():
    for line in sys.stdin:
        message = json.loads(line)
        method, id = message.get("method"), message.get("id")
        if id is None:
            continue
        if method == "initialize":
            result = {
                "protocolVersion": "2025-06-18",
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "curious", "version": "1"},
            }
        elif method == "tools/list":
            result = {"tools": TOOLS}
        elif method == "tools/call":
            params = message["params"]
            text = call(params["name"], params["arguments"].get("about", ""))
            result = {"content": [{"type": "text", "text": text}]}
        else:
            send({"id": id, "error": {"code": -32601, "message": f"no {method}"}})
            continue
        send({"id": id, "result": result})


main()
