# SPDX-License-Identifier: Apache-2.0
import gc
import json
import types

import pytest

import libpolicy
from conftest import syn


def test_a_document_is_text_octets_an_object_or_a_file(document, policy, tmp_path):
    text = json.dumps(document)
    path = tmp_path / "policy.json"
    path.write_text(text)
    for same in (libpolicy.Policy(text), libpolicy.Policy(text.encode()),
                 libpolicy.Policy.load(path), libpolicy.Policy.load(str(path)),
                 libpolicy.Policy(types.MappingProxyType(document))):
        assert same == policy and same.digest == policy.digest and hash(same) == hash(policy)
    assert libpolicy.Policy({"default_policy": "allow"}) != policy
    with pytest.raises(TypeError, match="a set has no place in a policy document"):
        libpolicy.Policy({"source_groups": set()})
    with pytest.raises(FileNotFoundError):
        libpolicy.Policy.load(tmp_path / "none.json")


def test_a_rejected_file_is_named(tmp_path):
    path = tmp_path / "policy.json"
    path.write_text('{"rules": 1}')
    with pytest.raises(libpolicy.PolicyError) as caught:
        libpolicy.Policy.load(path)
    assert caught.value.__notes__ == [f"in {path}"]


def test_groups_and_rules_are_objects_in_evaluation_order(policy):
    assert [group.id for group in policy.groups] == ["clients", "guests"]
    assert [(rule.index, rule.id, rule.group.id) for rule in policy.rules] == [
        (0, "web", "clients"), (1, "api", "clients"), (2, "no-mail", "guests")]
    assert policy.group("guests") is policy.groups[1] and policy.rule(2) is policy.rules[2]
    assert policy.group(None) is None and policy.rule(None) is None
    for wrong in (2, -1):
        with pytest.raises(libpolicy.Invalid):
            policy.group(wrong)
    with pytest.raises(libpolicy.Invalid, match="there is no group 'x'"):
        policy.group("x")


def test_the_accepted_document_compiles_to_an_equal_policy(policy):
    assert libpolicy.Policy(policy.json()) == policy
    assert policy.to_dict()["default_policy"] == "deny"
    assert policy.needs == libpolicy.Need.DNS and not policy.default_allow
    assert policy.memory > 1000


def test_options_of_the_compiler():
    assert libpolicy.Policy({}, default_allow=True).default_allow
    document = {"source_groups": [{"id": "g", "sources": {"cidrs": ["10.0.0.0/8"]}, "rules": []}]}
    with pytest.raises(libpolicy.PolicyError, match="mode"):
        libpolicy.Policy(document)
    assert libpolicy.Policy(document, absent_mode="audit").to_dict()[
        "source_groups"][0]["mode"] == "audit"
    with pytest.raises(libpolicy.Invalid, match="none of enforce, audit, required"):
        libpolicy.Policy({}, absent_mode="loud")


def test_a_rejected_document_says_all_that_is_wrong():
    with pytest.raises(libpolicy.PolicyError) as caught:
        libpolicy.Policy('{\n "default_policy": "perhaps",\n "surprise": 1}')
    error = caught.value
    assert isinstance(error, libpolicy.PolicyRejected) and isinstance(error, libpolicy.PolError)
    assert error.status == libpolicy.Status.E_POLICY
    assert [(each.line, each.path, each.severity.name) for each in error.diagnostics] == [
        (2, "/default_policy", "ERROR"), (3, "/surprise", "ERROR")]
    assert error.diagnostics[1].code is libpolicy.DiagCode.UNKNOWN_KEY
    assert str(error).splitlines()[0].startswith('2:20: error: ')
    assert len(json.loads(error.errors_json)["errors"]) == 2


def test_a_mistake_without_a_pointer_has_no_empty_one():
    with pytest.raises(libpolicy.PolicyError) as caught:
        libpolicy.Policy("{")
    assert caught.value.diagnostics[0].path == ""
    assert str(caught.value) == "1:2: error: invalid json: a key in double quotes is expected here"


def test_warnings_are_kept_with_the_policy():
    document = {"source_groups": [{
        "id": "g", "mode": "enforce", "sources": {"cidrs": ["10.0.0.0/8", "2001:db8::/32"]},
        "rules": [{"id": "r", "action": "allow", "match": {"dns_hostname": "example"}}]}]}
    policy = libpolicy.Policy(document)
    assert libpolicy.DiagCode.UNANCHORED in [each.code for each in policy.warnings]
    assert json.loads(policy.warnings_json)[0]["severity"] == "warning"
    assert libpolicy.Policy({}).warnings == [] and libpolicy.Policy({}).warnings_json == "[]"


def test_a_verdict_is_explained(policy, worker):
    allowed = worker.decide(syn(), 0)
    assert policy.explain(allowed) == 'allow by rule "web" of group "clients": a rule matched'
    assert policy.explain(worker.decide(syn(src="172.16.0.1"), 0)) == \
        "deny: no group decided"
    softened = worker.decide(syn(src="10.9.0.1", dport=25), 0)
    assert policy.explain(softened) == \
        'allow by rule "no-mail" of group "guests": a rule matched (deny but for audit mode)'


def test_limits_come_from_the_context(document):
    with pytest.raises(libpolicy.PolicyError) as caught:
        libpolicy.Policy(document, libpolicy.Context(limits={"rules": 2}))
    assert caught.value.diagnostics[0].code is libpolicy.DiagCode.LIMIT
    with pytest.raises(libpolicy.Invalid, match="limit 'rulez' is none of"):
        libpolicy.Context(limits={"rulez": 2})
    with pytest.raises(libpolicy.Invalid, match="rules -1 is not between"):
        libpolicy.Context(limits={"rules": -1})
    with pytest.raises(libpolicy.Invalid):
        libpolicy.Context(hash_seed=(1, 1 << 64))


def test_a_log_is_called_as_long_as_anything_of_its_context_lives(document):
    lines = []
    policy = libpolicy.Policy(document, libpolicy.Context(
        log=lambda level, text: lines.append((level, text))))
    gc.collect() # the context has no name any more
    worker = libpolicy.Worker(policy)
    policy.close()
    worker.use(libpolicy.Policy(document))
    worker.close()
    assert all(isinstance(level, libpolicy.LogLevel) and text for level, text in lines)
