"""A building server can ask for every login that its client has, so the client has only those it may need."""

from __future__ import annotations

import time

import pytest
from pydantic import SecretStr

from domain.build_registries import logins_needed
from domain.registries import RegistryLogin

HOSTS = ("a.example.com", "b.example.com:5000", "docker.io")
LOGINS = tuple(RegistryLogin(host, "robot", SecretStr(f"password of {host}")) for host in HOSTS)
A, B, HUB = HOSTS


@pytest.mark.parametrize(
    ("dockerfile", "arguments", "hosts"),
    [
        ("FROM a.example.com/team/base:1\nRUN make\n", {}, {A}),
        ("FROM A.example.com/team/base@sha256:0 AS base\nFROM base\nCOPY --from=0 /a /b\n", {}, {A}),
        ("FROM scratch\nCOPY --from=b.example.com:5000/tools /a /b\n", {}, {B}),
        ("FROM a.example.com/x\nRUN --mount=from=b.example.com:5000/x,target=/x make\n", {}, {A, B}),
        ("FROM a.example.com.evil.org/x\n", {}, set()),
        ("FROM other.a.example.com/x\nFROM b.example.com/x\nFROM a.example.com:5000/x\n", {}, set()),
        ("FROM node:22\n", {}, {HUB}),
        ("FROM --platform=$BUILDPLATFORM library/node AS build\nFROM build\n", {}, {HUB}),
        ("FROM \\\n  node:22\n", {}, {HUB}),
        ("FROM index.docker.io/acme/x\n", {}, {HUB}),
        ("# syntax=docker/dockerfile:1\nFROM a.example.com/x\n", {}, {A, HUB}),
        ("# syntax=b.example.com:5000/frontend\nFROM scratch\n", {}, {B}),
        ("FROM scratch\n", {"BUILDKIT_SYNTAX": "acme/frontend"}, {HUB}),
        ("ARG BASE=a.example.com/x\nFROM ${BASE}\n", {}, {A}),
        ("ARG BASE=node:22\nFROM $BASE\n", {}, {HUB}),
        ("ARG BASE=node:22\nFROM $BASE\n", {"BASE": "a.example.com/x:1"}, {A}),
        ("ARG BASE\nFROM ${BASE:-b.example.com:5000/x}\n", {}, {B}),
        ('ARG ZONE="example.com" HOST=b.${ZONE}\nFROM ${HOST}:5000/x\n', {}, {B}),
        ("ARG ZONE\nFROM a.${ZONE}/x\n", {"ZONE": "example.com"}, {A}),
        ("ARG STAGE=one\nFROM a.example.com/x AS one\nFROM $STAGE\n", {}, {A}),
        ("FROM $WHATEVER\n", {}, {HUB}),
        ("", {}, set()),
    ],
)
def test_a_build_gets_the_logins_of_registries_that_its_text_names(
    dockerfile: str, arguments: dict[str, str], hosts: set[str]
) -> None:
    assert {login.host for login in logins_needed(LOGINS, dockerfile, arguments)} == hosts


@pytest.mark.parametrize(
    "dockerfile",
    [
        "\n" * 2**20,
        "FROM " + "--a " * 2**18,
        "FROM" + " " * 2**20,
        "ARG " + "a" * 2**20,
        "ARG " + "a='" * 2**18,
        "FROM ${a" + "-" * 2**20,
        ("FROM ${" + "a" * 500 + "\n") * 2**11,
        "ARG a=b\n" + "ARG a=$a$a\n" * 2**16 + "FROM $a\n" * 2**16,
        "# " * 2**19,
    ],
)
def test_no_dockerfile_holds_it_up(dockerfile: str) -> None:
    began = time.process_time()
    logins_needed(LOGINS, dockerfile, {})
    assert time.process_time() - began < 5
