"""Local videos that the server hands to annotators: which folders, and whether it may."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from annotation.client import Client
from warehouse.errors import AnnotationError


def served_folders(videos: Iterable[Path], media_root: Path) -> list[Path]:
    """Folders to connect so that the server can hand out these videos: as few and small as may be.

    A connection covers the folders below it; there is one for each folder of the media root, as
    deep as all its videos allow.
    Raises: AnnotationError for a video that does not lie in a folder below the media root.
    """
    root = media_root.resolve()
    groups: dict[str, set[str]] = {}
    for video in videos:
        real = video.resolve()
        if not real.is_relative_to(root) or real.parent == root:
            raise AnnotationError(
                f"video {video} is in no folder below {root}, so Label Studio cannot serve it; move"
                " its folder there, or name another folder in media_roots and start the server"
                " again (`soli annotate server --stop`, then `soli annotate server`)"
            )
        groups.setdefault(real.relative_to(root).parts[0], set()).add(str(real.parent))
    return [Path(os.path.commonpath(groups[name])) for name in sorted(groups)]


def check_served(client: Client, project_id: int, folders: Iterable[Path]) -> None:
    """Ask the server whether it could serve these folders; nothing is made.

    Raises: AnnotationError where it could not, with its reason.
    """
    for folder in folders:
        body = connection(project_id, folder)
        try:
            client.call("POST", "api/storages/localfiles/validate", body=body)
        except AnnotationError as error:
            raise AnnotationError(
                f"videos of {folder} cannot be served to annotators: {error}. Where media_roots was"
                " changed after the server had started, `soli annotate server` starts it again with"
                " the new folder, at another port; else give the videos by URL"
            ) from error


def serve_media(client: Client, project_id: int, folder: Path) -> None:
    """Let the server hand this folder's videos to the annotators of a project.

    Raises: AnnotationError where the server refuses, e.g. a folder outside its media root.
    """
    body = connection(project_id, folder)
    there = client.call("GET", "api/storages/localfiles", params={"project": project_id})
    if not any(storage.get("path") == body["path"] for storage in there):
        client.call("POST", "api/storages/localfiles", body=body)


def connection(project_id: int, folder: Path) -> dict[str, Any]:
    """Local storage connection of a project in Label Studio's words."""
    path = str(folder.resolve())
    return {"project": project_id, "path": path, "title": folder.name, "use_blob_urls": True}
