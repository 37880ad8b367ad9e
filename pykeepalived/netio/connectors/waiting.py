"""What a command of a conversation gives at once: the reply, or that it comes later."""

from __future__ import annotations

from enum import Enum
from typing import Final

from pykeepalived.checkers.conversation import Reply


class Waiting(Enum):
    PENDING = "pending"


PENDING: Final = Waiting.PENDING
Answer = Reply | Waiting
