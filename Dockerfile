# The image of Seaway's API and workers: `seaway api` and `seaway worker`.
# Debian 13 is the first with Docker's client and buildx as packages of their own. Any Debian or Ubuntu
# image with Python 3.11 or newer will do: docker build --build-arg BASE=…
ARG BASE=python:3.12-slim-trixie

FROM ${BASE} AS runtime
ENV DEBIAN_FRONTEND=noninteractive
RUN apt-get update \
    && if apt-cache show docker-buildx >/dev/null 2>&1; then docker="docker-cli docker-buildx"; else docker=docker.io; fi \
    && if python3 -c 'import sqlite3, ssl' 2>/dev/null; then python=; else python=python3; fi \
    && apt-get install -y --no-install-recommends ca-certificates git git-lfs openssh-client $docker $python \
    && rm -rf /var/lib/apt/lists/*

FROM runtime AS build
RUN if ! python3 -c 'import ensurepip' 2>/dev/null; then \
        apt-get update && apt-get install -y --no-install-recommends python3-venv; \
    fi
WORKDIR /source
# The dependencies change less often than the code: a layer of their own.
COPY constraints.txt pyproject.toml ./
# Behind a proxy with an authority of its own: --secret id=ca_bundle,src=/etc/ssl/certs/ca-certificates.crt
RUN --mount=type=secret,id=ca_bundle \
    if [ -f /run/secrets/ca_bundle ]; then export PIP_CERT=/run/secrets/ca_bundle; fi \
    && python3 -m venv /opt/seaway \
    && python3 -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"], sep="\n")' \
        >requirements.txt \
    && /opt/seaway/bin/pip install --no-cache-dir -c constraints.txt -r requirements.txt "setuptools>=77"
COPY . .
RUN /opt/seaway/bin/pip install --no-cache-dir --no-deps --no-index --no-build-isolation . \
    && /opt/seaway/bin/pip uninstall --yes setuptools

FROM runtime
RUN useradd --system --uid 10001 --home-dir /var/lib/seaway --create-home --shell /usr/sbin/nologin seaway
COPY --from=build /opt/seaway /opt/seaway
ENV PATH=/opt/seaway/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    SEAWAY_DATA_DIR=/var/lib/seaway
USER seaway
WORKDIR /var/lib/seaway
VOLUME /var/lib/seaway
EXPOSE 8000
ENTRYPOINT ["seaway"]
CMD ["api", "--host", "0.0.0.0"]
