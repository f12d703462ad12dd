"""Measurements beside what people use otherwise. Each `bench_*.py` here has `measure(world, folder)`, which returns cases."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Case:
    """One comparison. `ours` and `other` are seconds for the same work; `requests` is what ours sent to the API server."""

    name: str
    ours: float
    other: float
    other_is: str
    requests: int
    n: int

    def report(self) -> dict[str, object]:
        """As it stands in build/bench.json; `ratio` says how many times longer the other takes."""
        return {**dataclasses.asdict(self), "ratio": self.other / self.ours}
