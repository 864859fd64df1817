"""`python -m seaway.demo`: start and deploy; `--stop` what it started; `--remove` everything that it made."""

from __future__ import annotations

import argparse
import asyncio
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import httpx

from adapters.docker.engine import DockerEngine
from domain.errors import DeploymentError, SeawayError, StartUpError
from seaway.demo import ports, repository
from seaway.demo.background import BackgroundSeaway, command
from seaway.demo.client import Credentials, SeawayClient, read_credentials
from seaway.demo.engine import ensure_engine
from seaway.settings import Settings

HOST = "example.localhost"
SERVING_LIMIT_SECONDS = 60.0


def main(arguments: list[str] | None = None) -> int:
    """Runs the demo; exit code 0 only when what was asked for is done and proven."""
    options = _parser().parse_args(arguments)
    data_folder: Path = options.data_dir.resolve()
    try:
        if options.stop:
            _stop(data_folder)
        elif options.remove:
            _remove(data_folder)
        else:
            _run(data_folder)
    except SeawayError as error:
        print(error.message, file=sys.stderr)
        return 1
    except (OSError, httpx.HTTPError, subprocess.SubprocessError) as error:
        print(f"The demo stopped: {error}", file=sys.stderr)
        return 1
    return 0


def application_url(http_port: int) -> str:
    """Where the example is; browsers find every name under `localhost` on their own machine (RFC 6761)."""
    return f"http://{HOST}" if http_port == 80 else f"http://{HOST}:{http_port}"


def summary(credentials: Credentials, data_folder: Path) -> str:
    """What the user gets to read at the end."""
    return "\n".join(
        [
            "",
            f"  Application    {application_url(credentials.http_port)}",
            f"  Dashboard      {credentials.url}",
            f"  Log-in         {credentials.email}  {credentials.password}",
            f"  Temporal       {credentials.temporal_url}",
            f"  Seaway's log   {_demo_folder(data_folder) / 'seaway.log'}",
            "",
            f"For the command `seaway`:  export SEAWAY_DATA_DIR={shlex.quote(str(data_folder.resolve()))}",
            "Seaway goes on running. `make down` stops it; the application keeps serving.",
        ]
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m seaway.demo", description=__doc__)
    parser.add_argument("--data-dir", type=Path, default=Path(".seaway"), help="where Seaway keeps its data")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--stop", action="store_true", help="stop Seaway; deployed applications keep serving")
    what.add_argument(
        "--remove", action="store_true", help="delete the application, stop Seaway, remove its data"
    )
    return parser


def _demo_folder(data_folder: Path) -> Path:
    return data_folder / "demo"


def _run(data_folder: Path) -> None:
    folder = _demo_folder(data_folder)
    data_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.mkdir(exist_ok=True)
    ensure_engine()
    credentials = _ensure_seaway(BackgroundSeaway(folder), data_folder)
    repository.prepare(folder / "example")
    page = repository.page(folder / "example")
    with SeawayClient(credentials) as client:
        application = client.application() or client.create_application(
            repository.address(folder / "example"), repository.BRANCH, f"http://{HOST}"
        )
        if not serves(credentials.http_port, page):
            print("Deploying the example application …", flush=True)
            client.deploy(application, on_status=lambda status: print(f"  {status}", flush=True))
    _wait_until_it_serves(credentials.http_port, page)
    print(summary(credentials, data_folder))


def _ensure_seaway(seaway: BackgroundSeaway, data_folder: Path) -> Credentials:
    running = _running_credentials(data_folder)
    if running is not None:
        print("Seaway runs already.")
        return running
    previous = ports.read(seaway.ports_path)
    if seaway.pid() is None:
        chosen = ports.choose(previous)
        for remark in ports.remarks(chosen):
            print(remark)
        print("Starting Seaway …", flush=True)
        ports.write(seaway.ports_path, chosen)
        seaway.start(command(data_folder, chosen), chosen.environment)
    try:
        seaway.wait_until_ready()
    except StartUpError:
        if previous is None:  # never shown to work: the next run chooses again
            seaway.ports_path.unlink(missing_ok=True)
        raise
    return read_credentials(data_folder)


def _running_credentials(data_folder: Path) -> Credentials | None:
    """Those of a Seaway that answers, whoever started it."""
    try:
        credentials = read_credentials(data_folder)
    except StartUpError:
        return None
    with SeawayClient(credentials) as client:
        return credentials if client.is_healthy() else None


def serves(http_port: int, page: str) -> bool:
    """Whether the proxy answers for the example application with exactly this page."""
    try:
        # Not every resolver knows names under localhost, so the name goes by the header alone.
        answer = httpx.get(
            f"http://127.0.0.1:{http_port}/", headers={"Host": HOST}, timeout=5.0, trust_env=False
        )
    except httpx.TransportError:
        return False
    return answer.is_success and answer.text.strip() == page.strip()


def _wait_until_it_serves(http_port: int, page: str) -> None:
    deadline = time.monotonic() + SERVING_LIMIT_SECONDS
    while not serves(http_port, page):
        if time.monotonic() >= deadline:
            raise DeploymentError(
                f"The deployment finished, but {application_url(http_port)} does not answer with its page."
            )
        time.sleep(0.2)


def _stop(data_folder: Path) -> None:
    stopped = BackgroundSeaway(_demo_folder(data_folder)).stop()
    print("Seaway is stopped; deployed applications keep serving." if stopped else "Seaway was not running.")


def _remove(data_folder: Path) -> None:
    folder = _demo_folder(data_folder)
    if not folder.is_dir():
        print(f"There is no demo in {data_folder}.")
        return
    ensure_engine()
    seaway = BackgroundSeaway(folder)
    # Only a running Seaway can delete what it deployed.
    with SeawayClient(_ensure_seaway(seaway, data_folder)) as client:
        application = client.application()
        if application is not None:
            client.delete_application(application)
        if client.has_applications():
            print(f"The example application is gone. Others are left, so Seaway and {data_folder} stay.")
            return
    if not seaway.stop():
        print("The example application is gone. Seaway was not started by `make demo`, so it runs on.")
        return
    asyncio.run(_remove_proxy(Settings(data_dir=data_folder)))
    shutil.rmtree(data_folder)
    print(f"The example application, Seaway with its proxy, and {data_folder} are gone.")


async def _remove_proxy(settings: Settings) -> None:
    engine = DockerEngine(settings.effective_docker_socket)
    try:
        await engine.remove(settings.proxy_container)
        await engine.remove_network(settings.instance)
    finally:
        await engine.close()


if __name__ == "__main__":
    sys.exit(main())
