#!/usr/bin/env python3
"""Carries MCP between stdio and one HTTP server, message by message, for the conformance suite.

Owns what the Streamable HTTP transport adds to a message: its headers, the session id, the event
streams. It must not know what a message means beyond that, and changes none; so what the suite
sees is what the client wrote.
"""

import contextlib
import http.client
import json
import os
import sys
import threading
from collections.abc import Iterable, Iterator
from typing import Any, Final
from urllib.parse import urlsplit

ANSWER_S: Final = 30.0
"""How long an HTTP response may take to begin, and to go on."""
HTTP_FAILED: Final = -32000
VERSION: Final = "io.modelcontextprotocol/protocolVersion"

Message = dict[str, Any]


class Bridge:
    """One server behind one URL; what it says is written to stdout."""

    def __init__(self, url: str) -> None:
        self._url = urlsplit(url)
        self._kept: dict[str, str] = {}
        self._writing = threading.Lock()

    def run(self) -> None:
        """Post every line of stdin, requests side by side and everything else in its order."""
        for line in sys.stdin.buffer:
            message = json.loads(line)
            if "method" in message and "id" in message:
                threading.Thread(target=self._post, args=(message,), daemon=True).start()
            else:
                self._post(message)

    def _post(self, message: Message) -> None:
        method = message.get("method")
        request_id = message.get("id") if method else None
        try:
            response = self._ask("POST", headers_of(message), json.dumps(message).encode())
            if session := response.headers.get("Mcp-Session-Id"):
                self._kept["Mcp-Session-Id"] = session
            for said in messages_of(response):
                if "method" in said:
                    self._write(said)
                elif request_id is not None:
                    if method == "initialize" and "protocolVersion" in said.get("result", ()):
                        self._kept["MCP-Protocol-Version"] = said["result"]["protocolVersion"]
                    # An error from before the message was read has no id.
                    self._write({**said, "id": said.get("id") or request_id})
                    request_id = None
            problem = f"the server answered with status {response.status} and no message"
        except (OSError, ValueError, http.client.HTTPException) as error:
            problem = f"the server could not be asked: {error!r}"
        if request_id is not None:
            refusal = {"code": HTTP_FAILED, "message": problem}
            self._write({"jsonrpc": "2.0", "id": request_id, "error": refusal})
        if method == "notifications/initialized":
            self._listen()

    def _listen(self) -> None:
        """Open the stream on which a server of the handshake era asks, if it has one."""
        with contextlib.suppress(OSError, http.client.HTTPException):
            response = self._ask("GET", {"Accept": "text/event-stream"})
            if response.status == http.client.OK:
                threading.Thread(target=self._relay, args=(response,), daemon=True).start()

    def _relay(self, response: http.client.HTTPResponse) -> None:
        with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
            for message in messages_of(response):
                self._write(message)

    def _ask(
        self, method: str, headers: dict[str, str], body: bytes | None = None
    ) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection(self._url.netloc, timeout=ANSWER_S)
        headers = {**self._kept, **headers, "Connection": "close"}
        connection.request(method, self._url.path or "/", body, headers)
        return connection.getresponse()

    def _write(self, message: Message) -> None:
        line = json.dumps(message).encode() + b"\n"
        with self._writing:
            os.write(sys.stdout.fileno(), line)


def headers_of(message: Message) -> dict[str, str]:
    """Return the headers of a message's POST (2026-07-28, "Standard MCP Request Headers")."""
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
    }
    params = message.get("params", {})
    version = params.get("_meta", {}).get(VERSION)
    if version:
        headers |= {"MCP-Protocol-Version": version, "Mcp-Method": message["method"]}
        if name := params.get("name", params.get("uri")):
            headers["Mcp-Name"] = name
    return headers


def messages_of(response: http.client.HTTPResponse) -> Iterator[Message]:
    """Give out the messages of a response, which is one of JSON, an event stream or nothing.

    Raises:
        ValueError: it isn't what its content type says.
    """
    kind = response.headers.get_content_type()
    if kind == "text/event-stream":
        yield from map(json.loads, event_data(response))
    elif kind == "application/json" and (body := response.read()):
        answer = json.loads(body)
        if isinstance(answer, dict) and "jsonrpc" in answer:
            yield answer


def event_data(lines: Iterable[bytes]) -> Iterator[str]:
    """Give out the data of each server-sent event that has any."""
    data: list[str] = []
    for line in lines:
        field, _, value = line.decode().rstrip("\r\n").partition(":")
        if field == "data":
            data.append(value.removeprefix(" "))
        elif not field and not value:
            if any(part.strip() for part in data):
                yield "\n".join(data)
            data = []


if __name__ == "__main__":
    Bridge(sys.argv[1]).run()
