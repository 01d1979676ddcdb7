# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the documentation promises of a result, held against the result."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

#: What every module of Ansible may return, and nobody documents.
OF_ANSIBLE = {
    "changed", "failed", "msg", "diff", "invocation", "warnings", "deprecations", "exception", "ansible_facts",
}  # fmt: skip

_TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "path": (str,),
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "list": (list,),
    "dict": (dict,),
    "complex": (dict,),
}

_Rule = Callable[[Mapping[str, Any], Mapping[str, Any]], bool]


def _succeeded(_options: Mapping[str, Any], result: Mapping[str, Any]) -> bool:
    return not result.get("failed")


def _with_targets(options: Mapping[str, Any], _result: Mapping[str, Any]) -> bool:
    return options.get("targets") is not None


def _begun(options: Mapping[str, Any], result: Mapping[str, Any]) -> bool:
    """Something was done, whether or not all of it was."""
    return _succeeded(options, result) or bool(result.get("changed"))


def _runs_service(options: Mapping[str, Any]) -> bool:
    return options.get("state", "started") in ("started", "restarted") and bool(options.get("check_timeout", 60))


def _real(result: Mapping[str, Any]) -> bool:
    return not result["_check_mode"]


#: What ``returned:`` says: whether the key must be there, by the task's options and its result.
RULES: dict[str, _Rule] = {
    "always": lambda _options, _result: True,
    "success": _succeeded,
    "failure": lambda _options, result: bool(result.get("failed")),
    "success, or when a step failed": _begun,
    "success, or when rows still wait": lambda options, result: (
        _succeeded(options, result) or bool(result.get("scopes"))
    ),
    "success, or when the service does not do what it should": lambda options, result: (
        _succeeded(options, result) or _runs_service(options)
    ),
    "with O(targets)": lambda options, result: _succeeded(options, result) and _with_targets(options, result),
    "with O(targets), also where one has failed": lambda options, result: (
        _begun(options, result) and _with_targets(options, result)
    ),
    "without O(targets)": lambda options, result: _succeeded(options, result) and not _with_targets(options, result),
    "when a script failed": lambda options, result: bool(result.get("failed") and options.get("customizations")),
    "when O(backup=true) and the file was changed": lambda options, result: bool(
        options.get("backup") and result["changed"] and _real(result)
    ),
    "when the service is running and was checked": lambda options, result: (
        _succeeded(options, result) and _runs_service(options) and _real(result)
    ),
    "when the service does not do what it should": lambda options, result: (
        bool(result.get("failed")) and _runs_service(options)
    ),
}


def faults(returns: Mapping[str, Any], options: Mapping[str, Any], result: Mapping[str, Any]) -> Iterator[str]:
    """What contradicts the documentation of a module's returns, a sentence each."""
    for name in sorted(set(result) - set(returns) - OF_ANSIBLE):
        if not name.startswith("_"):
            yield f"{name} is returned and not documented"
    for name, facts in returns.items():
        rule = RULES.get(facts.get("returned", ""))
        if rule is None:
            yield f"{name} is returned {facts.get('returned')!r}, and the test has no rule for that"
        elif rule(options, result) and name not in result:
            yield f"{name} is to be returned {facts['returned']!r}, and is not"
        if name in result:
            yield from _type_faults(name, facts, result[name])


def sample_faults(returns: Mapping[str, Any]) -> Iterator[str]:
    """Samples that are not of the type that is documented beside them."""
    for name, facts in _all(returns):
        if "sample" in facts:
            yield from _type_faults(f"the sample of {name}", facts, facts["sample"], whole=False)


def _all(returns: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, facts in returns.items():
        yield path + name, facts
        yield from _all(facts.get("contains") or {}, f"{path}{name}.")


def _type_faults(name: str, facts: Mapping[str, Any], value: Any, whole: bool = True) -> Iterator[str]:
    """:param whole: everything that is documented to be inside must be there."""
    if value is None:
        if not _may_be_null(facts):
            yield f"{name} is null, which its description does not say"
        return
    kind = facts["type"]
    if not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind != "bool"):
        yield f"{name} is {value!r}, and not of the type {kind}"
        return
    if kind == "list":
        for number, element in enumerate(value):
            inside = {"type": facts["elements"], "contains": facts.get("contains")}
            yield from _type_faults(f"{name}[{number}]", inside, element, whole)
    elif facts.get("contains"):
        yield from _content_faults(name, facts["contains"], value, whole)


def _content_faults(name: str, contains: Mapping[str, Any], value: Mapping[str, Any], whole: bool) -> Iterator[str]:
    for key in sorted(set(value) - set(contains)):
        yield f"{name}.{key} is returned and not documented"
    for key, facts in contains.items():
        if key in value:
            yield from _type_faults(f"{name}.{key}", facts, value[key], whole)
        elif whole and not facts.get("returned"):
            yield f"{name}.{key} is documented and not returned"


def _may_be_null(facts: Mapping[str, Any]) -> bool:
    description = facts.get("description") or ""
    text = description if isinstance(description, str) else " ".join(description)
    return bool(re.search(r"\bnull\b", text, re.IGNORECASE))
