"""The control plane is a real one, and OpenShift's where OpenShift patched it."""

from __future__ import annotations

import base64
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from world.apiclient import ApiClient, ApiError
from world.controlplane import AGGREGATED_SERVER_NAME, ControlPlane, TokenWebhook
from world.pki import Authority

ADDRESS = "127.0.0.71"
PROJECTS = "/apis/project.openshift.io/v1/projects"
ROLE_BINDINGS = "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings"


class Server:
    """An HTTPS server on a thread: answers with what `answer(method, path, headers, body)` returns."""

    def __init__(self, answer: Callable[[str, str, dict[str, str], Any], Any], name: str, **trust: Path) -> None:
        authority = Authority.create("test-server-ca")
        self.ca = authority.certificate
        self.directory = trust.pop("directory")

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else None
                content = json.dumps(answer(self.command, self.path, dict(self.headers), body)).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_POST = do_GET

            def log_message(self, *_arguments: object) -> None:
                """Silence."""

        self._httpd = ThreadingHTTPServer((ADDRESS, 0), Handler)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*authority.server([name]).write(self.directory, f"server-{name}"))
        if "clients" in trust:
            context.load_verify_locations(trust["clients"])
            context.verify_mode = ssl.CERT_REQUIRED
        self._httpd.socket = context.wrap_socket(self._httpd.socket, server_side=True)
        self.port = self._httpd.server_address[1]
        threading.Thread(target=self._httpd.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._httpd.shutdown()
        self._httpd.server_close()


def review_token(_method: str, _path: str, _headers: dict[str, str], body: Any) -> Any:
    user = {"username": "alice", "groups": ["system:authenticated:oauth"]}
    known = body["spec"]["token"] == "sha256~alice"
    return {**body, "status": {"authenticated": known, "user": user} if known else {"authenticated": False}}


def serve_projects(_method: str, path: str, headers: dict[str, str], _body: Any) -> Any:
    if path.startswith(f"{PROJECTS}/"):
        metadata = {"name": path.rpartition("/")[2], "annotations": {"asked-by": headers["X-Remote-User"]}}
        return {"apiVersion": "project.openshift.io/v1", "kind": "Project", "metadata": metadata}
    resource = {"name": "projects", "singularName": "project", "namespaced": False, "kind": "Project"}
    resources = [{**resource, "verbs": ["get", "list"]}]
    version = "project.openshift.io/v1"
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": resources}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("control-plane")


@pytest.fixture(scope="module")
def plane(directory: Path) -> Iterator[ControlPlane]:
    reviewer = Server(review_token, ADDRESS, directory=directory)
    webhook = TokenWebhook(f"https://{ADDRESS}:{reviewer.port}/review", reviewer.ca)
    plane = ControlPlane(directory / "plane", ADDRESS, token_webhook=webhook, audit_log=directory / "audit.log")
    plane.start()
    yield plane
    plane.stop()
    reviewer.stop()


def client(plane: ControlPlane, user: str, *groups: str) -> ApiClient:
    """A client as a kubeconfig says it."""
    return client_of(plane.kubeconfig_for(user, groups))


def client_of(kubeconfig: Path) -> ApiClient:
    config = yaml.safe_load(kubeconfig.read_text())
    credentials, cluster = config["users"][0]["user"], config["clusters"][0]["cluster"]
    certificate, key_file = kubeconfig.with_suffix(".crt"), kubeconfig.with_suffix(".key")
    for file, key in ((certificate, "client-certificate-data"), (key_file, "client-key-data")):
        file.write_bytes(base64.b64decode(credentials.get(key, "")))
    ca = kubeconfig.with_suffix(".ca")
    ca.write_bytes(base64.b64decode(cluster["certificate-authority-data"]))
    if "token" in credentials:
        return ApiClient(cluster["server"], ca, token=credentials["token"])
    return ApiClient(cluster["server"], ca, certificate=certificate, key=key_file)


def project(plane: ControlPlane, name: str) -> str:
    plane.admin.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    return f"/api/v1/namespaces/{name}"


def bind(plane: ControlPlane, namespace: str, role: str, user: str) -> None:
    binding = {
        "metadata": {"name": role},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    }
    plane.admin.request("POST", ROLE_BINDINGS.format(namespace), binding)


def eventually(condition: Callable[[], Any], timeout: float = 15) -> Any:
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.05)
    return value


