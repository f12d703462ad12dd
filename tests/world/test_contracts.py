"""The simulators answer as the real servers were recorded to: statuses, texts, headers, order."""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from world.apiclient import ApiClient, ApiError
from world.world import World

CLIENT = "openshift-challenging-client"
CONFIG = "/apis/imageregistry.operator.openshift.io/v1/configs/cluster"
IMAGE = "/apis/image.openshift.io/v1"
PROJECT = "/apis/project.openshift.io/v1"
ROUTES = "/apis/route.openshift.io/v1/namespaces"
READY = ("False", "Ready", "The registry is ready")


# OAuth


def authorize(
    world: World, password: str | None, csrf: bool = True, user: str = "developer", **query: str
) -> requests.Response:
    query = {"client_id": CLIENT, "response_type": "token", **query}
    headers = {"X-CSRF-Token": "1"} if csrf else {}
    return requests.get(
        f"https://oauth-openshift.{world.domain}/oauth/authorize",
        params={key: value for key, value in query.items() if value},
        headers=headers,
        auth=(user, password.encode()) if password is not None else None,
        verify=str(world.ca_bundle),
        allow_redirects=False,
    )


def fragment(response: requests.Response) -> dict[str, str]:
    parts = urlsplit(response.headers["Location"])
    return {key: values[0] for key, values in parse_qs(parts.fragment or parts.query).items()}


def client_of(world: World, token: str) -> ApiClient:
    return ApiClient(world.url, world.ca_bundle, token=token)


@pytest.fixture(scope="module")
def developer(world: World) -> ApiClient:
    return client_of(world, fragment(authorize(world, world.password("developer")))["access_token"])


def test_a_password_becomes_a_token_in_the_fragment(world: World) -> None:
    answer = authorize(world, world.password("developer"))
    assert answer.status_code == 302
    found = fragment(answer)
    assert (found["expires_in"], found["scope"], found["token_type"]) == ("86400", "user:full", "Bearer")
    me = client_of(world, found["access_token"]).request("GET", "/apis/user.openshift.io/v1/users/~")
    assert me["identities"] == ["htpasswd:developer"]
    assert me["groups"] == ["system:authenticated", "system:authenticated:oauth"]


@pytest.mark.parametrize("password", [None, "wrong", ""])
def test_a_failed_login_is_challenged_only_with_a_csrf_header(world: World, password: str | None) -> None:
    challenged = authorize(world, password)
    assert (challenged.status_code, challenged.text) == (401, "")
    assert challenged.headers["Www-Authenticate"] == 'Basic realm="openshift"'
    plain = authorize(world, password, csrf=False)
    assert plain.status_code == 401
    assert "Www-Authenticate" not in plain.headers
    assert plain.text == "A non-empty X-CSRF-Token header is required to receive basic-auth challenges\n"


@pytest.mark.parametrize(
    ("query", "status", "error"),
    [
        ({"client_id": "nosuch"}, 400, "unauthorized_client"),
        ({"client_id": ""}, 400, "server_error"),
        ({"redirect_uri": "https://evil.example.com/"}, 400, "invalid_request"),
        ({"response_type": "id_token"}, 302, "unsupported_response_type"),
        ({"scope": "nosuch"}, 302, "invalid_scope"),
        ({"response_type": "code", "code_challenge": "abc"}, 302, "invalid_request"),
    ],
)
def test_bad_authorize_requests(world: World, query: dict[str, str], status: int, error: str) -> None:
    answer = authorize(world, world.password("developer"), **query)
    assert answer.status_code == status
    assert (answer.json() if status == 400 else fragment(answer))["error"] == error


def test_the_code_flow_checks_the_verifier_and_burns_the_code(world: World) -> None:
    verifier = secrets.token_urlsafe(48)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    query = {"response_type": "code", "code_challenge": challenge, "code_challenge_method": "S256"}
    code = fragment(authorize(world, world.password("developer"), **query))["code"]

    def exchange(verifier: str) -> dict[str, Any]:
        form = {"grant_type": "authorization_code", "code": code, "code_verifier": verifier}
        url = f"https://oauth-openshift.{world.domain}/oauth/token"
        answer: dict[str, Any] = requests.post(url, data=form, auth=(CLIENT, ""), verify=str(world.ca_bundle)).json()
        return answer

    assert exchange("x" * 64)["error"] == "invalid_grant"
    assert exchange(verifier)["access_token"].startswith("sha256~")
    assert exchange(verifier)["error"] == "unauthorized_client"


