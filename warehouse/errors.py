"""Every error that Soli raises on purpose, in one tree.

PlatformError                 anything a user can act on; one line, exit code 1
├── ContractError             a table does not keep its contract
├── StoreError                the warehouse cannot be read or written (lease, missing table, disk)
├── AnnotationError           Label Studio, its exports and the media it serves
├── AgreementError            statistics that are not defined on the labels given
├── PairingError              recipes and pair sets
├── TrainingError             models, training, scoring
├── SettingsError             soli.toml, environment and flags
└── GateStop                  a gate said stop; not a failure, exit code 3

A message says what was wrong, which value, and the next step.
"""

import re


class PlatformError(Exception):
    """Root of the tree. `exit_code` is what the command line returns for it."""

    exit_code = 1


class ContractError(PlatformError):
    """A table does not keep its contract."""


class StoreError(PlatformError):
    """The warehouse cannot be read or written."""


class AnnotationError(PlatformError):
    """Label Studio, one of its exports, or a media file is not usable."""


class AgreementError(PlatformError):
    """A statistic is not defined on the labels given."""


class PairingError(PlatformError):
    """A recipe or pair set is not usable."""


class TrainingError(PlatformError):
    """A model, a training run or a scoring run is not usable."""


class SettingsError(PlatformError):
    """A setting is missing or makes no sense."""


class GateStop(PlatformError):
    """A gate said stop: the labels do not agree well enough to build pairs from."""

    exit_code = 3


def one_line(error: Exception | str) -> str:
    """Words of an error, another library's above all, without colours, arrows and line breaks.

    >>> one_line(ValueError("Kernel error:\\n  ↳ \\x1b[31mno such file\\x1b[0m"))
    'Kernel error: no such file'
    """
    plain = re.sub(r"\x1b\[[0-9;]*m|↳", "", str(error))
    return " ".join(plain.split())
