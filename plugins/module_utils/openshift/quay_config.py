# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Quay's ``config.yaml``: the keys that are well known, their types, and those that hold secrets. No I/O.

Source of names and types: the configuration schema of Project Quay. Keys that are not listed here are passed on.
"""

from __future__ import annotations

import contextlib
import difflib
import re
from collections.abc import Mapping
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError, RegistryError
from ansible_collections.quayside.registry.plugins.module_utils.plan import HIDDEN

with contextlib.suppress(ImportError):  # the connection's client needs it, too, and says so
    import yaml

_FEATURES = """
ACTION_LOG_ROTATION AGGREGATED_LOG_COUNT_RETRIEVAL ANONYMOUS_ACCESS APP_REGISTRY APP_SPECIFIC_TOKENS ASSIGN_OAUTH_TOKEN
AUTO_PRUNE BITBUCKET_BUILD BLACKLISTED_EMAILS BUILD_SUPPORT CHANGE_TAG_EXPIRATION DIRECT_LOGIN EDIT_QUOTA
EXTENDED_REPOSITORY_NAMES FIPS GARBAGE_COLLECTION GENERAL_OCI_SUPPORT GITHUB_BUILD GITHUB_LOGIN GITLAB_BUILD GOOGLE_LOGIN
HELM_OCI_SUPPORT IMAGE_EXPIRY_TRIGGER INVITE_ONLY_USER_CREATION LIBRARY_SUPPORT LOG_EXPORT MAILING
NONSUPERUSER_TEAM_SYNCING_SETUP ORG_MIRROR PARTIAL_USER_AUTOCOMPLETE PERMANENT_SESSIONS PROXY_CACHE PROXY_STORAGE
PUBLIC_CATALOG QUOTA_MANAGEMENT RATE_LIMITS READER_BUILD_LOGS READONLY_APP_REGISTRY RECAPTCHA REFERRERS_API REPO_MIRROR
REPOSITORY_GARBAGE_COLLECTION REQUIRE_ENCRYPTED_BASIC_AUTH REQUIRE_TEAM_INVITE RESTRICTED_USERS RESTRICTED_V1_PUSH
SECURITY_NOTIFICATIONS SECURITY_SCANNER SECURITY_SCANNER_NOTIFY_ON_NEW_INDEX SIGNING STORAGE_REPLICATION
SUPERUSERS_FULL_ACCESS SUPERUSERS_ORG_CREATION_ONLY SUPER_USERS TEAM_SYNCING UI_DELAY_AFTER_WRITE UI_V2
UI_V2_REPO_SETTINGS USERNAME_CONFIRMATION USER_CREATION USER_INITIALIZE USER_LAST_ACCESSED USER_LOG_ACCESS USER_METADATA
USER_RENAME VERIFY_QUOTA
"""
_TRUTHS = """
ALLOW_PULLS_WITHOUT_STRICT_LOGGING ALLOW_WITHOUT_STRICT_LOGGING BROWSER_API_CALLS_XHR_ONLY CREATE_NAMESPACE_ON_PUSH
CREATE_PRIVATE_REPO_ON_PUSH EXTERNAL_TLS_TERMINATION LDAP_ALLOW_INSECURE_FALLBACK MAIL_USE_AUTH MAIL_USE_TLS
PERMANENTLY_DELETE_TAGS QUOTA_BACKFILL QUOTA_INVALIDATE_TOTALS RESET_CHILD_MANIFEST_EXPIRATION ROBOTS_DISALLOW
"""
_NUMBERS = """
DEFAULT_SYSTEM_REJECT_QUOTA_BYTES MAIL_PORT QUOTA_TOTAL_DELAY_SECONDS REPO_MIRROR_INTERVAL
SECURITY_SCANNER_INDEXING_INTERVAL SECURITY_SCANNER_V4_REINDEX_THRESHOLD SEARCH_MAX_RESULT_PAGE_COUNT
SEARCH_RESULTS_PER_PAGE
"""
_TEXTS = """
AUTHENTICATION_TYPE BUILDMAN_HOSTNAME DATABASE_SECRET_KEY DB_URI DEFAULT_TAG_EXPIRATION ENTERPRISE_LOGO_URL
FEATURE_LISTEN_IP_VERSION FRESH_LOGIN_TIMEOUT LDAP_ADMIN_DN LDAP_ADMIN_PASSWD LDAP_EMAIL_ATTR LDAP_RESTRICTED_USER_FILTER
LDAP_SUPERUSER_FILTER LDAP_UID_ATTR LDAP_URI LDAP_USER_FILTER LOGS_MODEL LOG_ARCHIVE_LOCATION LOG_ARCHIVE_PATH
MAIL_DEFAULT_SENDER MAIL_PASSWORD MAIL_SERVER MAIL_USERNAME PREFERRED_URL_SCHEME REGISTRY_STATE REGISTRY_TITLE
REGISTRY_TITLE_SHORT REPO_MIRROR_SERVER_HOSTNAME SECRET_KEY SECURITY_SCANNER_ISSUER_NAME SECURITY_SCANNER_V4_ENDPOINT
SECURITY_SCANNER_V4_PSK SENTRY_DSN SERVER_HOSTNAME SESSION_COOKIE_NAME TEAM_RESYNC_STALE_TIME USERFILES_LOCATION
USERFILES_PATH
"""
_LISTS = """
DIRECT_OAUTH_CLIENTID_WHITELIST DISTRIBUTED_STORAGE_DEFAULT_LOCATIONS DISTRIBUTED_STORAGE_PREFERENCE
GLOBAL_READONLY_SUPER_USERS LDAP_BASE_DN LDAP_SECONDARY_USER_RDNS LDAP_USER_RDN RESTRICTED_USERS_WHITELIST
ROBOTS_WHITELIST SSRF_ALLOWED_HOSTS SUPER_USERS TAG_EXPIRATION_OPTIONS
"""
_MAPPINGS = """
ALLOWED_OCI_ARTIFACT_TYPES BRANDING BUILDLOGS_REDIS DATA_MODEL_CACHE_CONFIG DB_CONNECTION_ARGS
DEFAULT_NAMESPACE_AUTOPRUNE_POLICY DISTRIBUTED_STORAGE_CONFIG GITHUB_LOGIN_CONFIG GITHUB_TRIGGER_CONFIG
GOOGLE_LOGIN_CONFIG LOGS_MODEL_CONFIG PULL_METRICS_REDIS USER_EVENTS_REDIS
"""

_TYPES: dict[str, tuple[type, str]] = {
    **{f"FEATURE_{name}": (bool, "true or false") for name in _FEATURES.split()},
    **dict.fromkeys(_TRUTHS.split(), (bool, "true or false")),
    **dict.fromkeys(_NUMBERS.split(), (int, "a whole number")),
    **dict.fromkeys(_TEXTS.split(), (str, "text")),
    **dict.fromkeys(_LISTS.split(), (list, "a list")),
    **dict.fromkeys(_MAPPINGS.split(), (dict, "a mapping")),
}

_CHOICES = {
    "AUTHENTICATION_TYPE": ("AppToken", "Database", "JWT", "Keystone", "LDAP", "OIDC"),
    "PREFERRED_URL_SCHEME": ("http", "https"),
    "REGISTRY_STATE": ("normal", "readonly"),
}

#: Keys whose values hold secrets somewhere.
_SECRET_KEYS = {
    "BUILDLOGS_REDIS",
    "BUILD_MANAGER",
    "DB_CONNECTION_ARGS",
    "DB_URI",
    "DISTRIBUTED_STORAGE_CONFIG",
    "LOGS_MODEL_CONFIG",
    "PULL_METRICS_REDIS",
    "USER_EVENTS_REDIS",
}
_SECRET = re.compile(r"SECRET|PASSWD|PASSWORD|_PSK$|PEPPER|_LOGIN_CONFIG$|_TRIGGER_CONFIG$|SENTRY_DSN")
_SECRET_PART = re.compile(r"secret|passw|key|token|psk|credential", re.IGNORECASE)
_NOT_SECRET = re.compile(r"^FEATURE_")

#: How like a well-known key an unknown one is before it is taken for a misspelt one.
_ALIKE = 0.9


def is_secret(key: str) -> bool:
    """Whether the key's value holds a secret."""
    return not _NOT_SECRET.search(key) and (key in _SECRET_KEYS or bool(_SECRET.search(key)))


