"""Mirror sets keep what others put in; a source has one policy everywhere; what cannot be meant is refused."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError, RegistryError
from ansible_collections.quayside.registry.plugins.module_utils.openshift.image_mirrors import ImageMirrors, State
from ansible_collections.quayside.registry.plugins.module_utils.openshift.objects import MANAGED_BY
from ansible_collections.quayside.registry.plugins.module_utils.plan import Plan

NEVER, ALLOW = "NeverContactSource", "AllowContactingSource"
FIELDS = {"digest": "imageDigestMirrors", "tag": "imageTagMirrors"}


def subject(*mirrors: dict[str, Any], purge: bool = False) -> ImageMirrors:
    return ImageMirrors({"mirrors": list(mirrors), "purge": purge, "wait": False, "wait_timeout": 1})


def wanted(source: str, *mirrors: str, **options: Any) -> dict[str, Any]:
    return {"source": source, "mirrors": list(mirrors), **options}


def entry(source: str, *mirrors: str, policy: str = "") -> dict[str, Any]:
    return {"source": source, "mirrors": list(mirrors), **({"mirrorSourcePolicy": policy} if policy else {})}


def there(name: str, *entries: dict[str, Any], kind: str = "digest", ours: bool = True) -> Any:
    labels = dict(MANAGED_BY) if ours else {}
    metadata = {"name": name, "labels": labels, "resourceVersion": "7", "uid": "u"}
    return (kind, name), {"metadata": metadata, "spec": {FIELDS[kind]: list(entries)}}


def planned(mirrors: ImageMirrors, *sets: Any, policies: list[dict[str, Any]] | None = None) -> Plan:
    state = State(dict(sets), policies or [])
    untouched = copy.deepcopy(state)
    plan = mirrors.plan(state)
    assert state == untouched
    return plan


def lines(plan: Plan) -> list[str]:
    return [str(change) for change in plan.changes]


def test_each_source_has_a_set_of_its_own_unless_a_name_joins_them() -> None:
    plan = planned(
        subject(
            wanted("docker.io/library", "a.example.com/hub", kind="tag"),
            wanted("*.example.com", "b"),
            wanted("quay.io", "b/q", name="joined"),
            wanted("ghcr.io", "b/g", name="joined", mirror_source_policy=NEVER),
        )
    )
    assert lines(plan) == [
        "create ImageTagMirrorSet docker-io-library",
        "create ImageDigestMirrorSet any-example-com",
        "create ImageDigestMirrorSet joined",
    ]
    joined = plan.changes[2].request.body
    assert joined["metadata"] == {"name": "joined", "labels": MANAGED_BY}
    assert joined["spec"] == {"imageDigestMirrors": [entry("quay.io", "b/q"), entry("ghcr.io", "b/g", policy=NEVER)]}
    assert plan.result["rolls_nodes"] is True
    assert "Nodes take this up one after the other" in plan.warnings[0]


def test_the_sources_of_others_stay_and_the_order_of_mirrors_counts() -> None:
    stored = there("set", entry("theirs", "x"), entry("quay.io", "a", "b", policy=NEVER), ours=False)
    (change,) = planned(subject(wanted("quay.io", "b", "a", name="set")), stored).changes
    assert change.request.body == {
        "metadata": {"resourceVersion": "7"},
        "spec": {"imageDigestMirrors": [entry("theirs", "x"), entry("quay.io", "b", "a", policy=NEVER)]},
    }


@pytest.mark.parametrize(
    ("mirrors", "stored"),
    [
        (wanted("quay.io", "a"), there("quay-io", entry("quay.io", "a"))),
        (wanted("quay.io", "a", mirror_source_policy=ALLOW), there("quay-io", entry("quay.io", "a"))),
        (wanted("quay.io", "a"), there("quay-io", entry("quay.io", "a", policy=NEVER), ours=False)),
        (wanted("quay.io", state="absent"), there("other", entry("quay.io", "a"))),
        (wanted("quay.io", state="absent", kind="tag"), there("quay-io", entry("quay.io", "a"))),
    ],
)
def test_what_is_as_wanted_changes_nothing(mirrors: dict[str, Any], stored: Any) -> None:
    plan = planned(subject(mirrors), stored)
    assert lines(plan) == []
    assert plan.result["rolls_nodes"] is False
    assert plan.warnings == []


def test_the_last_source_takes_our_set_with_it_and_leaves_theirs() -> None:
    gone = subject(wanted("quay.io", state="absent"))
    assert lines(planned(gone, there("quay-io", entry("quay.io", "a")))) == ["delete ImageDigestMirrorSet quay-io"]
    both = there("quay-io", entry("quay.io", "a"), entry("other", "b"))
    assert lines(planned(gone, both)) == ["update ImageDigestMirrorSet quay-io"]
    theirs = there("quay-io", entry("quay.io", "a"), ours=False)
    assert lines(planned(gone, theirs)) == ["update ImageDigestMirrorSet quay-io"]


def test_purge_removes_ours_that_are_not_listed_and_nothing_else() -> None:
    sets = (
        there("quay-io", entry("quay.io", "a"), entry("old", "b")),
        there("gone", entry("gone", "a"), kind="tag"),
        there("theirs", entry("theirs", "a"), ours=False),
    )
    mirrors = wanted("quay.io", "a")
    assert lines(planned(subject(mirrors), *sets)) == []
    plan = planned(subject(mirrors, purge=True), *sets)
    assert lines(plan) == ["update ImageDigestMirrorSet quay-io", "delete ImageTagMirrorSet gone"]
    assert plan.changes[0].request.body["spec"] == {"imageDigestMirrors": [entry("quay.io", "a")]}
    assert plan.result["mirror_sets"] == [
        {
            "kind": "digest",
            "name": "quay-io",
            "mirrors": [{"source": "quay.io", "mirrors": ["a"], "mirror_source_policy": ALLOW}],
        }
    ]


def test_a_source_with_two_policies_is_refused_wherever_the_other_one_is() -> None:
    never = wanted("quay.io", "a", mirror_source_policy=NEVER)
    message = "mirrors of quay.io would have two policies: .* gives nodes no mirrors at all"
    with pytest.raises(RegistryError, match=message):
        planned(subject(never, wanted("quay.io", "a", kind="tag")))
    with pytest.raises(RegistryError, match=f"{ALLOW} in ImageTagMirrorSet theirs and {NEVER} in ImageDigestMirrorSet"):
        planned(subject(never), there("theirs", entry("quay.io", "b"), kind="tag", ours=False))
    policy = {
        "metadata": {"name": "old"},
        "spec": {"repositoryDigestMirrors": [{"source": "quay.io", "mirrors": ["b"]}]},
    }
    with pytest.raises(RegistryError, match=f"{ALLOW} in ImageContentSourcePolicy old"):
        planned(subject(never), policies=[policy])
    changed_over = there("quay-io", entry("quay.io", "a"))
    assert lines(planned(subject(never), changed_over)) == ["update ImageDigestMirrorSet quay-io"]
    others = there("theirs", entry("x", "b"), kind="tag"), there("more", entry("x", "b", policy=NEVER))
    assert lines(planned(subject(never), *others)) == ["create ImageDigestMirrorSet quay-io"]


def test_a_deprecated_policy_is_shown() -> None:
    plan = planned(subject(), policies=[{"metadata": {"name": "old"}, "spec": {}}])
    assert plan.result["deprecated_policies"] == ["old"]
    assert plan.warnings == [
        "ImageContentSourcePolicy is deprecated, and the cluster has old. Move its sources to mirrors of kind digest, then"
        " delete it."
    ]


@pytest.mark.parametrize(
    ("mirrors", "message"),
    [
        ([wanted("https://quay.io", "a")], r"mirrors\[0\]\.source: 'https://quay.io' is a URL"),
        ([wanted("docker.io/UPPER", "a")], r"mirrors\[0\]\.source: 'UPPER' must be in lower case"),
        ([wanted("quay.io/a:latest", "a")], r"mirrors\[0\]\.source: .* has a tag or digest"),
        ([wanted("*.example.com/a", "a")], r"mirrors\[0\]\.source: .* is not a wildcard that nodes understand"),
        (
            [wanted("quay.io", "a", "*.b")],
            r"mirrors\[0\]\.mirrors\[1\]: '\*\.b' has a wildcard, which cannot stand here",
        ),
        ([wanted("quay.io", "a/b@sha256:0")], r"mirrors\[0\]\.mirrors\[0\]: .* has a tag or digest"),
        ([wanted("quay.io")], r"mirrors\[0\]: mirrors of quay.io are missing"),
        ([wanted("quay.io", "a", "a")], r"mirrors\[0\]: mirrors of quay.io has one twice"),
        ([wanted("quay.io", "a", name="A_b")], r"mirrors\[0\]\.name: 'A_b' cannot be such a name"),
        ([wanted("quay.io", "quay.io", mirror_source_policy=NEVER)], "quay.io is among its own mirrors"),
        ([wanted("quay.io", "a"), wanted("quay.io", "b")], r"mirrors\[1\]: quay.io is listed before"),
    ],
)
def test_what_cannot_be_meant_is_refused(mirrors: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        subject(*mirrors)
