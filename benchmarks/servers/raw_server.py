"""A trivial tool server of the handshake era: reads all lines that are there, answers in one write.

Tools: `echo` answers its `message`, `big` answers `size_bytes` bytes of text. Standard library only.
"""

import functools
import json
import os

TEXT = {"type": "object", "properties": {"message": {"type": "string"}}, "required": ["message"]}
SIZE = {
    "type": "object",
    "properties": {"size_bytes": {"type": "integer"}},
    "required": ["size_bytes"],
}
TOOLS = [
    {"name": "echo", "description": "Answer a message.", "inputSchema": TEXT},
    {"name": "big", "description": "Answer much text.", "inputSchema": SIZE},
]
READ_BYTES = 1_048_576


@functools.lru_cache(maxsize=4)
def big(size_bytes):
    return json.dumps("x" * size_bytes)


def call(name, args):
    text = big(args["size_bytes"]) if name == "big" else json.dumps(args["message"])
    return f'{{"content":[{{"type":"text","text":{text}}}]}}'


def result_of(method, params):
    if method == "tools/call":
        return call(params["name"], params["arguments"])
    if method == "tools/list":
        return json.dumps({"tools": TOOLS})
    if method == "initialize":
        about = {"name": "raw", "version": "1"}
        version = params["protocolVersion"]
        offer = {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": about}
        return json.dumps(offer)
    return "{}" if method == "ping" else None


def answer(line):
    message = json.loads(line)
    if "id" not in message:
        return ""
    id, result = json.dumps(message["id"]), result_of(message["method"], message.get("params"))
    if result is None:
        result = f'{{"code":-32601,"message":"there is no {message["method"]}"}}'
        return f'{{"jsonrpc":"2.0","id":{id},"error":{result}}}\n'
    return f'{{"jsonrpc":"2.0","id":{id},"result":{result}}}\n'


def main():
    unfinished = b""
    while data := os.read(0, READ_BYTES):
        *lines, unfinished = (unfinished + data).split(b"\n")
        answers = memoryview("".join(map(answer, lines)).encode())
        while answers:
            answers = answers[os.write(1, answers) :]


if __name__ == "__main__":
    main()
