"""What an attempt can come to beside a reply."""

from harness.endpoints.replies import EndpointReply


class NoRoom(Exception):
    """Prompt and reply do not fit into the server's context; `max_tokens` would, 0 where none does."""

    def __init__(self, max_tokens: int) -> None:
        super().__init__(max_tokens)
        self.max_tokens = max_tokens


class OtherField(Exception):
    """The server knows the limit of a reply by another name; the message is what it said."""


class Failed(Exception):
    """An attempt that may succeed when made again. `words` are the server's or the network's; `retry_after`:
    None where nothing is overloaded; `instead`: what the last attempt leaves, None where that is nothing.
    """

    def __init__(
        self,
        reason: str,
        words: str = "",
        retry_after: float | None = None,
        instead: EndpointReply | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason, self.words, self.retry_after, self.instead = reason, words, retry_after, instead

    @property
    def told(self) -> str:
        """The reason, and the words where there are any."""
        return f"{self.reason}: {self.words}" if self.words else self.reason
