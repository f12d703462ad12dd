"""A Quay of 20 organizations with 1,000 repositories, 200 teams, 300 robots and 3,000 permissions, as one document.

The simulated Quay is a process of its own, and takes what the recorded one took: 25 ms for each request of a session, one
after the other. So a first run is bound by Quay, and another run by its number of requests.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from quays import large_organization

from bench import Case
from bench.bench_service_accounts import Measured, Runner
from bench.quay_process import QuayProcess
from world.world import World

N = 20
N_LOOP = 20  # repositories
BARE_QUAY = Path(__file__).with_name("bare_quay.py")
#: What the modules of infra.quay_configuration ask for when nothing has to be changed, beside signing in and out: each once
#: for each object, which is a task's item and a process.
EACH_REPOSITORY = (
    "user/",
    "organization/{organization}",
    "repository/{organization}/{repository}",
    "repository/{organization}/{repository}/permissions/team/",
    "repository/{organization}/{repository}/permissions/user/",
)


def ours(quay: QuayProcess, documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    options = {**quay.options, "organizations": documents}
    return [{"name": "Content", "quayside.registry.quay_content": options}]


def writes(documents: list[dict[str, Any]]) -> list[list[tuple[str, str, dict[str, Any]]]]:
    """The same by hand, in the order in which Quay takes it."""
    stages: list[list[tuple[str, str, dict[str, Any]]]] = [[] for _stage in range(5)]
    for item in documents:
        base, name = f"/api/v1/organization/{item['name']}", item["name"]
        stages[0].append(("POST", "/api/v1/organization/", {"name": name}))
        for team in item["teams"]:
            stages[1].append(("PUT", f"{base}/team/{team['name']}", {"role": "member"}))
            for member in team["members"]:
                stages[2].append(("PUT", f"{base}/team/{team['name']}/members/{name}+{member['robot']}", {}))
        stages[1] += [("PUT", f"{base}/robots/{robot['name']}", {}) for robot in item["robots"]]
        for repository in item["repositories"]:
            body = {"repository": repository["name"], "visibility": "private", "description": ""}
            stages[2].append(("POST", "/api/v1/repository", {"namespace": name, **body}))
            for entry in repository["permissions"]:
                who = f"team/{entry['team']}" if "team" in entry else f"user/{name}+{entry['robot']}"
                path = f"/api/v1/repository/{name}/{repository['name']}/permissions/{who}"
                stages[3].append(("PUT", path, {"role": entry["role"]}))
        for entry in item["default_permissions"]:
            body = {"role": entry["role"], "delegate": {"kind": "team", "name": entry["team"]}}
            stages[4].append(("POST", f"{base}/prototypes", body))
    return stages


def bare(quay: QuayProcess, folder: Path, documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A task that writes all that, and looks at nothing."""
    session = quay.sign_in()
    cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in session.cookies)
    headers = {"Cookie": cookies, "X-CSRF-Token": session.headers["X-CSRF-Token"]}
    file = folder / "quay.json"
    file.touch(0o600)
    file.write_text(json.dumps({"url": quay.url, "headers": headers, "stages": writes(documents)}))
    return [{"name": "Bare", "ansible.builtin.command": {"argv": [sys.executable, str(BARE_QUAY), str(file)]}}]


def looped(quay: QuayProcess, document: dict[str, Any]) -> float:
    """Seconds for one repository of a loop, without the process of each module."""
    began = time.monotonic()
    for item in document["repositories"][:N_LOOP]:
        session = quay.sign_in()
        for path in EACH_REPOSITORY:
            where = path.format(organization=document["name"], repository=item["name"])
            session.get(f"{quay.url}/api/v1/{where}").raise_for_status()
        session.post(f"{quay.url}/api/v1/signout").raise_for_status()
    return (time.monotonic() - began) / N_LOOP


def measure(world: World, folder: Path) -> list[Case]:
    runner = Runner(world, folder)
    documents = [large_organization(number) for number in range(N)]
    repositories = sum(len(document["repositories"]) for document in documents)
    with QuayProcess(folder / "quay-ours") as quay:

        def run(count: int, changes: bool) -> Measured:
            mark = quay.requests()
            done = runner.run(ours(quay, documents[:count]), changes)
            return done._replace(requests=quay.requests() - mark)

        first = run(N, changes=True)
        second = {count: min(run(count, changes=False) for _time in range(2)) for count in (N // 4, N // 2, N)}
        each = looped(quay, documents[0])
    with QuayProcess(folder / "quay-bare") as other:
        plain = runner.run(bare(other, folder, documents), changes=True)
    with QuayProcess(folder / "quay-spread") as quay:
        documents = [large_organization(number, spread=True) for number in range(N // 4)]
        run(N // 4, changes=True)
        spread = run(N // 4, changes=False)

    what = "Quay: first run, task alone"
    cases = [Case(what, first.tasks, plain.tasks, "a client of 8 threads that only writes", first.requests, N)]
    what = f"the requests of a module for each, on {N_LOOP}"
    whole = second[N]
    name = "Quay: second run, per repository"
    cases.append(Case(name, whole.whole / repositories, each, what, whole.requests, N))
    for count, taken in second.items():
        share = whole.whole * count / N
        cases.append(
            Case(
                f"Quay: second run, {count} organizations",
                taken.whole,
                share,
                f"{count}/{N} of {N} organizations'",
                taken.requests,
                count,
            )
        )
    what = "Quay: second run, each team and robot with repositories of its own"
    cases.append(
        Case(what, spread.whole, second[N // 4].whole, "the same with three that have them", spread.requests, N // 4)
    )
    return cases
