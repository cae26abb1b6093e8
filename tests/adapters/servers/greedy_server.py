"""An MCP server whose tools take more than they may."""

import json
import os
import signal
import sys
import time
from pathlib import Path

MB = 1_048_576
KEPT: list[bytearray] = []
LINGERS: list[bool] = []


def memory(size_mb: int) -> str:
    """In pieces, so that the guard sees it grow."""
    for _ in range(size_mb // 16):
        KEPT.append(bytearray(os.urandom(1024)) * (16 * 1024))
        time.sleep(0.01)
    time.sleep(1)
    return "kept"


def at_once(size_mb: int) -> str:
    try:
        bytearray(size_mb * MB)
    except MemoryError:
        return "refused"
    return "kept"


def children_memory(size_mb: int) -> str:
    """Much in all, in several processes that each have little."""
    for _ in range(4):
        if os.fork() == 0:
            KEPT.append(bytearray(os.urandom(1024)) * (size_mb * 1024 // 4))
            time.sleep(30)
            os._exit(0)
    time.sleep(20)
    return "kept"


def shared_memory(size_mb: int) -> str:
    """One piece that several processes see: it counts once."""
    KEPT.append(bytearray(os.urandom(1024)) * (size_mb * 1024))
    pids = []
    for _ in range(4):
        if (pid := os.fork()) == 0:
            time.sleep(1)
            os._exit(0)
        pids.append(pid)
    for pid in pids:
        os.waitpid(pid, 0)
    return "shared"


def processes(count: int) -> str:
    for _ in range(count):
        if os.fork() == 0:
            time.sleep(30)
            os._exit(0)
    time.sleep(20)
    return "forked"


def disk(size_mb: int) -> str:
    for number in range(size_mb // 4):
        Path(f"big{number}").write_bytes(os.urandom(4 * MB))
    time.sleep(20)
    return "written"


def file(size_mb: int) -> str:
    try:
        with open("long", "wb") as long:
            long.seek(size_mb * MB)
            long.write(b"x")
    except OSError as error:
        return error.strerror
    return "written"


def linger(_: int) -> str:
    """Stay after the end of the input until SIGTERM, and leave a note then."""

    def note(number: int, frame: object) -> None:
        Path("asked").write_text("to end")
        os._exit(0)

    signal.signal(signal.SIGTERM, note)
    LINGERS.append(True)
    return "lingers"


def cpus(_: int) -> str:
    return str(len(os.sched_getaffinity(0)))


TOOLS = {
    tool.__name__: tool
    for tool in (
        memory,
        at_once,
        children_memory,
        shared_memory,
        processes,
        disk,
        file,
        linger,
        cpus,
    )
}


def answer(method: str, params: dict) -> dict:
    if method == "initialize":
        info = {"name": "greedy", "version": "1"}
        version = params["protocolVersion"]
        return {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": info}
    text = TOOLS[params["name"]](params["arguments"]["n"])
    return {"content": [{"type": "text", "text": text}]}


for line in sys.stdin:
    request = json.loads(line)
    if "id" not in request:
        continue
    reply: dict = {"jsonrpc": "2.0", "id": request["id"]}
    if request["method"] in ("initialize", "tools/call"):
        reply["result"] = answer(request["method"], request["params"])
    else:
        reply["error"] = {"code": -32601, "message": "no such method"}
    print(json.dumps(reply), flush=True)
if LINGERS:
    time.sleep(60)
