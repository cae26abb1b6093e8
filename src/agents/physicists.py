"""Owns the minds of the scenario ``lab``: those who live by quantum circuits, and by what comes of them.

Each is rules over its recent turns, from the one that began its present work. What it must remember
longer stands in artifacts: what it published, and what a skeptic found.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from ..world import Answer, Code, Contract, Done, Envelope, Invoke, Read, Refused, Sleep, Write
from .answered import code_of, rows_of
from .circuit_designs import Words, document_of, energy_of, is_tuned, name_of, sweep_of
from .digest import slug_of
from .mind import Decision, Observation, Rules, Turn

QUANTUM: Final = "genesis_quantum"
STORE: Final = "genesis_store"
CIRCUIT: Final = "circuit"
RESULT: Final = "result"
FINDING: Final = "finding"
CHECK: Final = "check"
LESSON: Final = "lesson"
SHOTS: Final = 1_000
_SECOND_US: Final = 1_000_000
_TOLD_CHARS_MAX: Final = 4_000
_FORGERY: Final = re.compile(r"forgery by (\S+):")
_FLIPPED: Final = str.maketrans("01", "10")
_LARGEST: Final = (
    ("qubits", re.compile(r"at most (\d+) qubits would be admitted")),
    ("shots", re.compile(r"admitted with at most (\d+) shots")),
    ("shots", re.compile(r"shots, at most (\d+) are admitted")),
    ("depth", re.compile(r"deep, at most (\d+) is admitted")),
)
"""What of a wish a refusal is about, and where it says how much would be admitted."""

Work = Sequence[Turn]
"""The turns of the present work: first the look that began it, then what was answered."""


class Physicist(Rules):
    """Common to all: a work begins with a look at the store and ends with a rest.

    Where a quota is free again later, the same is asked again then. Params: ``rest_s``, about how
    long a rest is.
    """

    def choose(self, o: Observation) -> Decision:
        """Go on with the work, from the look that began it."""
        first = self.first(o)
        recent = [turn for turn in o.recent if not isinstance(turn.action, Sleep)]
        if not recent:
            return first
        has_rested = isinstance(o.recent[-1].action, Sleep)
        last, wait_us = recent[-1].action, _wait_us(recent[-1].answer)
        if has_rested and wait_us is not None and isinstance(last, Invoke | Write):
            return last
        if has_rested:
            return first
        if wait_us is not None:
            return Sleep(o.now_us + wait_us)
        work: list[Turn] = []
        for turn in reversed(recent):
            if _wait_us(turn.answer) is None:
                work.insert(0, turn)
            if turn.action == first:
                return self.go_on(o, work)
        return rest(o)

    def first(self, o: Observation) -> Invoke:
        """The look at the store that a work begins with."""
        raise NotImplementedError

    def go_on(self, o: Observation, work: Work) -> Decision:
        """What comes next."""
        raise NotImplementedError


class Theorist(Physicist):
    """Designs circuits, tunes those that have parameters, has them built, and sells them.

    Params: ``designs``, one after the other; ``price_scrip``, to which a tenth of the compute is
    added that a run should cost.
    """

    def first(self, o: Observation) -> Invoke:
        """What it has published."""
        return Invoke(STORE, "list", {"owner": o.principal, "type": CIRCUIT})

    def go_on(self, o: Observation, work: Work) -> Decision:
        """Tune, build, price and publish the first design that is not published yet."""
        design = _missing(work, o.params().get("designs", []), o.principal)
        action, answer = work[-1].action, work[-1].answer
        if design is None or not isinstance(answer, Done) or not isinstance(action, Invoke):
            return rest(o)
        if action.method == "build":
            asked = {"circuit": answer.result["circuit"], "shots": SHOTS}
            return Invoke(QUANTUM, "estimate", asked)
        if action.method == "estimate":
            return self.publish(o, design, work)
        return self.prepare(design, work)

    def prepare(self, design: Words, work: Work) -> Decision:
        """Look twice for the best parameters, the second time more closely; then build."""
        document = document_of(design)
        if not is_tuned(design):
            return Invoke(QUANTUM, "build", {"circuit": document})
        best = _best(work[-1].answer)
        if len(work) > 2 and best is not None:
            return Invoke(QUANTUM, "build", {"circuit": document, "values": best[1]})
        sweep = sweep_of(design, None if best is None else best[1])
        observables = {"energy": energy_of(design)}
        asked = {"circuit": document, "sweep": sweep, "observables": observables}
        return Invoke(QUANTUM, "expect", asked)

    def publish(self, o: Observation, design: Words, work: Work) -> Write:
        """Offer it, at a price that knows what a run costs."""
        asked, told = work[-1].action, work[-1].answer
        assert isinstance(asked, Invoke), asked
        compute = int(told.result.get("compute", 0)) if isinstance(told, Done) else 0
        energies = [best[0] for turn in work if (best := _best(turn.answer)) is not None]
        energy = f", energy {min(energies):.4f}" if energies else ""
        name = name_of(design)
        return Write(
            f"{slug_of(name)}.{o.principal}",
            json.dumps(asked.args["circuit"]),
            f"circuit {name} of {design['qubits']} qubits{energy}, {SHOTS} shots take about "
            f"{compute} compute",
            CIRCUIT,
            Contract("pay_per_use", int(o.params().get("price_scrip", 5)) + compute // 10),
        )


class Experimenter(Physicist):
    """Buys circuits, runs them as far as its quota goes, and sells the results.

    Params: ``budget_scrip`` for a circuit, ``shots`` to choose from, ``price_scrip`` of a result.
    """

    def first(self, o: Observation) -> Invoke:
        """Which circuits there are."""
        return Invoke(STORE, "list", {"type": CIRCUIT})

    def go_on(self, o: Observation, work: Work) -> Decision:
        """Buy, ask what a run costs, run, sell."""
        action, answer = work[-1].action, work[-1].answer
        if len(work) == 1:
            return buy(o, rows_of(answer))
        circuit = _document(answer)
        if isinstance(action, Read) and circuit is not None:
            shots = o.chance().choice(o.params().get("shots", [SHOTS]))
            asked = {"circuit": circuit, "shots": shots, "seed": o.chance().randrange(1_000)}
            return Invoke(QUANTUM, "estimate", asked)
        if not isinstance(action, Invoke) or not isinstance(answer, Done):
            return rest(o)
        if action.method == "estimate" and answer.result.get("quota", {}).get("is_enough"):
            return Invoke(QUANTUM, "run", action.args)
        return offer(o, _bought(work), answer.result) if action.method == "run" else rest(o)


class Forger(Physicist):
    """Buys a result, and sells it cheaply as others of other seeds, with counts that it invents.

    Params: ``budget_scrip`` for a result, ``price_scrip`` of an invention.
    """

    def first(self, o: Observation) -> Invoke:
        """Which results there are."""
        return Invoke(STORE, "list", {"type": RESULT})

    def go_on(self, o: Observation, work: Work) -> Decision:
        """Buy, and make something up that looks like it."""
        claim = _document(work[-1].answer)
        if len(work) == 1:
            return buy(o, rows_of(work[0].answer))
        if isinstance(work[-1].action, Read) and claim is not None and _is_claim(claim):
            return offer(o, claim["circuit"], self.invented(o, claim))
        return rest(o)

    def invented(self, o: Observation, claim: Mapping[str, Any]) -> dict[str, Any]:
        """The result as of another seed, with some shots moved from one outcome to another."""
        chance, row = o.chance(), claim["results"][0]
        counts = dict(row["counts"])
        most = max(sorted(counts), key=lambda outcome: int(counts[outcome]))
        others = sorted(counts.keys() - {most}) or [most.translate(_FLIPPED)]
        moved, to = chance.randint(1, 1 + counts[most] // 8), chance.choice(others)
        counts[most] -= moved
        counts[to] = counts.get(to, 0) + moved
        return {**claim, "results": [{**row, "counts": counts}], "seed": chance.randrange(1_000)}


class Collector(Physicist):
    """Buys results, the cheapest of those that it looks at, but none of whom a skeptic exposed.

    Params: ``budget_scrip`` for a result; ``trusts``, the skeptic; ``looks_at``, how many offers.
    """

    def first(self, o: Observation) -> Invoke:
        """What the skeptic found."""
        return Invoke(STORE, "list", {"owner": o.params().get("trusts", ""), "type": FINDING})

    def go_on(self, o: Observation, work: Work) -> Decision:
        """See what is on offer, and buy of those who are not exposed."""
        if len(work) == 1:
            return Invoke(STORE, "list", {"type": RESULT})
        if len(work) > 2:
            return rest(o)
        told = (_FORGERY.match(row["description"]) for row in rows_of(work[0].answer))
        exposed = {found[1] for found in told if found is not None}
        return buy(o, [row for row in rows_of(work[1].answer) if row["owner"] not in exposed])


class Skeptic(Physicist):
    """Buys results and their circuits, runs them again, and publishes what it found, for all to read.

    What cannot be run again, or only by other versions, is left unproven. Params: ``budget_scrip``
    for one thing; ``looks_at``, how many offers: what is cheap is looked into first.
    """

    def first(self, o: Observation) -> Invoke:
        """What it has published."""
        return Invoke(STORE, "list", {"owner": o.principal})

    def go_on(self, o: Observation, work: Work) -> Decision:
        """From a result to its circuit, to the same run, to what is found."""
        action, answer = work[-1].action, work[-1].answer
        if len(work) == 1:
            return Invoke(STORE, "list", {"type": RESULT})
        if len(work) == 2:
            known = {row["id"] for row in rows_of(work[0].answer)}
            rows = rows_of(answer)
            return buy(o, [row for row in rows if known.isdisjoint(_reports_on(row["id"]))])
        cannot_pay = code_of(answer) is Code.SCRIP_INSUFFICIENT
        if isinstance(action, Write) or cannot_pay or not isinstance(work[2].answer, Done):
            return rest(o)
        claim = _document(work[2].answer)
        if claim is None or not _is_claim(claim) or not isinstance(answer, Done):
            return self.publish(o, work, "unproven")
        if len(work) == 3:
            return Envelope(o.principal, Read(claim["circuit"]), price_max_scrip=_budget(o))
        if isinstance(action, Read):
            circuit = _document(answer)
            if circuit is None:
                return self.publish(o, work, "unproven")
            return Invoke(QUANTUM, "run", _same_run(claim, circuit))
        if isinstance(action, Invoke) and action.method == "run":
            return Invoke(QUANTUM, "compare", {"a": claim, "b": answer.result})
        return self.publish(o, work, _verdict(work, claim))

    def publish(self, o: Observation, work: Work, verdict: str) -> Write:
        """Tell what was found, as something that everybody may read."""
        result, last = _bought(work), work[-1].answer
        owners = {row["id"]: row["owner"] for row in rows_of(work[1].answer)}
        owner = owners.get(result, "somebody")
        why = json.dumps(last.result) if isinstance(last, Done) else getattr(last, "detail", "")
        finding, check = _reports_on(result)
        is_forged = verdict == "forgery"
        told = "its circuit gives other counts" if is_forged else "run again"
        return Write(
            finding if is_forged else check,
            f"{result} of {owner}: {verdict}\n{why[:_TOLD_CHARS_MAX]}\n",
            f"{verdict} by {owner}: {result}, {told}",
            FINDING if is_forged else CHECK,
            Contract("freeware"),
        )


class Greedy(Physicist):
    """Asks for more than is admitted, learns from the refusal, and asks for the largest that would be.

    Params: ``wishes``, designs with ``shots`` and perhaps a ``method``, one after the other.
    """

    def first(self, o: Observation) -> Invoke:
        """What it has learnt."""
        return Invoke(STORE, "list", {"owner": o.principal, "type": LESSON})

    def go_on(self, o: Observation, work: Work) -> Decision:
        """Ask; ask for what would be admitted; write down what came of it."""
        wished = _missing(work, o.params().get("wishes", []), o.principal)
        last = work[-1]
        if wished is None or isinstance(last.action, Write):
            return rest(o)
        wish = dict(wished)
        for turn in work[1:]:
            wish |= _largest(turn.answer)
        if len(work) == 1 or _largest(last.answer):
            asked = {"circuit": document_of(wish), "shots": wish["shots"], "seed": 1}
            method = {"method": wish["method"]} if "method" in wish else {}
            return Invoke(QUANTUM, "run", asked | method)
        return self.note(o, wished, wish, work)

    def note(self, o: Observation, wished: Words, wish: Words, work: Work) -> Write:
        """Write down what was wished for, and what there was."""
        name, last = name_of(wished), work[-1].answer
        others = [key for key in wished if wished[key] != wish[key]]
        less = ", ".join(f"{wished[key]:,} {key}, admitted {wish[key]:,}" for key in others)
        came = "not to be had"
        if isinstance(last, Done):
            came = f"it took {last.result['used'].get('compute', 0)} compute"
        refusals = [turn.answer.detail for turn in work if isinstance(turn.answer, Refused)]
        return Write(
            f"{slug_of(name)}.{o.principal}",
            "\n".join(refusals)[:_TOLD_CHARS_MAX] + "\n",
            f"lesson {name}: asked for {less or 'what there is'}; {came}",
            LESSON,
            Contract("freeware"),
        )


# What they share.


def rest(o: Observation) -> Sleep:
    """A rest, sometimes shorter and sometimes longer."""
    rest_s = o.params().get("rest_s", 2) * o.chance().uniform(0.5, 1.5)
    return Sleep(o.now_us + int(rest_s * _SECOND_US))


def buy(o: Observation, rows: Sequence[Mapping[str, Any]]) -> Decision:
    """Read what costs least of ``looks_at`` offers, at most one's budget; rest where there is none."""
    chance, budget = o.chance(), _budget(o)
    seen = {turn.action.id for turn in o.recent if isinstance(turn.action, Read)}
    on_offer = [
        (row["read_scrip"], chance.random(), row["id"])
        for row in rows
        if row["owner"] != o.principal
        and row["id"] not in seen
        and row["read_scrip"] is not None
        and row["read_scrip"] <= budget
    ]
    if not on_offer:
        return rest(o)
    looked_at = chance.sample(on_offer, min(len(on_offer), int(o.params().get("looks_at", 1))))
    return Envelope(o.principal, Read(min(looked_at)[2]), price_max_scrip=budget)


