"""Owns the minds of the scenario ``library``: those who make digests, and those who live off them.

Every mind is rules over its recent turns; each answer of the world decides the next step.
"""

from __future__ import annotations

import re
from random import Random
from typing import Any

from ..world import (
    Action,
    Answer,
    Code,
    Contract,
    Delete,
    Done,
    Edit,
    Envelope,
    Invoke,
    Read,
    Sleep,
    Write,
)
from .answered import code_of, rows_of, text_of
from .bazaar_buyers import Buyer, Investor, Speculator
from .bazaar_credit import Lender
from .bazaar_fringe import Gambler, Herald, Thief
from .bazaar_makers import Maker
from .digest import digest_of, slug_of
from .fishers import Fisher
from .mind import Decision, Observation, Rules
from .physicists import Collector, Experimenter, Forger, Greedy, Skeptic, Theorist
from .script import Script
from .toolsmiths import Spendthrift, Toolsmith, Trespasser

STORE, LEDGER = "genesis_store", "genesis_ledger"
FILES, WEB = "genesis_filesystem", "genesis_fetch"
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_SECOND_US = 1_000_000
_NOT_FOR_READING = ("genesis", "principal")


class Publisher(Rules):
    """Common to those who read a source, publish priced digests, index them and buy reviews.

    Params: ``price_scrip`` of a digest, ``rest_s`` between two works, ``review_budget_scrip``.
    """

    tool = ""

    def choose(self, o: Observation) -> Decision:
        """Go on from the last answer."""
        if not o.recent:
            return self.begin(o)
        action, answer = o.recent[-1].action, o.recent[-1].answer
        if isinstance(action, Sleep):
            return self.begin(o)
        if isinstance(action, Invoke) and action.id == self.tool:
            return self.with_tool(o, action, answer)
        if isinstance(action, Invoke) and action.id == STORE:
            return self.with_store(o, action, answer)
        if isinstance(action, Write) and code_of(answer) == Code.QUOTA_EXCEEDED:
            wait_us = getattr(answer, "retry_after_us", None)
            if wait_us is not None:
                return Sleep(o.now_us + wait_us, (o.principal,))
            return Invoke(STORE, "list", {"owner": o.principal, "type": "index"})
        return self.between_works(o)

    def between_works(self, o: Observation) -> Decision:
        """Rest, look after the index, buy a review, or take up the next work."""
        chance = o.chance()
        what = chance.random()
        if what < 0.25:
            return Sleep(o.now_us + int(o.params().get("rest_s", 1) * _SECOND_US), (o.principal,))
        if what < 0.40:
            return Invoke(STORE, "list", {"owner": o.principal, "type": "digest"})
        if what < 0.55:
            return Invoke(STORE, "search", {"query": "review"})
        return self.begin(o)

    def with_store(self, o: Observation, action: Invoke, answer: Answer) -> Decision:
        """What the store told decides: publish an index, buy a review, begin a work."""
        rows = rows_of(answer)
        if action.method == "list" and action.args.get("type") == "index":
            return Delete(rows[0]["id"]) if rows else Sleep(o.now_us + 10 * _SECOND_US)
        if action.method == "list":
            return self.index(o, rows)
        budget = int(o.params().get("review_budget_scrip", 4))
        fair = [row for row in rows if 0 < (row["read_scrip"] or 0) <= budget]
        if action.method == "search" and fair:
            best = o.chance().choice(fair)
            return Envelope(o.principal, Read(best["id"]), price_max_scrip=budget)
        return self.begin(o)

    def index(self, o: Observation, rows: list[dict[str, Any]]) -> Decision:
        """Publish what one has on offer, as a cheap artifact of its own."""
        if not rows:
            return self.begin(o)
        lines = [f"- {row['id']}: {row['description']}" for row in rows]
        return Write(
            f"index_{o.principal}",
            f"# The digests of {o.principal}\n\n" + "\n".join(lines) + "\n",
            f"index of {len(rows)} digests by {o.principal}",
            "index",
            Contract("pay_per_use", 1),
        )

    def publish(self, o: Observation, name: str, text: str) -> Decision:
        """Publish the digest of a text at one's price, a little up or down."""
        digest = digest_of(text, name.replace("_", " "))
        price = max(1, int(o.params().get("price_scrip", 6)) + o.chance().randint(-1, 1))
        return Write(
            f"digest_{slug_of(name)}.{o.principal}",
            digest.text,
            digest.description,
            "digest",
            Contract("pay_per_use", price),
        )

    def begin(self, o: Observation) -> Decision:
        """The first step of a work."""
        raise NotImplementedError

    def with_tool(self, o: Observation, action: Invoke, answer: Answer) -> Decision:
        """What the tool told decides."""
        if code_of(answer) == Code.METHOD_UNKNOWN:
            return Invoke(self.tool, "list_tools")
        if action.method == "list_tools" and isinstance(answer, Done):
            return self.begin(o)
        return Sleep(o.now_us + 5 * _SECOND_US, (o.principal,))


