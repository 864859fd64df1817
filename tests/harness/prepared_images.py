"""Makes the images that tests use: `python -m tests.harness.prepared_images`.

On a machine that has none of them this takes minutes, mostly of waiting for packages. A test that needs an
image makes it too; whoever comes second waits for the first and finds it.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tests.harness.engine import connect, ensure_engine
from tests.harness.images import ensure_sample_application_image
from tests.harness.ssh_servers import ensure_server_images


def prepare() -> None:
    """Returns when all are there. Raises what the first failure raised."""
    client = connect(ensure_engine())
    with ThreadPoolExecutor() as pool:
        making = [
            pool.submit(make, client) for make in (ensure_sample_application_image, ensure_server_images)
        ]
    for made in making:
        made.result()
    client.close()


if __name__ == "__main__":
    prepare()
