"""A small hand-written MCP server of the handshake era, with the bad habits that it is asked for.

`legacy_server.py [HABIT…]`. Habits at the probe (`server/discover`): `exit`, `silent`, `block`.
Habits at the end: `stubborn` (ignores end of input and SIGTERM, with grandchildren that do too).
Others are tools, called by name.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time

HABITS = set(sys.argv[1:])
STUBBORN_CHILD = (
    "import signal,time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
)
LOCK = threading.Lock()


def send_bytes(line: bytes) -> None:
    with LOCK:
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()


def send(message: dict[str, object]) -> None:
    send_bytes(json.dumps({"jsonrpc": "2.0", **message}, ensure_ascii=False).encode() + b"\n")


def text(value: object) -> dict[str, object]:
    return {"content": [{"type": "text", "text": str(value)}], "isError": False}


def tools_page(cursor: str | None) -> dict[str, object]:
    page = int(cursor or 0)
    tools = [{"name": f"tool_{page}_{n}", "inputSchema": {"type": "object"}} for n in (2, 1)]
    if "endless" in HABITS:
        return {"tools": tools, "nextCursor": "1"}
    return {"tools": tools, "nextCursor": str(page + 1)} if page < 2 else {"tools": tools}


class Server:
    def __init__(self) -> None:
        self.log: list[dict[str, object]] = []  # what the client sent that isn't a request
        self.late: list[int] = []
        self.progress_token: object = None  # of the call that came last

    def call(self, request_id: int, name: str, arguments: dict[str, object]) -> None:
        method = getattr(self, f"tool_{name}", None)
        if method is None:
            error = {"code": -32602, "message": f"no tool {name}", "data": {"tool": name}}
            send({"id": request_id, "error": error})
            return
        answer = method(request_id, **arguments)
        if answer is not None:
            send({"id": request_id, "result": answer})

    def tool_echo(self, request_id: int, value: object = None) -> object:
        return text(value)

    def tool_fails(self, request_id: int) -> object:
        return {**text("no such row"), "isError": True}

    def tool_pid(self, request_id: int) -> object:
        return text(os.getpid())

    def tool_environment(self, request_id: int) -> object:
        return text(json.dumps(dict(os.environ)))

    def tool_log(self, request_id: int) -> object:
        return text(json.dumps(self.log))

    def tool_later(self, request_id: int, delay_s: float, value: object) -> None:
        def answer() -> None:
            time.sleep(delay_s)
            send({"id": request_id, "result": text(value)})

        threading.Thread(target=answer, daemon=True).start()

    def tool_never(self, request_id: int) -> None:
        self.late.append(request_id)

    def tool_catch_up(self, request_id: int) -> object:
        """Answer first what was left, and what nobody asked, then this."""
        for late in self.late:
            send({"id": late, "result": text("late")})
        for unasked in (request_id + 1000, str(request_id), None, 0, -1, 1.5, True, [request_id]):
            send({"id": unasked, "result": text("unasked")})
        self.late.clear()
        return text("caught up")

    def tool_twice(self, request_id: int) -> object:
        send({"id": request_id, "result": text("first")})
        return text("second")

    def tool_crash(self, request_id: int) -> None:
        sys.stderr.write("one step\nthe disk is on fire\n")
        sys.stderr.flush()
        os._exit(7)

    def tool_half_a_line(self, request_id: int) -> None:
        send_bytes(b'{"jsonrpc":"2.0","id":%d,"result":{"content":[' % request_id)
        os.kill(os.getpid(), signal.SIGKILL)

    def tool_close_output(self, request_id: int) -> None:
        os.close(1)

    def tool_noise(self, request_id: int) -> object:
        send_bytes(
            b'Listening on stdio\n\n{"level":"info"}\n[]\n\x00\xff\n{"jsonrpc":"1.0","id":1}\n'
        )
        send_bytes(b'{"jsonrpc":"2.0"}\n12\nnull\n"text"\n{"jsonrpc":"2.0","method":5}\n{\n')
        return text("after the noise")

    def tool_big(self, request_id: int, size: int, id_last: bool = False) -> None:
        head = b'{"jsonrpc":"2.0","id":%d,"result":' % request_id
        tail = b"}\n"
        if id_last:
            head, tail = b'{"result":', b',"jsonrpc":"2.0","id":%d}\n' % request_id
        body = json.dumps(text("x" * size)).encode()
        send_bytes(head + body + tail)

    def tool_words(self, request_id: int, size: int) -> object:
        sys.stderr.write("a line of words on stderr\n" * (size // 26) + "the last one\n")
        sys.stderr.flush()
        return text("said")

    def tool_raw(self, request_id: int, body: str) -> None:
        """Answer with a result of exactly these (Latin-1) bytes."""
        raw = body.encode("latin-1")
        send_bytes(b'{"jsonrpc":"2.0","id":%d,"result":%s}\r\n' % (request_id, raw))

    def tool_ask(self, request_id: int, method: str) -> None:
        """Ask the client something first; its answer becomes ours (see `hear`)."""
        send({"id": f"for {request_id}", "method": method, "params": {}})

    def tool_works(
        self, request_id: int, reports: int, every_s: float, token: object = None
    ) -> object:
        """Report progress, under this call's token unless told otherwise."""
        for number in range(reports):
            time.sleep(every_s)
            params = {
                "progressToken": self.progress_token if token is None else token,
                "progress": number,
            }
            send({"method": "notifications/progress", "params": params})
        time.sleep(every_s)
        return text("done")

    def tool_notices(self, request_id: int, method: str, params: object, count: int) -> object:
        note = {"jsonrpc": "2.0", "method": f"notifications/{method}", "params": params}
        line = json.dumps(note).encode() + b"\n"
        for _ in range(count // 1000):
            send_bytes(line * 1000)
        send_bytes(line * (count % 1000))
        return text("notified")

    def tool_flood(self, request_id: int, count: int) -> object:
        line = b'{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"flood"}}\n'
        for _ in range(count // 1000):
            send_bytes(line * 1000)
        return text("flooded")

    def tool_deaf(self, request_id: int, for_s: float) -> object:
        time.sleep(for_s)
        return text("listening again")

    def tool_grandchild(self, request_id: int) -> object:
        # In a session of its own, so that only its ancestry gives it away.
        child = subprocess.Popen(
            [sys.executable, "-c", STUBBORN_CHILD], start_new_session=True, stdin=subprocess.DEVNULL
        )
        return text(child.pid)

    def hear(self, message: dict[str, object]) -> None:
        if "method" in message:
            self.log.append(message)
        else:
            request_id = int(str(message["id"]).removeprefix("for "))
            send({"id": request_id, "result": text(json.dumps(message))})

    def serve(self) -> None:
        for line in sys.stdin.buffer:
            message = json.loads(line)
            method, request_id = message.get("method"), message.get("id")
            params = message.get("params", {})
            if method is None or request_id is None:
                self.hear(message)
            elif method == "initialize":
                version = "1999-01-01" if "strange" in HABITS else params["protocolVersion"]
                info = {"name": "legacy", "version": "1"}
                result: dict[str, object] = {
                    "protocolVersion": version,
                    "capabilities": {"tools": {}},
                    "serverInfo": info,
                }
                send({"id": request_id, "result": result})
            elif method == "server/discover":
                self.meet_probe(request_id)
            elif method == "tools/list":
                send({"id": request_id, "result": tools_page(params.get("cursor"))})
            elif method == "tools/call":
                self.progress_token = params.get("_meta", {}).get("progressToken")
                self.call(request_id, params["name"], params["arguments"])
            else:
                send({"id": request_id, "error": {"code": -32601, "message": f"no {method}"}})

    def meet_probe(self, request_id: int) -> None:
        if "exit" in HABITS:
            sys.exit(1)
        if "block" in HABITS:
            time.sleep(600)
        if "silent" not in HABITS:
            send({"id": request_id, "error": {"code": -32601, "message": "Method not found"}})


def main() -> None:
    if "broken" in HABITS:
        sys.exit("the key is missing")
    if "slow" in HABITS:
        time.sleep(0.6)
    if "stubborn" in HABITS:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Server().serve()
    if "stubborn" in HABITS:
        time.sleep(600)


if __name__ == "__main__":
    main()
