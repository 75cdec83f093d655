"""The sandbox's server: the platforms' calls, and `/_sandbox/` to look inside and to make things fail.

- `GET|DELETE /_sandbox/members?provider=…[&audience=NAME][&account=ID]`: members held
- `GET /_sandbox/audiences?provider=…`: audiences held
- `GET|DELETE /_sandbox/counters`: calls, calls in flight, the highest number of them
- `GET|POST|DELETE /_sandbox/faults`: faults for the next calls, see `Fault`
"""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

from sandbox.control import PROVIDERS, Control, Fault, drop
from sandbox.facebook import Facebook
from sandbox.klaviyo import Klaviyo
from sandbox.platform import Refusal, Route, SandboxOptions, Surroundings, json_answer
from sandbox.tiktok import TikTok

STALL = 3600.0
MAX_BODY = 20 * 1024 * 1024

Answerer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def create_app(options: SandboxOptions | None = None) -> web.Application:
    """Return the sandbox as an application."""
    control = Control()
    around = {name: Surroundings(options or SandboxOptions(), control) for name in PROVIDERS}
    platforms = (
        ("facebook", Facebook(around["facebook"]).routes()),
        ("tiktok", TikTok(around["tiktok"]).routes()),
        ("klaviyo", Klaviyo(around["klaviyo"]).routes()),
    )
    app = web.Application(client_max_size=MAX_BODY)
    for name, routes in platforms:
        for route in routes:
            app.router.add_route(route.method, route.path, _played(name, route, around[name]))
    inside = Inside(control, around)
    app.router.add_get("/healthz", inside.health)
    app.router.add_get("/_sandbox/members", inside.members)
    app.router.add_delete("/_sandbox/members", inside.forget)
    app.router.add_get("/_sandbox/audiences", inside.audiences)
    app.router.add_get("/_sandbox/counters", inside.counters)
    app.router.add_delete("/_sandbox/counters", inside.reset)
    app.router.add_get("/_sandbox/faults", inside.faults)
    app.router.add_post("/_sandbox/faults", inside.inject)
    app.router.add_delete("/_sandbox/faults", inside.clear)
    return app


async def serve(host: str, port: int, options: SandboxOptions | None = None) -> web.AppRunner:
    """Start the sandbox; `runner.addresses` says where it listens. End it by `runner.cleanup()`."""
    runner = web.AppRunner(create_app(options), access_log=None, handler_cancellation=True, shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return runner


def _played(name: str, route: Route, around: Surroundings) -> Answerer:
    """Return a handler that counts the call and plays the fault which is due."""

    async def answer(request: web.Request) -> web.StreamResponse:
        counters = around.control.counters[name]
        counters.calls += 1
        counters.by_operation[route.operation] += 1
        counters.in_flight += 1
        counters.highest_in_flight = max(counters.highest_in_flight, counters.in_flight)
        try:
            await asyncio.sleep(around.options.latency)
            return await _with_fault(request, route, around)
        except Refusal as refusal:
            return refusal.response
        finally:
            counters.in_flight -= 1

    return answer


async def _with_fault(request: web.Request, route: Route, around: Surroundings) -> web.StreamResponse:
    fault = around.control.take(request.path.split("/")[1], route.operation)
    kind = fault.fault if fault else ""
    if fault and kind in {"stall", "slow"}:
        await around.control.stall(fault.seconds or (STALL if kind == "stall" else 1.0))
    if fault and kind == "custom":
        return web.Response(status=fault.status, headers=fault.headers, body=fault.body.encode())
    if kind == "drop":
        drop(request)
        return web.Response()
    answer = await route.handler(request, fault)
    if kind == "drop_after":
        drop(request)
    return answer


class Inside:
    """Handlers of `/_sandbox/`."""

    def __init__(self, control: Control, around: dict[str, Surroundings]) -> None:
        self._control = control
        self._around = around

    async def health(self, request: web.Request) -> web.Response:
        """Say that we are up."""
        del request
        return web.Response(text="ok")

    async def members(self, request: web.Request) -> web.Response:
        """Show what is held, each member once."""
        chosen = self._chosen(request).store.chosen(request.query.get("audience"), request.query.get("account"))
        return json_answer({"members": sorted(set().union(*(audience.members for audience in chosen)))})

    async def forget(self, request: web.Request) -> web.Response:
        """Empty audiences; without a name they are gone altogether."""
        around = self._chosen(request)
        for audience in list(around.store.chosen(request.query.get("audience"), request.query.get("account"))):
            audience.members.clear()
            audience.options.pop("profiles", None)
            if "audience" not in request.query:
                del around.store.audiences[audience.id]
        return web.Response(status=204)

    async def audiences(self, request: web.Request) -> web.Response:
        """Show the audiences held."""
        held = self._chosen(request).store.chosen(None, request.query.get("account"))
        shown = [{"id": a.id, "name": a.name, "account": a.account, "members": len(a.members)} for a in held]
        return json_answer({"audiences": shown})

    async def counters(self, request: web.Request) -> web.Response:
        """Show the counters of all platforms."""
        del request
        return json_answer({name: counters.as_json() for name, counters in self._control.counters.items()})

    async def reset(self, request: web.Request) -> web.Response:
        """Begin to count again."""
        del request
        for counters in self._control.counters.values():
            counters.reset()
        return web.Response(status=204)

    async def faults(self, request: web.Request) -> web.Response:
        """Show the faults that wait."""
        del request
        return json_answer({"faults": self._control.faults})

    async def inject(self, request: web.Request) -> web.Response:
        """Add a fault."""
        try:
            fault = msgspec.json.decode(await request.read(), type=Fault)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return json_answer({"error": str(error)}, 400)
        self._control.faults.append(fault)
        return json_answer({"faults": self._control.faults}, 201)

    async def clear(self, request: web.Request) -> web.Response:
        """End all faults."""
        del request
        self._control.clear()
        return web.Response(status=204)

    def _chosen(self, request: web.Request) -> Surroundings:
        name = request.query.get("provider", "")
        if name not in self._around:
            body = {"error": f"provider: expected one of {', '.join(PROVIDERS)}"}
            raise web.HTTPBadRequest(text=msgspec.json.encode(body).decode(), content_type="application/json")
        return self._around[name]
