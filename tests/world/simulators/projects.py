"""project.openshift.io: projects computed from namespaces, and ProjectRequest.

Real: a Project is its Namespace seen with fewer fields; who may get it is decided in the namespace itself; a list holds
the projects that the caller may read. ProjectRequest makes the namespace and binds its requester to the role `admin`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from .errors import ApiError, already_exists, forbidden
from .kube import Kube, KubeError
from .resource import Caller, Object, Resource
from .store import Revision, merge

RESERVED = ("openshift-", "kube-")
ANNOTATIONS = ("openshift.io/description", "openshift.io/display-name", "openshift.io/requester")


class Projects(Resource):
    """Namespaces as projects."""

    group, kind, plural, namespaced = "project.openshift.io", "Project", "projects", False
    verbs = ("create", "delete", "get", "list", "patch", "update", "watch")

    def __init__(self, revision: Revision, kube: Kube) -> None:
        super().__init__(revision)
        self.kube = kube

    async def list_all(self, caller: Caller, namespace: str) -> list[Object]:
        """Those whose namespace the caller may get."""
        namespaces = (await self.kube.get("/api/v1/namespaces"))["items"]
        if not await allowed(self.kube, caller, "get", "", "namespaces"):
            visible = await self._bound(caller)
            namespaces = [item for item in namespaces if item["metadata"]["name"] in visible]
        return [_project(item) for item in namespaces]

    async def _bound(self, caller: Caller) -> set[str]:
        """Namespaces with a role binding of the caller's that lets him read them."""
        bindings = (await self.kube.get("/apis/rbac.authorization.k8s.io/v1/rolebindings"))["items"]
        candidates = {item["metadata"]["namespace"] for item in bindings if _binds(item, caller)}
        return {name for name in candidates if await allowed(self.kube, caller, "get", "", "namespaces", name)}

    async def get(self, caller: Caller, namespace: str, name: str) -> Object:
        """404 names the namespace: `namespaces "x" not found`."""
        return _project(await self.kube.get(f"/api/v1/namespaces/{name}"))

    async def create(self, caller: Caller, namespace: str, item: Object, dry_run: bool) -> Object:
        """An administrator's direct create: a namespace and no role binding."""
        return _project(await _create_namespace(self.kube, item["metadata"], dry_run))

    async def update(
        self, caller: Caller, namespace: str, item: Object, dry_run: bool, subresource: str = ""
    ) -> Object:
        """Labels and annotations go to the namespace."""
        name = item["metadata"]["name"]
        old = await self.kube.get(f"/api/v1/namespaces/{name}")
        metadata = {key: item["metadata"].get(key) for key in ("labels", "annotations", "resourceVersion")}
        body = {**old, "metadata": {**old["metadata"], **{k: v for k, v in metadata.items() if v is not None}}}
        query = {"dryRun": "All"} if dry_run else {}
        return _project(await self.kube.request("PUT", f"/api/v1/namespaces/{name}", body, **query))

    async def delete(self, caller: Caller, namespace: str, name: str, dry_run: bool) -> Object:
        """A bare Success; the namespace then goes in its own time."""
        query = {"dryRun": "All"} if dry_run else {}
        await self.kube.request("DELETE", f"/api/v1/namespaces/{name}", **query)
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}

    async def watch(self, caller: Caller, namespace: str, since: int) -> AsyncIterator[tuple[int, str, Object]]:
        """Namespace events, for callers who may see them; they count in the API server's own revisions."""
        listing = await self.kube.get("/api/v1/namespaces")
        everything = await allowed(self.kube, caller, "get", "", "namespaces")
        async for event in self.kube.watch("/api/v1/namespaces", listing["metadata"]["resourceVersion"]):
            item = event["object"]
            if event["type"] not in ("ADDED", "MODIFIED", "DELETED"):
                continue
            if everything or await allowed(self.kube, caller, "get", "", "namespaces", item["metadata"]["name"]):
                yield 0, event["type"], _project(item)


class ProjectRequests(Resource):
    """Self-service creation of projects."""

    group, kind, plural, namespaced = "project.openshift.io", "ProjectRequest", "projectrequests", False
    verbs = ("create", "list")

    def __init__(self, revision: Revision, kube: Kube) -> None:
        super().__init__(revision)
        self.kube = kube

    async def list_answer(self, caller: Caller) -> Object:
        """Whether the caller may request a project, as a bare Success; `oc new-project` asks this first."""
        if not await allowed(self.kube, caller, "create", self.group, self.plural):
            raise ApiError(403, "Forbidden", "You may not request a new project via this API.")
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}

    async def create(self, caller: Caller, namespace: str, item: Object, dry_run: bool) -> Object:
        """201 with the Project."""
        name = item["metadata"]["name"]
        if "system:masters" not in caller.groups:
            for prefix in RESERVED:
                if name.startswith(prefix):
                    why = f'cannot request a project starting with "{prefix}"'
                    raise forbidden("project", self.group, name, why)
        values = (item.get("description", ""), item.get("displayName", ""), caller.name)
        metadata = merge(item["metadata"], {"annotations": dict(zip(ANNOTATIONS, values, strict=True))})
        try:
            created = await _create_namespace(self.kube, metadata, dry_run)
        except KubeError as error:
            if error.status == 409:
                raise already_exists("project", self.group, name) from None
            raise
        if not dry_run:
            await self.kube.create(f"/apis/rbac.authorization.k8s.io/v1/namespaces/{name}/rolebindings", {
                "metadata": {"name": "admin"},
                "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": caller.name}],
                "roleRef": {"kind": "ClusterRole", "apiGroup": "rbac.authorization.k8s.io", "name": "admin"},
            })  # fmt: skip
        return {"kind": "Project", "apiVersion": "project.openshift.io/v1", **_project(created)}


async def allowed(
    kube: Kube, caller: Caller, verb: str, group: str, resource: str, namespace: str = "", sub: str = "", name: str = ""
) -> bool:
    """SubjectAccessReview: what RBAC says about someone."""
    attributes = {"verb": verb, "group": group, "resource": resource, "namespace": namespace, "subresource": sub,
                  "name": name}  # fmt: skip
    review = await kube.create("/apis/authorization.k8s.io/v1/subjectaccessreviews", {
        "spec": {"user": caller.name, "groups": list(caller.groups), "uid": caller.uid, "extra": caller.extra,
                 "resourceAttributes": attributes},
    })  # fmt: skip
    return bool(review["status"]["allowed"])


async def _create_namespace(kube: Kube, metadata: Object, dry_run: bool) -> Object:
    query = {"dryRun": "All"} if dry_run else {}
    kept = {key: metadata[key] for key in ("name", "labels", "annotations") if metadata.get(key)}
    return await kube.request("POST", "/api/v1/namespaces", {"metadata": kept}, **query)


def _project(namespace: Object) -> Object:
    metadata = {key: value for key, value in namespace["metadata"].items() if key != "managedFields"}
    return {"metadata": metadata, "spec": {"finalizers": namespace["spec"].get("finalizers", [])},
            "status": {"phase": namespace["status"]["phase"]}}  # fmt: skip


def _binds(binding: Object, caller: Caller) -> bool:
    for subject in binding.get("subjects") or []:
        if subject["kind"] == "User" and subject["name"] == caller.name:
            return True
        if subject["kind"] == "Group" and subject["name"] in caller.groups:
            return True
        account = f"system:serviceaccount:{subject.get('namespace')}:{subject['name']}"
        if subject["kind"] == "ServiceAccount" and caller.name == account:
            return True
    return False