def who_am_i(client: ApiClient) -> Any:
    review = client.request("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {})
    return review["status"]["userInfo"]


def test_rbac_refuses_and_allows_as_openshifts_roles_say(plane: ControlPlane) -> None:
    path, images = project(plane, "rbac"), "/apis/image.openshift.io/v1/namespaces/rbac/imagestreams"
    developer = client(plane, "developer")
    with pytest.raises(ApiError, match=r'403 secrets is forbidden: User "developer" cannot list resource "secrets"'):
        developer.request("GET", f"{path}/secrets")

    def may(verb: str, resource: str, subresource: str = "") -> bool:
        attributes = {"namespace": "rbac", "group": "image.openshift.io", "resource": resource, "verb": verb}
        spec = {"user": "developer", "resourceAttributes": {**attributes, "subresource": subresource}}
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
        answer = plane.admin.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
        return bool(answer["status"]["allowed"])

    assert not may("get", "imagestreams", "layers")
    bind(plane, "rbac", "view", "developer")  # registry-viewer is aggregated into it
    eventually(lambda: may("get", "imagestreams", "layers"))
    assert not may("update", "imagestreams", "layers")
    bind(plane, "rbac", "system:image-pusher", "developer")
    eventually(lambda: may("update", "imagestreams", "layers"))
    assert not may("create", "imagestreams")
    bind(plane, "rbac", "edit", "developer")
    eventually(lambda: may("create", "imagestreams"))
    assert developer.request("GET", f"{path}/secrets")["items"] == []
    with pytest.raises(ApiError, match="404"):  # allowed, but nobody serves image streams here
        developer.request("GET", images)


def test_openshift_resources_are_defined_with_their_validation(plane: ControlPlane) -> None:
    path = "/apis/imageregistry.operator.openshift.io/v1/configs"
    spec = {"managementState": "Sometimes", "replicas": 1}
    body = {"apiVersion": "imageregistry.operator.openshift.io/v1", "kind": "Config", "metadata": {"name": "cluster"}}
    with pytest.raises(ApiError, match=r"422.*should match '\^\(Managed\|Unmanaged\|Force\|Removed\)\$'"):
        plane.admin.request("POST", path, {**body, "spec": spec})
    plane.admin.request("POST", path, {**body, "spec": {**spec, "managementState": "Removed"}})


def test_service_account_tokens_are_issued_and_accepted(plane: ControlPlane, directory: Path) -> None:
    path = project(plane, "tokens")
    eventually(lambda: plane.admin.request("GET", f"{path}/serviceaccounts")["items"])  # "default"
    plane.admin.request("POST", f"{path}/serviceaccounts", {"metadata": {"name": "builder"}})
    with pytest.raises(ApiError, match=r"422.*may not specify a duration less than 10 minutes"):
        plane.admin.request(
            "POST", f"{path}/serviceaccounts/builder/token", {"spec": {"audiences": [], "expirationSeconds": 599}}
        )
    answer = plane.admin.request("POST", f"{path}/serviceaccounts/builder/token", {"spec": {"audiences": []}})
    token = answer["status"]["token"]
    kubeconfig = plane.kubeconfig_with_token("builder", token, directory / "builder.kubeconfig")
    assert kubeconfig.stat().st_mode & 0o777 == 0o600
    assert who_am_i(client_of(kubeconfig))["username"] == "system:serviceaccount:tokens:builder"


def test_token_secrets_are_filled(plane: ControlPlane, directory: Path) -> None:
    path = project(plane, "token-secrets")
    plane.admin.request("POST", f"{path}/serviceaccounts", {"metadata": {"name": "builder"}})
    metadata = {"name": "builder-token", "annotations": {"kubernetes.io/service-account.name": "builder"}}
    secret = {"metadata": metadata, "type": "kubernetes.io/service-account-token"}
    plane.admin.request("POST", f"{path}/secrets", secret)
    data = eventually(lambda: plane.admin.request("GET", f"{path}/secrets/builder-token").get("data"))
    assert base64.b64decode(data["ca.crt"]) == plane.ca
    token = base64.b64decode(data["token"]).decode()
    kubeconfig = plane.kubeconfig_with_token("builder", token, directory / "legacy.kubeconfig")
    assert who_am_i(client_of(kubeconfig))["username"] == "system:serviceaccount:token-secrets:builder"


def test_foreign_tokens_are_reviewed_by_the_webhook(plane: ControlPlane, directory: Path) -> None:
    def user(token: str) -> Any:
        return who_am_i(client_of(plane.kubeconfig_with_token("alice", token, directory / "alice.kubeconfig")))

    assert user("sha256~alice")["username"] == "alice"
    assert "system:authenticated:oauth" in user("sha256~alice")["groups"]
    with pytest.raises(ApiError, match="401 Unauthorized"):
        user("sha256~revoked")


def test_an_aggregated_api_answers_and_roles_of_a_project_decide_who_may_read_it(
    plane: ControlPlane, directory: Path
) -> None:
    clients = directory / "requestheader-ca.pem"
    clients.write_bytes(plane.requestheader_ca)
    server = Server(serve_projects, AGGREGATED_SERVER_NAME, clients=clients, directory=directory)
    plane.add_api_service("project.openshift.io", "v1", server.port, server.ca)
    plane.wait_api_services()
    project(plane, "mine")
    bind(plane, "mine", "admin", "developer")
    developer = client(plane, "developer")
    answer = eventually(lambda: quietly(developer, f"{PROJECTS}/mine"))
    assert answer["metadata"]["annotations"] == {"asked-by": "developer"}
    with pytest.raises(ApiError) as refused:
        developer.request("GET", f"{PROJECTS}/other")
    assert refused.value.body["message"] == (
        'projects.project.openshift.io "other" is forbidden: User "developer" cannot get resource "projects" in API '
        'group "project.openshift.io" in the namespace "other"'
    )
    # Left without its server, namespace deletion would wait for the group's discovery.
    plane.admin.request("DELETE", "/apis/apiregistration.k8s.io/v1/apiservices/v1.project.openshift.io")
    server.stop()


def quietly(client: ApiClient, path: str) -> Any:
    try:
        return client.request("GET", path)
    except ApiError:
        return None


def test_namespaces_are_deleted_with_all_that_is_in_them(plane: ControlPlane) -> None:
    path = project(plane, "short-lived")
    claim = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}}
    plane.admin.request("POST", f"{path}/persistentvolumeclaims", {"metadata": {"name": "data"}, "spec": claim})
    plane.admin.request("DELETE", path)
    eventually(lambda: quietly(plane.admin, path) is None, timeout=40)


