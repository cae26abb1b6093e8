"""The minds of the lab: from what they see to what they do next, whatever others sell them."""

import json
from dataclasses import replace
from typing import Any

import pytest

from scripworld.agents.circuit_designs import (
    FAMILIES,
    POINTS_MAX,
    document_of,
    energy_of,
    is_tuned,
    name_of,
    sweep_of,
)
from scripworld.agents.library import MINDS
from scripworld.agents.mind import Decision, Observation, Turn
from scripworld.agents.physicists import (
    Collector,
    Experimenter,
    Forger,
    Greedy,
    Physicist,
    Skeptic,
    Theorist,
)
from scripworld.genesis.quantum_circuit import read
from scripworld.genesis.quantum_limits import QuantumLimits
from scripworld.simulation.scenario import load_scenario
from scripworld.world import (
    Answer,
    Code,
    Done,
    Envelope,
    Failed,
    Invoke,
    Read,
    Refused,
    Sleep,
    Write,
)

SEES_CIRCUITS = Invoke("genesis_store", "list", {"type": "circuit"})
SEES_RESULTS = Invoke("genesis_store", "list", {"type": "result"})
SEES_OWN = Invoke("genesis_store", "list", {"owner": "anna"})
SEES_FINDINGS = Invoke("genesis_store", "list", {"owner": "skeptic", "type": "finding"})
SEES_LESSONS = Invoke("genesis_store", "list", {"owner": "anna", "type": "lesson"})
RESTED = (Sleep(1), Done())
LATER = Refused(Code.QUOTA_EXCEEDED, "it has 3 left: wait 2 s", 2_000_000)
BELL = {"qubits": 2, "clbits": 2, "components": []}
COUNTS = {"00": 489, "11": 511}
CLAIM = {
    "circuit": "bell_2.bob",
    "results": [{"hash": "ab", "method": "stabilizer", "counts": COUNTS}],
    "shots": 1_000,
    "seed": 7,
    "versions": {"qiskit": "2"},
}
RAN = {**CLAIM, "used": {"compute": 1}, "estimate": {}}


def seen(*turns: tuple[Any, Answer], **params: Any) -> Observation:
    return Observation(
        principal="anna",
        now_us=5_000_000,
        step=7,
        scrip=50,
        remaining={},
        content=json.dumps({"params": {"rest_s": 2, **params}}),
        recent=tuple(Turn(action, answer) for action, answer in turns),
        signals=(),
        seed=3,
    )


def rows(*told: tuple[str, str, int], **more: Any) -> Done:
    """What the store lists: id, owner and price of each."""
    each = [{"id": id, "owner": owner, "read_scrip": price} for id, owner, price in told]
    return Done({"artifacts": [{"description": "", **row, **more} for row in each]})


def sold(document: Any) -> Done:
    return Done(document if isinstance(document, str) else json.dumps(document))


def invoked(decision: Decision, method: str) -> dict[str, Any]:
    assert isinstance(decision, Invoke), decision
    assert decision.method == method
    return decision.args


def written(decision: Decision) -> Write:
    assert isinstance(decision, Write), decision
    return decision


def bought(decision: Decision) -> str:
    assert isinstance(decision, Envelope), decision
    assert isinstance(decision.action, Read)
    assert decision.price_max_scrip is not None
    return decision.action.id


# What they know of circuits.


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_every_family_makes_a_circuit_that_can_be_read_and_is_measured(family: str):
    design = {"family": family, "qubits": 3, "edges": [[0, 1], [1, 2]], "depth": 50, "layers": 2}

    circuit = read(document_of(design), QuantumLimits())

    assert circuit.qubits == circuit.clbits == 3
    assert sum(op.gate == "measure" for op in circuit.ops) == 3
    assert bool(circuit.parameters) == is_tuned(design)
    assert name_of(design) == f"{family}_3"


def test_a_deep_circuit_is_as_deep_as_it_says():
    circuit = read(document_of({"family": "deep", "qubits": 1, "depth": 50}), QuantumLimits())

    assert len(circuit.ops) == 50


