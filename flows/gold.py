"""Gold labels of a file, into Label Studio; the next pull takes them in."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from annotation.gold import GoldStored, page_of, store_gold
from annotation.projects import project_source
from flows.annotate import connect, labelling_of, projects_of
from flows.labelling import project_rows
from flows.settings import Settings
from warehouse.lease import lease


def add_gold(
    settings: Settings,
    file: Path,
    project_id: int,
    *,
    dry_run: bool = False,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> GoldStored:
    """Store the gold labels of a file in a project, as ground truth of the token's owner.

    Running it again stores nothing twice; a bad row is refused alone, with its reason.
    Raises: AnnotationError where the file cannot be read, or the project carries no source or
        shares it with another.
    """
    with connect(settings) as client:
        (project,) = projects_of(client, project_id)
        rows = project_rows(settings.store, project_source(project))
        page = page_of(project, labelling_of(settings, project, rows).mapping)
        # Two of us at once would both find nothing, and make each annotation twice.
        alone = lease(settings.store.home / "gold.lock", "store gold labels")
        with nullcontext() if dry_run else alone:
            return store_gold(client, project, file, page, dry_run=dry_run, progress=progress)
