"""Owns the minds of the scenario ``tools``: makers, a spendthrift and a trespasser, who live by tool servers.

What they ask for is data. Each follows lists of calls that stand in its own artifact, finds its place in
them by its recent turns, and draws what is left open in a call from chance.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Final

from ..world import Action, Answer, Code, Contract, Done, Invoke, Rest, Sleep, Write
from .answered import code_of, parts_of, text_of
from .digest import slug_of
from .mind import Decision, Observation, Rules, Turn

LIST_TOOLS: Final = "list_tools"
TEXT_CHARS_MAX: Final = 6_000
_BLANK = re.compile(r"\{(\w+)\}")
_LINK = re.compile(r"https?://[^\s\"'<>)\]]+")
_LIMITS = (Code.SCRIP_INSUFFICIENT, Code.QUOTA_EXCEEDED)
_SECOND_US = 1_000_000


@dataclass(frozen=True)
class Call:
    """A call as it is planned.

    Attributes:
        on: the artifact. args: with blanks such as ``{page}``, filled anew for each call.
        sells: what the answer is sold as; empty where it is only a step on the way.
        about: what it is about; empty for the end of the latest text that was asked with.
    """

    on: str
    method: str
    args: dict[str, Any]
    sells: str = ""
    about: str = ""

    def is_asked_by(self, action: Action | Rest | None) -> bool:
        """Whether an action is this call, whatever stands in the blanks."""
        return (
            isinstance(action, Invoke)
            and (action.id, action.method) == (self.on, self.method)
            and _fits(self.args, action.args)
        )


Trade = Sequence[Call]
"""Calls that are made one after the other."""


@dataclass(frozen=True)
class Place:
    """Where a mind stands: the last call that it made, its answer, and its turns since then."""

    trade: Trade
    index: int
    turn: Turn
    since: tuple[Turn, ...]

    @property
    def call(self) -> Call:
        """The call as it was planned."""
        return self.trade[self.index]

    @property
    def has_rested(self) -> bool:
        """Whether a rest came after it."""
        return any(isinstance(turn.action, Sleep) for turn in self.since)


class Follower(Rules):
    """Common to those who follow lists of calls.

    Params: ``trades``, lists of calls, each with what a ``Call`` has; ``words`` by the name of the
    blank that they fill; ``rest_s``, about how long a rest is. Blanks that are always there: ``me``,
    ``scrip``, ``now_us``, ``step``, and ``link``, an address in the last answer that had one.
    """

    def choose(self, o: Observation) -> Decision:
        """Go on from the last call."""
        trades = [[Call(**call) for call in trade] for trade in o.params().get("trades", [])]
        for back, turn in enumerate(reversed(o.recent)):
            for trade in trades:
                for index, call in enumerate(trade):
                    if call.is_asked_by(turn.action):
                        since = o.recent[len(o.recent) - back :]
                        return self.go_on(o, trades, Place(trade, index, turn, since))
        return self.begin(o, trades)

    def begin(self, o: Observation, trades: Sequence[Trade]) -> Decision:
        """The first call of a trade, or a rest where nothing can be done."""
        return ask(o, trades[0][0]) if trades else rest(o)

    def go_on(self, o: Observation, trades: Sequence[Trade], at: Place) -> Decision:
        """What comes after a call."""
        raise NotImplementedError


class Toolsmith(Follower):
    """Makes things with tools and sells them; goes elsewhere where a tool is refused or is not there.

    Params: those of a follower, the trade that it likes best first; ``price_scrip`` of what it sells.
    """

    def begin(self, o: Observation, trades: Sequence[Trade]) -> Decision:
        """The first call of the best trade whose tools did not say no when they were last asked."""
        for trade in trades:
            if not any(is_closed(o, call.on) for call in trade):
                return ask(o, trade[0])
        return rest(o)

    def go_on(self, o: Observation, trades: Sequence[Trade], at: Place) -> Decision:
        """Sell what was made, take the next step, ask once more, or go elsewhere."""
        answer, code = at.turn.answer, code_of(at.turn.answer)
        if isinstance(answer, Done):
            if at.call.sells and not at.since:
                return publish(o, at)
            if at.index + 1 < len(at.trade):
                return ask(o, at.trade[at.index + 1])
            return self.begin(o, trades) if at.has_rested else rest(o)
        if code is Code.METHOD_UNKNOWN:
            return discover(o, at) or self.begin(o, trades)
        if code is Code.TOOL_CRASHED and not at.since:
            return ask(o, at.call)
        return self.begin(o, trades)


class Spendthrift(Follower):
    """Calls one tool after the other, each until a limit stops it; then it rests and begins anew."""

    def go_on(self, o: Observation, trades: Sequence[Trade], at: Place) -> Decision:
        """The same again while it is answered."""
        if isinstance(at.turn.answer, Done):
            return ask(o, at.call)
        if code_of(at.turn.answer) is Code.METHOD_UNKNOWN and (found := discover(o, at)):
            return found
        if at.index + 1 < len(at.trade):
            return ask(o, at.trade[at.index + 1])
        return self.begin(o, trades) if at.has_rested else rest(o)


class Trespasser(Follower):
    """Tries what must be refused, one thing after the other, and minds no refusal."""

    def go_on(self, o: Observation, trades: Sequence[Trade], at: Place) -> Decision:
        """The next attempt, after a rest."""
        return ask(o, at.trade[(at.index + 1) % len(at.trade)]) if at.has_rested else rest(o)


def ask(o: Observation, call: Call) -> Invoke:
    """A call with its blanks filled."""
    chance = o.chance()
    words = {name: chance.choice(words) for name, words in o.params().get("words", {}).items()}
    links = next(filter(None, (_links(turn.answer) for turn in reversed(o.recent))), [""])
    always = {"me": o.principal, "scrip": o.scrip, "now_us": o.now_us, "step": o.step}
    filled: dict[str, Any] = _filled(call.args, {**words, "link": chance.choice(links), **always})
    return Invoke(call.on, call.method, filled)


def rest(o: Observation) -> Sleep:
    """A rest, sometimes shorter and sometimes longer."""
    rest_s = o.params().get("rest_s", 1) * o.chance().uniform(0.5, 1.5)
    return Sleep(o.now_us + int(rest_s * _SECOND_US))


def discover(o: Observation, at: Place) -> Invoke | None:
    """What to do about an unknown method: see which there are, then ask again; None if that was in vain."""
    listing = Invoke(at.call.on, LIST_TOOLS)
    if at.since and at.since[-1].action == listing:
        return ask(o, at.call) if isinstance(at.since[-1].answer, Done) else None
    return None if any(turn.action == listing for turn in o.recent) else listing


def is_closed(o: Observation, id: str) -> bool:
    """Whether an artifact said no when it was last asked. A crash is none, and a limit opens after a rest."""
    has_rested = False
    for turn in reversed(o.recent):
        has_rested |= isinstance(turn.action, Sleep)
        if isinstance(turn.action, Invoke) and turn.action.id == id:
            code = code_of(turn.answer)
            opens = code is Code.TOOL_CRASHED or (has_rested and code in _LIMITS)
            return code is not None and not opens
    return False


def publish(o: Observation, at: Place) -> Write:
    """Offer the answer of a call, at one's price, a little up or down."""
    call, answer = at.call, at.turn.answer
    text = text_of(answer)[:TEXT_CHARS_MAX] or "\n".join(_pictures(answer))
    work = takewhile(lambda turn: not isinstance(turn.action, Sleep), reversed(o.recent))
    about = call.about or next(filter(None, map(_about, work)), "nothing")
    price = max(1, int(o.params().get("price_scrip", 5)) + o.chance().randint(-1, 1))
    return Write(
        f"{slug_of(f'{call.sells} {about}')}.{o.principal}",
        f"# {call.sells}: {about}\n\n{text}\n",
        f"{call.sells} by {call.on} {call.method}: {about}",
        call.sells,
        Contract("pay_per_use", price),
    )


