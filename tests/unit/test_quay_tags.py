"""Tags of repositories in a document: restored, moved, expiring, immutable, labelled, gone; and no request that is not needed."""

from __future__ import annotations

import time
from typing import Any

import pytest
from test_quay_content import Site, check_and_run, kinds, site

__all__ = ["site"]

DAY = 86400


def moment(days: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + days * DAY))


def web(*tags: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": "acme", "repositories": [{"name": "web", "tags": list(tags), **more}]}


@pytest.fixture
def digests(site: Site) -> list[str]:
    """Of two images of acme/web: v1 was the first of them, and is the second."""
    site.run({"name": "acme", "repositories": [{"name": "web"}]})
    push = site.running.quay.push
    return [push("acme", "web", "v1", {"built": "by us"}), push("acme", "web", "v1")]


def tags(site: Site) -> dict[str, dict[str, Any]]:
    (web,) = site.export(tags=True)["organizations"][0]["repositories"]
    return {item.pop("name"): item for item in web["tags"]}


def reads(site: Site, *organizations: Any, **more: Any) -> int:
    """How many requests a run makes that changes nothing, besides those that sign in."""
    before = len(site.running.quay.requests)
    assert site.run(*organizations, **more)["changes"] == []
    return len(site.running.quay.requests) - before - 2


def test_a_tag_ends_when_the_document_says(site: Site, digests: list[str]) -> None:
    end = moment(30)
    result = check_and_run(site, web({"name": "v1", "expires": end}))
    assert kinds(result) == [("update", "Tag", "web:v1")]
    assert tags(site) == {"v1": {"digest": digests[1], "expires": end}}
    assert reads(site, web({"name": "v1", "expires": end})) == 3  # the organization, its repositories, the tag
    check_and_run(site, web({"name": "v1", "expires": "never"}))
    assert tags(site) == {"v1": {"digest": digests[1]}}


def test_a_tag_that_is_over_stays_over(site: Site, digests: list[str]) -> None:
    check_and_run(site, web({"name": "v1", "state": "absent"}))
    assert site.run(web({"name": "v1", "expires": moment(-1)}))["changes"] == []
    assert site.run(web({"name": "v1", "state": "absent"}))["changes"] == []


def test_a_tag_goes_and_comes_back_with_its_newest_image(site: Site, digests: list[str]) -> None:
    result = check_and_run(site, web({"name": "v1", "state": "absent"}))
    assert kinds(result) == [("delete", "Tag", "web:v1")]
    assert tags(site) == {}
    result = check_and_run(site, web({"name": "v1"}))
    assert kinds(result) == [("create", "Tag", "web:v1")]
    assert site.writes()[-1] == "POST /api/v1/repository/acme/web/tag/v1/restore"
    assert tags(site) == {"v1": {"digest": digests[1]}}


def test_a_tag_goes_back_to_an_earlier_image_and_keeps_its_end(site: Site, digests: list[str]) -> None:
    end = moment(30)
    site.run(web({"name": "v1", "expires": end}))
    result = check_and_run(site, web({"name": "v1", "digest": digests[0], "expires": end}))
    assert kinds(result) == [("update", "Tag", "web:v1")]
    assert tags(site) == {"v1": {"digest": digests[0], "expires": end}}


def test_a_new_tag_points_at_an_image_that_another_one_has(site: Site, digests: list[str]) -> None:
    check_and_run(site, web({"name": "stable", "digest": digests[1]}))
    assert site.writes()[-1] == "PUT /api/v1/repository/acme/web/tag/stable"
    assert tags(site)["stable"] == {"digest": digests[1]}


def test_an_immutable_tag_is_changed_only_when_the_document_says_so(site: Site, digests: list[str]) -> None:
    check_and_run(site, web({"name": "v1", "immutable": True}))
    assert tags(site)["v1"]["immutable"]
    says = "tags[v1]: the tag is immutable. To change it nevertheless, say immutable: false."
    for wanted in ({"expires": moment(30)}, {"digest": digests[0]}, {"state": "absent"}):
        assert says in site.run(web({"name": "v1", **wanted}))["msg"]
    end = moment(30)
    check_and_run(site, web({"name": "v1", "expires": end, "immutable": False}))
    assert tags(site) == {"v1": {"digest": digests[1], "expires": end}}
    before = len(site.writes())
    says = "tags[v1]: Quay makes no tag immutable that ends. Leave out immutable, or say expires: never."
    for more in ({}, {"expires": moment(60)}, {"digest": digests[0], "expires": end}):
        assert says in site.run(web({"name": "v1", "immutable": True, **more}))["msg"]
    assert len(site.writes()) == before
    check_and_run(site, web({"name": "v1", "immutable": True, "expires": "never"}))
    site.run(web({"name": "v1", "immutable": False}))
    site.run(web({"name": "v1", "immutable": True}))
    check_and_run(site, web({"name": "v1", "state": "absent", "immutable": False}))


def test_a_quay_without_immutable_tags_says_so_before_anything_is_written(site: Site, digests: list[str]) -> None:
    site.running.quay.config["FEATURE_IMMUTABLE_TAGS"] = False
    before = len(site.writes())
    assert "The feature is FEATURE_IMMUTABLE_TAGS" in site.run(web({"name": "v1", "immutable": True}))["msg"]
    assert len(site.writes()) == before


def test_labels_come_change_and_go(site: Site, digests: list[str]) -> None:
    one, two = {"key": "team", "value": "devs"}, {"key": "tier", "value": "1"}
    check_and_run(site, web({"name": "v1", "labels": [one, two]}))
    assert tags(site)["v1"]["labels"] == [one, two][::-1] or tags(site)["v1"]["labels"] == [one, two]
    assert reads(site, web({"name": "v1", "labels": [one]})) == 4  # and the labels
    other = {"key": "team", "value": "ops"}
    check_and_run(site, web({"name": "v1", "labels": [other]}))
    check_and_run(site, web({"name": "v1", "labels": [other]}), purge=["labels"])
    assert tags(site)["v1"]["labels"] == [other]
    check_and_run(site, web({"name": "v1", "labels": [{"key": "team", "state": "absent"}]}))
    assert "labels" not in tags(site)["v1"]


def test_labels_that_came_with_the_image_stay(site: Site, digests: list[str]) -> None:
    built = {"key": "built", "value": "by us"}
    wanted = web({"name": "v1", "digest": digests[0], "labels": [built]})
    site.run(wanted)
    assert site.run(wanted, purge=["labels"])["changes"] == []
    result = site.run(web({"name": "v1", "labels": [{"key": "built", "state": "absent"}]}))
    assert "labels[built]: the label came with the image, and stays with it." in result["msg"]


def test_two_tags_of_one_image_have_the_same_labels(site: Site, digests: list[str]) -> None:
    label = {"key": "team", "value": "devs"}
    site.run(web({"name": "stable", "digest": digests[1]}))
    begin = len(site.writes())
    check_and_run(site, web({"name": "v1", "labels": [label]}, {"name": "stable", "labels": [label]}))
    assert len(site.writes()) == begin + 1
    more = web({"name": "v1", "labels": [label]}, {"name": "stable", "labels": [{"key": "tier", "value": "1"}]})
    check_and_run(site, more, purge=["labels"])
    other = web({"name": "v1", "labels": [label]}, {"name": "stable", "labels": [{**label, "value": "ops"}]})
    assert "tag v1 points at the same image" in site.run(other)["msg"]


def test_an_export_with_tags_changes_nothing(site: Site, digests: list[str]) -> None:
    label = {"key": "team", "value": "devs"}
    site.run(web({"name": "v1", "expires": moment(30), "labels": [label]}))
    site.running.quay.config["FEATURE_IMMUTABLE_TAGS_CAN_EXPIRE"] = True
    site.call("PUT", "/api/v1/repository/acme/web/tag/v1", {"immutable": True})
    for number in range(120):  # more than a page
        site.running.quay.push("acme", "web", f"b{number}")
    document = site.export(tags=True)
    assert len(document["organizations"][0]["repositories"][0]["tags"]) == 121
    assert site.run(*document["organizations"])["changes"] == []
    assert "tags" not in site.export()["organizations"][0]["repositories"][0]


@pytest.mark.parametrize(
    ("tag", "says"),
    [
        ({"name": "-v1"}, "tags[-v1]: Quay does not take the name"),
        ({"name": "v1", "digest": "v0"}, "'v0' is not a digest"),
        ({"name": "v1", "digest": f"sha256:{0:064x}"}, "tags[v1].digest: the repository has no such image."),
        ({"name": "v9"}, "tags[v9]: there is no such tag, and none that could be restored. Push it first."),
        ({"name": "v1", "expires": "soon"}, "tags[v1].expires: 'soon' is neither never nor a time"),
        ({"name": "v1", "expires": "2020-01-01T00:00:00Z"}, "is over. Give a later time, or state: absent."),
        ({"name": "v1", "state": "absent", "expires": "never"}, "it shall be absent, and has expires."),
        ({"name": "v1", "labels": [{"key": "quay.expires-after", "value": "1d"}]}, "Quay does not take the key"),
        ({"name": "v1", "labels": [{"key": "team"}]}, "labels[team]: give a value."),
        (
            {"name": "v1", "labels": [{"key": "a", "value": "1"}, {"key": "a", "value": "2"}]},
            "label a is listed twice.",
        ),
    ],
)
def test_bad_tags_are_refused_before_anything_is_written(
    site: Site, digests: list[str], tag: dict[str, Any], says: str
) -> None:
    before = len(site.writes())
    assert says in site.run(web(tag))["msg"]
    assert len(site.writes()) == before


def test_a_repository_that_only_reads_has_no_tags_changed(site: Site, digests: list[str]) -> None:
    result = site.run(web({"name": "v1", "expires": moment(1)}, mode="read_only"))
    assert "the mode of the repository is read_only, in which Quay changes no tags." in result["msg"]
    assert site.run(web({"name": "v1"}, mode="read_only"))["changed"]
