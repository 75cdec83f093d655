"""The sandbox's server: the platforms' calls, and `/_sandbox/` to look inside and to make things fail.

Base URLs are `/facebook`, `/tiktok` and `/klaviyo`. Besides, and never counted as calls:

- `GET /_sandbox/members?provider=…[&audience=NAME][&account=ID]`: `{"members": [[identifier, …], …]}`, each member
  once, sorted; of Meta the filled cells without values and options, of TikTok the ids, of Klaviyo e-mail address,
  phone number and external id. `DELETE` empties the audiences; without a name they are gone as well.
- `GET /_sandbox/audiences?provider=…[&account=ID]`: `{"audiences": [{"id", "name", "account", "members"}]}`
- `GET /_sandbox/counters`: by provider `calls`, `inFlight`, `highestInFlight`, `refusedByLimits`, `byOperation`,
  `rows` that were taken, `repeatedRows` among them that their audience held already; `DELETE` begins again
- `POST /_sandbox/faults`: a fault for the next calls, see `sandbox.kit.faults.Fault`; `GET` lists those that wait,
  `DELETE` ends them and lets stalled calls go on, with `?but=KIND,…` all but those of some kinds;
  `DELETE …?provider=…[&fault=…]` ends only those that wait
- `GET /healthz`: `ok`
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import replace

from aiohttp import web

from sandbox.control_routes import Inside
from sandbox.facebook.api import Facebook
from sandbox.kit.faults import REFUSALS, Control, Fault
from sandbox.kit.garbage_collection import collecting_later
from sandbox.kit.options import SandboxOptions
from sandbox.kit.platform import Call, LimitReached, Refusal, Route, StandIn, Surroundings, json_answer
from sandbox.klaviyo.api import Klaviyo
from sandbox.tiktok.api import TikTok

STALL = 3600.0
SLOW = 1.0
MAX_BODY = 32 * 1024 * 1024

SAYING_PARTLY = frozenset({"tiktok"})
"""Platforms that have words for an upload of which they took only some."""

Answerer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def create_app(options: SandboxOptions | None = None) -> web.Application:
    """Return the sandbox as an application."""
    chosen, control = options or SandboxOptions(), Control()
    around = {name: Surroundings(chosen, counters) for name, counters in control.counters.items()}
    stand_ins: dict[str, StandIn] = {
        "facebook": Facebook(around["facebook"]),
        "tiktok": TikTok(around["tiktok"]),
        "klaviyo": Klaviyo(around["klaviyo"]),
    }
    app = web.Application(client_max_size=MAX_BODY)
    inside = Inside(control, {name: its.store for name, its in around.items()}, stand_ins)
    app.router.add_routes(inside.routes())
    for name, stand_in in stand_ins.items():
        stage = _Stage(name, stand_in, control, chosen)
        for route in stand_in.routes():
            app.router.add_route(route.method, route.path, stage.played(route))

    async def let_go(app: web.Application) -> None:
        del app
        control.clear()

    app.on_shutdown.append(let_go)
    return app


async def serve(host: str, port: int, options: SandboxOptions | None = None) -> web.AppRunner:
    """Start the sandbox; `runner.addresses[0][1]` is its port, which 0 leaves to the system.

    End it by `runner.cleanup()`. A client that leaves ends its call, which is then no longer in flight.
    """
    runner = web.AppRunner(create_app(options), access_log=None, handler_cancellation=True, shutdown_timeout=0.5)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError:
        await runner.cleanup()
        raise
    return runner


class _Stage:
    """Where a stand-in is called: counts every call and plays the fault which is due."""

    def __init__(self, name: str, stand_in: StandIn, control: Control, options: SandboxOptions) -> None:
        self._name = name
        self._stand_in = stand_in
        self._control = control
        self._options = options

    def played(self, route: Route) -> Answerer:
        """Return the handler of a route."""

        async def answer(request: web.Request) -> web.StreamResponse:
            with self._control.counters[self._name].counting():
                return await self._play(await _read(request), route)

        return answer

    async def _play(self, read: Call, route: Route) -> web.StreamResponse:
        operation, request = route.operation_of(read), read.request
        self._control.counters[self._name].by_operation[operation] += 1
        fault = self._control.take(self._name, operation)
        call = replace(read, fault=fault, standing=self._control.standing(self._name, operation))
        kind = fault.fault if fault else ""
        seconds = fault.seconds if fault else None
        await asyncio.sleep(self._options.latency)
        if kind == "drop":
            return _dropped(request)
        if kind == "stall":
            await self._control.hold(STALL if seconds is None else seconds)
        with collecting_later() if self._options.in_bulk else nullcontext():
            answer = self._answer(call, route)
        if kind == "slow":
            await self._control.hold(SLOW if seconds is None else seconds)
        is_dropped = kind == "drop_after" or (kind == "half" and self._name not in SAYING_PARTLY)
        return _dropped(request) if is_dropped else answer

    def _answer(self, call: Call, route: Route) -> web.Response:
        fault = call.fault
        if fault and fault.fault == "html":
            return _gateway_error()
        if fault and fault.fault == "custom":
            return _custom(fault)
        self._stand_in.settle()
        try:
            refused = fault is not None and fault.fault in REFUSALS
            answer = self._stand_in.refusal(fault) if fault and refused else route.handler(call)
        except Refusal as refusal:
            answer = refusal.answer
            self._control.counters[self._name].refused_by_limits += isinstance(refusal, LimitReached)
        self._stand_in.dress(call, answer)
        return answer


async def _read(request: web.Request) -> Call:
    """Read the body whole, so that even a refused upload does not end in a broken connection."""
    if request.content_type not in ("multipart/form-data", "application/x-www-form-urlencoded"):
        return Call(request=request, body=await request.read(), form={})
    form: dict[str, str] = {}
    try:
        for name, value in (await request.post()).items():
            if isinstance(value, str):
                form[name] = value
            elif isinstance(value, web.FileField):
                form[name] = value.file.read().decode()
                value.file.close()
    except ValueError:
        form = {}
    return Call(request=request, body=b"", form=form)


def _dropped(request: web.Request) -> web.Response:
    """End the connection; the answer returned reaches nobody."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def _gateway_error() -> web.Response:
    page = "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"
    return web.Response(text=page, status=502, content_type="text/html")


def _custom(fault: Fault) -> web.Response:
    status = 500 if fault.status is None else fault.status
    if isinstance(fault.body, str):
        return web.Response(status=status, headers=fault.headers, body=fault.body.encode())
    answer = json_answer(fault.body, status)
    answer.headers.update(fault.headers)
    return answer