def _about(turn: Turn) -> str:
    """What a call is about: the end of its first text, on one line; nothing for what is no call."""
    args = turn.action.args if isinstance(turn.action, Invoke) else {}
    first = next((value for value in args.values() if isinstance(value, str)), "")
    return " ".join(first.rstrip("/").rsplit("/", 1)[-1].split())[:60]


def _links(answer: Answer) -> list[str]:
    return sorted(set(_LINK.findall(text_of(answer))))


def _pictures(answer: Answer) -> Iterator[str]:
    for part in parts_of(answer):
        if part.get("type") == "image":
            yield f"data:{part.get('mimeType')};base64,{part.get('data')}"


def _filled(value: Any, words: dict[str, Any]) -> Any:
    """A value with its blanks filled; a text that is nothing but a blank becomes the word itself."""
    if isinstance(value, str):
        whole = _BLANK.fullmatch(value)
        if whole and whole[1] in words:
            return words[whole[1]]
        return _BLANK.sub(lambda match: str(words.get(match[1], match[0])), value)
    if isinstance(value, list):
        return [_filled(item, words) for item in value]
    if isinstance(value, dict):
        return {key: _filled(item, words) for key, item in value.items()}
    return value


def _fits(planned: Any, given: Any) -> bool:
    """Whether a value may have come from a planned one; any text of blanks fits anything."""
    if isinstance(planned, str) and _BLANK.search(planned):
        return True
    if isinstance(planned, dict) and isinstance(given, dict):
        return planned.keys() == given.keys() and all(_fits(planned[k], given[k]) for k in planned)
    if isinstance(planned, list) and isinstance(given, list):
        return len(planned) == len(given) and all(map(_fits, planned, given))
    return bool(planned == given)
