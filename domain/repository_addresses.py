"""Where a Git repository lives: the addresses of `git clone`, without those that run commands.

Accepted are https, http, ssh, git and file URLs and the short form `user@host:path`
(https://git-scm.com/docs/git-clone#_git_urls). Everything that Git could read as an option or as a
remote helper (`ext::`, `fd::`) is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv6Address
from urllib.parse import unquote

from domain.errors import InvalidInput

MAXIMUM_LENGTH = 2048


class RepositoryScheme(StrEnum):
    """How Git talks to the repository."""

    HTTPS = "https"
    HTTP = "http"
    SSH = "ssh"
    GIT = "git"
    FILE = "file"


DEFAULT_PORTS: dict[RepositoryScheme, int] = {
    RepositoryScheme.HTTPS: 443,
    RepositoryScheme.HTTP: 80,
    RepositoryScheme.SSH: 22,
    RepositoryScheme.GIT: 9418,
}

_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/]*)(?P<path>/.*)?")
_SHORT = re.compile(
    r"(?:(?P<user>[A-Za-z0-9_.-]+)@)?(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+):(?P<path>.+)"
)
_AUTHORITY = re.compile(
    r"(?:(?P<user>(?:[A-Za-z0-9_.~+-]|%[0-9A-Fa-f]{2})*)(?::(?P<password>(?:[A-Za-z0-9_.~+-]|%[0-9A-Fa-f]{2})*))?@)?"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(?::(?P<rest>[^:]*))?"
)
_HOST = re.compile(
    r"[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?)*"
)
_PATH = re.compile(r"[\w@~+.:,/-]+")
# As it stands before the host in ssh's arguments: no option, and nothing that would end it.
_SSH_USER = re.compile(r"[A-Za-z0-9_.~+][A-Za-z0-9_.~+-]*")


@dataclass(frozen=True)
class RepositoryAddress:
    """An address that is safe to hand to Git after `--`.

    `url` is what Git is given and may hold credentials; show `display` instead. `port` is the
    scheme's own where none was given, and None for files. `user` and `password` are decoded; over
    http(s) the user may itself be a token, so neither shows in the representation.
    """

    url: str = field(repr=False)
    scheme: RepositoryScheme
    host: str
    port: int | None
    path: str
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    @property
    def display(self) -> str:
        """The address without credentials, which Git accepts as well; the user of SSH is none."""
        if self.scheme is RepositoryScheme.FILE:
            return f"file://{self.path}"
        user = f"{self.user}@" if self.user and self.scheme is RepositoryScheme.SSH else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == DEFAULT_PORTS[self.scheme] else f":{self.port}"
        if self.scheme is RepositoryScheme.SSH and not port and not self.url.startswith("ssh://"):
            return f"{user}{host}:{self.path}"
        return f"{self.scheme}://{user}{host}{port}/{self.path.removeprefix('/')}"

    @property
    def has_credentials(self) -> bool:
        """Whether the address itself carries a password or a token."""
        return bool(self.password or (self.user and self.scheme is not RepositoryScheme.SSH))

    def __str__(self) -> str:
        return self.display


def parse_repository(text: str) -> RepositoryAddress:
    """Read the address of a repository. Raises InvalidInput (field `git_repository`)."""
    text = text.strip(" ")
    if not text:
        raise _invalid("A repository is needed, for example https://example.com/owner/name.git.")
    if len(text) > MAXIMUM_LENGTH or text.startswith("-"):
        raise _invalid("That is not the address of a repository.")
    if re.match(r"[A-Za-z0-9]+::", text):
        raise _invalid("Git's remote helpers (such as ext::) are not allowed; use an https or ssh address.")
    if url := _URL.fullmatch(text):
        return _from_url(url)
    if "://" not in text and (short := _SHORT.fullmatch(text)):
        return _from_short_form(text, short)
    _check_path(re.sub(r"[\[\]%]", "", text))
    raise _invalid(
        "Give the whole address: https://host/owner/name.git, git@host:owner/name.git or file:///path."
    )


def _from_url(url: re.Match[str]) -> RepositoryAddress:
    """The address of `scheme://authority/path`."""
    try:
        scheme = RepositoryScheme(url["scheme"].lower())
    except ValueError as error:
        raise _invalid("The address must start with https, http, ssh, git or file.") from error
    path = url["path"] or ""
    if scheme is RepositoryScheme.FILE:
        if url["authority"] or ".." in path.split("/"):
            raise _invalid(
                "A local repository is written with three slashes and no '..': file:///srv/name.git."
            )
        _check_path(path)
        return RepositoryAddress(f"file://{path}", scheme, "", None, path)
    authority = _AUTHORITY.fullmatch(url["authority"])
    if authority is None:
        raise _invalid("The address holds invalid characters before its path, or no host.")
    rest = authority["rest"] or ""
    if rest and scheme is RepositoryScheme.GIT and not rest[0].isdigit():
        # git://host:~user/name.git is how one forge writes its addresses; the colon stands for a slash.
        path, rest = f"/{rest}{path}", ""
    if rest and not _is_port(rest):
        raise _invalid(f"{rest[:20]!r} is not a port; it is a number from 1 to 65535.")
    _check_path(path)
    host = _checked_host(authority["host"])
    user = unquote(authority["user"] or "")
    if scheme is RepositoryScheme.SSH and user and not _SSH_USER.fullmatch(user):
        raise _invalid("The user of an SSH address has letters, digits, '.', '_', '~', '+' and '-'.")
    port = int(rest) if rest else DEFAULT_PORTS[scheme]
    address = f"{authority['host'].lower()}:{rest}" if rest else authority["host"].lower()
    credentials, at, _ = url["authority"].rpartition("@")
    return RepositoryAddress(
        f"{scheme}://{credentials}{at}{address}{path}",
        scheme,
        host,
        port,
        path,
        user,
        unquote(authority["password"] or ""),
    )


def _from_short_form(text: str, short: re.Match[str]) -> RepositoryAddress:
    """The address of `user@host:path`, or of `user@host:port/path`, which Git itself cannot read."""
    host, user, path = _checked_host(short["host"]), short["user"] or "", short["path"]
    _check_path(path)
    if user.startswith("-"):
        raise _invalid("The user must not start with '-'.")
    first, slash, rest = path.partition("/")
    if slash and rest and _is_port(first):
        prefix = f"{user}@" if user else ""
        url = f"ssh://{prefix}{short['host'].lower()}:{int(first)}/{rest}"
        return RepositoryAddress(url, RepositoryScheme.SSH, host, int(first), f"/{rest}", user)
    return RepositoryAddress(
        text, RepositoryScheme.SSH, host, DEFAULT_PORTS[RepositoryScheme.SSH], path, user
    )


def _check_path(path: str) -> None:
    """Raise InvalidInput for characters that a shell, a URL or Git gives a meaning of its own."""
    wrong = sorted(set(re.sub(_PATH, "", path)))
    if wrong:
        raise _invalid(f"The address holds invalid characters: {' '.join(repr(one) for one in wrong[:5])}.")
    if not path.strip("/") or any(part.startswith("-") for part in path.split("/")):
        raise _invalid("The address names no repository after its host.")


def _checked_host(host: str) -> str:
    """The host in lower case and without brackets; raises InvalidInput."""
    if host.startswith("["):
        try:
            return IPv6Address(host[1:-1]).compressed
        except ValueError as error:
            raise _invalid(f"{host} is not an IPv6 address.") from error
    if len(host) > 253 or not _HOST.fullmatch(host):
        raise _invalid(f"{host[:80]!r} is not a host name.")
    return host.lower()


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= 65535


def _invalid(message: str) -> InvalidInput:
    return InvalidInput(message, field="git_repository")
