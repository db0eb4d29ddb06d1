"""Automations: Prefect tells somebody when a gate stops, no pull comes, or a run dies or hangs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.events.actions import SendNotification
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.exceptions import ObjectNotFound

from flows.flow_run import GATE_STOPPED, RUN_HANGS, RUN_LOST
from flows.prefect_server import check_server
from flows.schedule import KEY as INGEST
from warehouse.errors import SettingsError

SHORTEST = timedelta(seconds=10)  # of Prefect's triggers that wait for what does not come


@dataclass(frozen=True)
class Automated:
    """An automation as it stands in Prefect."""

    name: str
    when: str
    """What it waits for, in words."""
    outcome: str
    """made, or updated."""


def notify(block: str, behind: timedelta, *, dry_run: bool = False) -> list[Automated]:
    """Make the automations, or update those that are there.

    block: notification block of Prefect, TYPE/NAME as in `prefect block ls`: slack-webhook/team.
    behind: with no pull completed for so long, ingestion has fallen behind.
    Raises: SettingsError where no server answers, there is no such block, or the time is too short.
    """
    if behind < SHORTEST:
        raise SettingsError(f"{behind.total_seconds():g} s is too short a time; give 10s or longer")
    check_server()
    with get_client(sync_client=True) as client:
        wanted = _wanted(_block(client, block), behind)
        return [_put(client, each, when, dry_run=dry_run) for each, when in wanted]


def _block(client: SyncPrefectClient, slug: str) -> UUID:
    kind, _, name = slug.partition("/")
    try:
        return client.read_block_document_by_name(name, kind, include_secrets=False).id
    except ObjectNotFound:
        there = [
            f"{found.block_type.slug}/{found.name}"
            for found in client.read_block_documents(include_secrets=False)
            if found.block_type and found.name
        ]
        raise SettingsError(
            f"Prefect has no block {slug!r}; make a notification block on its page Blocks"
            f" (there are: {', '.join(sorted(there)) or 'none'})"
        ) from None


def _wanted(block: UUID, behind: timedelta) -> list[tuple[AutomationCore, str]]:
    minutes = behind.total_seconds() / 60
    silence = EventTrigger(
        expect={"prefect.flow-run.Completed"},
        match_related={"prefect.resource.role": "flow", "prefect.resource.name": INGEST},
        posture=Posture.Proactive,
        within=behind,
    )
    stop = EventTrigger(expect={GATE_STOPPED}, posture=Posture.Reactive)
    lost = EventTrigger(expect={RUN_LOST, RUN_HANGS}, posture=Posture.Reactive)
    return [
        (
            _automation(
                "soli: a gate stops",
                stop,
                block,
                "Soli: the gate stops {{ event.payload.dimension }}",
                "{{ event.payload.reason }}. Lowest: {{ event.payload.worst }}. No pairs are built"
                " of it. See the artifact soli-measure, mend the guidelines, or ask for more labels"
                " with `soli annotate queue --push`.",
            ),
            "a dimension's agreement lies below its threshold",
        ),
        (
            _automation(
                "soli: ingestion falls behind",
                silence,
                block,
                "Soli: ingestion falls behind",
                f"No pull completed within {minutes:g} minutes. Does `soli flows serve` run? Look"
                f" at the newest runs of {INGEST}, and at `soli doctor`.",
            ),
            f"no pull completed within {minutes:g} minutes",
        ),
        (
            _automation(
                "soli: a run died or hangs",
                lost,
                block,
                "Soli: run {{ event.payload.run }} {{ event.payload.outcome }}",
                "{{ event.payload.reason }}",
            ),
            "a run's process died, or it gives no sign of progress",
        ),
    ]


def _automation(
    name: str, trigger: EventTrigger, block: UUID, subject: str, body: str
) -> AutomationCore:
    action = SendNotification(block_document_id=block, subject=subject, body=body)
    return AutomationCore(name=name, trigger=trigger, actions=[action])


def _put(
    client: SyncPrefectClient, wanted: AutomationCore, when: str, *, dry_run: bool
) -> Automated:
    there = client.read_automations_by_name(wanted.name)
    if not dry_run and there:
        client.update_automation(there[0].id, wanted)
    elif not dry_run:
        client.create_automation(wanted)
    return Automated(wanted.name, when, "updated" if there else "made")
