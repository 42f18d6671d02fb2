"""What an attack refuses."""

from corelic.errors import CorelicError


class AttackError(CorelicError, ValueError):
    """An attack that makes no sense; `reason` says what would."""

    def __init__(self, part: str, reason: str) -> None:
        super().__init__(part, reason)
        self.part, self.reason = part, reason
