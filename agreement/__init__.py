"""Agreement between annotators, consensus of their labels, and gates on both."""

from agreement.consensus import ConsensusRule, build_consensus
from agreement.gates import GateRule, judge, open_dimensions
from agreement.report import agreement_report
from agreement.verify import verify

__all__ = [
    "ConsensusRule",
    "GateRule",
    "agreement_report",
    "build_consensus",
    "judge",
    "open_dimensions",
    "verify",
]
