"""Short ways to ask for a commit and for its files."""

from __future__ import annotations

from pathlib import Path

from adapters.git import GitCredential, GitMirrors
from domain.git_references import RepositoryAddress, parse_repository


async def resolve(
    mirrors: GitMirrors,
    url: str | RepositoryAddress,
    branch: str = "main",
    commit: str = "HEAD",
    credential: GitCredential | None = None,
) -> str:
    address = url if isinstance(url, RepositoryAddress) else parse_repository(url)
    return (await mirrors.resolve(address, branch=branch, commit=commit, credential=credential)).commit


async def check_out(
    mirrors: GitMirrors,
    url: str,
    commit: str,
    destination: Path,
    credential: GitCredential | None = None,
    *,
    submodules: bool = True,
    lfs: bool = True,
) -> Path:
    await mirrors.check_out(
        parse_repository(url), commit, destination, submodules=submodules, lfs=lfs, credential=credential
    )
    return destination


def files(tree: Path) -> dict[str, str]:
    return {str(path.relative_to(tree)): path.read_text() for path in tree.rglob("*") if path.is_file()}
