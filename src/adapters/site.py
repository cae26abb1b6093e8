"""Owns a small site: a directory that the proxy serves as one host, without a network.

A server that is pointed at the proxy reaches ``http://HOST/…`` there, so a run needs no internet
and no port shows in its log. It must not know the proxy's clients, nor its own host's name.
"""

from __future__ import annotations

import mimetypes
from pathlib import Path
from urllib.parse import unquote

from ..world import ConfigurationFault
from .egress_exchange import Page


class Site:
    """A route of an `EgressProxy` that serves ``directory``.

    Raises:
        ConfigurationFault: there is no such directory.
    """

    def __init__(self, directory: Path) -> None:
        if not directory.is_dir():
            raise ConfigurationFault(f"the site directory {directory} does not exist")
        self._root = directory.resolve()

    def answer(self, method: str, path: str) -> Page:
        """Answer with a file of the directory; `path` is as in a request, a query is left out."""
        if method not in ("GET", "HEAD"):
            return Page(405, "text/plain", b"only GET is answered here\n")
        try:
            file = self._file(unquote(path.partition("?")[0]))
            body = file.read_bytes()
        except (OSError, ValueError, RuntimeError):  # RuntimeError: links in a circle
            return Page(404, "text/plain", b"there is no such page\n")
        return Page(200, mimetypes.guess_type(file.name)[0] or "application/octet-stream", body)

    def _file(self, path: str) -> Path:
        """The file of a path.

        Raises:
            ValueError: it is outside of the directory, or no path at all.
            OSError, RuntimeError: there is no such file.
        """
        if not path.startswith("/"):
            raise ValueError(path)
        file = (self._root / path.lstrip("/")).resolve()
        if file.is_dir():
            file = (file / "index.html").resolve()
        if not file.is_relative_to(self._root):
            raise ValueError(path)
        return file
