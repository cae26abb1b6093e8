"""Owns what one has of a run afterwards: its records, its state, its proof. Reads, never writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from ..adapters.event_store import SqliteEventLog
from ..world import CodeRunner, LogFault, Native, Record, State, fold, read_records, verify
from .natives import natives_of
from .overview import overview
from .report import Summary, summarize
from .runs import STORE_FILE


@dataclass(frozen=True)
class Proof:
    """What a verification showed.

    Attributes:
        records: how many were proved. supply: equal to the sum of the balances after each of them.
        head: the hash of the last one.
        decided: whether every input was decided again; else the facts are taken as they stand.
        has_run_code: whether agent-written code was run for that; else its outcomes are taken so.
    """

    records: int
    supply: int
    head: str
    decided: bool = True
    has_run_code: bool = False


class Run:
    """A run that exists.

    Attributes:
        folder: where it lies. ended: why the process that returned this stopped driving it.
        real_s: how long that took.
    """

    def __init__(
        self,
        folder: Path,
        ended: str = "",
        real_s: float = 0.0,
        natives: Mapping[str, Native] | None = None,
    ) -> None:
        self.folder = folder
        self.ended = ended
        self.real_s = real_s
        self._natives = dict(natives or {})

    @property
    def id(self) -> str:
        """Its name."""
        return self.folder.name

    def log(self) -> SqliteEventLog:
        """Its event log, open for reading; the caller closes it."""
        return SqliteEventLog.open_readonly(self.folder / STORE_FILE)

    def records(self) -> Iterator[Record]:
        """Every record, decoded, with large content in full."""
        log = self.log()
        try:
            yield from read_records(log.records(), log)
        finally:
            log.close()

    def state(self) -> State:
        """The state at its end: the fold of its facts."""
        log = self.log()
        try:
            return fold(log.records())[0]
        finally:
            log.close()

    def summary(self) -> Summary:
        """What it comes to: who earned what from whom, what was traded, refused and called."""
        told = overview(self.folder)
        log = self.log()
        try:
            return summarize(
                log.records(),
                log.get_blob,
                run=told.run,
                scenario=told.scenario,
                ended=told.ended,
                real_s=told.real_s,
            )
        finally:
            log.close()

    def verify(self, each: Callable[[State], None] = lambda state: None) -> Proof:
        """Prove it: the chain, every decision again, the fold, and that no scrip came or went.

        Args:
            each: called after every record.

        Raises:
            LogFault: it is damaged, or deciding it again gave something else; names the record.
            UnknownNative: it has a genesis artifact of its own that ``open_run`` was not given;
                ``prove_without_deciding`` needs none.
        """
        return self._proved(each, None)

    def verify_running_code(self, each: Callable[[State], None] = lambda state: None) -> Proof:
        """Prove it as ``verify`` does, and run its agent-written code again instead of believing it.

        Aborts alone are taken as they are recorded: no two machines measure the same.

        Args:
            each: called after every record.

        Raises:
            LogFault, UnknownNative: as ``verify``; code that answers otherwise is such a fault.
            ConfigurationFault: its settings, which bound the code, cannot be read.
            CodeUnavailable: code cannot run here.
        """
        from .code import code_again
        from .saved import saved_in

        with closing(code_again(saved_in(self.folder)[1])) as code:
            return self._proved(each, code)

    def _proved(self, each: Callable[[State], None], code: CodeRunner | None) -> Proof:
        log = self.log()
        try:
            first = next(log.records(), None)
            if first is None:
                raise LogFault("the log is empty")
            natives = natives_of(first, self._natives)
            decided = verify(log.records(), natives, log, each, code)
            folded, _ = fold(islice(log.records(), decided.seq + 1))  # more may come meanwhile
        finally:
            log.close()
        if folded.snapshot() != decided.snapshot():
            raise LogFault("folding the facts and deciding again give different states")
        _refuse_imbalance(decided)
        supply, head = decided.ledger.supply, decided.head.hex()
        return Proof(decided.seq + 1, supply, head, has_run_code=code is not None)

    def prove_without_deciding(self, each: Callable[[State], None] = lambda state: None) -> Proof:
        """Prove what needs no code of its genesis artifacts: chain, fold, and that scrip is conserved.

        That its decisions were right is not proved, nor large content beyond its hash.

        Args:
            each: called after every record but the first.

        Raises:
            LogFault: it is damaged; names the record.
        """

        def proved(state: State) -> None:
            _refuse_imbalance(state)
            each(state)

        log = self.log()
        try:
            folded, _ = fold(log.records(), proved)
        finally:
            log.close()
        _refuse_imbalance(folded)
        return Proof(folded.seq + 1, folded.ledger.supply, folded.head.hex(), decided=False)


def _refuse_imbalance(state: State) -> None:
    ledger = state.ledger
    if sum(ledger.balances.values()) != ledger.supply or min(ledger.balances.values()) < 0:
        raise LogFault(f"after record {state.seq} the balances are not what was issued", state.seq)
