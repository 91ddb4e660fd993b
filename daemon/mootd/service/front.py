"""What answers from the first moment on: pings and quick reads at once, all else once the rest of the daemon is loaded.

Most of a start is the loading of code that neither needs, so the socket is served before. Invariant: nothing else is
carried out before `loaded`; whatever was asked until then waits for it, and fails with what loading failed with.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

from moot_protocol.requests.base import Request
from moot_protocol.requests.machine import Ping
from mootd.engine.patience import Check, patient
from mootd.service.reading.quick import QuickReads

if TYPE_CHECKING:
    from mootd.service.service import Service

R = TypeVar("R")


class Front:
    """The service, from before it is there: the control socket's `Dispatcher`.

    Args:
        ping: answers a ping.
        quick: answers quick reads.
    """

    def __init__(self, ping: Callable[[], dict[str, Any]], quick: QuickReads) -> None:
        self._ping = ping
        self._quick = quick
        self._coming: Future[Service] = Future()
        self._service: Service | None = None

    def loaded(self, service: "Service") -> None:
        """The rest is there, and at work."""
        self._service = service
        self._coming.set_result(service)

    def failed(self, error: BaseException) -> None:
        """The rest will never be there; this changes nothing where it is there already, or was known to fail."""
        if not self._coming.done():
            self._coming.set_exception(error)

    # -- From threads --------------------------------------------------------------------------------------------
    def is_coming(self) -> bool:
        """Wait for the rest, and tell whether it came."""
        return self._coming.exception() is None

    async def until_loaded(self) -> None:
        """Wait for the rest, from the loop: it is loaded in a thread, of which whoever waits must keep none.

        Raises:
            MootError: what loading failed with.
        """
        if self._service is None:  # who gives up waiting must not take it from the others
            await asyncio.shield(asyncio.wrap_future(self._coming))

    def call(
        self,
        request: Request[R],
        key: str = "",
        wait: Callable[["Future[Any]"], Any] = lambda future: future.result(),
        check: Check = patient,
    ) -> R:
        """As `Service.call`; `wait` waits for the service too."""
        if self._quick.take(request):
            return self._quick.answer(request)
        service: Service = self._service or wait(self._coming)
        return service.call(request, key, wait=wait, check=check)

    # -- From the loop: `Dispatcher` -----------------------------------------------------------------------------
    def is_quick(self, request: Request[Any]) -> bool:
        """Whether a request is answered at once, on the loop."""
        return type(request) is Ping or self._quick.take(request)

    def handle(self, request: Request[Any], key: str) -> Any:
        """Answer a quick request."""
        del key  # reads need none
        return self._ping() if isinstance(request, Ping) else self._quick.answer(request)

    def begin(
        self, request: Request[Any], key: str, deadline: float, answered: Callable[[Any, BaseException | None], object]
    ) -> Callable[[], object] | None:
        """Begin a request that needs no task; see `Dispatcher`."""
        return None if self._service is None else self._service.begin(request, key, deadline, answered)

    async def handle_async(self, request: Request[Any], key: str, deadline: float) -> Any:
        """Answer any other request."""
        if isinstance(request, Ping):
            return self._ping()
        await self.until_loaded()
        service = self._service or self._coming.result()
        return await service.handle_async(request, key, deadline)
