"""A folder as a small site: what is in it is answered, and nothing else."""

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


@pytest.mark.parametrize(
    ("path", "kind", "body"),
    [
        ("/", "text/html", b"<h1>Home</h1>"),
        ("/index.html?a=1", "text/html", b"<h1>Home</h1>"),
        ("/deep/a%20b.txt", "text/plain", b"spaced"),
        ("/unknown.kind-of-file", "application/octet-stream", b"\x00\x01"),
    ],
)
def test_it_serves_the_files_of_its_folder(folder: Path, path: str, kind: str, body: bytes):
    assert Site(folder).answer("GET", path) == Site(folder).answer("HEAD", path)
    assert Site(folder).answer("GET", path) == (200, kind, body)


@pytest.mark.parametrize(
    "path",
    [
        *("/nothing", "/deep", "/../secret.txt", "/%2e%2e/secret.txt", "/way_out/secret.txt"),
        *("//etc/passwd", "/%2Fetc%2Fpasswd", "/circle", "/%00", "/%ff%fe", "/%", "*", "["),
        "/" + "x" * 5_000,
    ],
)
def test_what_is_not_in_the_folder_is_not_found(folder: Path, path: str):
    assert Site(folder).answer("GET", path).status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "CONNECT"])
def test_only_reading_is_answered(folder: Path, method: str):
    assert Site(folder).answer(method, "/").status == 405


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path):
    with pytest.raises(ConfigurationFault, match="nowhere does not exist"):
        Site(tmp_path / "nowhere")
