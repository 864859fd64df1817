"""Who may build on a server: at most so many at once, and projects take turns."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

USUAL_LIMIT = 2


class SlotRequest(BaseModel):
    """A deployment that builds or waits. `round` is its place in the order, given when it asked."""

    model_config = ConfigDict(frozen=True)

    holder: str
    group: str = ""
    round: int = 0


class BuildSlots(BaseModel):
    """The slots of one server. `waiting` is in the order in which they will be granted.

    Start-time fair queueing (Goyal, Vin, Cheng 1996) with builds of equal weight: each request of a group
    comes one round after the one before it, and `round` is that of the newest grant. It differs in that
    nobody joins the present round any more, so that newcomers without end cannot keep it open. So a
    group that asks for twenty builds at once holds up each other one by two of them at most.
    `next_rounds` holds only groups that are ahead of a newcomer.
    """

    model_config = ConfigDict(frozen=True)

    limit: int = USUAL_LIMIT
    running: tuple[SlotRequest, ...] = ()
    waiting: tuple[SlotRequest, ...] = ()
    round: int = 0
    next_rounds: dict[str, int] = {}

    @property
    def holders(self) -> tuple[str, ...]:
        """Everybody who has a slot or waits for one."""
        return tuple(one.holder for one in (*self.running, *self.waiting))

    @property
    def builds(self) -> tuple[str, ...]:
        """Those who have a slot."""
        return tuple(one.holder for one in self.running)

    @property
    def free(self) -> int:
        """How many could begin at once; none while somebody waits."""
        return 0 if self.waiting else max(self.limit - len(self.running), 0)

    def position(self, holder: str) -> int:
        """The place in the queue, from 1; 0 for whoever does not wait."""
        return next((place for place, one in enumerate(self.waiting, 1) if one.holder == holder), 0)


def with_limit(slots: BuildSlots, limit: int) -> BuildSlots:
    """The same with another number of builds at once; those that run already go on."""
    return slots.model_copy(update={"limit": max(limit, 1)})


def ask(slots: BuildSlots, holder: str, group: str) -> BuildSlots:
    """The holder waits in its group's turn; asking again changes nothing."""
    if holder in slots.holders:
        return slots
    place = max(slots.round + 1, slots.next_rounds.get(group, 0))
    request = SlotRequest(holder=holder, group=group, round=place)
    before = sum(one.round <= place for one in slots.waiting)
    return slots.model_copy(
        update={
            "waiting": (*slots.waiting[:before], request, *slots.waiting[before:]),
            "next_rounds": {**slots.next_rounds, group: place + 1},
        }
    )


def admit(slots: BuildSlots) -> tuple[BuildSlots, tuple[str, ...]]:
    """Grants what is free, and tells to whom."""
    count = min(max(slots.limit - len(slots.running), 0), len(slots.waiting))
    if not count:
        return slots, ()
    admitted = slots.waiting[:count]
    present = admitted[-1].round
    admitting = {
        "running": (*slots.running, *admitted),
        "waiting": slots.waiting[count:],
        "round": present,
        "next_rounds": {group: after for group, after in slots.next_rounds.items() if after > present + 1},
    }
    return slots.model_copy(update=admitting), tuple(one.holder for one in admitted)


def release(slots: BuildSlots, holder: str) -> BuildSlots:
    """The holder builds and waits no more; whoever is unknown changes nothing."""
    return slots.model_copy(
        update={
            "running": tuple(one for one in slots.running if one.holder != holder),
            "waiting": tuple(one for one in slots.waiting if one.holder != holder),
        }
    )
