"""Owns a small site on loopback: a directory served as one host name, through an HTTP proxy.

A tool server that is pointed at the proxy reaches ``http://HOST/…`` and nothing else, so a run
needs no internet and no port shows in its log.
"""

from __future__ import annotations

import asyncio
import mimetypes
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ..world import ConfigurationFault

_HEAD_BYTES_MAX = 16_384
_READ_TIMEOUT_S = 10.0


class Site:
    """Serves ``directory`` as ``http://host/`` to clients that use ``proxy_url``."""

    def __init__(self, directory: Path, host: str) -> None:
        if not directory.is_dir():
            raise ConfigurationFault(f"the site directory {directory} does not exist")
        self._root = directory.resolve()
        self._host = host
        self._server: asyncio.Server | None = None

    @property
    def proxy_url(self) -> str:
        """Where it listens; known once it was started."""
        assert self._server is not None, "the site was not started"
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def start(self) -> None:
        """Listen on a free port of the loopback interface."""
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", 0, limit=_HEAD_BYTES_MAX
        )

    async def close(self) -> None:
        """Stop listening and end what is open."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_READ_TIMEOUT_S):
                head = await reader.readuntil(b"\r\n\r\n")
                request = head.split(b"\r\n", 1)[0].decode("latin-1")
                status, kind, body = self._answer(request)
                writer.write(
                    f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
                    "Connection: close\r\n\r\n".encode()
                    + (b"" if request.startswith("HEAD ") else body)
                )
                await writer.drain()
        except (
            TimeoutError,
            ConnectionError,
            asyncio.IncompleteReadError,
            asyncio.LimitOverrunError,
        ):
            pass  # the client is gone or talks no HTTP: nothing to answer
        finally:
            writer.close()

    def _answer(self, request: str) -> tuple[str, str, bytes]:
        method, _, rest = request.partition(" ")
        if method not in ("GET", "HEAD"):
            return "405 Method Not Allowed", "text/plain", b"only GET is answered here\n"
        try:
            parts = urlsplit(rest.rpartition(" ")[0])
            host = parts.hostname
        except ValueError:
            return "400 Bad Request", "text/plain", b"this is no URL\n"
        if host != self._host:
            return "403 Forbidden", "text/plain", f"only {self._host} is served here\n".encode()
        try:
            path = self._file(unquote(parts.path))
            body = path.read_bytes()
        except (OSError, ValueError, RuntimeError):  # RuntimeError: links in a circle
            return "404 Not Found", "text/plain", b"there is no such page\n"
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        return "200 OK", kind, body

    def _file(self, path: str) -> Path:
        """The file of a path.

        Raises:
            ValueError: it is outside of the directory, or no path at all.
            OSError, RuntimeError: there is no such file.
        """
        file = (self._root / path.lstrip("/")).resolve()
        if file.is_dir():
            file = (file / "index.html").resolve()
        if not file.is_relative_to(self._root):
            raise ValueError(path)
        return file
