"""A Label Studio of one's own, for benchmarks and soaks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from annotation import server

ROOT = Path(__file__).parents[1]


@contextmanager
def label_studio(folder: Path) -> Iterator[server.LabelStudio]:
    """A server on a copy of the prepared database, in the folder; ended with the block."""
    binary = ROOT / ".venv-labelstudio" / "bin" / "label-studio"
    template = server.prepare_template(ROOT / ".cache" / "labelstudio-template", binary)
    media = folder / "media"
    media.mkdir(parents=True)
    with server.start(folder / "server", binary, media, template=template) as running:
        yield running
