"""What a failed Git command means, read from its output in the C locale."""

from __future__ import annotations

import re
from typing import Final

from domain.errors import RepositoryRefused, SeawayError, SourceUnavailable
from domain.git_references import RepositoryAddress, RepositoryScheme

LONGEST_REASON: Final = 200
HOST_KEY_CHANGED: Final = re.compile(r"REMOTE HOST IDENTIFICATION HAS CHANGED|Host key verification failed")
UNTRUSTED: Final = re.compile(
    r"certificate problem|server certificate verification failed|self.signed certificate"
)
UNAVAILABLE: Final = re.compile(
    r"Could not resolve (host|proxy)|Temporary failure in name resolution|Name or service not known"
    r"|Connection (refused|timed out|timeout|reset|was reset|aborted)|Connection closed by"
    r"|Operation (timed out|too slow)|Resolving timed out|(Recv|Send) failure"
    r"|Failed to connect|Couldn't connect to server|Network is (unreachable|down)|No route to host"
    r"|Host is down"
    r"|early EOF|unexpected disconnect|returned error: (5\d\d|429|408)|HTTP (5\d\d|429|408)"
    r"|Proxy CONNECT aborted|HTTP code \d+ from proxy|HTTP/2 stream .* was not closed|HTTP2 framing layer"
    r"|Broken pipe|Empty reply from server|transfer closed|connection timeout"
    r"|unable to access .*: (GnuTLS|OpenSSL|SSL_|TLS connect error)",
    re.IGNORECASE,
)
# Of Git here; what Git there says of its own disk begins with "remote:".
NO_ROOM: Final = re.compile(r"^(?!remote:).*No space left", re.MULTILINE)
# Git's last word on why, and what it names before that: the address, which the message has already.
REASON: Final = re.compile(r"^fatal: (?:unable to access '[^']*': )?(.+)$", re.MULTILINE)
NOT_THERE: Final = re.compile(
    r"repository .*not found|Repository not found|does not appear to be a git repository"
    r"|returned error: 404|project you were looking for could not be found"
    r"|not valid: is this a git repository",
    re.IGNORECASE,
)
NO_RIGHT: Final = re.compile(
    r"Authentication failed|could not read (Username|Password)|terminal prompts disabled|Permission denied"
    r"|returned error: (401|403)|HTTP (401|403)|access denied|invalid credentials|Invalid username or"
    r"|Could not read from remote repository|Load key",
    re.IGNORECASE,
)
# Of an id that the server does not have or does not hand out (fetch-pack.c, upload-pack.c).
NOT_OUR_COMMIT: Final = re.compile(
    r"not our ref|unadvertised object|couldn't find remote ref|no such remote ref|bad object", re.IGNORECASE
)
# Of a mirror that lacks a commit, or that does not exist yet.
MISSING_LOCALLY: Final = re.compile(
    r"not a git repository|failed to unpack tree object|bad revision|unknown revision|bad object"
    r"|Not a valid object"
    r"|unable to read|missing (blob|tree|commit)|invalid object|unable to find",
    re.IGNORECASE,
)


def failure_of(address: RepositoryAddress, output: str) -> SeawayError:
    """The error for a command that failed to reach or read the repository; an unknown cause may pass."""
    place = address.display
    if HOST_KEY_CHANGED.search(output):
        return RepositoryRefused(
            f"The SSH host key of {address.host} is not the one that Seaway knows, so nothing was sent. "
            "If the server was really set up anew, remove its old key from the known hosts and try again.",
            detail=output,
        )
    if UNTRUSTED.search(output):
        return RepositoryRefused(f"The TLS certificate of {address.host} is not trusted.", detail=output)
    if NO_ROOM.search(output):
        return SourceUnavailable(
            f"The disk of the machine that runs Seaway has no room for {place}. Free some of it.",
            detail=output,
        )
    if UNAVAILABLE.search(output):
        return SourceUnavailable(f"The Git server of {place} cannot be reached at the moment.", detail=output)
    if NOT_THERE.search(output):
        return RepositoryRefused(
            f"There is no repository at {place}, or it cannot be seen without credentials. "
            "Check the address, or add a deploy key or a token.",
            detail=output,
        )
    if NO_RIGHT.search(output):
        wanted = "deploy key" if address.scheme is RepositoryScheme.SSH else "user name and its token"
        return RepositoryRefused(
            f"The Git server refused access to {place}. Check that the {wanted} may read it.", detail=output
        )
    reasons = REASON.findall(output)
    reason = f": {reasons[-1].strip().rstrip('.')[:LONGEST_REASON]}" if reasons else ""
    return SourceUnavailable(f"Git could not read {place}{reason}.", detail=output)