class Librarian(Publisher):
    """Reads the files of a directory tree through the filesystem server. Params: ``root``."""

    tool = FILES

    def begin(self, o: Observation) -> Decision:
        """Look into the root."""
        return Invoke(FILES, "list_directory", {"path": self.root(o)})

    def root(self, o: Observation) -> str:
        """Where the files are."""
        return str(o.params().get("root", "/docs"))

    def with_tool(self, o: Observation, action: Invoke, answer: Answer) -> Decision:
        """From a listing to a file, from a file to its digest."""
        if not isinstance(answer, Done):
            return super().with_tool(o, action, answer)
        if action.method == "list_directory":
            return self.enter(o, action.args["path"], text_of(answer))
        if action.method == "read_file":
            path = str(action.args["path"]).removeprefix(f"{self.root(o)}/")
            return self.publish(o, path.removesuffix(".md"), text_of(answer))
        return super().with_tool(o, action, answer)

    def enter(self, o: Observation, path: str, listing: str) -> Decision:
        """Into a directory of the listing, or to one of its files."""
        entries = [line.split("] ", 1) for line in listing.splitlines() if "] " in line]
        names = [(kind, name) for kind, name in entries if kind == "[DIR" or name.endswith(".md")]
        if not names:
            return Sleep(o.now_us + 5 * _SECOND_US, (o.principal,))
        kind, name = o.chance().choice(names)
        method = "list_directory" if kind == "[DIR" else "read_file"
        return Invoke(FILES, method, {"path": f"{path}/{name}"})


class WebLibrarian(Publisher):
    """Follows the links of a small site through the fetch server. Params: ``start_url``."""

    tool = WEB

    def begin(self, o: Observation) -> Decision:
        """Fetch the first page."""
        return Invoke(WEB, "fetch", {"url": o.params().get("start_url", "")})

    def with_tool(self, o: Observation, action: Invoke, answer: Answer) -> Decision:
        """From a page to its digest, or on to a page that it links to."""
        if not isinstance(answer, Done) or action.method != "fetch":
            return super().with_tool(o, action, answer)
        url, text = action.args["url"], text_of(answer)
        site = "/".join(url.split("/")[:3])
        links = sorted({link for link in _LINK.findall(text) if link.startswith("/")})
        chance = o.chance()
        if links and (url == o.params().get("start_url") or chance.random() < 0.4):
            return Invoke(WEB, "fetch", {"url": site + chance.choice(links)})
        name = url.rsplit("/", 1)[-1].removesuffix(".html")
        return self.publish(o, f"site_{name}", text.split("\n", 1)[-1])


class Reader(Rules):
    """Searches, compares, pays and reads; writes reviews that publishers buy; tips what was good.

    Params: ``topics``, ``budget_scrip`` for one artifact.
    """

    def choose(self, o: Observation) -> Decision:
        """Go on from the last answer."""
        chance = o.chance()
        if not o.recent:
            return self.search(o, chance)
        action, answer = o.recent[-1].action, o.recent[-1].answer
        if isinstance(action, Invoke) and action.method == "search" and isinstance(answer, Done):
            return self.compare(o, chance, rows_of(answer))
        if isinstance(action, Invoke) and action.method == "get" and isinstance(answer, Done):
            return Invoke(LEDGER, "transfer", {"to": answer.result["owner"], "amount": 1})
        if isinstance(action, Read) and isinstance(answer, Done):
            return self.after_reading(o, chance, action.id)
        if code_of(answer) == Code.SCRIP_INSUFFICIENT:
            return Sleep(o.now_us + 4 * _SECOND_US, (o.principal,))
        if chance.random() < 0.3:
            return Sleep(o.now_us + chance.randint(1, 3) * _SECOND_US, (o.principal,))
        return self.search(o, chance)

    def search(self, o: Observation, chance: Random) -> Decision:
        """Ask the store about a topic of one's own."""
        topics = o.params().get("topics") or ["digest"]
        return Invoke(STORE, "search", {"query": chance.choice(topics)})

    def compare(self, o: Observation, chance: Random, rows: list[dict[str, Any]]) -> Decision:
        """Take the cheapest of what one has not read lately, and say what one will pay at most."""
        budget = min(int(o.params().get("budget_scrip", 8)), o.scrip)
        seen = {turn.action.id for turn in o.recent if isinstance(turn.action, Read)}
        on_offer = [
            (row["read_scrip"], chance.random(), row["id"])
            for row in rows
            if row["type"] not in _NOT_FOR_READING
            and row["owner"] != o.principal
            and row["id"] not in seen
            and row["read_scrip"] is not None
            and row["read_scrip"] <= budget
        ]
        if not on_offer:
            return Sleep(o.now_us + chance.randint(1, 3) * _SECOND_US, (o.principal,))
        return Envelope(o.principal, Read(min(on_offer)[2]), price_max_scrip=budget)

    def after_reading(self, o: Observation, chance: Random, id: str) -> Decision:
        """Review it, ask who made it to give a tip, or look for more."""
        what = chance.random()
        if what < 0.35:
            verdict = chance.choice(["clear", "dense", "useful", "too short", "worth its price"])
            return Write(
                f"review_{o.principal}_{o.step % 5}",
                f"{id} is {verdict}. Read at {o.now_us} us by {o.principal}.\n",
                f"review of {id} by {o.principal}",
                "review",
                Contract("pay_per_use", chance.randint(1, 3)),
            )
        if what < 0.45 and o.scrip > 20:
            return Invoke(STORE, "get", {"id": id})
        return self.search(o, chance)