def offer(o: Observation, circuit: str, answer: Mapping[str, Any]) -> Write:
    """Sell what a run of a circuit answered, with all that is needed to run it again."""
    named = ("results", "shots", "seed", "versions", "bond", "noise")
    claim = {"circuit": circuit} | {name: answer[name] for name in named if name in answer}
    price = max(1, int(o.params().get("price_scrip", 4)) + o.chance().randint(-1, 1))
    design = slug_of(circuit.partition(".")[0])
    return Write(
        f"{RESULT}_{design}_{answer['seed']}.{o.principal}",
        json.dumps(claim),
        f"result of {circuit}: {answer['shots']} shots, seed {answer['seed']}",
        RESULT,
        Contract("pay_per_use", price),
    )


def _wait_us(answer: Answer) -> int | None:
    """How long until what was refused may be asked again, where waiting helps."""
    return answer.retry_after_us if isinstance(answer, Refused) else None


def _budget(o: Observation) -> int:
    return min(int(o.params().get("budget_scrip", 10)), o.scrip)


def _bought(work: Work) -> str:
    """The first thing that was read in a work."""
    return next((turn.action.id for turn in work if isinstance(turn.action, Read)), "nothing")


def _missing(work: Work, designs: Sequence[Words], owner: str) -> Words | None:
    """The first design whose artifact is not among those that the work began with."""
    known = {row["id"] for row in rows_of(work[0].answer)}
    missing = (one for one in designs if f"{slug_of(name_of(one))}.{owner}" not in known)
    return next(missing, None)


