"""Dockerfiles of small sites whose content tells how they were built."""

from __future__ import annotations

BASE = "seaway-test/python:1"
SERVE = 'CMD ["busybox", "httpd", "-f", "-p", "3000", "-h", "/www"]\n'
STAMPED = f"""\
FROM {BASE} AS base
WORKDIR /www
ARG GREETING=none
RUN echo "$GREETING" >greeting.txt && head -c 9 /dev/urandom | base64 >stamp.txt && echo ok >health

FROM base AS small
RUN echo small >stage.txt
{SERVE}
FROM base AS large
RUN echo large >stage.txt
{SERVE}"""
