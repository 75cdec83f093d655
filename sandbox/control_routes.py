"""Handlers of `/_sandbox/`: look inside, and make things fail. See `sandbox.app` for the paths."""

import msgspec
from aiohttp import web

from sandbox.kit.faults import PROVIDERS, Control, Fault
from sandbox.kit.platform import StandIn, json_answer
from sandbox.kit.store import Audience, Store, union


class Inside:
    """What a person or a test sees that a client of a platform does not."""

    def __init__(self, control: Control, stores: dict[str, Store], stand_ins: dict[str, StandIn]) -> None:
        self._control = control
        self._stores = stores
        self._stand_ins = stand_ins

    def routes(self) -> list[web.RouteDef]:
        """Return the paths and their handlers."""
        return [
            web.get("/healthz", self.health, allow_head=False),
            web.get("/_sandbox/members", self.members, allow_head=False),
            web.delete("/_sandbox/members", self.forget),
            web.get("/_sandbox/audiences", self.audiences, allow_head=False),
            web.get("/_sandbox/counters", self.counters, allow_head=False),
            web.delete("/_sandbox/counters", self.reset),
            web.get("/_sandbox/faults", self.faults, allow_head=False),
            web.post("/_sandbox/faults", self.inject),
            web.delete("/_sandbox/faults", self.clear),
        ]

    async def health(self, request: web.Request) -> web.Response:
        """Say that we are up."""
        del request
        return web.Response(text="ok")

    async def members(self, request: web.Request) -> web.Response:
        """Show what is held, each member once."""
        return json_answer({"members": union(self._chosen(request))})

    async def forget(self, request: web.Request) -> web.Response:
        """Empty audiences; without a name they are gone altogether."""
        provider, chosen = _provider(request), self._chosen(request)
        for audience in chosen:
            audience.members.clear()
        if "audience" not in request.query:
            for audience in chosen:
                del self._stores[provider].audiences[audience.id]
            self._stand_ins[provider].forget(request.query.get("account"))
        return web.Response(status=204)

    async def audiences(self, request: web.Request) -> web.Response:
        """Show the audiences held."""
        shown = [
            {"id": audience.id, "name": audience.name, "account": audience.account, "members": len(audience.members)}
            for audience in self._chosen(request)
        ]
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
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return json_answer({"error": str(error)}, 400)
        self._control.faults.append(fault)
        return json_answer({"faults": self._control.faults}, 201)

    async def clear(self, request: web.Request) -> web.Response:
        """End all faults but some kinds, upon which calls that one holds up go on; or those of a provider that wait."""
        if "provider" in request.query:
            self._control.end(_provider(request), request.query.get("fault"))
        else:
            self._control.clear(request.query.get("but", "").split(","))
        return web.Response(status=204)

    def _chosen(self, request: web.Request) -> list[Audience]:
        provider = _provider(request)
        self._stand_ins[provider].settle()
        return self._stores[provider].chosen(request.query.get("audience"), request.query.get("account"))


def _provider(request: web.Request) -> str:
    name = request.query.get("provider", "")
    if name not in PROVIDERS:
        body = {"error": f"provider: expected one of {', '.join(PROVIDERS)}"}
        raise web.HTTPBadRequest(text=msgspec.json.encode(body).decode(), content_type="application/json")
    return name
