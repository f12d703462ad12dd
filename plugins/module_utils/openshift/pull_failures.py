# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images that pods cannot pull: each once, with the cause, the evidence and the remedy."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError
from ansible_collections.quayside.registry.plugins.module_utils.oci.auth import Credential
from ansible_collections.quayside.registry.plugins.module_utils.openshift import pull_checks, pull_messages
from ansible_collections.quayside.registry.plugins.module_utils.openshift.client import Cluster
from ansible_collections.quayside.registry.plugins.module_utils.openshift.names import check_project
from ansible_collections.quayside.registry.plugins.module_utils.openshift.objects import EVENT, POD
from ansible_collections.quayside.registry.plugins.module_utils.openshift.pull_checks import (
    Answer,
    Secrets,
    Surroundings,
)
from ansible_collections.quayside.registry.plugins.module_utils.openshift.pull_remedies import remedy
from ansible_collections.quayside.registry.plugins.module_utils.openshift.pull_waiting import (
    Waiting,
    is_silent,
    waiting,
    with_events,
)
from ansible_collections.quayside.registry.plugins.module_utils.plan import Plan

#: Pods that have ended pull no more. Others may wait for an image in any phase: a restarted container does so in Running.
_PODS = "status.phase!=Succeeded,status.phase!=Failed"
_EVENTS = "involvedObject.kind=Pod,type=Warning"

#: Causes of which the registry or the cluster can tell more.
_ASKED = (
    pull_messages.CREDENTIALS,
    pull_messages.CREDENTIALS_MISSING,
    pull_messages.CREDENTIALS_WRONG,
    pull_messages.MISSING,
    pull_messages.RATE_LIMIT,
    pull_messages.REGISTRY_FAILS,
    pull_messages.NETWORK,
    pull_messages.UNKNOWN,
)
_CREDENTIALS = (pull_messages.CREDENTIALS, pull_messages.CREDENTIALS_MISSING, pull_messages.CREDENTIALS_WRONG)


#: Image, service account's user and pull secrets: containers that have these in common get one answer.
Key = tuple[str, str, tuple[str, ...]]


@dataclasses.dataclass(frozen=True)
class State:
    waiting: Sequence[Waiting]
    secrets: Secrets = dataclasses.field(default_factory=Secrets)
    around: Surroundings = dataclasses.field(default_factory=Surroundings)
    answers: Mapping[Key, Answer] = dataclasses.field(default_factory=dict)