class Hoarder(Rules):
    """Looks at everything there is, as fast as it can, until its compute is used up; then it waits."""

    def choose(self, o: Observation) -> Decision:
        """The next page of the store, or what is free to read on the last one."""
        last = o.recent[-1] if o.recent else None
        after = ""
        if last is not None and isinstance(last.answer, Done) and isinstance(last.action, Invoke):
            free = [row["id"] for row in rows_of(last.answer) if row["read_scrip"] == 0]
            if free and o.chance().random() < 0.5:
                return Read(o.chance().choice(free))
            after = last.answer.result["after"] or ""
        return Invoke(STORE, "list", {"after": after, "limit": 5})


class Clumsy(Rules):
    """Makes the mistakes that models make, one after the other, and does what it is told instead."""

    def choose(self, o: Observation) -> Decision:
        """The next mistake, or the way out of the last."""
        if o.recent:
            answer = o.recent[-1].answer
            hint = re.search(r"did you mean '?([a-z_0-9]+)", getattr(answer, "detail", ""))
            if hint is not None:
                return self.corrected(o.recent[-1].action, hint[1])
        mistakes = self.mistakes(o)
        if o.step % (len(mistakes) + 1) == len(mistakes):
            return Sleep(o.now_us + 3 * _SECOND_US, (o.principal,))
        return mistakes[o.step % (len(mistakes) + 1)]

    def corrected(self, action: Any, name: str) -> Decision:
        """The same action with the name that the refusal told."""
        if isinstance(action, Read):
            return Read(name)
        if isinstance(action, Invoke) and name.startswith("genesis_"):
            return Invoke(name, action.method, action.args)
        if isinstance(action, Invoke):
            return Invoke(action.id, name, action.args)
        return Read("genesis_handbook")

    def mistakes(self, o: Observation) -> list[Action]:
        """What goes wrong, in order. A correction takes the place of the reading after it."""
        return [
            Invoke("genesis_handbook", "read", {"topic": "codes"}),
            Invoke(LEDGER, "transfr", {"to": "genesis", "amount": 1}),
            Read("genesis_handbook"),
            Invoke(LEDGER, "transfer", {"to": "genesis", "amount": "five"}),
            Invoke(LEDGER, "transfer", {"to": "genesis", "amount": 1_000_000}),
            Invoke(LEDGER, "transfer", {"to": "nobody_here", "amount": 1}),
            Invoke(LEDGER, "balance", {"account": "me"}),
            Invoke("genesis_stor", "count", {}),
            Read("genesis_handbook"),
            Read("digest_that_nobody_wrote"),
            Write("My Notes!", "an id with capitals and a space"),
            Write("notes_of_" + o.principal, "x" * 2_000_000),
            Write("notes_of_" + o.principal, "what I learn", "notes"),
            Edit("notes_of_" + o.principal, "what he learns", "what she learns"),
            Invoke("notes_of_" + o.principal, "read", {}),
            Delete("genesis_ledger"),
        ]


MINDS: dict[str, type[Rules]] = {
    "librarian": Librarian,
    "web_librarian": WebLibrarian,
    "reader": Reader,
    "hoarder": Hoarder,
    "clumsy": Clumsy,
    "toolsmith": Toolsmith,
    "spendthrift": Spendthrift,
    "trespasser": Trespasser,
    "theorist": Theorist,
    "experimenter": Experimenter,
    "forger": Forger,
    "collector": Collector,
    "skeptic": Skeptic,
    "greedy": Greedy,
    "maker": Maker,
    "buyer": Buyer,
    "speculator": Speculator,
    "investor": Investor,
    "lender": Lender,
    "gambler": Gambler,
    "thief": Thief,
    "herald": Herald,
    "script": Script,
    "fisher": Fisher,
}
"""The minds that a scenario can name."""
