#!/usr/bin/python
# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: quay_content
short_description: Make a Quay like a document of organizations, teams, robots, repositories and permissions
version_added: 0.1.0
description:
  - Makes users, organizations, their teams and who is in them, robots and their tokens, repositories, permissions, default permissions,
    quotas, policies, proxy caches, OAuth applications and their tokens, mirrors, tags, notifications and messages as one document says.
  - What the document does not speak of is neither read nor changed.
  - Each organization costs a handful of requests, however many repositories it has. Roles in repositories are read with one request
    for each team and robot that has any, or for each repository where those are fewer.
  - A feature that Quay lacks is an error only where the document asks for it.
  - Names, references to teams, robots and users, and contradictions are refused before anything is written.
author: quayside.registry contributors (@quayside)
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
  - quayside.registry.cluster
  - quayside.registry.quay
  - quayside.registry.attributes
attributes:
  idempotent:
    support: partial
    details: A password with O(users[].update_password=always) is set by every run.
notes:
  - The options of the connection to a cluster matter only where a token is stored in a Secret.
  - Quay's API cannot change the description of a robot. Another one than the robot was made with is a warning.
options:
  organizations:
    description: The organizations. Those that are not listed stay as they are.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Its name. 2 to 255 lower case letters and digits, with single C(.), C(_) or C(-) between them.
        type: str
        required: true
      state:
        description: Whether the organization with all that is in it shall be there.
        type: str
        choices: [present, absent]
        default: present
      email:
        description: Its e-mail address.
        type: str
      time_machine:
        description: How long deleted tags can be restored, such as V(2w). One of Quay's C(TAG_EXPIRATION_OPTIONS).
        type: str
      teams:
        description: Its teams. Quay makes the team C(owners) with the organization, and keeps it.
        type: list
        elements: dict
        suboptions:
          name:
            description: Its name.
            type: str
            required: true
          state:
            description: Whether the team shall be there.
            type: str
            choices: [present, absent]
            default: present
          role:
            description: What its members may do in the organization. A new team gets V(member) by default.
            type: str
            choices: [member, creator, admin]
          description:
            description: Its description.
            type: str
          members:
            description:
              - Who is in it. Of a team that is synced with a group elsewhere only its robots.
              - Where Quay has C(FEATURE_MAILING), it invites users, and they are in the team when they have accepted.
            type: list
            elements: dict
            suboptions:
              user:
                description: A user's name.
                type: str
              robot:
                description: A robot's name, without the organization.
                type: str
              email:
                description:
                  - An address to send an invitation to. Needs C(FEATURE_MAILING).
                  - Only a superuser sees whether it was accepted, which matters when the team is there and no invitation is pending.
                type: str
              state:
                description: Whether the member, or the invitation, shall be there.
                type: str
                choices: [present, absent]
                default: present
          sync:
            description:
              - The group elsewhere that decides who is in it. Needs C(FEATURE_TEAM_SYNCING), and a superuser.
              - Give the group under the name that goes with Quay's C(AUTHENTICATION_TYPE).
            type: dict
            suboptions:
              state:
                description: Whether the team is synced.
                type: str
                choices: [present, absent]
                default: present
              group_dn:
                description: The distinguished name of a group of LDAP, below Quay's C(LDAP_BASE_DN).
                type: str
              group_name:
                description: The name of a group of OIDC.
                type: str
              group_id:
                description: The id of a group of Keystone.
                type: str
      robots:
        description: Its robots.
        type: list
        elements: dict
        suboptions:
          name:
            description: Its name, without the organization.
            type: str
            required: true
          state:
            description: Whether the robot shall be there.
            type: str
            choices: [present, absent]
            default: present
          description:
            description: Its description, which Quay takes only when the robot is made.
            type: str
          store:
            description:
              - Where the robot's token is kept, with the keys C(host), C(username), C(password) and C(token_issued).
              - M(quayside.registry.pull_secrets) and M(quayside.registry.registry_auth) take it from a Secret with their source C(secret).
            type: dict
            suboptions:
              secret:
                description: A Secret, in a project that exists. Other keys of it stay.
                type: dict
                suboptions:
                  name:
                    description: Its name.
                    type: str
                    required: true
                  namespace:
                    description: Its project.
                    type: str
                    required: true
                    aliases: [project]
              file:
                description: Absolute path of a file with mode 0600 where the module runs.
                type: path
          federation:
            description: Who else may act as the robot, with a token of another issuer. These and no others.
            type: list
            elements: dict
            suboptions:
              issuer:
                description: The issuer of the tokens, a URL.
                type: str
                required: true
              subject:
                description: The subject of the tokens, such as V(system:serviceaccount:builds:builder).
                type: str
                required: true
          permissions:
            description:
              - What the robot may do, as O(organizations[].repositories[].permissions) says it of a repository. Both are put together,
                and a contradiction is refused.
              - O(purge) is about the lists of repositories, not about this one.
            type: list
            elements: dict
            suboptions:
              repository:
                description: A repository's name, without the organization.
                type: str
                required: true
              role:
                description: What the robot may do. Required unless it shall be absent.
                type: str
                choices: [read, write, admin]
              state:
                description: Whether the permission shall be there.
                type: str
                choices: [present, absent]
                default: present
          rotate:
            description: When the robot gets a new token. Needs O(organizations[].robots[].store).
            type: dict
            suboptions:
              after:
                description: The age of a token that is replaced, such as V(30d).
                type: str
                required: true
      repositories:
        description: Its repositories.
        type: list
        elements: dict
        suboptions:
          name:
            description: Its name, without the organization. It may have slashes.
            type: str
            required: true
          state:
            description: Whether the repository with its images shall be there.
            type: str
            choices: [present, absent]
            default: present
          visibility:
            description: Who may pull. A new repository is V(private) by default.
            type: str
            choices: [private, public]
          description:
            description: Its description.
            type: str
          mode:
            description: Whether it takes pushes (V(normal)), nothing (V(read_only)), or only what it mirrors (V(mirror)).
            type: str
            choices: [normal, read_only, mirror]
          star:
            description: Whether it is among the favourites of the user that the module connects as.
            type: bool
          tags:
            description:
              - Tags of it. Those that are not listed stay as they are, and are not read.
              - A tag that is not there any more is restored, as long as the time machine has it.
            type: list
            elements: dict
            suboptions:
              name:
                description: Its name.
                type: str
                required: true
              state:
                description: Whether the tag shall be there.
                type: str
                choices: [present, absent]
                default: present
              digest:
                description:
                  - The image that it points at, such as V(sha256:0123...), which is one of the repository's. By default a tag stays where
                    it is, and one that is restored points at its newest image.
                type: str
              expires:
                description:
                  - When Quay takes it away by itself, such as V(2030-01-02T03:04:05Z), or V(never). When that time is over, the tag is not
                    restored.
                type: str
              immutable:
                description:
                  - Whether nobody can change or delete it. Needs C(FEATURE_IMMUTABLE_TAGS). An immutable tag is changed only with V(false).
                  - Quay makes no tag immutable that ends.
                type: bool
              labels:
                description: Labels of its image, which all tags of the image share. Those that came with the image stay with it.
                type: list
                elements: dict
                suboptions:
                  key:
                    description: Its key.
                    type: str
                    required: true
                  value:
                    description: Its value. Required unless it shall be absent. Of an absent label only that with this value goes.
                    type: str
                  state:
                    description: Whether the label shall be there.
                    type: str
                    choices: [present, absent]
                    default: present
          notifications:
            description: What the repository tells others about. These notifications and no others.
            type: list
            elements: dict
            suboptions:
              title:
                description: Its title.
                type: str
                default: ""
              event:
                description: What is told.
                type: str
                choices:
                  - repo_push
                  - build_queued
                  - build_start
                  - build_success
                  - build_cancelled
                  - build_failure
                  - vulnerability_found
                  - repo_mirror_sync_started
                  - repo_mirror_sync_success
                  - repo_mirror_sync_failed
                  - repo_image_expiry
                required: true
              method:
                description: How it is told.
                type: str
                choices: [webhook, slack, email, quay_notification]
                required: true
              url:
                description: Where to, for V(webhook) and V(slack).
                type: str
              template:
                description: The body of a V(webhook).
                type: str
              email:
                description: Where to, for V(email).
                type: str
              target:
                description: Whom to tell, for V(quay_notification).
                type: dict
                suboptions:
                  kind:
                    description: What it is.
                    type: str
                    choices: [user, team, org]
                    required: true
                  name:
                    description: Its name.
                    type: str
                    required: true
              event_config:
                description: Settings of the event, as Quay's API has them.
                type: dict
                default: {}
          auto_prune:
            description: Which tags Quay deletes by itself. These policies and no others.
            type: list
            elements: dict
            suboptions:
              method:
                description: Whether all but the newest tags go, or those that are too old.
                type: str
                choices: [number_of_tags, creation_date]
                required: true
              value:
                description: How many tags stay, such as V(10), or for how long, such as V(7d).
                type: str
                required: true
              tag_pattern:
                description: A regular expression. Only tags that match it are meant.
                type: str
              tag_pattern_matches:
                description: Whether tags that match are meant, or those that do not.
                type: bool
                default: true
          immutability:
            description: Which tags cannot be changed. These policies and no others. Quay 3.18 and newer.
            type: list
            elements: dict
            suboptions:
              tag_pattern:
                description: A regular expression.
                type: str
                required: true
              tag_pattern_matches:
                description: Whether tags that match are meant, or those that do not.
                type: bool
                default: true
          mirror:
            description:
              - The repository of another registry that this one is a mirror of. Its mode is V(mirror) then.
              - Quay's API cannot take a mirror away. Set O(organizations[].repositories[].mirror.enabled=false) to end it.
            type: dict
            suboptions:
              source:
                description: The other repository, such as V(quay.io/acme/web).
                type: str
                required: true
              robot:
                description: The robot that writes it, without the organization.
                type: str
                required: true
              tags:
                description: Patterns of the tags that are mirrored, such as V(latest) or V(v*).
                type: list
                elements: str
                required: true
              start:
                description: When it begins, such as V(2030-01-02T03:04:05Z). Once it has begun, Quay keeps the time itself.
                type: str
                required: true
              interval:
                description: How often it is done.
                type: str
                default: 1d
              timeout:
                description: How long it may take. At least V(5m).
                type: str
                default: 5m
              enabled:
                description: Whether it is done.
                type: bool
                default: true
              verify_tls:
                description: Whether the other registry's certificate is verified.
                type: bool
                default: true
              unsigned_images:
                description: Whether images are copied that the policy of Quay's workers (C(policy.json)) refuses for lack of a signature.
                type: bool
                default: false
              username:
                description: User at the other registry.
                type: str
              password:
                description: That user's password. Quay does not tell it, so it is set only when something else differs.
                type: str
              http_proxy:
                description: Proxy for HTTP.
                type: str
              https_proxy:
                description: Proxy for HTTPS.
                type: str
              no_proxy:
                description: Hosts without a proxy.
                type: str
          permissions:
            description: Who may do what with it.
            type: list
            elements: dict
            suboptions:
              user:
                description: A user's name.
                type: str
              robot:
                description: A robot's name, without the organization.
                type: str
              team:
                description: A team's name.
                type: str
              role:
                description: What they may do. Required unless it shall be absent.
                type: str
                choices: [read, write, admin]
              state:
                description: Whether the permission shall be there.
                type: str
                choices: [present, absent]
                default: present
      default_permissions:
        description: Who gets which role in repositories that are made from now on.
        type: list
        elements: dict
        suboptions:
          user:
            description: A user's name.
            type: str
          robot:
            description: A robot's name, without the organization.
            type: str
          team:
            description: A team's name.
            type: str
          role:
            description: The role that they get. Required unless it shall be absent.
            type: str
            choices: [read, write, admin]
          created_by:
            description: Only for repositories that this user, or robot as V(ORGANIZATION+NAME), makes. By default for all.
            type: str
          state:
            description: Whether the default permission shall be there.
            type: str
            choices: [present, absent]
            default: present
      quota:
        description: How much its repositories may take. Needs a superuser.
        type: dict
        suboptions:
          state:
            description: Whether there is a quota.
            type: str
            choices: [present, absent]
            default: present
          size:
            description: The size, such as V(500GiB). Required unless it shall be absent.
            type: str
          limits:
            description: What happens when some of it is used up. These limits and no others.
            type: list
            elements: dict
            suboptions:
              type:
                description: Whether owners are warned, or pushes refused.
                type: str
                choices: [warning, reject]
                required: true
              percent:
                description: From which part of the size on.
                type: int
                required: true
      auto_prune:
        description: Which tags Quay deletes by itself. These policies and no others.
        type: list
        elements: dict
        suboptions:
          method:
            description: Whether all but the newest tags go, or those that are too old.
            type: str
            choices: [number_of_tags, creation_date]
            required: true
          value:
            description: How many tags stay, such as V(10), or for how long, such as V(7d).
            type: str
            required: true
          tag_pattern:
            description: A regular expression. Only tags that match it are meant.
            type: str
          tag_pattern_matches:
            description: Whether tags that match are meant, or those that do not.
            type: bool
            default: true
      immutability:
        description: Which tags cannot be changed. These policies and no others. Quay 3.18 and newer.
        type: list
        elements: dict
        suboptions:
          tag_pattern:
            description: A regular expression.
            type: str
            required: true
          tag_pattern_matches:
            description: Whether tags that match are meant, or those that do not.
            type: bool
            default: true
      proxy_cache:
        description: Another registry that the organization is a cache of.
        type: dict
        suboptions:
          state:
            description: Whether it is one.
            type: str
            choices: [present, absent]
            default: present
          upstream:
            description: The other registry's host, or with a slash a namespace of it. Required unless it shall be absent.
            type: str
          insecure:
            description: Whether the other registry has no TLS that can be verified.
            type: bool
            default: false
          expires_in:
            description: How long a tag is taken for current.
            type: str
            default: 1d
          username:
            description: User at the other registry. Quay does not tell it, so it is set only when something else differs.
            type: str
          password:
            description: That user's password.
            type: str
      mirror:
        description:
          - The namespace of another registry that the organization is a mirror of. Needs C(FEATURE_ORG_MIRROR), and an organization
            without repositories, a proxy cache or immutability policies.
          - The mirror alone makes its repositories. Those of the document that are not there yet are a warning.
        type: dict
        suboptions:
          state:
            description: Whether it is one. Its repositories stay.
            type: str
            choices: [present, absent]
            default: present
          type:
            description: What the other registry is. Required unless it shall be absent, and cannot be changed.
            type: str
            choices: [quay, harbor]
          url:
            description: The other registry, such as V(https://quay.io). Required unless it shall be absent.
            type: str
          namespace:
            description: Its organization or project. Required unless it shall be absent.
            type: str
          repositories:
            description: Patterns of the repositories that are mirrored, such as V(web) or V(team-*). By default all.
            type: list
            elements: str
            default: []
          visibility:
            description: Who may pull from the repositories that it makes.
            type: str
            choices: [private, public]
            default: private
          robot:
            description: The robot that writes them, without the organization. Required unless it shall be absent.
            type: str
          start:
            description:
              - When it begins, such as V(2030-01-02T03:04:05Z). Required unless it shall be absent. Once it has begun, Quay keeps the time
                itself.
            type: str
          interval:
            description: How often it is done. At least V(1m).
            type: str
            default: 1d
          timeout:
            description: How long a repository may take. From V(30s) to V(1h).
            type: str
            default: 5m
          enabled:
            description: Whether it is done.
            type: bool
            default: true
          verify_tls:
            description: Whether the other registry's certificate is verified.
            type: bool
            default: true
          username:
            description: User at the other registry.
            type: str
          password:
            description: That user's password. Quay does not tell it, so it is set only when something else differs.
            type: str
          http_proxy:
            description: Proxy for HTTP.
            type: str
          https_proxy:
            description: Proxy for HTTPS.
            type: str
          no_proxy:
            description: Hosts without a proxy.
            type: str
      applications:
        description: Its OAuth applications.
        type: list
        elements: dict
        suboptions:
          name:
            description: Its name.
            type: str
            required: true
          state:
            description: Whether the application with its tokens shall be there.
            type: str
            choices: [present, absent]
            default: present
          description:
            description: Its description.
            type: str
          redirect_uri:
            description: Where Quay sends a user who has authorized it.
            type: str
          application_uri:
            description: Its home.
            type: str
          tokens:
            description:
              - Its tokens that have names, which act for the user that the module connects as. Quay 3.18 and newer.
              - Of several tokens with the same name the one that is kept stays.
            type: list
            elements: dict
            suboptions:
              name:
                description: Its name.
                type: str
                required: true
              state:
                description: Whether the token shall be there.
                type: str
                choices: [present, absent]
                default: present
              scopes:
                description: What it is good for. Required unless it shall be absent. Another token takes its place where they differ.
                type: list
                elements: str
                choices: ["org:admin", "repo:admin", "repo:create", "repo:read", "repo:write", "super:user", "user:admin", "user:read"]
              expires_in:
                description: How long it lives, such as V(90d). By default and at most ten years.
                type: str
              store:
                description:
                  - Where the token is kept, with the keys C(host), C(token), C(token_id), C(token_issued) and C(token_expires). Required
                    unless it shall be absent.
                  - Quay shows a token only when it is made. One that is kept nowhere is made anew, with a warning.
                type: dict
                suboptions:
                  secret:
                    description: A Secret, in a project that exists. Other keys of it stay.
                    type: dict
                    suboptions:
                      name:
                        description: Its name.
                        type: str
                        required: true
                      namespace:
                        description: Its project.
                        type: str
                        required: true
                        aliases: [project]
                  file:
                    description: Absolute path of a file with mode 0600 where the module runs.
                    type: path
              rotate:
                description: When another token takes its place.
                type: dict
                suboptions:
                  after:
                    description: The age of a token that is replaced, such as V(30d).
                    type: str
                    required: true
      purge:
        description: As O(purge), for this organization instead of that.
        type: list
        elements: str
        choices: [teams, members, robots, repositories, permissions, labels, default_permissions, applications, tokens]
  users:
    description: Users that Quay keeps itself. Needs a superuser.
    type: list
    elements: dict
    suboptions:
      name:
        description: The user's name.
        type: str
        required: true
      state:
        description: Whether the user shall be there. Quay lets nobody delete a superuser.
        type: str
        choices: [present, absent]
        default: present
      email:
        description: The user's e-mail address.
        type: str
      enabled:
        description: Whether the user may sign in.
        type: bool
      password:
        description: The user's password. Without it a new user has one that nobody knows.
        type: str
      update_password:
        description: Whether the password is set only when the user is made, or V(always), which every run counts as a change.
        type: str
        choices: [on_create, always]
        default: on_create
  messages:
    description: What Quay's web interface shows to everybody. These messages and no others. Needs a superuser.
    type: list
    elements: dict
    suboptions:
      content:
        description: The text.
        type: str
        required: true
      severity:
        description: How it looks.
        type: str
        choices: [info, warning, error]
        default: info
      media_type:
        description: How the text is written.
        type: str
        choices: [text/plain, text/markdown]
        default: text/markdown
  purge:
    description:
      - Lists of which nothing else than the document's items shall be there. A list that the document does not give stays as it is.
      - The team C(owners) always stays, and in it the user that the module connects as. Invitations that were not answered stay.
    type: list
    elements: str
    choices: [teams, members, robots, repositories, permissions, labels, default_permissions, applications, tokens]
    default: []
  purge_repositories:
    description: Whether O(purge) deletes repositories that have tags, too. Otherwise such a purge is refused.
    type: bool
    default: false
seealso:
  - module: quayside.registry.quay_content_info
    description: The same document of what there is.
"""

EXAMPLES = r"""
- name: A team, its robot and its repositories
  quayside.registry.quay_content:
    quay_host: "{{ quay_host }}"
    quay_ca_cert: "{{ quay_ca_cert }}"
    quay_username: "{{ quay_username }}"
    quay_password: "{{ quay_password }}"
    organizations:
      - name: acme
        email: acme@example.com
        time_machine: 2w
        teams:
          - name: developers
            role: creator
            description: Those who write it
            members:
              - robot: ci
        robots:
          - name: ci
            description: Builds and pushes
            store:
              secret: {name: quay-acme-ci, namespace: default}
            rotate: {after: 30d}
        quota:
          size: 500GiB
          limits:
            - {type: warning, percent: 80}
            - {type: reject, percent: 100}
        auto_prune:
          - {method: creation_date, value: 30d, tag_pattern: "^pr-"}
        repositories:
          - name: web
            visibility: public
            permissions:
              - {team: developers, role: write}
              - {robot: ci, role: write}
            notifications:
              - {event: repo_push, method: webhook, url: "https://hooks.example.com/quay"}
        default_permissions:
          - {team: developers, role: read}
        applications:
          - name: terraform
            tokens:
              - name: plan
                scopes: ["repo:read", "org:admin"]
                expires_in: 90d
                store:
                  secret: {name: quay-acme-terraform, namespace: default}
                rotate: {after: 30d}

- name: A favourite, and a tag that is gone
  quayside.registry.quay_content:
    quay_host: "{{ quay_host }}"
    quay_ca_cert: "{{ quay_ca_cert }}"
    quay_username: "{{ quay_username }}"
    quay_password: "{{ quay_password }}"
    organizations:
      - name: acme
        repositories:
          - name: web
            star: true
            tags:
              - {name: nightly, state: absent}

- name: Nothing but these permissions
  quayside.registry.quay_content:
    quay_host: "{{ quay_host }}"
    quay_ca_cert: "{{ quay_ca_cert }}"
    quay_username: "{{ quay_username }}"
    quay_password: "{{ quay_password }}"
    organizations:
      - name: acme
        repositories:
          - name: web
            permissions:
              - {team: developers, role: admin}
    purge: [permissions]

- name: No organization acme any more
  quayside.registry.quay_content:
    quay_host: "{{ quay_host }}"
    quay_ca_cert: "{{ quay_ca_cert }}"
    quay_username: "{{ quay_username }}"
    quay_password: "{{ quay_password }}"
    organizations:
      - {name: acme, state: absent}
"""

RETURN = r"""
changes:
  description: What was changed, or would be changed in check mode. The namespace of what belongs to an organization is that.
  returned: always
  type: list
  elements: dict
  sample:
    - {action: create, kind: Organization, namespace: "", name: acme}
    - {action: create, kind: Team, namespace: acme, name: developers}
    - {action: create, kind: Repository, namespace: acme, name: web}
    - {action: create, kind: RepositoryPermission, namespace: acme, name: "web: team developers"}
"""

from ansible_collections.quayside.registry.plugins.module_utils.quay.client import CONNECTION
from ansible_collections.quayside.registry.plugins.module_utils.quay.content import SPEC
from ansible_collections.quayside.registry.plugins.module_utils.quay_content import run


def main() -> None:
    run({**CONNECTION, **SPEC})


if __name__ == "__main__":
    main()
