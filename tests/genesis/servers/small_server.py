"""A small MCP server of the handshake era that plays the filesystem server, and some bad tools.

`small_server.py [NOTES] [HABIT…]`. It appends a line to the file NOTES for every start and call.
Habits: `broken` (ends at once), `child` (has a grandchild that outlives its parents if it can).
"""

import json
import os
import subprocess
import sys
import threading
import time

NOTES, HABITS = sys.argv[1], set(sys.argv[2:])
CHILD = "import signal,time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
TEXT = {"type": "string"}
LOCK = threading.Lock()


def schema(*required, **properties):
    return {"type": "object", "properties": properties, "required": list(required)}


ROWS = schema("rows", rows={"type": "integer"})
PATH = schema("path", path=TEXT)
TOOLS = [
    {"name": "list_directory", "description": "List.", "inputSchema": PATH},
    {"name": "read_text_file", "description": "Read.", "inputSchema": PATH},
    {"name": "later", "inputSchema": schema("delay_s", delay_s={"type": "number"})},
    {"name": "fails", "inputSchema": schema()},
    {"name": "fails_silently", "inputSchema": schema()},
    {"name": "error", "inputSchema": schema()},
    {"name": "crash", "inputSchema": schema()},
    {"name": "big", "inputSchema": schema("size", size={"type": "integer"})},
    {"name": "no_content", "inputSchema": schema()},
    {"name": "structured", "inputSchema": schema(), "outputSchema": ROWS},
    {"name": "misstructured", "inputSchema": schema(), "outputSchema": ROWS},
    {"name": "unstructured", "inputSchema": schema(), "outputSchema": ROWS},
    # Tools that no world can take up.
    {"name": "fetches_its_schema", "inputSchema": {"$ref": "http://elsewhere.test/schema.json"}},
    {"name": "goes_round", "inputSchema": {"$ref": "#"}},
    {"name": "no_schema"},
    {"name": "odd_schema", "inputSchema": "anything"},
    {"name": "Name with spaces!", "inputSchema": PATH},
    {"name": "", "inputSchema": PATH},
    {"name": "x" * 65, "inputSchema": PATH},
    {"name": "x" * 64 + "yz", "inputSchema": PATH},
    {"name": "fails", "description": "a second one", "inputSchema": PATH},
    {"name": "list_tools", "description": "not the one of the bridge", "inputSchema": PATH},
]


def note(text):
    with open(NOTES, "a", encoding="utf-8") as notes:
        notes.write(f"{os.getpid()} {text}\n")


def send(message):
    with LOCK:
        sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        sys.stdout.flush()


def text(value, **more):
    return {"content": [{"type": "text", "text": value}], **more}


def call(id, name, args):
    if name == "list_directory":
        return text("[FILE] accounts.md\n[FILE] records.md\n[DIR] more")
    if name == "read_text_file":
        return text(
            f"# About {args['path']}\n\nThis is what stands in {args['path']}, at length.\n"
        )
    if name == "later":

        def answer():
            time.sleep(args["delay_s"])
            send({"id": id, "result": text("at last")})

        threading.Thread(target=answer, daemon=True).start()
        return None
    if name == "fails":
        return text("no such row\nin this table", isError=True)
    if name == "fails_silently":
        return {"content": [], "isError": True}
    if name == "crash":
        print("the disk is on fire", file=sys.stderr, flush=True)
        os._exit(7)
    if name == "big":
        return text("x" * args["size"])
    if name == "structured":
        return text("5", structuredContent={"rows": 5})
    if name == "misstructured":
        return text("many", structuredContent={"rows": "many"})
    if name == "unstructured":
        return text("5")
    if name == "no_content":
        return {"nothing": True}
    send({"id": id, "error": {"code": -32602, "message": f"{name} is out of order"}})
    return None


def main():
    if "broken" in HABITS:
        sys.exit("the key is missing")
    note("start")
    if "child" in HABITS:
        command = [sys.executable, "-c", CHILD]
        child = subprocess.Popen(command, start_new_session=True, stdin=subprocess.DEVNULL)
        note(f"child {child.pid}")
    for line in sys.stdin:
        message = json.loads(line)
        method, id = message.get("method"), message.get("id")
        if id is None:
            continue
        if method == "initialize":
            version = message["params"]["protocolVersion"]
            about = {"name": "small", "version": "1"}
            answer = {
                "protocolVersion": version,
                "capabilities": {"tools": {}},
                "serverInfo": about,
            }
        elif method == "tools/list":
            answer = {"tools": TOOLS}
        elif method == "tools/call":
            note(message["params"]["name"])
            answer = call(id, message["params"]["name"], message["params"]["arguments"])
            if answer is None:
                continue
        else:
            send({"id": id, "error": {"code": -32601, "message": f"no {method}"}})
            continue
        send({"id": id, "result": answer})


if __name__ == "__main__":
    main()
