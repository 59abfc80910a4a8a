"""What an operator may want to count of calls to RPC endpoints."""


class Observer:
    """Is told what happens, and keeps nothing. Endpoints go by their names, never by their URLs."""

    def call_ended(self, endpoint: str, method: str, outcome: str, seconds: float) -> None:
        """A call has ended: "ok", or the kind of its RpcError."""

    def budget_waited(self, endpoint: str, method: str, seconds: float) -> None:
        """A call had to wait for its budget; 0 seconds: it did not wait and was given up."""

    def retried(self, method: str) -> None:
        """A read is tried once more."""


SILENT = Observer()
