"""A small MCP server of the handshake era whose list of tools stands in a file.

`listed_server.py LIST NOTES`. It appends a line to NOTES when it starts. LIST holds a JSON list of
tools. What its tools do follows from their names; `KEY` is a variable that only it and its caller
know, and `HABIT` makes it end at once (`broken`) or never begin (`silent`).
"""

import json
import os
import sys
import time

LIST, NOTES = sys.argv[1:]
KEY, HABIT = os.environ.get("KEY", ""), os.environ.get("HABIT", "")
IMAGE = {"type": "image", "mimeType": "image/png", "data": "AAAA" * 4_115}


def send(id, **answer):
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", "id": id, **answer}) + "\n")
    sys.stdout.flush()


def result_of(name, args):
    if name == "tell_key":
        return {"content": [{"type": "text", "text": f"the key is {KEY}"}]}
    if name == "draw":
        return {"content": [{"type": "text", "text": "a dot\x1b[31m"}, IMAGE]}
    if name == "fail":
        return {"content": [{"type": "text", "text": "no such row"}], "isError": True}
    return {"content": [{"type": "text", "text": f"{name} {json.dumps(args)}"}]}


def main():
    with open(NOTES, "a", encoding="utf-8") as notes:
        notes.write(f"{os.getpid()}\n")
    if HABIT == "broken":
        sys.exit(f"the key {KEY} is not valid")
    if HABIT == "silent":
        time.sleep(600)
    for line in sys.stdin:
        message = json.loads(line)
        id, method, params = message.get("id"), message.get("method"), message.get("params", {})
        if id is None:
            continue
        if method == "initialize":
            send(
                id,
                result={
                    "protocolVersion": params["protocolVersion"],
                    "capabilities": {"tools": {}},
                    "serverInfo": {"name": "listed", "version": "7"},
                },
            )
        elif method == "tools/list":
            with open(LIST, encoding="utf-8") as listed:
                send(id, result={"tools": json.load(listed)})
        elif method == "tools/call":
            send(id, result=result_of(params["name"], params["arguments"]))
        else:
            send(id, error={"code": -32601, "message": f"no {method}"})


if __name__ == "__main__":
    main()
