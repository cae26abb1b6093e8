"""A tool server for the scenario `tools` that is lost in the middle of a call now and then.

Run as a program: `python -I -S flaky.py CALLS`. Each process answers CALLS - 1 questions and dies over
the next one, without a word on its output. Standard library only.
"""

import json
import os
import sys
from typing import Any

VERSION = "2025-11-25"
DIVINE = {
    "name": "divine",
    "description": "Answers any question. It may lose the thread: then ask again.",
    "inputSchema": {
        "type": "object",
        "properties": {"question": {"type": "string", "minLength": 1, "maxLength": 200}},
        "required": ["question"],
        "additionalProperties": False,
    },
}
SAYINGS = (
    *("It is certain.", "Ask the ledger.", "Not while prices rise.", "Only after the next record."),
    *(
        "The signs are mixed.",
        "Yes, and somebody will pay for it.",
        "No, but it will be sold anyway.",
    ),
)


class Oracle:
    """Counts the questions of one process."""

    def __init__(self, calls: int) -> None:
        self._left = calls

    def result(self, method: str, params: dict[str, Any]) -> dict[str, Any] | None:
        """The answer to a request; None where there is no such method."""
        if method == "initialize":
            return {
                "protocolVersion": VERSION,
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "flaky", "version": "1.0.0"},
            }
        if method == "tools/list":
            return {"tools": [DIVINE]}
        if method == "tools/call" and params.get("name") == DIVINE["name"]:
            return self._divined(str(params.get("arguments", {}).get("question", "")))
        return {} if method == "ping" else None

    def _divined(self, question: str) -> dict[str, Any]:
        self._left -= 1
        if self._left <= 0:
            sys.stderr.write("flaky: the thread is lost\n")
            sys.stderr.flush()
            os._exit(3)
        said = SAYINGS[sum(question.encode()) % len(SAYINGS)]
        return {"content": [{"type": "text", "text": f"{question} {said}"}]}


def main(argv: list[str]) -> int:
    """Answer until the input ends, or until a question is too much."""
    oracle = Oracle(int(argv[1]))
    for line in sys.stdin.buffer:
        request = json.loads(line)
        if "id" not in request:
            continue
        answer: dict[str, Any] = {"jsonrpc": "2.0", "id": request["id"]}
        told = oracle.result(request["method"], request.get("params") or {})
        if told is None:
            answer["error"] = {"code": -32601, "message": "There is no such method"}
        else:
            answer["result"] = told
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
