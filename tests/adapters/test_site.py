"""The small site on loopback: one host, one folder, whatever is asked."""

import asyncio
from pathlib import Path

import pytest

from scripworld.adapters.site import Site
from scripworld.world import ConfigurationFault


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "site"
    (root / "deep").mkdir(parents=True)
    (root / "index.html").write_text("<h1>Home</h1>")
    (root / "deep" / "a b.txt").write_text("spaced")
    (root / "unknown.kind-of-file").write_bytes(b"\x00\x01")
    (root / "way_out").symlink_to(tmp_path)
    (root / "circle").symlink_to(root / "circle")
    (tmp_path / "secret.txt").write_text("secret")
    return root


def ask(folder: Path, *requests: bytes) -> list[tuple[str, str, bytes]]:
    """Status, content type and body of each answer, one connection each; nothing may be left."""
    trouble: list[object] = []

    async def one(site: Site, request: bytes) -> tuple[str, str, bytes]:
        port = int(site.proxy_url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request)
        if not request.endswith(b"\r\n\r\n"):
            writer.write_eof()
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        lines = head.decode().split("\r\n")
        kinds = [line.partition(": ")[2] for line in lines if line.startswith("Content-Type")]
        return lines[0], "".join(kinds), body

    async def main() -> list[tuple[str, str, bytes]]:
        asyncio.get_running_loop().set_exception_handler(
            lambda loop, context: trouble.append(context)
        )
        site = Site(folder, "library.test")
        await site.start()
        try:
            return [await one(site, request) for request in requests]
        finally:
            await site.close()

    answers = asyncio.run(main())
    assert trouble == []
    return answers


def get(path: str, host: str = "library.test", method: str = "GET") -> bytes:
    return f"{method} http://{host}{path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()


def test_it_serves_the_files_of_its_folder(folder: Path):
    home, index, spaced, strange = ask(
        folder,
        get("/"),
        get("/index.html?a=1#b"),
        get("/deep/a%20b.txt"),
        get("/unknown.kind-of-file"),
    )

    assert home == index == ("HTTP/1.1 200 OK", "text/html", b"<h1>Home</h1>")
    assert spaced == ("HTTP/1.1 200 OK", "text/plain", b"spaced")
    assert strange == ("HTTP/1.1 200 OK", "application/octet-stream", b"\x00\x01")


@pytest.mark.parametrize("path", ["/", "/nothing"])
def test_a_head_is_that_of_the_page_without_a_body(folder: Path, path: str):
    async def raw(site: Site, method: str) -> tuple[bytes, bytes]:
        port = int(site.proxy_url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(get(path, method=method))
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        return head, body

    async def main() -> list[tuple[bytes, bytes]]:
        site = Site(folder, "library.test")
        await site.start()
        try:
            return [await raw(site, method) for method in ("HEAD", "GET")]
        finally:
            await site.close()

    (head, nothing), (whole, body) = asyncio.run(main())

    assert head == whole
    assert f"Content-Length: {len(body)}".encode() in head.split(b"\r\n")
    assert body
    assert nothing == b""


@pytest.mark.parametrize(
    "path",
    [
        *("/nothing", "/deep", "/../secret.txt", "/%2e%2e/secret.txt", "/way_out/secret.txt"),
        *(
            "//etc/passwd",
            "/%2Fetc%2Fpasswd",
            "/circle",
            "/%00",
            "/" + "x" * 5_000,
            "/%ff%fe",
            "/%",
        ),
    ],
)
def test_what_is_not_in_the_folder_is_not_found(folder: Path, path: str):
    assert ask(folder, get(path))[0][0] == "HTTP/1.1 404 Not Found"


@pytest.mark.parametrize("host", ["elsewhere.test", "127.0.0.1", "library.test.elsewhere.test", ""])
def test_no_other_host_is_served(folder: Path, host: str):
    status, _, body = ask(folder, get("/", host))[0]

    assert status == "HTTP/1.1 403 Forbidden"
    assert body == b"only library.test is served here\n"


def test_only_reading_is_answered(folder: Path):
    answers = ask(folder, get("/", method="POST"), b"CONNECT library.test:443 HTTP/1.1\r\n\r\n")

    assert [status for status, _, _ in answers] == ["HTTP/1.1 405 Method Not Allowed"] * 2


@pytest.mark.parametrize(
    "request_bytes",
    [b"\r\n\r\n", b"GET\r\n\r\n", b"\x16\x03\x01\x02\r\n\r\n", b"GET http://[ HTTP/1.1\r\n\r\n"],
)
def test_what_is_no_request_is_turned_away(folder: Path, request_bytes: bytes):
    status = ask(folder, request_bytes)[0][0]

    assert status.split()[1] in {"400", "403", "405"}


@pytest.mark.parametrize("request_bytes", [b"", b"GET http://library", b"x" * 40_000])
def test_who_hangs_up_or_never_ends_its_head_gets_nothing(folder: Path, request_bytes: bytes):
    assert ask(folder, request_bytes) == [("", "", b"")]


def test_a_folder_that_does_not_exist_is_named():
    with pytest.raises(ConfigurationFault, match="nowhere does not exist"):
        Site(Path("nowhere"), "library.test")
