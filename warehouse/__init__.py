"""What the other packages agree on: contracts, errors, digests, and the store of tables."""

from warehouse.contracts import TABLES
from warehouse.digest import table_digest, value_digest
from warehouse.errors import PlatformError
from warehouse.identity import prompt_id

__all__ = ["TABLES", "PlatformError", "prompt_id", "table_digest", "value_digest"]
