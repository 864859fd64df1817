"""How a folder of files is served: the configuration of Caddy, and the image around it.

Caching follows RFC 9111: a page is asked for again each time (its ETag makes that cheap), a file whose
name holds a hash of its content never changes, and everything else is fresh for an hour.
"""

from __future__ import annotations

import json

SITE_FOLDER = "site"
"""Where the build context holds the source. Next to it lie `Caddyfile` and `Dockerfile`; the
repository's own .dockerignore, which often leaves out built folders, is then out of effect."""

DOCKERIGNORE = "**/.git\n"
"""The context's own `.dockerignore`."""

_PAGE_CACHING = "no-cache"
_HASHED_CACHING = "public, max-age=31536000, immutable"
_OTHER_CACHING = "public, max-age=3600"

# What stands between the hash and the end of the name: app.3f2a9c1b.chunk.js.map
_SUFFIX = r"(\.(chunk|min|module|bundle|esm))?\.[a-z][a-z0-9]{0,5}(\.map|\.br|\.gz)?$"
_HASHED_NAMES = (
    # Hexadecimal, anywhere; digits alone may be a date, letters alone a word.
    (r"[/._-][0-9a-f]{8,64}", r"[0-9][0-9a-f]*", r"[a-f][0-9a-f]*"),
    # Mixed letters and digits, anywhere; a digit at the end alone may be a number: Version2.
    (r"[/._-][A-Za-z0-9]{8,32}", r"[0-9][A-Za-z0-9]*[A-Za-z]", r"[A-Z][A-Za-z0-9]*"),
    # Eight of base64url, in the folders that bundlers write, where other names are rare.
    (
        r"/(assets|_astro|_nuxt|_app/immutable|_next/static|static/(js|css|media))/(.*[/._-])?[A-Za-z0-9_-]{8}",
        r"[A-Z0-9][A-Za-z0-9_-]{0,6}",
    ),
)
# A missing file of these kinds is missing, also where a single page answers for every other path: an
# application that gets a page for a script fails in ways that are hard to read.
_FILE_KINDS = (
    "js|mjs|cjs|css|map|json|webmanifest|wasm|xml|txt|png|jpe?g|gif|webp|avif|svg|ico|bmp"
    "|woff2?|ttf|otf|eot|mp[34]|webm|ogg|wav|pdf|zip|gz|br"
)

# Caddy tries the matchers of one set in no fixed order: none may use what another of its set captures.
_CADDYFILE = """\
{
	admin off
	auto_https off
	persist_config off
	grace_period 30s
	log {
		output stderr
		level ERROR
		exclude tls
	}
	servers {
		protocols h1
	}
}

:%(port)d {
	root * /srv
	encode zstd gzip
	header -Server

	route {
		@hidden expression `path_regexp('(^|/)[.]') && !path_regexp('^/[.]well-known(/[^.][^/]*)*/?$')`
		error @hidden 404

		@slash path_regexp page ^(/[A-Za-z0-9._~-][A-Za-z0-9._~/-]*[^/])/+$
		route @slash {
			@page_not_folder {
				not file {path}index.html
				file {re.page.1}.html
			}
			redir @page_not_folder {re.page.1}{?query} 308
		}

		@page {
			not path */
			not file {path}
			file {path}.html
		}
		rewrite @page {path}.html
%(fallback)s
		header Cache-Control "%(other)s"
		@hashed expression `%(hashed)s`
		header @hashed Cache-Control "%(immutable)s"
		@html path *.html *.htm */
		header @html Cache-Control "%(page)s"
		@folder file {path}/index.html
		header @folder Cache-Control "%(page)s"
		file_server
	}

	handle_errors {
		header Cache-Control "%(page)s"
		@own {
			expression {err.status_code} == 404
			file /404.html
		}
		handle @own {
			rewrite * /404.html
			file_server {
				status 404
			}
		}
		respond "{err.status_code} {err.status_text}"
	}
}
"""

_SINGLE_PAGE = """
		@route_folder {
			path */
			not file {path}index.html
			file /index.html
		}
		rewrite @route_folder /index.html

		@route {
			not path */
			not file {path} {path}/index.html
			not path_regexp \\.(%s)$
			file /index.html
		}
		rewrite @route /index.html
"""


def caddyfile(single_page: bool, port: int) -> str:
    """The Caddyfile (Caddy 2) that serves `/srv` on `port`, without TLS, admin interface and access log.

    `/about` is `about.html` or `about/`; hidden files stay hidden, but for `/.well-known`; a missing page
    is `404.html` with status 404. With `single_page`, `index.html` answers for it instead, as status 200.
    """
    return _CADDYFILE % {
        "port": port,
        "fallback": _SINGLE_PAGE % _FILE_KINDS if single_page else "",
        "hashed": _hashed_expression(),
        "immutable": _HASHED_CACHING,
        "page": _PAGE_CACHING,
        "other": _OTHER_CACHING,
    }


def dockerfile(publish_directory: str, base_image: str) -> str:
    """The Dockerfile of the site's image, for a context as described at `SITE_FOLDER`.

    `publish_directory` starts with `/` and is relative to the source; `base_image` holds `/caddy`.
    Nothing in the image is written to, and nothing runs as root.
    """
    source = f"{SITE_FOLDER}/{publish_directory.strip('/')}".rstrip("/") + "/"
    return "\n".join(
        [
            f"FROM {base_image}",
            "ENV HOME=/tmp XDG_CONFIG_HOME=/tmp XDG_DATA_HOME=/tmp",
            "USER 65534:65534",
            'ENTRYPOINT ["/caddy", "run", "--config", "/Caddyfile", "--adapter", "caddyfile"]',
            'COPY ["Caddyfile", "/Caddyfile"]',
            f"COPY --chown=65534:65534 {json.dumps([source, '/srv/'])}",
            "",
        ]
    )


def _hashed_expression() -> str:
    """The expression (CEL) that tells names with a hash; each alternative has several conditions."""
    alternatives = (
        " && ".join(
            f"path_regexp('{(condition + _SUFFIX).replace(chr(92), chr(92) * 2)}')" for condition in rule
        )
        for rule in _HASHED_NAMES
    )
    return " || ".join(f"({alternative})" for alternative in alternatives)