def test_a_token_is_deleted_by_the_hash_of_it(world: World) -> None:
    token = fragment(authorize(world, world.password("developer")))["access_token"]
    name = "sha256~" + base64.urlsafe_b64encode(hashlib.sha256(token[7:].encode()).digest()).rstrip(b"=").decode()
    client, path = client_of(world, token), "/apis/oauth.openshift.io/v1/oauthaccesstokens"
    own = client.request("GET", "/apis/oauth.openshift.io/v1/useroauthaccesstokens")["items"]
    assert name in [item["metadata"]["name"] for item in own]
    with pytest.raises(ApiError, match="404"):
        client.request("DELETE", f"{path}/{token}")
    deleted = client.request("DELETE", f"{path}/{name}")
    assert (deleted["kind"], deleted["userName"]) == ("OAuthAccessToken", "developer")


# Projects and image streams


def refusal(client: ApiClient, method: str, path: str, body: Any = None) -> tuple[int, str]:
    with pytest.raises(ApiError) as caught:
        client.request(method, path, body)
    return caught.value.status, caught.value.body["message"]


def test_a_project_from_request_to_removal(world: World, developer: ApiClient) -> None:
    admin, name = world.plane.admin, "contract-project"
    assert developer.request("GET", f"{PROJECT}/projectrequests")["status"] == "Success"
    made = developer.request("POST", f"{PROJECT}/projectrequests", {"metadata": {"name": name}, "displayName": "D"})
    assert (made["kind"], made["status"]["phase"]) == ("Project", "Active")
    assert made["metadata"]["annotations"]["openshift.io/requester"] == "developer"
    assert developer.request("GET", f"{PROJECT}/projects/{name}")["metadata"]["uid"] == made["metadata"]["uid"]
    assert [item["metadata"]["name"] for item in developer.request("GET", f"{PROJECT}/projects")["items"]] == [name]
    again = refusal(developer, "POST", f"{PROJECT}/projectrequests", {"metadata": {"name": name}})
    assert again == (409, f'project.project.openshift.io "{name}" already exists')
    bindings = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{name}/rolebindings"
    expected = {"admin", "system:deployers", "system:image-builders", "system:image-pullers"}
    world.wait_for(
        lambda: {item["metadata"]["name"] for item in developer.request("GET", bindings)["items"]} == expected,
        "the role bindings of a new project",
    )
    developer.request("POST", f"{IMAGE}/namespaces/{name}/imagestreams", {"metadata": {"name": "app"}})
    # Left-overs of aggregated APIs would keep the namespace from ending.
    developer.request("DELETE", f"{PROJECT}/projects/{name}")
    world.wait_for(lambda: not _exists(admin, f"/api/v1/namespaces/{name}"), "the project's end")
    assert not _exists(admin, f"{IMAGE}/namespaces/{name}/imagestreams/app")


def _exists(client: ApiClient, path: str) -> bool:
    try:
        client.request("GET", path)
    except ApiError as error:
        assert error.status == 404
        return False
    return True


def test_refusals_of_projects_and_streams_are_worded_as_recorded(world: World, developer: ApiClient) -> None:
    admin = world.plane.admin
    reserved = refusal(developer, "POST", f"{PROJECT}/projectrequests", {"metadata": {"name": "openshift-foo"}})
    assert reserved == (
        403,
        'project.project.openshift.io "openshift-foo" is forbidden: cannot request a project starting with "openshift-"',
    )
    assert refusal(developer, "GET", f"{PROJECT}/projects/nosuch") == (
        403,
        'projects.project.openshift.io "nosuch" is forbidden: User "developer" cannot get resource "projects" in API group '
        '"project.openshift.io" in the namespace "nosuch"',
    )
    assert refusal(admin, "GET", f"{PROJECT}/projects/nosuch") == (404, 'namespaces "nosuch" not found')
    streams = f"{IMAGE}/namespaces/default/imagestreams"
    assert refusal(admin, "GET", f"{streams}/nosuch") == (404, 'imagestreams.image.openshift.io "nosuch" not found')
    body = {"metadata": {"name": "app"}}
    missing = refusal(admin, "POST", streams.replace("default", "nosuch"), body)
    assert missing == (404, 'namespaces "nosuch" not found')
    status, message = refusal(admin, "POST", streams, {"metadata": {"name": "Bad_Name"}})
    assert status == 422
    assert message.endswith('metadata.name: Invalid value: "Bad_Name": must match "[a-z0-9]+(?:[._-][a-z0-9]+)*"')
    tag = f"{IMAGE}/namespaces/default/imagestreamtags/app:v1"
    assert refusal(admin, "GET", tag) == (404, 'imagestreamtags.image.openshift.io "app:v1" not found')