def check(values: Mapping[str, Any], where: str, present: Mapping[str, Any]) -> list[str]:
    """Refuse misspelt keys and values of a wrong type; warn of keys that nobody knows (and that are not ``present``)."""
    warnings = []
    for key, value in values.items():
        if key not in _TYPES:
            close = difflib.get_close_matches(key.upper(), _TYPES, n=1, cutoff=_ALIKE)
            if close and key not in present and not key.endswith("_LOGIN_CONFIG"):
                raise InputError(f"{where}: Quay has no key {key}. Did you mean {close[0]}?")
            if key not in present:
                warnings.append(f"{where}: {key} is not a key that this collection knows. It is passed on as it is.")
            continue
        if value is None:
            continue
        kind, text = _TYPES[key]
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise InputError(f"{where}.{key}: the value must be {text}.")
        if key in _CHOICES and value not in _CHOICES[key]:
            raise InputError(f"{where}.{key}: {value!r} is none of {', '.join(_CHOICES[key])}.")
    return warnings


def check_secrets(values: Mapping[str, Any], where: str, instead: str) -> None:
    """Refuse keys with secrets, whose values would be shown."""
    for key in values:
        if is_secret(key):
            raise InputError(f"{where}: {key} holds a secret. Move it to {instead}, which is never shown.")


def harmless(values: Mapping[str, Any]) -> set[str]:
    """The texts in keys with secrets that are none, such as the name of a bucket."""
    open_, hidden = set[str](), set[str]()

    def walk(value: Any, secret: bool) -> None:
        if isinstance(value, Mapping):
            for key, inner in value.items():
                walk(inner, secret or bool(_SECRET_PART.search(str(key))))
        elif isinstance(value, list):
            for inner in value:
                walk(inner, secret)
        else:
            (hidden if secret else open_).add(str(value))

    for value in values.values():
        walk(value, isinstance(value, str))
    return open_ - hidden


def parse(text: str, where: str) -> dict[str, Any]:
    """A stored ``config.yaml``."""
    try:
        config = yaml.safe_load(text) if text.strip() else {}
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise RegistryError(
            f"config.yaml of {where} is not YAML{f' (line {mark.line + 1})' if mark else ''}. Mend it, or name no bundle."
        ) from None
    if not isinstance(config, dict):
        raise RegistryError(f"config.yaml of {where} is not a mapping. Mend it, or name no bundle.")
    return config


def merge(stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration as it will be: a key that is null is removed, all others of ``stored`` stay."""
    merged = {**stored, **wanted}
    return {key: value for key, value in merged.items() if key not in wanted or value is not None}


def render(config: Mapping[str, Any]) -> str:
    text: str = yaml.safe_dump(dict(config), default_flow_style=False, sort_keys=True)
    return text


def masked(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration as it may be shown."""
    return {key: HIDDEN if is_secret(key) else value for key, value in sorted(config.items())}