def _document(answer: Answer) -> dict[str, Any] | None:
    """What was bought as a JSON object; None where it is none."""
    try:
        told = json.loads(answer.result) if isinstance(answer, Done) else None
    except (TypeError, ValueError, RecursionError):
        return None
    return told if isinstance(told, dict) else None


def _best(answer: Answer) -> tuple[float, dict[str, float]] | None:
    """The least energy of a sweep, and the point where it was; None for any other answer."""
    result = answer.result if isinstance(answer, Done) else None
    rows = result.get("results") if isinstance(result, dict) else None
    told = [
        (float(row["expectations"]["energy"]), dict(row["point"]))
        for row in rows or ()
        if "expectations" in row and "point" in row
    ]
    return min(told, key=lambda one: one[0], default=None)


def _largest(answer: Answer) -> dict[str, int]:
    """What a refusal says would be admitted."""
    detail = answer.detail if isinstance(answer, Refused) else ""
    found = ((key, pattern.search(detail)) for key, pattern in _LARGEST)
    return {key: int(hit[1]) for key, hit in found if hit is not None}


def _is_claim(claim: Mapping[str, Any]) -> bool:
    """Whether a result names all that is needed to run it again."""
    rows = claim.get("results")
    row = rows[0] if isinstance(rows, list) and rows else None
    counts = row.get("counts") if isinstance(row, dict) else None
    return (
        isinstance(counts, dict)
        and all(type(times) is int for times in counts.values() or [None])
        and isinstance(row, dict)
        and isinstance(claim.get("circuit"), str)
        and {"hash", "method"} <= row.keys()
        and {"shots", "seed", "versions"} <= claim.keys()
    )


def _same_run(claim: Mapping[str, Any], circuit: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of the run that a result claims to be of."""
    named = ("shots", "seed", "bond", "noise")
    asked = {name: claim[name] for name in named if name in claim}
    return {"circuit": circuit, "method": claim["results"][0]["method"], **asked}


def _verdict(work: Work, claim: Mapping[str, Any]) -> str:
    """What a comparison of the claim with the same run shows."""
    compared, ran = (
        turn.answer.result if isinstance(turn.answer, Done) else {} for turn in (work[-1], work[-2])
    )
    if compared.get("identical") and compared.get("same_circuit"):
        return "confirmation"
    return "forgery" if claim["versions"] == ran.get("versions") else "unproven"


def _reports_on(result: str) -> tuple[str, str]:
    """The ids under which a skeptic tells of a result: a finding, or a check."""
    return f"{FINDING}_{result}", f"{CHECK}_{result}"
