"""The artifacts that are there when a world begins, one file each."""

from .escrow import ESCROW
from .event_log import EVENT_LOG
from .handbook import CODES, HANDBOOK
from .ledger import LEDGER
from .rights_registry import RIGHTS_REGISTRY
from .store import STORE

__all__ = ["CODES", "ESCROW", "EVENT_LOG", "HANDBOOK", "LEDGER", "RIGHTS_REGISTRY", "STORE"]
