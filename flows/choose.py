"""Which one of several: the method whose consensus counts."""

from __future__ import annotations

from agreement.consensus import ConsensusRule
from flows.settings import Settings, owned


def chosen_method(settings: Settings) -> str:
    """The method whose consensus pairs are built from.

    Raises: AgreementError, SettingsError for a section `consensus` that makes no sense.
    """
    return owned(ConsensusRule, "consensus", settings.consensus).method
