"""soli serve."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from flows.commands.common import DryRun, Json, settings_of

if TYPE_CHECKING:
    from flows.rewards_server.build import Served
    from flows.settings import Settings

TOKEN_FILE = "serve.token"  # noqa: S105 -- a file's name

Model = Annotated[
    str | None,
    typer.Option(help="Score what is not stored with this model: its id, or `latest`."),
]
Checkpoint = Annotated[
    Path | None, typer.Option(help="Folder of a model, instead of --model; needs no warehouse.")
]
MediaRoots = Annotated[
    list[Path] | None,
    typer.Option(
        "--media-root",
        help="Folder that videos must lie in; paths start from the first (default: media_roots of"
        " the settings).",
    ),
]
Host = Annotated[
    str, typer.Option(help="Address to listen on; a token is asked for on any but loopback.")
]
Port = Annotated[int, typer.Option(min=0, max=65535, help="0: a free one.")]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        help="File of the token that requests must carry, made where there is none (default:"
        " HOME/serve.token where others can reach the server, else no token)."
    ),
]
Name = Annotated[
    list[str] | None,
    typer.Option(help="A further host name that requests may come under; repeat for several."),
]
Places = Annotated[int, typer.Option("--queue", min=1, help="Videos that may wait for the model.")]
Timeout = Annotated[float, typer.Option(min=1, help="Seconds that a batch waits for the model.")]
Device = Annotated[
    Literal["auto", "cpu", "cuda"], typer.Option(help="auto takes a GPU where there is one.")
]


def serve(
    context: typer.Context,
    *,
    model: Model = None,
    checkpoint: Checkpoint = None,
    media_root: MediaRoots = None,
    host: Host = "127.0.0.1",
    port: Port = 8090,
    token_file: TokenFile = None,
    name: Name = None,
    places: Places = 256,
    timeout: Timeout = 120,
    device: Device = "auto",
    json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Answer rewards over HTTP, for training loops, and as Label Studio's ML backend.

    POST /rewards takes {"items": [{"video_path": ..., "prompt": ...} or {"item_id": ...}, ...]}, at
    most 1000. Rewards that the warehouse holds are answered without the model; --model or
    --checkpoint scores the rest, each video decoded once. Label Studio finds /health, /setup and
    /predict. In the foreground, until Ctrl-C.

    \b
    Examples:
      soli serve                                       # stored rewards of the newest model
      soli serve --model latest --media-root samples/  # and the model for what is not stored
      soli serve --checkpoint model/ --media-root /data/samples --port 8091
      soli serve --host 0.0.0.0 --name trainer-1 --token-file serve.token
      soli serve --model latest --dry-run
    """
    if model and checkpoint:
        raise typer.BadParameter("--model and --checkpoint are two models; give one")
    settings = settings_of(context)
    from flows.console import say, show_json
    from flows.listening import is_loopback, listen, place_of, token_of, url_of
    from flows.rewards_server import server
    from flows.rewards_server.build import Wanted, built
    from flows.rewards_server.guard import rules_for

    roots = tuple(media_root) if media_root else settings.media_roots or (settings.media_root,)
    wanted = Wanted(model, checkpoint, roots, device, places, timeout)
    with listen(host, port) as listening:
        address, _ = place_of(listening)
        file = token_file or (None if is_loopback(address) else settings.home / TOKEN_FILE)
        token = ("0" * 16 if dry_run else token_of(file)) if file else None
        rules = rules_for(address, tuple(name or ()), token)
        with built(settings, wanted, rules) as served:
            url = url_of(listening)
            facts = _facts(served, url, file, settings)

            def ready() -> None:
                if json or dry_run:
                    show_json(facts)
                else:
                    say(_words(served, url, file))

            if dry_run:
                ready()
            else:
                server.run(served.app, listening, ready)


def _facts(
    served: Served, url: str, token_file: Path | None, settings: Settings
) -> dict[str, object]:
    return {
        "url": url,
        "model_id": served.model_id,
        "stored items": served.stored,
        "scores the rest": served.scores,
        "reference": served.reference,
        "token file": token_file,
        "home": settings.home,
    }


def _words(served: Served, url: str, token_file: Path | None) -> str:
    rest = "the model scores the rest" if served.scores else "no model scores the rest"
    token = f"; the token is in {token_file}" if token_file else ""
    return (
        f"{url}: rewards of model {served.model_id[:16]}; {served.stored} items stored, {rest}"
        f"{token}; Ctrl-C ends it"
    )
