"""Service accounts are merged with what others wrote; token Secrets come after them and go before them."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError, RegistryError
from ansible_collections.quayside.registry.plugins.module_utils.openshift.objects import MANAGED_BY
from ansible_collections.quayside.registry.plugins.module_utils.openshift.projects import Projects
from ansible_collections.quayside.registry.plugins.module_utils.openshift.service_accounts import (
    TOKEN_ANNOTATION,
    TOKEN_TYPE,
    ServiceAccounts,
    State,
)


def subject(*entries: dict[str, Any], **options: Any) -> ServiceAccounts:
    defaults = {"namespace": "demo", "create_projects": False, "purge": False, "wait": True, "wait_timeout": 1}
    return ServiceAccounts({**defaults, "service_accounts": list(entries), **options})


def account(name: str, ours: bool = True, **fields: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "demo", "uid": f"uid-{name}", "resourceVersion": "7"}
    if ours:
        metadata["labels"] = dict(MANAGED_BY)
    return {"metadata": metadata, **fields}


def token(name: str, owner: str, ours: bool = True) -> dict[str, Any]:
    secret = account(name, ours, type=TOKEN_TYPE, data={"token": "c2VjcmV0LXZhbHVl"})
    secret["metadata"]["annotations"] = {TOKEN_ANNOTATION: owner}
    return secret


def state(*items: dict[str, Any], projects: Projects | None = None) -> State:
    accounts = {("demo", item["metadata"]["name"]): item for item in items if "type" not in item}
    secrets = {("demo", item["metadata"]["name"]): item for item in items if "type" in item}
    return State(accounts, secrets, projects or Projects())


def planned(wanted: ServiceAccounts, *items: dict[str, Any]) -> list[str]:
    return [f"{change.stage} {change}" for change in wanted.plan(state(*items)).changes]


def test_a_new_account_has_our_label_and_its_links() -> None:
    wanted = subject({"name": "ci", "labels": {"team": "a"}, "pull_secrets": ["p"], "mount_secrets": ["m"]})
    (change,) = wanted.plan(state()).changes
    assert change.request.body == {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "ci", "namespace": "demo", "labels": {**MANAGED_BY, "team": "a"}},
        "imagePullSecrets": [{"name": "p"}],
        "secrets": [{"name": "m"}],
    }


def test_what_others_wrote_stays() -> None:
    there = account("ci", ours=False, imagePullSecrets=[{"name": "theirs"}], secrets=[{"name": "m"}])
    there["metadata"]["annotations"] = {"theirs": "1"}
    untouched = copy.deepcopy(there)
    wanted = subject({"name": "ci", "annotations": {"ours": True}, "pull_secrets": ["p"], "mount_secrets": ["m"]})
    (change,) = wanted.plan(state(there)).changes
    assert change.request.body == {
        "metadata": {"annotations": {"ours": "true"}, "resourceVersion": "7"},
        "imagePullSecrets": [{"name": "theirs"}, {"name": "p"}],
    }
    assert there == untouched


def test_unlink_takes_a_secret_out_of_both_lists() -> None:
    there = account("ci", imagePullSecrets=[{"name": "old"}, {"name": "p"}], secrets=[{"name": "old"}])
    (change,) = subject({"name": "ci", "unlink_secrets": ["old"]}).plan(state(there)).changes
    assert change.request.body["imagePullSecrets"] == [{"name": "p"}]
    assert change.request.body["secrets"] == []


def test_a_label_without_a_value_is_removed() -> None:
    there = account("ci")
    there["metadata"]["labels"]["old"] = "1"
    (change,) = subject({"name": "ci", "labels": {"old": None, "never": None}}).plan(state(there)).changes
    assert change.request.body["metadata"]["labels"] == {"old": None}


@pytest.mark.parametrize(
    ("entry", "there"),
    [
        ({"name": "ci"}, account("ci", ours=False)),
        ({"name": "ci", "pull_secrets": ["p", "p"]}, account("ci", imagePullSecrets=[{"name": "p"}])),
        ({"name": "ci", "unlink_secrets": ["p"]}, account("ci")),
        ({"name": "ci", "labels": {"never": None}}, account("ci", ours=False)),
        ({"name": "ci", "state": "absent"}, account("other")),
        ({"name": "ci", "state": "absent", "token_secret": "t"}, token("t", "somebody-else")),
    ],
)
def test_what_is_as_wanted_changes_nothing(entry: dict[str, Any], there: dict[str, Any]) -> None:
    assert planned(subject(entry), there) == []


def test_a_token_secret_comes_after_its_account_and_goes_before_it() -> None:
    entry = {"name": "ci", "token_secret": "ci-token"}
    assert planned(subject(entry)) == ["1 create ServiceAccount demo/ci", "2 create Secret demo/ci-token"]
    assert planned(subject(entry), account("ci"), token("ci-token", "ci")) == []
    assert planned(subject({**entry, "state": "absent"}), account("ci"), token("ci-token", "ci")) == [
        "2 delete ServiceAccount demo/ci",
        "1 delete Secret demo/ci-token",
    ]


@pytest.mark.parametrize(
    "there", [token("ci-token", "other"), account("ci-token", type="Opaque")], ids=["another account's", "another type"]
)
def test_a_secret_that_is_no_token_of_the_account_is_not_touched(there: dict[str, Any]) -> None:
    with pytest.raises(
        InputError, match="token_secret ci-token of service account demo/ci: a Secret of that name exists"
    ):
        planned(subject({"name": "ci", "token_secret": "ci-token"}), there)


def test_purge_deletes_what_is_ours_and_not_listed() -> None:
    items = (
        account("ci"),
        account("gone"),
        account("theirs", ours=False),
        account("default"),
        token("kept", "ci"),
        token("gone-token", "gone"),
        token("their-token", "theirs", ours=False),
    )
    entry = {"name": "ci", "token_secret": "kept"}
    assert planned(subject(entry), *items) == []
    assert planned(subject(entry, purge=True), *items) == [
        "2 delete ServiceAccount demo/gone",
        "1 delete Secret demo/gone-token",
    ]


def test_accounts_that_every_project_has_are_never_ours() -> None:
    (change,) = subject({"name": "builder"}).plan(state()).changes
    assert change.request.body["metadata"]["labels"] == {}


def test_a_missing_project_is_created_first() -> None:
    changes = subject({"name": "ci"}).plan(state(projects=Projects(("demo",)))).changes
    assert [(change.stage, change.kind) for change in changes] == [(0, "Namespace"), (1, "ServiceAccount")]


def test_a_token_is_neither_in_the_diff_nor_in_the_result() -> None:
    plan = subject({"name": "ci", "token_secret": "t", "state": "absent"}).plan(state(token("t", "ci")))
    (change,) = plan.changes
    assert change.before is not None and change.before["data"] == {"token": "VALUE_HIDDEN"}
    assert plan.result["service_accounts"] == []


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([{"name": "Ci"}], r"service_accounts\[0\]\.name: 'Ci' cannot be such a name"),
        (
            [{"name": "ci", "namespace": "a.b"}],
            r"service_accounts\[0\]\.namespace: 'a\.b' cannot be the name of a project",
        ),
        ([{"name": "ci", "pull_secrets": ["_"]}], r"service_accounts\[0\]\.pull_secrets: '_'"),
        ([{"name": "ci", "token_secret": "T"}], r"service_accounts\[0\]\.token_secret: 'T'"),
        ([{"name": "ci", "labels": {"a": ["b"]}}], r"service_accounts\[0\]\.labels\.a: the value must be text"),
        (
            [{"name": "ci", "pull_secrets": ["p"], "unlink_secrets": ["p"]}],
            r"\[0\]: p cannot be linked and in unlink_secrets",
        ),
        ([{"name": "ci"}, {"name": "ci", "state": "absent"}], r"service_accounts\[1\]: demo/ci is listed before"),
        (
            [{"name": "a", "token_secret": "t"}, {"name": "b", "token_secret": "t"}],
            "demo/a and b name the same token_secret t",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(entries: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        subject(*entries)


def test_a_namespace_is_needed() -> None:
    with pytest.raises(InputError, match=r"service_accounts\[0\]: namespace is missing"):
        subject({"name": "ci"}, namespace=None)


class Slow:
    """A cluster whose token controller does not work."""

    def list_in(self, *_args: Any, **_options: Any) -> list[dict[str, Any]]:
        return []

    def map(self, function: Any, items: list[Any]) -> list[Any]:
        return [function(item) for item in items]

    def wait(self, _kind: Any, _name: str, _namespace: str, until: Any, _deadline: float, describe: Any) -> None:
        empty = account("ci-token", type=TOKEN_TYPE)
        assert not until(empty)
        raise RegistryError(describe(empty))


def test_a_token_that_never_comes_says_who_should_have_made_it() -> None:
    wanted = subject({"name": "ci", "token_secret": "ci-token"})
    with pytest.raises(
        RegistryError, match=r"Secret demo/ci-token has no token after 1 seconds\. The token controller"
    ):
        wanted.wait(Slow(), wanted.plan(state()))
    assert subject({"name": "ci", "token_secret": "ci-token"}, wait=False).wait(Slow(), wanted.plan(state())) == {}
