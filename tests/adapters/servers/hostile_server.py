"""An MCP server that misbehaves exactly as it is told, byte by byte.

`hostile_server.py PLAN`. PLAN is a JSON object; from the name of a method it leads to the steps
that take the place of an honest answer. Three names are no methods: `begin` (before anything is
read), `end` (at the end of the input) and `company` (how many held calls a plan waits for).

A step is a text, written to stdout as Latin-1 bytes, or a list whose first item names a method of
`Steps`. In texts, `$id` and `$token` are those of the request, `$done` is an id that was answered
before, `$next` one that was not given out yet, `$heard` what `hear` took in, `$pid` the process
that `orphan` started.

The tool `echo` is always honest. With `hold` it waits for the plan: one third of the held calls is
answered before the first step, one after each step that ends a line, the rest at the end.
"""

import json
import os
import signal
import sys
import time

BLOCK_BYTES = 1_000_000
STUBBORN = "import signal,time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"


def write(descriptor, data):
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def send(request_id, result):
    message = {"jsonrpc": "2.0", "id": request_id, "result": result}
    write(1, json.dumps(message).encode() + b"\n")


class Server:
    def __init__(self, plan):
        self.plan = plan
        self.company = plan.get("company", 0)
        self.held = []
        self.others = []  # requests that came while the plan waited or heard
        self.heard = []
        self.done_id = self.last_id = 0
        self.orphan_pid = 0

    def serve(self):
        Steps(self, {}).run(self.plan.get("begin", []))
        while message := self.read():
            self.take(message)
        Steps(self, {}).run(self.plan.get("end", []))

    def read(self):
        if self.others:
            return self.others.pop(0)
        return self.read_new()

    def read_new(self):
        try:
            line = sys.stdin.buffer.readline()
        except OSError:  # a step closed it
            time.sleep(600)
        message = json.loads(line) if line else None
        if message and "method" in message:
            self.last_id = message.get("id", self.last_id)
        return message

    def take(self, message):
        method, params = message.get("method"), message.get("params", {})
        if method is None or "id" not in message:
            return
        is_echo = method == "tools/call" and params["name"] == "echo"
        if is_echo and params["arguments"].get("hold"):
            self.held.append(message)
        elif is_echo:
            self.echo(message)
        elif method in self.plan:
            self.misbehave(message, self.plan[method])
        elif method == "initialize":
            self.answer(
                message,
                {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}}},
            )
        elif method == "tools/list":
            self.answer(message, {"tools": [{"name": "echo"}]})
        else:
            error = {"code": -32601, "message": f"no {method}"}
            answer = {"jsonrpc": "2.0", "id": message["id"], "error": error}
            write(1, json.dumps(answer).encode() + b"\n")

    def misbehave(self, message, steps):
        if message["method"].startswith("tools/"):
            self.wait_for_company()
        self.held = self.held[1::3] + self.held[::3] + self.held[2::3]
        for _ in range(len(self.held) // 3):
            self.echo_held()
        Steps(self, message).run(steps)
        while self.held:
            self.echo_held()

    def wait_for_company(self):
        while len(self.held) < self.company:
            arrived = self.read_new()
            is_held = arrived.get("params", {}).get("arguments", {}).get("hold")
            (self.held if is_held else self.others).append(arrived)
        self.company = 0

    def echo_held(self):
        if self.held:
            self.echo(self.held.pop())

    def echo(self, message):
        token = message["params"]["arguments"]["token"]
        self.answer(message, {"content": [{"type": "text", "text": token}]})

    def answer(self, message, result):
        send(message["id"], result)
        self.done_id = message["id"]


class Steps:
    def __init__(self, server, message):
        self.server = server
        self.id = message.get("id", 0)
        self.token = message.get("params", {}).get("arguments", {}).get("token", "")

    def run(self, steps):
        for step in steps:
            if isinstance(step, str):
                text = self.filled(step)
                write(1, text)
                if text.endswith(b"\n"):
                    self.server.echo_held()
            else:
                getattr(self, step[0])(*step[1:])

    def filled(self, text):
        values = {
            "$id": self.id,
            "$token": self.token,
            "$done": self.server.done_id,
            "$next": self.server.last_id + 1,
            "$heard": json.dumps(self.server.heard),
            "$pid": self.server.orphan_pid,
        }
        for name, value in values.items():
            text = text.replace(name, str(value))
        return text.encode("latin-1")

    def repeat(self, text, times, descriptor=1):
        unit = self.filled(text)
        a_block = max(1, BLOCK_BYTES // len(unit))
        for _ in range(times // a_block):
            write(descriptor, unit * a_block)
        write(descriptor, unit * (times % a_block))

    def stderr(self, text, times=1):
        self.repeat(text, times, 2)

    def bytewise(self, text):
        for byte in self.filled(text):
            os.write(1, bytes([byte]))

    def again(self, times, steps):
        for _ in range(times):
            self.run(steps)

    def sleep(self, for_s):
        time.sleep(for_s)

    def hear(self, count):
        """Take in this many answers of the client."""
        while len(self.server.heard) < count:
            message = self.server.read_new()
            if "method" in message:
                self.server.others.append(message)
            else:
                self.server.heard.append(message)

    def exit(self, status):
        os._exit(status)

    def kill(self, number):
        os.kill(os.getpid(), number)

    def kill_parent(self, number):
        os.kill(os.getppid(), number)

    def ignore(self, number):
        signal.signal(number, signal.SIG_IGN)

    def close(self, descriptor):
        os.close(descriptor)

    def orphan(self):
        """Leave a process that keeps our streams, hears no SIGTERM and has its own session."""
        import subprocess

        child = subprocess.Popen(
            [sys.executable, "-S", "-c", STUBBORN], start_new_session=True, stdin=subprocess.DEVNULL
        )
        self.server.orphan_pid = child.pid


if __name__ == "__main__":
    Server(json.loads(sys.argv[1])).serve()