def test_owned_objects_are_collected(plane: ControlPlane) -> None:
    path = f"{project(plane, 'owners')}/configmaps"
    owner = plane.admin.request("POST", path, {"metadata": {"name": "owner"}})["metadata"]
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["uid"]}
    plane.admin.request("POST", path, {"metadata": {"name": "owned", "ownerReferences": [reference]}})
    plane.admin.request("DELETE", f"{path}/owner")
    eventually(lambda: quietly(plane.admin, f"{path}/owned") is None)


def test_every_request_is_in_the_audit_log(plane: ControlPlane, directory: Path) -> None:
    auditor = client(plane, "auditor", "system:masters")
    auditor.request("GET", "/api/v1/namespaces?limit=1")
    auditor.request("GET", "/api/v1/nodes")

    def seen() -> list[tuple[str, str]]:
        events = [json.loads(line) for line in (directory / "audit.log").read_text().splitlines()]
        of_auditor = [event for event in events if event["user"].get("username") == "auditor"]
        return [(event["verb"], event["requestURI"]) for event in of_auditor]

    eventually(lambda: len(seen()) >= 2)
    assert seen() == [("list", "/api/v1/namespaces?limit=1"), ("list", "/api/v1/nodes")]


def test_objects_and_credentials_survive_a_restart(plane: ControlPlane) -> None:
    path = project(plane, "lasting")
    administrator = client_of(plane.kubeconfig)
    plane.stop()
    assert plane.pids == {}
    plane.start()
    assert plane.running
    assert administrator.request("GET", path)["metadata"]["name"] == "lasting"
