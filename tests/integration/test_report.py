"""What the report says of a real API server, and the page of several clusters that one playbook makes."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from clusters import new_project
from pods import waiting_pod
from quays import SUPERUSER, quay_in

from playbooks import environment, run_playbook
from support import run_module
from world.external import ExternalRegistry, auth_config
from world.simulators.quay.database import hashed
from world.world import World

Run = Callable[..., dict[str, Any]]
PASSWORD = "pull-Pa55word"
RBAC = "/apis/rbac.authorization.k8s.io/v1"


@pytest.fixture
def run(world: World) -> Run:
    def run(**params: Any) -> dict[str, Any]:
        result = run_module("registry_report_info", **{"kubeconfig": str(world.admin_kubeconfig), **params})
        assert not result.get("failed"), result["msg"]
        report: dict[str, Any] = result["report"]
        return report

    return run


@pytest.fixture
def project(world: World) -> Iterator[str]:
    with new_project(world) as name:
        yield name


def pull_secret(world: World, project: str, name: str, config: str) -> None:
    body = {
        "metadata": {"name": name},
        "type": "kubernetes.io/dockerconfigjson",
        "data": {".dockerconfigjson": base64.b64encode(config.encode()).decode()},
    }
    world.plane.admin.request("POST", f"/api/v1/namespaces/{project}/secrets", body)


def bind(world: World, project: str, name: str, role: str, subject: dict[str, str], kind: str = "ClusterRole") -> None:
    body = {
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
        "subjects": [subject],
    }
    world.plane.admin.request("POST", f"{RBAC}/namespaces/{project}/rolebindings", body)


def person(name: str, kind: str = "User") -> dict[str, str]:
    return {"kind": kind, "apiGroup": "rbac.authorization.k8s.io", "name": name}


def test_hosts_and_certificates_by_the_time_that_they_end(run: Run, world: World) -> None:
    world.plane.admin.request(
        "PATCH", "/apis/imageregistry.operator.openshift.io/v1/configs/cluster", {"spec": {"defaultRoute": True}}
    )
    world.wait_for(lambda: world.registry_host in run()["registry"]["hosts"], "the route")
    report = run()
    assert report["registry"]["management_state"] == "Managed"
    assert report["registry"]["conditions"]["Available"]["status"] == "True"
    assert report["unread"] == []
    ends = [row["not_after"] for row in report["expiry"]]
    assert ends == sorted(ends)
    leaf = next(row for row in report["expiry"] if row["kind"] == "certificate")
    assert leaf["used_for"] == [world.registry_host]
    assert leaf["where"] == "Secret openshift-ingress/router-certs-default"
    assert [problem["kind"] for problem in run(warn_before=36500)["problems"]].count("expiring") >= 2


def test_who_may_pull_and_push_down_to_people_and_service_accounts(run: Run, world: World, project: str) -> None:
    admin = world.plane.admin
    group = {"metadata": {"name": "report-team"}, "users": ["ann", "ben"]}
    admin.request("POST", "/apis/user.openshift.io/v1/groups", group)
    role = {
        "metadata": {"name": "only-app"},
        "rules": [
            {
                "apiGroups": ["image.openshift.io"],
                "resources": ["imagestreams/layers"],
                "verbs": ["get", "update"],
                "resourceNames": ["app"],
            }
        ],
    }
    admin.request("POST", f"{RBAC}/namespaces/{project}/roles", role)
    bind(world, project, "team", "registry-viewer", person("report-team", "Group"))
    bind(
        world, project, "pusher", "system:image-builder", {"kind": "ServiceAccount", "name": "ci", "namespace": project}
    )
    bind(world, project, "others", "system:image-puller", person("system:serviceaccounts:other", "Group"))
    bind(world, project, "open", "system:image-puller", person("system:unauthenticated", "Group"))
    bind(world, project, "one", "only-app", person("eve"), "Role")
    bind(world, project, "nothing", "system:auth-delegator", person("mallory"))
    try:
        rows = {row["name"]: row for row in run()["access"] if row["project"] == project}
        assert {name: (row["kind"], row["pull"], row["push"]) for name, row in rows.items()} == {
            "ann": ("user", True, False),
            "ben": ("user", True, False),
            f"{project}/ci": ("service account", True, True),
            "other/*": ("service account", True, False),
            "everybody, without a login": ("everybody", True, False),
            "eve": ("user", True, True),
            # what OpenShift gives in every project
            f"{project}/*": ("service account", True, False),
            f"{project}/builder": ("service account", True, True),
        }
        assert rows["ann"]["through"] == ["report-team"]
        assert rows["eve"]["streams"] == ["app"]
        everywhere = {row["name"] for row in run()["access"] if row["project"] == "all projects"}
        assert "admin" in everywhere
        assert not [name for name in everywhere if name.startswith(("system:", "openshift-", "kube-"))]
    finally:
        admin.request("DELETE", "/apis/user.openshift.io/v1/groups/report-team")


def test_pull_secrets_with_their_health_and_no_password(run: Run, world: World, project: str) -> None:
    token = world.service_account_token("default", "default", 3600)
    config = json.loads(auth_config("ghcr.io", "ann", PASSWORD))
    config["auths"].update(json.loads(auth_config("soon.example.com", "sa", token))["auths"])
    pull_secret(world, project, "good", json.dumps(config))
    pull_secret(world, project, "broken", json.dumps({"auths": {"quay.io": {}}}))
    account = f"/api/v1/namespaces/{project}/serviceaccounts/default"
    world.wait_for(lambda: "good" in _linked(world, account), "the service account")
    report = run()
    rows = {(row["name"], row["registry"]): row for row in report["pull_secrets"] if row["namespace"] == project}
    assert rows["good", "ghcr.io"]["linked"] == ["default"]
    assert (rows["good", "ghcr.io"]["username"], rows["good", "ghcr.io"]["not_after"]) == ("ann", "")
    assert rows["good", "soon.example.com"]["not_after"] > report["read_at"]
    assert rows["broken", "quay.io"]["problem"] == "it has no credential for this registry"
    assert rows["broken", "quay.io"]["linked"] == []
    credential = next(row for row in report["expiry"] if row["name"] == "for soon.example.com")
    assert (credential["kind"], credential["where"]) == ("credential", f"Secret {project}/good")
    assert {
        "kind": "expiring",
        "text": f"credential for soon.example.com expires on {credential['not_after']}",
    } in report["problems"]
    assert PASSWORD not in json.dumps(report) and token not in json.dumps(report)
    assert base64.b64encode(f"ann:{PASSWORD}".encode()).decode() not in json.dumps(report)


def _linked(world: World, account: str) -> set[str]:
    """Link the Secret, once the account is there."""
    admin = world.plane.admin
    namespace = account.split("/")[4]
    there = {
        item["metadata"]["name"]
        for item in admin.request("GET", f"/api/v1/namespaces/{namespace}/serviceaccounts")["items"]
    }
    if "default" not in there:
        return set()
    item = admin.request("PATCH", account, {"imagePullSecrets": [{"name": "good"}]})
    return {entry["name"] for entry in item["imagePullSecrets"]}


def test_failing_imports_and_pulls(run: Run, world: World, project: str, ghcr: ExternalRegistry) -> None:
    stream = {"name": "app", "namespace": project, "tags": [{"name": "v9", "from": "ghcr.io/acme/app:9"}]}
    connection = {"kubeconfig": str(world.admin_kubeconfig)}
    assert run_module("image_streams", image_streams=[stream], **connection)["failed"]
    waiting_pod(world, project, "ghcr.io/acme/app:9", "reading manifest 9 in ghcr.io/acme/app: manifest unknown")
    report = run()
    (failed,) = [row for row in report["failing_imports"] if row["namespace"] == project]
    assert (failed["stream"], failed["tag"], failed["source"]) == ("app", "v9", "ghcr.io/acme/app:9")
    assert (failed["reason"], failed["has_image"]) == ("NotFound", False)
    (pull,) = [row for row in report["failing_pulls"] if project in row["namespaces"]]
    assert (pull["cause"], pull["pods"]) == ("image_missing", 1)
    assert {"failing_imports", "failing_pulls"} <= {problem["kind"] for problem in report["problems"]}
    assert report["counts"]["image_streams"] >= 1


def test_tags_whose_sources_have_moved_where_that_is_wanted(
    run: Run, world: World, project: str, ghcr: ExternalRegistry
) -> None:
    ghcr.push("acme/moving", "1", "the first")
    ghcr.push("acme/still", "1", "a list", architectures=("amd64", "arm64"))
    tags = [{"name": name, "from": f"ghcr.io/acme/{name}:1"} for name in ("moving", "still")]
    connection = {"kubeconfig": str(world.admin_kubeconfig)}
    made = run_module(
        "image_streams", image_streams=[{"name": "app", "namespace": project, "tags": tags}], **connection
    )
    assert not made.get("failed"), made["msg"]
    assert run()["drift"] is None
    image_config = {
        "additional_trusted_ca": [{"host": "ghcr.io", "ca_certificates": world.certificate_for("ghcr.io")[0]}]
    }
    run_module("image_config", **image_config, **connection)
    assert [row for row in run(drift=True)["drift"] if row["namespace"] == project] == []
    ghcr.push("acme/moving", "1", "the second")
    mark = world.mark()
    report = run(drift=True)
    assert {item.verb for item in world.requests(mark)} <= {"get", "list"}
    (row,) = [row for row in report["drift"] if row["namespace"] == project]
    assert (row["stream"], row["tag"], row["source"]) == ("app", "moving", "ghcr.io/acme/moving:1")
    assert row["imported"] != row["current"] and row["current"].startswith("sha256:")
    text = f"{project}/app:moving: its source ghcr.io/acme/moving:1 has another image by now"
    assert {"kind": "drift", "text": text} in report["problems"]


def test_a_given_quay_with_its_organizations_mirrors_and_tokens(run: Run, world: World, project: str) -> None:
    with quay_in(world, project) as (host, quay):
        first = {"kind": "user", "name": SUPERUSER, "email": "quayadmin@example.com", "created": 0}
        quay.database.insert("account", **first, password=hashed(PASSWORD))
        kept = {
            "username": SUPERUSER,
            "password": PASSWORD,
            "token": "secret-t0ken",
            "token_expires": "2030-01-01T00:00:00Z",
        }
        secrets = f"/api/v1/namespaces/{project}/secrets"
        world.plane.admin.request("POST", secrets, {"metadata": {"name": "kept"}, "stringData": kept})
        mirror = {"source": "ghcr.io/acme/base", "robot": "puller", "tags": ["latest"], "start": "2030-01-02T03:04:05Z"}
        acme = {
            "name": "acme",
            "robots": [{"name": "puller"}],
            "repositories": [{"name": "base", "mirror": mirror}],
            "quota": {"size": "1GiB"},
        }
        connection = {"quay_host": host, "quay_ca_cert": str(world.ca_bundle)}
        connection |= {"quay_username": SUPERUSER, "quay_password": PASSWORD}
        made = run_module("quay_content", organizations=[acme], **connection)
        assert not made.get("failed"), made["msg"]
        (row,) = quay.database.all("SELECT repository FROM mirror")
        quay.database.update("mirror", "repository", row["repository"], status="FAIL")
        quay.requests.clear()
        report = run(quays=[{"host": host, "secret": {"name": "kept", "namespace": project}}])
        # to sign in, the organizations, of one three, and a mirror
        assert len(quay.requests) == 2 + 1 + 3 + 1
        assert [item for item in quay.requests if not item.startswith("GET")] == ["POST /api/v1/signin"]
        (shown,) = report["quays"]
        assert (shown["host"], shown["registry"], shown["available"], shown["error"]) == (host, "", None, "")
        (organization,) = report["quay_organizations"]
        assert (organization["organization"], organization["robots"], organization["quota"]) == ("acme", 1, 1 << 30)
        text = f"Quay {host}: acme/base could not be mirrored from ghcr.io/acme/base"
        assert {"kind": "failing_mirrors", "text": text} in report["problems"]
        token = next(row for row in report["expiry"] if row["kind"] == "token")
        assert (token["name"], token["where"]) == ("of quayadmin", f"Secret {project}/kept")
        assert host in {name for row in report["expiry"] if row["kind"] == "certificate" for name in row["used_for"]}
        assert PASSWORD not in json.dumps(report) and "secret-t0ken" not in json.dumps(report)

        wrong = run(quays=[{"host": host, "username": SUPERUSER, "password": "wrong-Pa55word"}])
        assert wrong["quay_organizations"] == []
        assert [item["kind"] for item in wrong["problems"] if host in item["text"]] == ["failing_quays"]
        missing = run(quays=[{"host": host, "secret": {"name": "none", "namespace": project}}])
        assert (
            f"Quay {host} was not read: Secret {project}/none with its first user does not exist." in missing["unread"]
        )


def test_the_quays_of_the_cluster_are_found_and_read_as_their_first_users(fresh_world: World, tmp_path: Path) -> None:
    world, connection = fresh_world, {"kubeconfig": str(fresh_world.admin_kubeconfig)}
    storage = {
        "default": ["RadosGWStorage", {"hostname": "s3.example.com", "secret_key": "s3cr3t", "bucket_name": "quay"}]
    }
    variables = {
        "quay_registry_components": [{"kind": "objectstorage", "managed": False}],
        "quay_registry_secret_config": {"DISTRIBUTED_STORAGE_CONFIG": storage},
        "quay_registry_config": {},
        "builders_auth_file": str(tmp_path / "auth.json"),
    }
    before = run_module("registry_report_info", **connection)["report"]
    assert (before["quays"], before["unread"]) == ([], [])
    made = run_playbook(
        "quayside.registry.quay", environment(world.admin_kubeconfig, tmp_path), "-e", json.dumps(variables)
    )
    assert not made.failures
    report = run_module("registry_report_info", **connection)["report"]
    (quay,) = report["quays"]
    assert (quay["registry"], quay["available"], quay["read"]) == ("quay/quay", True, True)
    assert [row["organization"] for row in report["quay_organizations"]] == ["automation"]
    # the stored token is the application's: one row
    assert [row["where"] for row in report["expiry"] if row["kind"] == "token"] == ["Secret quay/quay-first-user"]
    assert report["unread"] == []


def test_the_size_of_the_cluster_does_not_matter(run: Run, world: World) -> None:
    mark = world.mark()
    run()
    verbs = [item.verb for item in world.requests(mark)]
    assert set(verbs) <= {"get", "list"}
    assert len(verbs) <= 26


def test_what_may_not_be_read_is_left_out_and_said(world: World) -> None:
    reader = {
        "metadata": {"name": "report-reader"},
        "rules": [
            {"apiGroups": ["imageregistry.operator.openshift.io"], "resources": ["configs"], "verbs": ["get"]},
            {"apiGroups": ["config.openshift.io"], "resources": ["images", "ingresses"], "verbs": ["get"]},
            {"apiGroups": ["route.openshift.io"], "resources": ["routes"], "verbs": ["list"]},
        ],
    }
    admin = world.plane.admin
    admin.request("POST", f"{RBAC}/clusterroles", reader)
    binding = {
        "metadata": {"name": "report-reader"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "report-reader"},
        "subjects": [person("developer")],
    }
    admin.request("POST", f"{RBAC}/clusterrolebindings", binding)
    try:
        result = run_module("registry_report_info", kubeconfig=str(world.kubeconfig("developer")))
        assert not result.get("failed"), result["msg"]
        report = result["report"]
        assert report["registry"]["management_state"] == "Managed"
        assert report["access"] == report["pull_secrets"] == report["failing_pulls"] == []
        unread = " ".join(report["unread"])
        assert all(f"list {what}" in unread for what in ("secrets", "pods", "rolebindings", "imagestreams"))
    finally:
        admin.request("DELETE", f"{RBAC}/clusterrolebindings/report-reader")
        admin.request("DELETE", f"{RBAC}/clusterroles/report-reader")


def test_one_page_of_all_clusters_whoever_is_down_and_in_whatever_slices(world: World, tmp_path: Path) -> None:
    connection = {"kubeconfig": str(world.admin_kubeconfig)}
    away = {"host": "https://127.0.0.99:6443", "api_key": "none", "validate_certs": False}
    folder = tmp_path / "page"
    hosts = {"production": connection, "staging": connection, "gone": away}
    inventory = tmp_path / "inventory.json"
    inventory.write_text(
        json.dumps(
            {
                "clusters": {
                    "hosts": {name: {"cluster_connection": options} for name, options in hosts.items()},
                    "vars": {
                        "ansible_connection": "local",
                        "ansible_python_interpreter": "{{ ansible_playbook_python }}",
                        "report_directory": str(folder),
                    },
                }
            }
        )
    )
    env = environment(world.admin_kubeconfig, tmp_path)
    del env["KUBECONFIG"]

    def clusters() -> dict[str, Any]:
        found = json.loads((folder / "report.json").read_text())["clusters"]
        return {item["cluster"]: {key: value for key, value in item.items() if key != "read_at"} for item in found}

    play = "quayside.registry.report"
    checked = run_playbook(play, env, "--check", "--limit", "production", inventory=inventory)
    assert (checked.failures, checked.changed, folder.exists()) == ([], 1, False)
    for name in ("production", "staging"):
        done = run_playbook(play, env, "--limit", name, inventory=inventory)
        assert (done.failures, done.changed) == ([], 1)
    assert set(clusters()) == {"production", "staging"}
    whole = run_playbook(play, env, inventory=inventory)
    assert whole.status != 0
    assert [failure for failure in whole.failures if "127.0.0.99" in failure]
    assert set(clusters()) == {"production", "staging", "gone"}
    assert "cannot be reached" in clusters()["gone"]["error"]
    assert clusters()["production"]["registry"] == clusters()["staging"]["registry"]
    again = run_playbook(play, env, "--limit", "production:staging", inventory=inventory)
    assert (again.failures, again.changed) == ([], 0)
    page = (folder / "index.html").read_text()
    assert "127.0.0.99" in page and "BEGIN CERTIFICATE" not in page

    strict = ["--limit", "production", "-e", json.dumps({"report_warn_before": 36500, "report_fail_on": ["expiring"]})]
    failed = run_playbook(play, env, *strict, inventory=inventory)
    assert failed.status != 0
    assert any("expires on" in failure for failure in failed.failures)
    assert clusters()["production"]["warn_before"] == 36500


def test_a_folder_that_cannot_be_written_is_named(world: World, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    playbook = tmp_path / "play.yml"
    task = {"quayside.registry.report_page": {"directory": str(tmp_path / "file"), "cluster": "a", "error": "b"}}
    playbook.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": [task]}]))
    done = run_playbook(playbook, environment(world.admin_kubeconfig, tmp_path), inventory=Path("localhost,"))
    assert any("cannot be written: Not a directory" in failure for failure in done.failures)
