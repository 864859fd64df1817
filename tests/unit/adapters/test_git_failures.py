"""What Git and curl say when a repository cannot be read, and what its owner is told."""

from __future__ import annotations

import pytest

from adapters.git_failures import failure_of
from domain.errors import SourceUnavailable
from domain.git_references import parse_repository

WEB = parse_repository("https://git.example.com/team/app.git")
ACCESS = "fatal: unable to access 'https://git.example.com/team/app.git/': "


@pytest.mark.parametrize(
    "output",
    [
        f"{ACCESS}Failed to connect to git.example.com port 443 after 0 ms: Couldn't connect to server",
        f"{ACCESS}Could not resolve host: git.example.com",
        f"{ACCESS}Resolving timed out after 5000 milliseconds",
        f"{ACCESS}Connection timeout after 300000 ms",
        f"{ACCESS}SSL connection timeout",
        f"{ACCESS}Recv failure: Connection was reset",
        f"{ACCESS}Send failure: Broken pipe",
        f"{ACCESS}Empty reply from server",
        f"{ACCESS}Proxy CONNECT aborted",
        f"{ACCESS}Received HTTP code 502 from proxy after CONNECT",
        f"{ACCESS}CONNECT tunnel failed, response 503\nfatal: HTTP code 503 from proxy",
        f"{ACCESS}HTTP/2 stream 1 was not closed cleanly: INTERNAL_ERROR (err 2)",
        f"{ACCESS}Error in the HTTP2 framing layer",
        f"{ACCESS}gnutls_handshake() failed: The TLS connection was non-properly terminated.",
        f"{ACCESS}OpenSSL SSL_connect: SSL_ERROR_SYSCALL in connection to git.example.com:443",
        f"{ACCESS}TLS connect error: error:0A000126:SSL routines::unexpected eof while reading",
        f"{ACCESS}The requested URL returned error: 503",
        (
            "fatal: unable to connect to git.example.com:\n"
            "git.example.com[0: 192.0.2.1]: errno=Connection refused"
        ),
        (
            "ssh: connect to host git.example.com port 22: Host is down\n"
            "fatal: Could not read from remote repository."
        ),
        (
            "kex_exchange_identification: Connection closed by remote host\n"
            "fatal: Could not read from remote repository."
        ),
        (
            "error: RPC failed; curl 18 transfer closed with outstanding read data remaining\n"
            "fatal: expected flush after ref listing"
        ),
        "remote: fatal: write error: No space left on device\nfatal: early EOF",
    ],
)
def test_a_server_out_of_reach_is_said_to_be_that(output: str) -> None:
    error = failure_of(WEB, output)
    assert isinstance(error, SourceUnavailable)
    assert str(error) == f"The Git server of {WEB.display} cannot be reached at the moment."


def test_a_disk_of_our_own_that_is_full_is_not_taken_for_a_silent_server() -> None:
    error = failure_of(WEB, "fatal: write error: No space left on device\nfatal: early EOF")
    assert "The disk of the machine that runs Seaway has no room" in str(error)


def test_what_is_not_known_is_told_in_the_words_of_git() -> None:
    error = failure_of(WEB, f"{ACCESS}Received HTTP/0.9 when not allowed")
    assert isinstance(error, SourceUnavailable)
    assert str(error) == f"Git could not read {WEB.display}: Received HTTP/0.9 when not allowed."
    assert str(failure_of(WEB, "")) == f"Git could not read {WEB.display}."
