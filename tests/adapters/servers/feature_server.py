"""A small hand-written MCP server with resources and prompts, whose tools ask its client for things.

`feature_server.py [modern] [HABIT…]`: of the handshake era unless told otherwise. Habits: `stuck`
(its lists don't advance), `long` (they never end), `odd` (they aren't lists), `broken` (it doesn't
start).
"""

import json
import os
import sys
import threading
import time

HABITS = set(sys.argv[1:])
LOCK = threading.Lock()
LISTS: dict[str, tuple[str, str]] = {
    "tools/list": ("tools", "name"),
    "resources/list": ("resources", "uri"),
    "resources/templates/list": ("resourceTemplates", "uriTemplate"),
    "prompts/list": ("prompts", "name"),
}
CAPABILITIES = {"tools": {"listChanged": True}, "resources": {}, "prompts": {}}


def send(*messages: dict[str, object]) -> None:
    lines = [json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n" for message in messages]
    with LOCK:
        sys.stdout.buffer.write(b"".join(lines))
        sys.stdout.buffer.flush()


def text(value: object) -> dict[str, object]:
    return {"content": [{"type": "text", "text": json.dumps(value)}]}


def page(method: str, cursor: str | None) -> dict[str, object]:
    key, member = LISTS[method]
    number = int(cursor or 0)
    entries: object = [{member: f"{key}:{number}:{n}", "title": "x"} for n in (2, 1)]
    if "odd" in HABITS:
        return {key: [{"title": "no such member"}]}
    if "stuck" in HABITS:
        return {key: entries, "nextCursor": "1"}
    if "long" in HABITS or number < 2:
        return {key: entries, "nextCursor": str(number + 1)}
    return {key: entries, "ttlMs": 1000}


class Server:
    def __init__(self) -> None:
        self.offered: object = None  # what the client said that it offers
        self.listening: object = None
        self.heard: list[dict[str, object]] = []  # notifications of the client, and late answers
        self.inputs: object = None  # of the present call, with the state that came with them
        self.state: object = None
        self.asked: dict[str, tuple[int, list[object], int]] = {}

    def tool_echo(self, request_id: int, value: object = None) -> object:
        return text(value)

    def tool_pid(self, request_id: int) -> object:
        return text(os.getpid())

    def tool_offered(self, request_id: int) -> object:
        return text(self.offered)

    def tool_heard(self, request_id: int) -> object:
        return text(self.heard)

    def tool_crash(self, request_id: int) -> object:
        os._exit(7)

    def tool_never(self, request_id: int) -> None:
        pass

    def tool_burn(self, request_id: int, cpu_s: float) -> object:
        end_s = time.process_time() + cpu_s
        while time.process_time() < end_s:
            pass
        return text("burnt")

    def tool_later(self, request_id: int, delay_s: float, value: object = None) -> None:
        def answer() -> None:
            time.sleep(delay_s)
            send({"id": request_id, "result": text(value)})

        threading.Thread(target=answer, daemon=True).start()

    def tool_announces(self, request_id: int, count: int) -> object:
        """Say that the list has changed, to whoever has asked to be told."""
        note: dict[str, object] = {"method": "notifications/tools/list_changed"}
        if "modern" in HABITS:
            meta = {"io.modelcontextprotocol/subscriptionId": self.listening}
            note["params"] = {"_meta": meta}
        if "modern" not in HABITS or self.listening:
            send(*[note] * count)
        return text("announced")

    def tool_asks(
        self, request_id: int, method: str, params: object = None, count: int = 1
    ) -> None:
        """Ask the client so often at once, and answer with what it answers, in order of arrival."""
        answers: list[object] = []
        names = [f"ask {request_id}.{number}" for number in range(count)]
        for name in names:
            self.asked[name] = (request_id, answers, count)
        send(*({"id": name, "method": method, "params": params} for name in names))

    def tool_withdraws(self, request_id: int) -> None:
        """Ask the client, and take the question back."""
        send(
            {"id": "withdrawn", "method": "sampling/createMessage", "params": {"wait": True}},
            {"method": "notifications/cancelled", "params": {"requestId": "withdrawn"}},
        )
        self.tool_later(request_id, 0.3, "withdrawn")

    def tool_leaves(self, request_id: int) -> None:
        """Ask the client, and answer without waiting for what it says."""
        send({"id": "left", "method": "sampling/createMessage", "params": {"wait": True}})
        self.tool_later(request_id, 0.2, "left")

    def tool_needs(self, request_id: int, requests: object, rounds: int = 1) -> object:
        """Want input first (in the modern era), and answer with what came."""
        if self.inputs is not None and self.state == str(rounds):
            return text(self.inputs)
        state = str(int(self.state or 0) + 1)
        asked = {"resultType": "input_required", "inputRequests": requests}
        return {**asked, "requestState": state}

    def hear(self, message: dict[str, object]) -> None:
        name = str(message.get("id"))
        if name not in self.asked:
            self.heard.append(message)
            return
        call, answers, count = self.asked.pop(name)
        answers.append({key: message[key] for key in message if key not in ("id", "jsonrpc")})
        if len(answers) == count:
            send({"id": call, "result": text(answers)})

    def answer(self, method: str, params: dict[str, object], request_id: int) -> object:
        meta = params.get("_meta", {})
        if method == "initialize":
            self.offered = params["capabilities"]
            info = {"name": "feature", "version": "1"}
            version = params["protocolVersion"]
            opened = {"protocolVersion": version, "serverInfo": info, "instructions": "obey"}
            return {**opened, "capabilities": CAPABILITIES}
        if method == "server/discover" and "modern" in HABITS:
            self.offered = meta["io.modelcontextprotocol/clientCapabilities"]
            return {"supportedVersions": ["2026-07-28"], "capabilities": CAPABILITIES}
        if method == "subscriptions/listen" and "modern" in HABITS:
            self.listening = request_id if params["notifications"]["toolsListChanged"] else None
            send({"method": "notifications/subscriptions/acknowledged", "params": {}})
            return None
        if method in LISTS:
            return page(method, params.get("cursor"))
        if method == "resources/read":
            return {"contents": [{"uri": params["uri"], "text": "read"}]}
        if method == "prompts/get":
            content = {"type": "text", "text": json.dumps(params)}
            return {"messages": [{"role": "user", "content": content}]}
        if method == "tools/call":
            self.inputs, self.state = params.get("inputResponses"), params.get("requestState")
            return getattr(self, f"tool_{params['name']}")(request_id, **params["arguments"])
        send({"id": request_id, "error": {"code": -32601, "message": f"no {method}"}})
        return None

    def serve(self) -> None:
        for line in sys.stdin.buffer:
            message = json.loads(line)
            if "method" not in message or "id" not in message:
                self.hear(message)
                continue
            result = self.answer(message["method"], message.get("params", {}), message["id"])
            if result is not None:
                send({"id": message["id"], "result": result})


if __name__ == "__main__":
    if "broken" in HABITS:
        sys.exit("the key is missing")
    Server().serve()