def test_streams_lock_optimistically_and_patch_dry(world: World) -> None:
    admin, path = world.plane.admin, f"{IMAGE}/namespaces/default/imagestreams"
    first = admin.request("POST", path, {"metadata": {"name": "locked"}})
    try:
        patch = {"metadata": {"labels": {"team": "a"}}}
        assert admin.request("PATCH", f"{path}/locked?dryRun=All", patch)["metadata"]["labels"] == {"team": "a"}
        assert "labels" not in admin.request("GET", f"{path}/locked")["metadata"]
        admin.request("PATCH", f"{path}/locked", patch)
        assert refusal(admin, "PUT", f"{path}/locked", first)[0] == 409
        assert len(admin.request("GET", f"{path}?labelSelector=team%20in%20(a,b)")["items"]) == 1
        assert admin.request("GET", f"{path}?labelSelector=team!%3Da")["items"] == []
    finally:
        admin.request("DELETE", f"{path}/locked")


# The registry


@pytest.fixture
def exposed(world: World) -> Iterator[Callable[..., requests.Response]]:
    """GET at the registry's default route."""
    admin = world.plane.admin
    path = "/apis/config.openshift.io/v1/images/cluster"

    def public_hosts() -> list[str]:
        return admin.request("GET", path)["status"].get("externalRegistryHostnames") or []

    admin.request("PATCH", CONFIG, {"spec": {"defaultRoute": True}})
    world.wait_for(lambda: world.registry_host in public_hosts(), "the default route")

    def get(path: str, token: str = "", **options: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        url = f"https://{world.registry_host}{path}"
        return requests.get(url, headers=headers, verify=str(world.ca_bundle), **options)

    yield get
    admin.request("PATCH", CONFIG, {"spec": {"defaultRoute": False}})
    world.wait_for(lambda: not public_hosts(), "the default route's end")


def test_the_registrys_challenge_and_tokens(world: World, exposed: Callable[..., requests.Response]) -> None:
    challenge = exposed("/v2/")
    assert challenge.status_code == 401
    assert challenge.headers["Content-Type"] == "application/json"
    assert challenge.headers["X-Registry-Supports-Signatures"] == "1"
    assert challenge.headers["Www-Authenticate"] == f'Bearer realm="https://{world.registry_host}/openshift/token"'
    body = '{"errors":[{"code":"UNAUTHORIZED","message":"authentication required","detail":null}]}\n'
    assert challenge.text == body
    assert exposed("/openshift/token").json() == {"access_token": "anonymous", "token": "anonymous"}
    token = world.service_account_token("default", "default")
    assert exposed("/openshift/token", auth=("anyone", token)).json()["token"] == token
    wrong = exposed("/openshift/token", auth=("anyone", "wrong"))
    assert (wrong.status_code, wrong.text) == (401, "")
    toplevel = exposed("/openshift/token?scope=repository:toplevel:pull", auth=("anyone", token))
    assert toplevel.json()["details"].startswith('repository name "toplevel" invalid')


def test_the_registry_refuses_with_401_and_finds_with_404(
    world: World, exposed: Callable[..., requests.Response]
) -> None:
    token = world.service_account_token("default", "default")
    denied = exposed("/v2/kube-system/app/manifests/v1", token)
    assert denied.status_code == 401
    assert denied.headers["Www-Authenticate"] == 'Basic realm=openshift,error="access denied"'
    detail = [{"Type": "repository", "Class": "", "Name": "kube-system/app", "Action": "pull"}]
    assert denied.json()["errors"][0]["detail"] == detail
    assert exposed("/v2/_catalog", token).status_code == 401
    admin = fragment(authorize(world, world.password("admin"), user="admin"))["access_token"]
    assert exposed("/v2/_catalog", admin).status_code == 200
    unknown = exposed("/v2/default/nosuch/manifests/v1", admin)
    assert (unknown.status_code, unknown.json()["errors"][0]["code"]) == (404, "NAME_UNKNOWN")
    removal = requests.delete(
        f"https://{world.registry_host}/v2/default/app/manifests/v1",
        headers={"Authorization": f"Bearer {admin}"},
        verify=str(world.ca_bundle),
    )
    assert (removal.status_code, removal.json()["errors"][0]["code"]) == (405, "UNSUPPORTED")


# The image registry operator and the router


def condition(world: World, kind: str) -> tuple[str, str | None, str | None]:
    config = world.plane.admin.request("GET", CONFIG)
    assert config["status"]["observedGeneration"] <= config["metadata"]["generation"]
    (found,) = [item for item in config["status"]["conditions"] if item["type"] == kind]
    return found["status"], found.get("reason"), found.get("message")


def configure(world: World, spec: dict[str, Any], kind: str, expected: tuple[str, str | None, str | None]) -> None:
    world.plane.admin.request("PATCH", CONFIG, {"spec": spec})
    world.wait_for(lambda: condition(world, kind) == expected, f"{kind} {expected} after {spec}", 5)


@pytest.fixture
def operator(world: World) -> Iterator[World]:
    yield world
    original = {
        "managementState": "Managed",
        "routes": None,
        "replicas": 1,
        "storage": {"pvc": None, "emptyDir": {}},
        "defaultRoute": False,
    }
    configure(world, original, "Progressing", READY)


def test_a_route_alone_changes_no_condition(operator: World) -> None:
    before = operator.plane.admin.request("GET", CONFIG)["status"]["conditions"]
    spec = {"routes": [{"name": "another", "hostname": f"another.{operator.domain}"}]}
    operator.plane.admin.request("PATCH", CONFIG, {"spec": spec})
    operator.wait_for(lambda: f"another.{operator.domain}" in operator.simulation.operator.hosts, "the route")
    assert operator.plane.admin.request("GET", CONFIG)["status"]["conditions"] == before


def test_a_missing_certificate_is_retried_and_a_duplicate_is_not(operator: World) -> None:
    text = (
        "Unable to apply resources: unable to apply objects: failed to create object *v1.Route, "
        'Namespace=openshift-image-registry, Name=public: secret "public-tls" not found'
    )
    route = {"name": "public", "hostname": f"public.{operator.domain}", "secretName": "public-tls"}
    configure(operator, {"routes": [route]}, "Progressing", ("True", "Error", text))
    certificate, key = operator.certificate_for(route["hostname"])
    secrets_path = "/api/v1/namespaces/openshift-image-registry/secrets"
    secret = {
        "metadata": {"name": "public-tls"},
        "type": "kubernetes.io/tls",
        "stringData": {"tls.crt": certificate, "tls.key": key},
    }
    operator.plane.admin.request("POST", secrets_path, secret)
    operator.wait_for(lambda: condition(operator, "Progressing") == READY, "the next attempt")
    operator.plane.admin.request("DELETE", f"{secrets_path}/public-tls")
    text = "unable to complete resource: duplication of names has been detected in the additional routes"
    twice = {"routes": [{"name": "a"}, {"name": "a"}]}
    configure(operator, twice, "Degraded", ("True", "VerificationFailed", f"Error: {text}"))
    assert condition(operator, "Progressing") == ("False", "Error", f"Unable to apply resources: {text}")


def test_a_host_that_an_older_route_has_is_not_admitted(operator: World) -> None:
    host, admin = f"claimed.{operator.domain}", operator.plane.admin
    route = {
        "apiVersion": "route.openshift.io/v1",
        "kind": "Route",
        "metadata": {"name": "older"},
        "spec": {"host": host, "to": {"kind": "Service", "name": "nothing"}},
    }
    admin.request("POST", f"{ROUTES}/default/routes", route)
    time.sleep(1)  # creation times are whole seconds
    text = f"route late (host {host}, router default) not admitted: a route in another namespace holds {host}"
    try:
        admin.request("PATCH", CONFIG, {"spec": {"routes": [{"name": "late", "hostname": host}]}})
        operator.wait_for(lambda: condition(operator, "Degraded")[:2] == ("True", "RouteDegraded"), "the conflict", 5)
        assert str(condition(operator, "Degraded")[2]).startswith(text)
        ingress = admin.request("GET", f"{ROUTES}/openshift-image-registry/routes/late")["status"]["ingress"][0]
        assert ingress["conditions"][0]["reason"] == "HostAlreadyClaimed"
    finally:
        admin.request("DELETE", f"{ROUTES}/default/routes/older")


def test_storage_is_completed_missed_or_refused(operator: World) -> None:
    configure(
        operator, {"storage": {"emptyDir": None, "pvc": {"claim": ""}}}, "StorageExists", ("True", "PVC Exists", None)
    )
    assert operator.plane.admin.request("GET", CONFIG)["spec"]["storage"]["pvc"]["claim"] == "image-registry-storage"
    missing = 'persistentvolumeclaims "mine" not found'
    mine = {"storage": {"pvc": {"claim": "mine"}}}
    configure(operator, mine, "StorageExists", ("False", "PVC Issues Found", missing))
    error = ("True", "StorageNotConfigured", "Error: storage backend not configured")
    configure(operator, {"storage": {"pvc": None}}, "Degraded", error)


def test_the_registry_goes_and_comes_back(operator: World) -> None:
    removed = ("False", "Removed", "All registry resources are removed")
    configure(operator, {"managementState": "Removed"}, "Progressing", removed)
    assert condition(operator, "Removed")[0] == "True"
    assert not _exists(
        operator.plane.admin, "/apis/apps/v1/namespaces/openshift-image-registry/deployments/image-registry"
    )
    assert operator.plane.admin.request("GET", CONFIG)["status"]["storage"] == {}
    configure(operator, {"managementState": "Managed"}, "Progressing", READY)
    assert condition(operator, "Available") == ("True", "Ready", "The registry is ready")
