"""What each platform holds after the demo, beside who it can use of the made-up people."""

from collections.abc import Sequence, Set
from dataclasses import dataclass

import aiohttp

from cli.demo.made_up_people import Member, Person
from cli.local_stack.running import Running
from schemas.target import Target

ON_PLATFORMS = "blotout_Demo_customers"


@dataclass(frozen=True, slots=True)
class Comparison:
    """The members that an account holds, and those that it must hold."""

    target: Target
    held: Set[Member]
    usable: Set[Member]

    @property
    def is_exact(self) -> bool:
        """Whether it holds all of them and nobody else."""
        return self.held == self.usable


async def compare(session: aiohttp.ClientSession, found: Running, people: Sequence[Person]) -> Sequence[Comparison]:
    """Ask the sandbox who is where."""
    compared = []
    for target in found.targets:
        usable = {member for person in people if (member := person.members.get(target.provider))}
        compared.append(Comparison(target, await _members(session, found, target.provider), usable))
    return compared


async def _members(session: aiohttp.ClientSession, found: Running, provider: str) -> set[Member]:
    query = {"provider": provider, "audience": ON_PLATFORMS}
    async with session.get(f"http://{found.sandbox}/_sandbox/members", params=query) as response:
        body = await response.json()
    return {tuple(member) for member in body["members"]}
