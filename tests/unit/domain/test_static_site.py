"""The texts for a static site; what Caddy makes of them is tested with Caddy itself."""

from __future__ import annotations

from domain.static_site import caddyfile, dockerfile


def test_the_site_listens_on_its_port_without_tls_and_administration() -> None:
    text = caddyfile(single_page=False, port=3000)
    assert "\n:3000 {" in text
    assert "admin off" in text
    assert "auto_https off" in text


def test_only_a_single_page_falls_back_to_its_index() -> None:
    assert "rewrite @route /index.html" in caddyfile(single_page=True, port=80)
    assert "rewrite @route /index.html" not in caddyfile(single_page=False, port=80)


def test_the_image_holds_the_published_folder_whatever_its_name() -> None:
    lines = dockerfile("/my dist", "seaway/caddy:2").splitlines()
    assert lines[0] == "FROM seaway/caddy:2"
    assert 'COPY --chown=65534:65534 ["site/my dist/", "/srv/"]' in lines
    assert 'COPY --chown=65534:65534 ["site/", "/srv/"]' in dockerfile("/", "seaway/caddy:2").splitlines()
