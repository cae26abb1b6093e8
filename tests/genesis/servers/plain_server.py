"""A small MCP server of the handshake era whose list of tools and brand of trouble are told to it.

`plain_server.py FOLDER [WORD…]`. FOLDER/tools.json holds its list of tools, read whenever it is
asked for; a line of JSON goes to FOLDER/notes for each start, call and end. What a tool does follows
from its name, see `Tools`; one of another name answers with its arguments. `KEY` is a variable that
only this server and whoever configured it know. With FOLDER/broken it ends before it has begun.
"""

import json
import os
import sys
import threading
import time
from pathlib import Path

FOLDER = Path(sys.argv[1])
KEY = os.environ.get("KEY", "")
ME = os.urandom(4).hex()  # in a sandbox, every server has the same process id
LOCK = threading.Lock()


def note(**what):
    with open(FOLDER / "notes", "a", encoding="utf-8") as notes:
        notes.write(json.dumps({"process": ME, **what}) + "\n")


def send(**message):
    with LOCK:
        sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        sys.stdout.flush()


def text(value, **more):
    return {"content": [{"type": "text", "text": value}], **more}


class Failure(Exception):
    """Answered as an error of JSON-RPC."""


class Tools:
    """What the tools do. One that returns nothing answers later, or never.

    Some tell the key just where a client would cut a long text, so that a half of it might stay.
    """

    def place(self, id):
        """Where it runs, with what."""
        return text(json.dumps({"cwd": os.getcwd(), "args": sys.argv[1:], "env": dict(os.environ)}))

    def announce(self, id):
        """Say that the list has changed, right behind the answer."""
        send(id=id, result=text("announced"))
        send(method="notifications/tools/list_changed")

    def burn(self, id, cpu_ms):
        end_s = time.process_time() + cpu_ms / 1_000
        while time.process_time() < end_s:
            pass
        return text("burnt")

    def later(self, id, delay_s):
        def answer():
            time.sleep(delay_s)
            send(id=id, result=text(ME))

        threading.Thread(target=answer, daemon=True).start()

    def hang(self, id):
        """Never answer, as long as FOLDER/hang is there."""
        return None if (FOLDER / "hang").exists() else text("at last")

    def crash(self, id):
        os._exit(7)

    def fail(self, id):
        return text("no such row", isError=True)

    def error(self, id):
        raise Failure("out of order")

    def deep(self, id, levels):
        return text("deep", structuredContent=json.loads('{"a":' * levels + "0" + "}" * levels))

    def tell(self, id):
        return text(f"the key is {KEY}, yes {KEY}")

    def tell_as_json(self, id):
        return text(json.dumps({"env": {"KEY": KEY}}))

    def tell_nested(self, id):
        deep = [[{"inside": [KEY, {KEY: [KEY]}]}], {f"the {KEY}": 1}]
        return {
            "content": [
                {"type": "resource", "resource": {"uri": f"x:{KEY}", "text": KEY}, "more": deep}
            ]
        }

    def tell_asking(self, id):
        """Tell it to a model and to a person; each answers before anything else is said."""
        words = {"role": "user", "content": {"type": "text", "text": KEY}}
        for method, params in {
            "sampling/createMessage": {"messages": [words], "systemPrompt": KEY, "maxTokens": 9},
            "elicitation/create": {
                "message": f"Is it {KEY}?",
                "requestedSchema": {"type": "object", "properties": {KEY: {"type": "string"}}},
            },
        }.items():
            send(id=method, method=method, params=params)
            while json.loads(sys.stdin.readline()).get("id") != method:
                pass
        return text("told")

    def tell_structured(self, id):
        return text("told", structuredContent={"key": KEY, KEY: {"at": [KEY]}})

    def tell_failing(self, id):
        return text("x" * 380 + KEY, isError=True)

    def tell_in_error(self, id):
        raise Failure("x" * 342 + f" {KEY}")

    def tell_dying(self, id):
        print("x" * 590 + KEY + "y" * 585, file=sys.stderr, flush=True)
        os._exit(7)


def main():
    note(what="start")
    if (FOLDER / "broken").exists():
        sys.exit(f"the key {KEY} is not valid")
    for line in sys.stdin:
        message = json.loads(line)
        id, method, params = message.get("id"), message.get("method"), message.get("params", {})
        if id is None:
            continue
        if method == "initialize":
            info = {"name": "plain", "version": "1"}
            version = params["protocolVersion"]
            offers = {"tools": {"listChanged": True}}
            send(
                id=id,
                result={"protocolVersion": version, "capabilities": offers, "serverInfo": info},
            )
        elif method == "tools/list":
            told = (FOLDER / "tools.json").read_text(encoding="utf-8").replace("$KEY", KEY)
            send(id=id, result={"tools": json.loads(told)})
        elif method == "tools/call":
            name, args = params["name"], params["arguments"]
            note(what="call", name=name, args=args)
            tool = getattr(Tools(), name, None)
            try:
                result = text(json.dumps(args)) if tool is None else tool(id, **args)
            except Failure as failure:
                send(id=id, error={"code": -32602, "message": str(failure)})
                continue
            if result is not None:
                send(id=id, result=result)
        else:
            send(id=id, error={"code": -32601, "message": f"no {method}"})
    note(what="end")


if __name__ == "__main__":
    main()
