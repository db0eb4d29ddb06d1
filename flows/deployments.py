"""Which flows can be deployed, and how: `soli flows serve` and prefect.yaml say the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import Any

from prefect import Flow
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.events import DeploymentEventTrigger

from flows.flow_run import PAIRS_BUILT

# A run that is due while one goes on is cancelled: the one that goes on reads whatever changed, and
# the next follows soon. Queued runs would pile up behind the first pull of a large project.
CANCELLED = ConcurrencyLimitStrategy.CANCEL_NEW
# Trainings are asked for one by one: each is done, in turn.
WAITS = ConcurrencyLimitStrategy.ENQUEUE
TAGS = ["soli"]


@dataclass(frozen=True)
class Deployed:
    """A flow as it is deployed."""

    entrypoint: str
    """Module and flow, as Prefect loads it."""
    second: ConcurrencyLimitStrategy = CANCELLED
    """What becomes of a run that is due while another goes on."""
    interval: float | None = None
    """Seconds between runs, unless told otherwise."""
    cron: str | None = None
    on_pairs: bool = False
    """Whether a new pair set may start it, where that is asked for."""

    @property
    def limit(self) -> ConcurrencyLimitConfig:
        """One run at a time."""
        return ConcurrencyLimitConfig(limit=1, collision_strategy=self.second)

    @property
    def flow(self) -> Flow[..., Any]:
        """The flow itself."""
        module, _, name = self.entrypoint.rpartition(".")
        found: Flow[..., Any] = getattr(import_module(module), name)
        return found


DEPLOYMENTS: Mapping[str, Deployed] = MappingProxyType(
    {
        "ingest": Deployed("flows.schedule.soli_ingest", interval=300.0),
        "nightly": Deployed("flows.nightly.soli_nightly", cron="0 2 * * *"),
        "train": Deployed("flows.model_flows.soli_train", WAITS, on_pairs=True),
        "score-back": Deployed("flows.model_flows.soli_score_back", WAITS),
    }
)


def on_new_pairs(*, enabled: bool) -> DeploymentEventTrigger:
    """Start the deployment with each pair set that the night builds anew."""
    return DeploymentEventTrigger(
        name="soli: train on a new pair set",
        enabled=enabled,
        expect={PAIRS_BUILT},
        parameters={"pair_set": "{{ event.payload.pair_set_id }}"},
    )
