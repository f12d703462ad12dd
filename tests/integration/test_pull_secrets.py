"""Pull secrets on a real API server: merged, linked, renewed in time, beside what others write."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from clusters import names, new_project, path, read, summaries

from support import run_module
from world.world import World

Run = Callable[..., dict[str, Any]]

TYPE = "kubernetes.io/dockerconfigjson"
GHCR = {"registry": "ghcr.io", "username": "ann", "password": "first-Pa55word"}
QUAY = {"registry": "quay.io/example", "username": "example+puller", "password": "robot-Pa55word"}


@pytest.fixture
def run(world: World) -> Run:
    def run(*pull_secrets: dict[str, Any], **params: Any) -> dict[str, Any]:
        connection = {"kubeconfig": str(world.admin_kubeconfig), "verify": False}
        return run_module("pull_secrets", pull_secrets=list(pull_secrets), **{**connection, **params})

    return run


@pytest.fixture
def project(world: World) -> Iterator[str]:
    with new_project(world) as name:
        accounts = [{"name": "default"}, {"name": "ci"}]
        kubeconfig = str(world.admin_kubeconfig)
        run_module("service_accounts", kubeconfig=kubeconfig, namespace=name, service_accounts=accounts)
        yield name


@pytest.fixture
def global_secret(world: World) -> Iterator[None]:
    """The global pull secret as an installation leaves it."""
    theirs = {"auths": {"cloud.openshift.com": {"auth": encode("ocm", "theirs"), "email": "a@example.com"}}}
    put(world, "openshift-config", "pull-secret", theirs)
    yield
    world.plane.admin.request("DELETE", path("secrets", "openshift-config", "pull-secret"))


def encode(username: str, password: str) -> str:
    return base64.b64encode(f"{username}:{password}".encode()).decode()


def put(world: World, namespace: str, name: str, config: dict[str, Any]) -> None:
    data = {".dockerconfigjson": base64.b64encode(json.dumps(config).encode()).decode()}
    world.plane.admin.request(
        "POST", path("secrets", namespace), {"metadata": {"name": name}, "type": TYPE, "data": data}
    )


def stored(world: World, namespace: str, name: str) -> dict[str, str]:
    """Registry → "user:password" of a Secret."""
    secret = read(world, "secrets", namespace, name)
    assert secret["type"] == TYPE
    auths = json.loads(base64.b64decode(secret["data"][".dockerconfigjson"]))["auths"]
    return {key: base64.b64decode(entry["auth"]).decode() for key, entry in auths.items()}


def links(world: World, namespace: str, account: str, field: str = "imagePullSecrets") -> list[str]:
    return [link["name"] for link in read(world, "serviceaccounts", namespace, account).get(field) or []]


def test_check_mode_predicts_the_run_and_a_second_run_changes_nothing(run: Run, world: World, project: str) -> None:
    wanted = {"name": "pull", "registries": [GHCR, QUAY], "pull": ["default"], "mount": ["ci"]}
    predicted = run(wanted, namespace=project, check=True)
    assert "pull" not in names(world, "secrets", project)
    done = run(wanted, namespace=project)
    assert predicted["changes"] == done["changes"]
    assert predicted["diff"] == done["diff"]
    assert predicted["pull_secrets"] == done["pull_secrets"]
    assert summaries(done) == ["create Secret pull", "update ServiceAccount default", "update ServiceAccount ci"]
    assert stored(world, project, "pull") == {
        "ghcr.io": "ann:first-Pa55word",
        "quay.io/example": "example+puller:robot-Pa55word",
    }
    assert links(world, project, "default") == ["pull"]
    assert links(world, project, "ci", "secrets") == ["pull"]
    assert "Pa55word" not in str(done) and encode("ann", "first-Pa55word") not in str(done)
    assert summaries(run(wanted, namespace=project)) == []


def test_what_others_put_into_a_secret_stays(run: Run, world: World, project: str) -> None:
    put(world, project, "pull", {"auths": {"theirs.example.com": {"auth": encode("bob", "theirs")}}, "credsStore": "x"})
    result = run({"name": "pull", "registries": [GHCR]}, namespace=project)
    assert summaries(result) == ["update Secret pull"]
    assert '"ghcr.io": {' in result["diff"][0]["after"] and "ghcr.io" not in result["diff"][0]["before"]
    assert stored(world, project, "pull") == {"theirs.example.com": "bob:theirs", "ghcr.io": "ann:first-Pa55word"}
    assert summaries(run({"name": "pull", "registries": [GHCR]}, namespace=project)) == []
    gone = {"name": "pull", "registries": [{"registry": "ghcr.io", "state": "absent"}]}
    assert summaries(run(gone, namespace=project)) == ["update Secret pull"]
    assert stored(world, project, "pull") == {"theirs.example.com": "bob:theirs"}
    assert summaries(run(gone, namespace=project)) == []


def test_absent_deletes_and_unlinks_everywhere(run: Run, world: World, project: str) -> None:
    run({"name": "pull", "registries": [GHCR], "pull": ["default", "ci"]}, namespace=project)
    world.plane.admin.request(
        "PATCH", path("serviceaccounts", project, "ci"), {"imagePullSecrets": [{"name": "theirs"}, {"name": "pull"}]}
    )
    gone = {"name": "pull", "state": "absent"}
    assert summaries(run(gone, namespace=project)) == [
        "update ServiceAccount ci",
        "update ServiceAccount default",
        "delete Secret pull",
    ]
    assert links(world, project, "ci") == ["theirs"]
    assert summaries(run(gone, namespace=project)) == []


def test_purge_takes_back_what_was_given(run: Run, world: World, project: str) -> None:
    old = {"name": "old", "registries": [GHCR], "pull": ["default"]}
    run(old, {"name": "kept", "registries": [GHCR, QUAY]}, namespace=project)
    put(world, project, "theirs", {"auths": {}})
    kept = {"name": "kept", "registries": [QUAY]}
    assert summaries(run(kept, namespace=project)) == []
    purged = summaries(run(kept, namespace=project, purge=True))
    assert sorted(purged) == ["delete Secret old", "update Secret kept", "update ServiceAccount default"]
    assert list(stored(world, project, "kept")) == ["quay.io/example"]
    assert "theirs" in names(world, "secrets", project)
    assert links(world, project, "default") == []
    assert summaries(run(kept, namespace=project, purge=True)) == []


def test_namespaces_by_their_labels(run: Run, world: World) -> None:
    chosen = ["chosen-a", "chosen-b"]
    with new_project(world, *chosen):
        for name in chosen:
            item = {"metadata": {"name": name, "labels": {"team": "chosen"}}}
            world.plane.admin.request("POST", "/api/v1/namespaces", item)
        wanted = {"name": "pull", "namespace_selector": "team=chosen", "registries": [GHCR]}
        result = run(wanted)
        assert result["pull_secrets"][0]["namespaces"] == chosen
        assert result["pull_secrets"][0]["registries"][0]["renewed"] == 2
        assert summaries(run(wanted)) == []
        both = [
            {**wanted, "namespace_selector": "team"},
            {**wanted, "namespaces": ["chosen-b"], "namespace_selector": None},
        ]
        assert "chosen-b/pull is wanted by pull_secrets[0], too" in run(*[_given(entry) for entry in both])["msg"]


def _given(entry: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if value is not None}


def token(world: World, project: str) -> str:
    return stored(world, project, "pull")["registry.example.com"].partition(":")[2]


def test_a_token_is_kept_until_it_ends_soon(run: Run, world: World, project: str) -> None:
    login = {"registry": "registry.example.com", "service_account": {"name": "ci", "namespace": project}}
    mark = world.mark()
    assert run({"name": "pull", "registries": [login]}, namespace=project, check=True)["changed"]
    assert not [request for request in world.requests(mark) if request.verb == "create"]
    result = run({"name": "pull", "registries": [login]}, namespace=project)
    first = token(world, project)
    assert first not in str(result)
    assert result["pull_secrets"][0]["registries"][0]["username"] == "ci"
    assert result["pull_secrets"][0]["registries"][0]["expires_at"]
    wanted = {"name": "pull", "registries": [login]}
    assert summaries(run(wanted, namespace=project)) == []
    for options in ({}, {"force_renew": True}):
        if not options:  # one that ends within the hour, as if half a day had gone by
            short = world.service_account_token(project, "ci")
            world.plane.admin.request("DELETE", path("secrets", project, "pull"))
            put(world, project, "pull", {"auths": {"registry.example.com": {"auth": encode("ci", short)}}})
            patient = {"name": "pull", "registries": [{**login, "renew_before": 600}]}
            assert summaries(run(patient, namespace=project)) == []
        before = token(world, project)
        again = run({"name": "pull", "registries": [{**login, **options}]}, namespace=project)
        assert summaries(again) == ["update Secret pull"]
        assert again["pull_secrets"][0]["registries"][0]["reason"].startswith(
            "force" if options else "the token expires"
        )
        assert token(world, project) != before
    assert summaries(run(wanted, namespace=project)) == []


def test_a_source_that_fails_leaves_what_is_stored(run: Run, world: World, project: str) -> None:
    wanted = {"name": "pull", "registries": [GHCR]}
    run(wanted, namespace=project)
    ghost = {"registry": "registry.example.com", "service_account": {"name": "ghost", "namespace": project}}
    result = run({"name": "pull", "registries": [{**GHCR, "password": "new"}, ghost]}, namespace=project)
    assert "pull_secrets[0].registries[1] (registry.example.com), service account" in result["msg"]
    assert "There is no service account ghost" in result["msg"] and "What is stored was left alone." in result["msg"]
    assert stored(world, project, "pull") == {"ghcr.io": "ann:first-Pa55word"}


def test_what_a_registry_refuses_is_not_written(run: Run, world: World, project: str) -> None:
    connection = {"kubeconfig": str(world.admin_kubeconfig)}
    run_module("image_registry", **connection, default_route=True)
    found = run_module("router_ca_info", **connection, hosts=[world.registry_host])
    trusted = {"host": world.registry_host, "ca_certificates": found["registries"][0]["ca_certificates"]}
    run_module("certs_d", registries=[trusted])
    login = {"registry": world.registry_host, "username": "eve", "password": "wrong-password"}
    result = run({"name": "pull", "registries": [login]}, namespace=project, verify=True)
    assert f"pull_secrets[0].registries[0] ({world.registry_host}): the new credential of user eve" in result["msg"]
    assert f"{world.registry_host} does not let user eve log in" in result["msg"]
    assert "pull" not in names(world, "secrets", project)
    good = {"registry": world.registry_host, "service_account": {"name": "ci", "namespace": project}}
    done = run({"name": "pull", "registries": [good]}, namespace=project, verify=True)
    assert summaries(done) == ["create Secret pull"] and "warnings" not in done
    mark = world.mark()
    assert summaries(run({"name": "pull", "registries": [good]}, namespace=project, verify=True)) == []
    world.plane.admin.request("DELETE", path("serviceaccounts", project, "ci"))
    run_module("service_accounts", **connection, namespace=project, service_accounts=[{"name": "ci"}])
    # the API server remembers for a while whose token it was
    again = {"name": "pull", "registries": [good]}
    world.wait_for(
        lambda: run(again, namespace=project, verify=True, check=True)["changed"], "the end of the old token"
    )
    done = run(again, namespace=project, verify=True)
    assert summaries(done) == ["update Secret pull"]
    assert done["pull_secrets"][0]["registries"][0]["reason"] == "the registry does not accept what is stored"
    assert len([request for request in world.requests(mark) if request.uri.endswith("/token")]) == 1
    unreachable = {"registry": "nowhere.example.com", "username": "ann", "password": "x"}
    done = run({"name": "pull", "registries": [good, unreachable]}, namespace=project, verify=True)
    assert "could not be proven from here: The name of nowhere.example.com cannot be resolved" in done["warnings"][0]


def test_a_secret_of_another_type_is_explained(run: Run, world: World, project: str) -> None:
    world.plane.admin.request("POST", path("secrets", project), {"metadata": {"name": "pull"}})
    result = run({"name": "a-first", "registries": [GHCR]}, {"name": "pull", "registries": [GHCR]}, namespace=project)
    assert f"Secret {project}/pull exists and is of type Opaque." in result["msg"]
    assert f"oc delete secret -n {project} pull" in result["msg"]
    assert "a-first" not in names(world, "secrets", project)
    kept = run({"name": "pull", "state": "absent"}, namespace=project)
    assert kept["warnings"] == [f"Secret {project}/pull is of type Opaque: it is no pull secret, and is kept."]
    assert "pull" in names(world, "secrets", project)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"namespace_selector": "team=nobody"}, "namespace_selector team=nobody matches no namespace"),
        ({"namespaces": ["no-such-project"]}, "Project no-such-project cannot get a pull secret"),
        ({"pull": ["ghost"]}, "pull_secrets[0].pull: there is no service account ghost in"),
        ({"namespaces": ["openshift-config"], "name": "pull-secret"}, "Give its registries as global_registries"),
    ],
)
def test_bad_input_writes_nothing(run: Run, world: World, project: str, entry: dict[str, Any], said: str) -> None:
    other = {"name": "other", "namespaces": [project], "registries": [GHCR]}
    result = run({"name": "pull", "registries": [GHCR], **entry}, other, namespace=project)
    assert said in result["msg"]
    assert not names(world, "secrets", project) & {"pull", "other"}


@pytest.mark.parametrize("user", ["admin", "developer"])
def test_what_tasks_before_it_would_have_made_is_taken_for_there(run: Run, world: World, user: str) -> None:
    connection = {"kubeconfig": str(world.kubeconfig(user))}
    accounts = [{"name": "ci", "namespace": f"early-{user}"}]
    early = {"service_accounts": accounts, "create_projects": True}
    wanted = {
        "name": "pull",
        "namespaces": [f"early-{user}"],
        "registries": [GHCR],
        "pull": ["default"],
        "mount": ["ci"],
    }
    with new_project(world, f"early-{user}"):
        before = run_module("service_accounts", **connection, **early, check=True)["changes"]
        assert "cannot get a pull secret" in run(wanted, check=True, **connection)["msg"]
        ghost = {**wanted, "pull": ["ghost"]}
        assert "no service account ghost" in run(ghost, check=True, earlier_changes=before, **connection)["msg"]
        predicted = run(wanted, check=True, earlier_changes=before, **connection)
        made = run_module("service_accounts", **connection, **early)["changes"]
        assert made == before
        # the project's service account default is waited for
        done = run(wanted, earlier_changes=made, **connection)
        assert summaries(predicted) == summaries(done)
        assert sorted(summaries(done)) == [
            "create Secret pull",
            "update ServiceAccount ci",
            "update ServiceAccount default",
        ]


def test_an_ordinary_user_gives_his_own_project_one(run: Run, world: World, project: str) -> None:
    developer = {"kubeconfig": str(world.kubeconfig("developer"))}
    result = run({"name": "pull", "registries": [GHCR]}, namespace=project, **developer)
    assert (
        f"Project {project} cannot get a pull secret: there is none of that name, or you may not see it."
        in result["msg"]
    )
    assert (
        "cannot get a pull secret"
        in run({"name": "pull", "registries": [GHCR]}, namespace="none-such", **developer)["msg"]
    )
    with new_project(world, "developers-pull"):
        accounts = [{"name": "default", "namespace": "developers-pull"}]
        run_module("service_accounts", service_accounts=accounts, create_projects=True, **developer)
        wanted = {"name": "pull", "registries": [GHCR], "pull": ["default"]}
        assert len(summaries(run(wanted, namespace="developers-pull", **developer))) == 2
        assert summaries(run(wanted, namespace="developers-pull", **developer)) == []


@pytest.mark.usefixtures("global_secret")
def test_the_global_pull_secret_is_merged(run: Run, world: World) -> None:
    predicted = run(global_registries=[GHCR], check=True)
    done = run(global_registries=[GHCR])
    assert predicted["changes"] == done["changes"] and predicted["diff"] == done["diff"]
    assert summaries(done) == ["update Secret pull-secret"]
    both = {"cloud.openshift.com": "ocm:theirs", "ghcr.io": "ann:first-Pa55word"}
    assert stored(world, "openshift-config", "pull-secret") == both
    assert summaries(run(global_registries=[GHCR])) == []
    assert summaries(run(global_registries=[QUAY], purge=True)) == ["update Secret pull-secret"]
    assert list(stored(world, "openshift-config", "pull-secret")) == ["cloud.openshift.com", "quay.io/example"]
    assert summaries(run(global_registries=[{"registry": "quay.io/example", "state": "absent"}])) == [
        "update Secret pull-secret"
    ]
    assert list(stored(world, "openshift-config", "pull-secret")) == ["cloud.openshift.com"]


@pytest.mark.usefixtures("global_secret")
def test_entries_of_the_global_pull_secret_that_others_added_are_theirs(run: Run, world: World) -> None:
    theirs = {"registry": "cloud.openshift.com", "username": "ocm", "password": "theirs"}
    assert summaries(run(global_registries=[theirs])) == []
    for login, said in [
        ({"registry": "cloud.openshift.com", "state": "absent"}, "was not added by this module, and is not removed"),
        ({**theirs, "password": "mine"}, "Set adopt: true to replace it"),
    ]:
        assert said in run(global_registries=[GHCR, login])["msg"]
        assert stored(world, "openshift-config", "pull-secret") == {"cloud.openshift.com": "ocm:theirs"}
    adopted = run(global_registries=[{**theirs, "password": "mine"}], adopt=True)
    assert summaries(adopted) == ["update Secret pull-secret"]
    assert stored(world, "openshift-config", "pull-secret") == {"cloud.openshift.com": "ocm:mine"}
    secret = read(world, "secrets", "openshift-config", "pull-secret")
    assert b"a@example.com" in base64.b64decode(secret["data"][".dockerconfigjson"])


def test_a_controller_that_edits_the_same_accounts_loses_nothing(
    run: Run, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every account and Secret is written by somebody else between our read and our write, some more than once."""
    from ansible_collections.quayside.registry.plugins.module_utils.openshift.client import Cluster

    projects = [f"busy-{number}" for number in range(6)]
    write = Cluster.write
    edits: dict[str, list[str]] = {name: [] for name in projects}

    def late(self: Cluster, change: Any) -> Any:
        others = edits[change.namespace]
        if change.kind == "ServiceAccount" and len(others) < 2:
            others.append(f"dockercfg-{len(others)}")
            linked = [{"name": name} for name in links(world, change.namespace, "default") if name not in others]
            body = {"imagePullSecrets": linked + [{"name": name} for name in others]}
            world.plane.admin.request("PATCH", path("serviceaccounts", change.namespace, "default"), body)
        return write(self, change)

    with new_project(world, *projects):
        accounts = [{"name": "default", "namespace": name} for name in projects]
        kubeconfig = str(world.admin_kubeconfig)
        run_module("service_accounts", kubeconfig=kubeconfig, service_accounts=accounts, create_projects=True)
        login = {"registry": "registry.example.com", "service_account": {"name": "default", "namespace": "busy-0"}}
        monkeypatch.setattr(Cluster, "write", late)
        mark = world.mark()
        result = run({"name": "pull", "namespaces": projects, "registries": [login], "pull": ["default"]})
        assert len(summaries(result)) == 12
        for name in projects:
            assert set(links(world, name, "default")) == {"dockercfg-0", "dockercfg-1", "pull"}
        tokens = [item for item in world.requests(mark) if item.uri.endswith("/token")]
        assert len(tokens) == 1
        assert len({stored(world, name, "pull")["registry.example.com"] for name in projects}) == 1


def test_300_namespaces_cost_no_more_than_10_requests_when_they_are_there(run: Run, world: World) -> None:
    projects = [f"fleet-{number}" for number in range(300)]
    with new_project(world, *projects):
        accounts = [{"name": "puller", "namespace": name} for name in projects]
        kubeconfig = str(world.admin_kubeconfig)
        run_module("service_accounts", kubeconfig=kubeconfig, service_accounts=accounts, create_projects=True)
        login = {"registry": "registry.example.com", "service_account": {"name": "puller", "namespace": "fleet-0"}}
        wanted = {"name": "pull", "namespaces": projects, "registries": [GHCR, login], "pull": ["puller"]}
        assert len(summaries(run(wanted))) == 600
        mark = world.mark()
        assert summaries(run(wanted)) == []
        asked = [f"{item.verb} {item.uri.partition('?')[0]}" for item in world.requests(mark)]
        assert sorted(asked) == ["list /api/v1/secrets", "list /api/v1/serviceaccounts"]