class PullFailures:
    """Reads only. ``verify``: ask the registries, and the cluster for images of its own one."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self._namespaces = params.get("namespaces")
        for index, name in enumerate(self._namespaces or []):
            check_project(name, f"namespaces[{index}]")
        if self._namespaces == []:
            raise InputError("namespaces: the list is empty. Leave the option away for all namespaces.")
        self._verify = bool(params["verify"])
        self._timeout = float(params["timeout"])

    def read(self, cluster: Cluster) -> State:
        """One LIST of pods. Where some wait: one of events if need be, their pull secrets, and one question for each image."""
        if self._namespaces is None:
            pods = cluster.list_objects(POD, field_selector=_PODS)
        else:
            pods = cluster.list_in(POD, self._namespaces, field_selector=_PODS)
        found = waiting(pods)
        silent = {item.namespace for item in found if is_silent(item)}
        if silent and self._namespaces is None:
            found = with_events(found, cluster.list_objects(EVENT, field_selector=_EVENTS))
        elif silent:
            found = with_events(found, cluster.list_in(EVENT, silent, field_selector=_EVENTS))
        if not found:
            return State(found)
        secrets = pull_checks.read_secrets(cluster, {item.namespace for item in found})
        around = pull_checks.read_surroundings(cluster)
        answers = self._ask(cluster, found, secrets, around) if self._verify else {}
        return State(found, secrets, around, answers)

    def _ask(
        self, cluster: Cluster, found: Sequence[Waiting], secrets: Secrets, around: Surroundings
    ) -> dict[Key, Answer]:
        """Each image once for all containers that have the same credentials."""
        questions: dict[Key, tuple[Waiting, list[tuple[str, Credential]]]] = {}
        keys: dict[Key, Key] = {}
        for item in found:
            image = item.reference
            if image is None or pull_messages.cause(item.message, item.reason) not in _ASKED:
                continue
            own = image.host in around.hosts
            has = [] if own else secrets.of(item, image)
            question = (item.image, item.user if own else "", tuple(source for source, _credential in has))
            keys[_key(item)] = question
            questions.setdefault(question, (item, has))
        with pull_checks.certificates_folder(around.authorities) as folder:

            def ask(question: Key) -> Answer:
                item, has = questions[question]
                image = item.reference
                if image is None:
                    return Answer()
                if image.host in around.hosts:
                    return pull_checks.ask_cluster(cluster, item, image)
                return pull_checks.ask_registry(image, has, around, folder, self._timeout)

            order = list(questions)
            answers = dict(zip(order, cluster.map(ask, order), strict=True))
        return {key: answers[question] for key, question in keys.items()}

    def plan(self, state: State) -> Plan:
        groups: dict[tuple[str, str], list[Waiting]] = collections.defaultdict(list)
        for item in state.waiting:
            groups[item.image, _cause(item, state)].append(item)
        failures = [_failure(image, cause, items, state) for (image, cause), items in groups.items()]
        failures.sort(key=lambda failure: (-len(failure["pods"]), failure["image"], failure["cause"]))
        counts = collections.Counter(failure["cause"] for failure in failures)
        return Plan(result={"failures": failures, "causes": dict(sorted(counts.items()))})

    def wait(self, _cluster: Cluster, _plan: Plan) -> dict[str, Any]:
        return {}


def _key(item: Waiting) -> Key:
    return item.image, item.user, item.secrets


def _cause(item: Waiting, state: State) -> str:
    """The message's cause, made more exact by what is known of credentials and by what was asked."""
    cause = pull_messages.cause(item.message, item.reason)
    image = item.reference
    if image is None:
        return cause
    answer = state.answers.get(_key(item), Answer())
    if image.host in state.around.hosts:
        if answer.allowed is False and cause in (*_CREDENTIALS, pull_messages.MISSING, pull_messages.UNKNOWN):
            return pull_messages.ACCESS
    elif cause == pull_messages.CREDENTIALS and item.namespace not in state.secrets.unread:
        has = state.secrets.of(item, image)
        cause = pull_messages.CREDENTIALS_WRONG if has else pull_messages.CREDENTIALS_MISSING
    # some say "denied" of what is not there
    if cause in (*_CREDENTIALS, pull_messages.UNKNOWN) and answer.exists is False and answer.allowed:
        return pull_messages.MISSING
    return cause


def _failure(image: str, cause: str, items: Sequence[Waiting], state: State) -> dict[str, Any]:
    first = items[0]
    parsed = first.reference
    own = parsed is not None and parsed.host in state.around.hosts
    namespaces = sorted({item.namespace for item in items})
    answers = [state.answers[_key(item)] for item in items if _key(item) in state.answers]
    shown = next((text for item in items if (text := pull_messages.evidence(item.message))), first.reason)
    return {
        "image": image,
        "registry": parsed.host if parsed else "",
        "cause": cause,
        "summary": pull_messages.SUMMARIES[cause],
        "evidence": shown,
        "remedy": remedy(cause, parsed, own, namespaces).result(),
        "notes": _notes(items, state, answers),
        "check": answers[0].result() if answers else None,
        "namespaces": namespaces,
        "pods": [item.result() for item in sorted(items, key=lambda item: (item.namespace, item.pod, item.container))],
    }


def _notes(items: Sequence[Waiting], state: State, answers: Sequence[Answer]) -> list[str]:
    """What else was found out, each once."""
    found: dict[str, None] = {}
    for item in items:
        for name in state.secrets.missing(item):
            found[f"The pods of project {item.namespace} name the pull secret {name}, which does not exist."] = None
        image = item.reference
        for source in state.secrets.newer(item, image) if image else []:
            found[
                f"Service account {item.namespace}/{item.account} has {source} by now, but the pods were made before:"
                " delete them, so that new ones get it."
            ] = None
    for answer in answers:
        if answer.problem:
            found[f"Asked from here: {answer.problem}"] = None
        if answer.exists is False and answer.allowed is not False:
            found["Asked again now, the image does not exist."] = None
        elif answer.exists and answer.accepted:
            who = "without a login" if answer.accepted == "nobody" else f"with {answer.accepted}"
            found[f"Asked again now, the image can be pulled {who}."] = None
        for source in answer.refused:
            who = "Without a login" if source == "nobody" else f"With {source}"
            found[f"{who} the registry refuses it."] = None
        if answer.exists and answer.allowed is False and not answer.refused:
            found["The image exists."] = None
    return list(found)