def test_the_cut_of_a_graph_is_a_sum_of_pauli_words_with_the_first_qubit_last():
    design = {"family": "qaoa", "qubits": 3, "edges": [[0, 1], [1, 2]]}

    assert energy_of(design) == {"IZZ": 1.0, "ZZI": 1.0}


@pytest.mark.parametrize("family", ["vqe", "qaoa"])
def test_a_sweep_goes_over_the_whole_range_and_then_around_one_point(family: str):
    design = {"family": family, "qubits": 2}
    wide = sweep_of(design)
    middle = wide[len(wide) // 2 + 3]
    near = sweep_of(design, middle)

    assert 1 < len(wide) <= POINTS_MAX
    for name, value in middle.items():
        across, around = ({point[name] for point in sweep} for sweep in (wide, near))
        assert min(across) < value < max(across)
        assert min(around) < value < max(around)
        assert max(around) - min(around) < (max(across) - min(across)) / 2


# Theorists.

DESIGN = {"family": "ghz", "qubits": 3}
TUNED = {"family": "vqe", "name": "vqe", "qubits": 2, "hamiltonian": {"ZZ": 1}}
OWN_CIRCUITS = Invoke("genesis_store", "list", {"owner": "anna", "type": "circuit"})


def test_a_theorist_builds_prices_and_sells_the_first_design_that_it_has_not_sold():
    def choice(*turns: tuple[Any, Answer]) -> Decision:
        listed = (OWN_CIRCUITS, rows(("bell_2.anna", "anna", 0)))
        bell = {"family": "bell", "qubits": 2}
        return Theorist().choose(seen(listed, *turns, designs=[bell, DESIGN], price_scrip=5))

    build = choice()
    built = (build, Done({"hash": "ab", "circuit": BELL}))
    estimate = choice(built)
    priced = (estimate, Done({"compute": 23}))
    offered = written(choice(built, priced))

    assert invoked(build, "build")["circuit"] == document_of(DESIGN)
    assert invoked(estimate, "estimate")["circuit"] == BELL
    assert (offered.id, offered.type) == ("ghz_3.anna", "circuit")
    assert json.loads(offered.content) == BELL
    assert offered.contract is not None
    assert (offered.contract.id, offered.contract.price_scrip) == ("pay_per_use", 7)
    assert isinstance(choice(built, priced, (offered, Done())), Sleep)


def test_a_theorist_tunes_what_has_parameters_twice_and_builds_the_best():
    def choice(*turns: tuple[Any, Answer]) -> Decision:
        return Theorist().choose(seen((OWN_CIRCUITS, rows()), *turns, designs=[TUNED]))

    def energies(decision: Decision) -> tuple[Decision, Done]:
        sweep = invoked(decision, "expect")["sweep"]
        told = [{"point": p, "expectations": {"energy": abs(p["theta"] - 0.4)}} for p in sweep]
        return decision, Done({"results": told})

    wide = energies(choice())
    near = energies(choice(wide))
    theta = invoked(choice(wide, near), "build")["values"]["theta"]

    assert invoked(wide[0], "expect")["observables"] == {"energy": {"ZZ": 1.0}}
    assert theta == pytest.approx(0.4, abs=0.02)


def test_a_theorist_rests_when_all_is_sold_or_something_went_wrong():
    listed = (OWN_CIRCUITS, rows(("ghz_3.anna", "anna", 0)))
    failed = (Invoke("genesis_quantum", "build", {}), Failed(Code.ARGUMENTS_INVALID, "no"))

    assert isinstance(Theorist().choose(seen(listed, designs=[DESIGN])), Sleep)
    assert isinstance(
        Theorist().choose(seen((OWN_CIRCUITS, rows()), failed, designs=[DESIGN])), Sleep
    )
    assert Theorist().choose(seen(listed, RESTED, designs=[DESIGN])) == OWN_CIRCUITS


# Experimenters and their buyers.


def test_an_experimenter_buys_asks_the_price_runs_and_sells_what_names_all_to_run_it_again():
    def choice(*turns: tuple[Any, Answer]) -> Decision:
        listed = (SEES_CIRCUITS, rows(("bell_2.bob", "bob", 4), ("qft_4.bob", "bob", 40)))
        return Experimenter().choose(seen(listed, *turns, shots=[500], price_scrip=5))

    read_it = (Read(bought(choice())), sold(BELL))
    estimate = choice(read_it)
    enough = (estimate, Done({"admitted": True, "quota": {"is_enough": True}}))
    run = choice(read_it, enough)
    offered = written(choice(read_it, enough, (run, Done(RAN))))

    assert read_it[0] == Read("bell_2.bob")
    assert invoked(estimate, "estimate") == invoked(run, "run")
    assert run.args["shots"] == 500
    assert offered.id == "result_bell_2_7.anna"
    assert json.loads(offered.content) == CLAIM


@pytest.mark.parametrize("told", [{"admitted": False}, {"quota": {"is_enough": False}}])
def test_an_experimenter_runs_nothing_that_its_quota_does_not_have(told: dict[str, Any]):
    asked = (Invoke("genesis_quantum", "estimate", {"circuit": BELL}), Done(told))
    turns = (SEES_CIRCUITS, rows(("bell_2.bob", "bob", 4))), (Read("bell_2.bob"), sold(BELL)), asked

    assert isinstance(Experimenter().choose(seen(*turns)), Sleep)


def test_nobody_buys_what_is_too_dear_ones_own_closed_or_bought_just_now():
    offers = rows(("a", "bob", 40), ("b", "anna", 1), ("c", "bob", 2))
    offers.result["artifacts"][2]["read_scrip"] = None
    before = (Read("d"), sold(BELL)), RESTED

    assert isinstance(Experimenter().choose(seen((SEES_CIRCUITS, offers))), Sleep)
    listed = (SEES_CIRCUITS, rows(("d", "bob", 2)))
    assert isinstance(Experimenter().choose(seen(*before, listed)), Sleep)


def test_a_collector_buys_the_cheapest_but_nothing_of_whom_the_skeptic_exposed():
    offers = rows(("x", "forger", 1), ("y", "bob", 3), ("z", "carl", 5))
    told = rows(
        ("f", "skeptic", 0), description="forgery by forger: x, its circuit gives other counts"
    )

    def choice(found: Done) -> Decision:
        turns = (SEES_FINDINGS, found), (SEES_RESULTS, offers)
        return Collector().choose(seen(*turns, trusts="skeptic", looks_at=5))

    assert Collector().choose(seen(trusts="skeptic")) == SEES_FINDINGS
    assert bought(choice(rows())) == "x"
    assert bought(choice(told)) == "y"


@pytest.mark.parametrize("counts", [COUNTS, {"00": 1_000}])
def test_a_forger_runs_nothing_and_sells_other_counts_for_another_seed(counts: dict[str, int]):
    claim = {**CLAIM, "results": [{**CLAIM["results"][0], "counts": counts}]}
    listed = (SEES_RESULTS, rows(("result_bell_2_7.bob", "bob", 4)))

    assert bought(Forger().choose(seen(listed))) == "result_bell_2_7.bob"
    offered = written(Forger().choose(seen(listed, (Read("result_bell_2_7.bob"), sold(claim)))))
    forged = json.loads(offered.content)
    [row] = forged["results"]
    assert forged.keys() == CLAIM.keys()
    assert forged["seed"] != CLAIM["seed"]
    assert row["counts"] != counts
    assert min(row["counts"].values()) >= 0
    assert sum(row["counts"].values()) == forged["shots"]
    assert {len(outcome) for outcome in row["counts"]} == {2}


# The skeptic.

OFFERED = rows(("result_bell_2_7.bob", "bob", 3))
READ_RESULT = (Read("result_bell_2_7.bob"), sold(CLAIM))
READ_CIRCUIT = (Read("bell_2.bob"), sold(BELL))
SAME_RUN = Invoke(
    "genesis_quantum",
    "run",
    {"circuit": BELL, "method": "stabilizer", "shots": 1_000, "seed": 7},
)
COMPARES = Invoke("genesis_quantum", "compare", {"a": CLAIM, "b": RAN})


def doubt(*turns: tuple[Any, Answer], known: Done | None = None) -> Decision:
    return Skeptic().choose(seen((SEES_OWN, known or rows()), (SEES_RESULTS, OFFERED), *turns))


def compared(ran: dict[str, Any] = RAN, **told: Any) -> list[tuple[Any, Answer]]:
    same = {"identical": True, "same_circuit": True}
    return [READ_RESULT, READ_CIRCUIT, (SAME_RUN, Done(ran)), (COMPARES, Done(same | told))]


def test_a_skeptic_buys_a_result_and_its_circuit_and_runs_exactly_that():
    assert bought(doubt()) == "result_bell_2_7.bob"
    assert bought(doubt(READ_RESULT)) == "bell_2.bob"
    assert doubt(READ_RESULT, READ_CIRCUIT) == SAME_RUN
    assert doubt(READ_RESULT, READ_CIRCUIT, (SAME_RUN, Done(RAN))) == COMPARES


@pytest.mark.parametrize(
    ("turns", "kind", "verdict"),
    [
        (compared(), "check", "confirmation"),
        (compared(identical=False), "finding", "forgery"),
        (compared(same_circuit=False), "finding", "forgery"),
        (compared({**RAN, "versions": {"qiskit": "3"}}, identical=False), "check", "unproven"),
        ([READ_RESULT, (Read("bell_2.bob"), Refused(Code.NOT_FOUND, "gone"))], "check", "unproven"),
        ([READ_RESULT, (Read("bell_2.bob"), sold("no JSON"))], "check", "unproven"),
        (
            [READ_RESULT, READ_CIRCUIT, (SAME_RUN, Failed(Code.TOOL_FAILED, "no"))],
            "check",
            "unproven",
        ),
    ],
)
def test_a_skeptic_publishes_what_it_found_for_all_to_read(turns, kind: str, verdict: str):
    told = written(doubt(*turns))

    assert (told.id, told.type) == (f"{kind}_result_bell_2_7.bob", kind)
    assert told.description is not None
    assert told.description.startswith(f"{verdict} by bob: result_bell_2_7.bob")
    assert told.contract is not None
    assert told.contract.id == "freeware"


@pytest.mark.parametrize("kind", ["finding", "check"])
def test_a_skeptic_looks_into_nothing_twice(kind: str):
    known = rows((f"{kind}_result_bell_2_7.bob", "anna", 0))

    assert isinstance(doubt(known=known), Sleep)


def test_a_skeptic_without_scrip_accuses_nobody():
    poor = Refused(Code.SCRIP_INSUFFICIENT, "earn more first")

    assert isinstance(doubt((Read("result_bell_2_7.bob"), poor)), Sleep)
    assert isinstance(doubt(READ_RESULT, (Read("bell_2.bob"), poor)), Sleep)


def test_a_skeptic_waits_for_its_quota_and_then_runs_what_it_wanted_to_run():
    turns = READ_RESULT, READ_CIRCUIT, (SAME_RUN, LATER)

    assert doubt(*turns) == Sleep(7_000_000)
    assert doubt(*turns, RESTED) == SAME_RUN
    assert doubt(*turns, RESTED, (SAME_RUN, Done(RAN))) == COMPARES


# The greedy one.

WISH = {"family": "layers", "name": "wide", "qubits": 40, "shots": 9, "method": "statevector"}
ALL = (
    ({"qubits": 40}, "as many gates and shots at most 21 qubits would be admitted", {"qubits": 21}),
    ({"shots": 9}, "it would be admitted with at most 7 shots", {"shots": 7}),
    ({"shots": 9}, "it asks for 9 shots, at most 5 are admitted", {"shots": 5}),
    ({"depth": 9}, "it is 9 deep, at most 6 is admitted", {"depth": 6}),
)


@pytest.mark.parametrize(("asked", "told", "admitted"), ALL)
def test_a_greedy_one_asks_for_the_largest_that_a_refusal_names(asked, told, admitted):
    wish = {**WISH, "family": "deep" if "depth" in asked else "layers", **asked}

    def choice(*turns: tuple[Any, Answer]) -> Decision:
        return Greedy().choose(seen((SEES_LESSONS, rows()), *turns, wishes=[wish]))

    first = choice()
    refused = (first, Refused(Code.QUOTA_EXCEEDED, told))
    second = choice(refused)
    lesson = written(choice(refused, (second, Done(RAN))))

    assert invoked(first, "run")["circuit"] == document_of(wish)
    assert invoked(second, "run")["circuit"] == document_of(wish | admitted)
    assert second.args["shots"] == (wish | admitted)["shots"]
    assert second.args["method"] == "statevector"
    [(name, most)] = admitted.items()
    assert lesson.description == (
        f"lesson wide: asked for {wish[name]} {name}, admitted {most}; it took 1 compute"
    )


def test_a_greedy_one_gives_up_where_a_refusal_names_nothing():
    asked = Invoke("genesis_quantum", "run", {})
    turns = (SEES_LESSONS, rows()), (asked, Refused(Code.ARGUMENTS_INVALID, "no"))

    lesson = written(Greedy().choose(seen(*turns, wishes=[WISH])))

    assert str(lesson.description).endswith("not to be had")


# Whatever comes.

HOSTILE = [
    *("", "no JSON", "[]", "null", "5", "{}", "[" * 100_000, '{"circuit": 5}', '{"results": []}'),
    *(
        json.dumps(CLAIM | {"results": [{"hash": 1, "method": 2, "counts": c}]})
        for c in ({}, {"0": "x"})
    ),
    *('{"results": [5], "circuit": "a"}', '{"results": {"0": 1}}', '{"results": [{"hash": 1}]}'),
]


@pytest.mark.parametrize("content", HOSTILE, ids=lambda text: text[:20])
@pytest.mark.parametrize("mind", [Experimenter(), Forger(), Skeptic(), Collector()])
def test_nothing_that_is_sold_breaks_a_mind(mind: Physicist, content: str):
    observation = seen()
    turns: list[tuple[Any, Answer]] = []
    for _ in range(6):
        decision = mind.choose(replace(observation, recent=tuple(Turn(a, b) for a, b in turns)))
        action = decision.action if isinstance(decision, Envelope) else decision
        answer = sold(content) if isinstance(action, Read) else rows(("x_1.bob", "bob", 1))
        turns.append((action, answer))
        if isinstance(action, Sleep | Write):
            return
        if isinstance(action, Invoke) and action.id == "genesis_quantum":
            return
    raise AssertionError(turns)


@pytest.mark.parametrize(
    "name", ["theorist", "experimenter", "forger", "collector", "skeptic", "greedy"]
)
def test_every_mind_begins_with_a_look_and_waits_where_waiting_helps(name: str):
    mind = MINDS[name]()
    look = mind.choose(seen())
    turns = (look, LATER)

    assert isinstance(look, Invoke)
    assert look.id == "genesis_store"
    assert mind.choose(seen(turns)) == Sleep(7_000_000)
    assert mind.choose(seen(turns, RESTED)) == look


def test_every_design_of_the_scenario_is_a_circuit():
    entries = load_scenario("lab", MINDS).agents
    limits = QuantumLimits()
    designs = [d for entry in entries for d in entry.params.get("designs", [])]
    wishes = [d for entry in entries for d in entry.params.get("wishes", [])]

    for design in [*designs, *wishes]:
        read(document_of(design), limits)
    assert {design["family"] for design in designs} == {
        "bell",
        "ghz",
        "qft",
        "grover",
        "vqe",
        "qaoa",
    }
    assert max(wish["qubits"] for wish in wishes) == 40
