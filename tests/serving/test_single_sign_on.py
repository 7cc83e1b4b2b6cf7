"""Single sign-on against a provider that runs: who comes in, with which rights, and what is refused."""

from __future__ import annotations

import time
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc.jwk import RSAKey

from riskmodel.casebook.credentials import list_keys, revoke_key
from riskmodel.errors import ProjectError, UserError
from riskmodel.serving import single_sign_on
from riskmodel.serving.single_sign_on import (
    Mapped,
    NotAdmitted,
    SingleSignOn,
    load_single_sign_on,
    pseudonym,
    rights_of,
)
from tests.serving.conftest import CYCLE
from tests.serving.provider import Client, Person, Provider
from tests.serving.test_access import entries_of

ADDRESS = "http://127.0.0.1:80"
CALLBACK = f"{ADDRESS}/v1/session/sso/callback"


@pytest.fixture(scope="module")
def provider():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")  # http on this machine
        patch.setenv("RISKMODEL_SSO_SECRET", Client.client_secret)
        made = Provider(CALLBACK)
        yield made
        made.close()


@pytest.fixture
def signing_on(service, provider):
    """The service with single sign-on: a role by `roles`, areas by `areas`."""
    provider.spoil.clear()
    provider.shown = provider.key
    county = service.county
    settings = SingleSignOn(
        enabled=True,
        issuer=provider.issuer,
        address=ADDRESS,
        claims=Mapped(
            role_claim="realm.roles",
            roles={"teams": "screener", "audit": "auditor"},
            areas={"ours": (county.code,), "town": (county.township,)},
        ),
    )
    service.state.single_sign_on = single_sign_on.Provider(settings)
    yield service
    service.state.single_sign_on = None
    service.state.authenticator.wrong.clear()
    service.state.authenticator._known.clear()


def sign_on(service, client=None, **changed):
    """(client, last answer): the way of a browser from the service to the provider and back. changed: of the
    query that comes back.
    """
    client = client or service.client()
    begun = client.get("/v1/session/sso", follow_redirects=False)
    assert begun.status_code == 302 and "samesite=lax" in begun.headers["set-cookie"].lower()
    back = httpx.get(begun.headers["location"]).headers["location"]
    assert back.startswith(CALLBACK)
    query = {name: values[0] for name, values in parse_qs(urlsplit(back).query).items()} | changed
    return client, client.get("/v1/session/sso/callback", params=query, follow_redirects=False)


def person(subject, roles=("teams",), areas=("ours",)):
    return Person(
        subject,
        realm={"roles": list(roles)},
        areas=list(areas),
        name="张三",
        email="z@example.cn",
        phone_number="13912345678",
    )


def test_a_person_signs_in_at_the_provider_and_works_with_role_and_areas_of_the_claims(signing_on, provider):
    provider.person = person("u-1")
    client, answer = sign_on(signing_on)
    assert answer.status_code == 303 and answer.headers["location"] == "/"
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=strict" in cookie
    session = client.get("/v1/session").json()
    assert (session["role"], session["areas"], session["purpose"]) == (
        "screener",
        [signing_on.county.code],
        "home visits",
    )
    assert client.get(f"/v1/lists/{CYCLE}").status_code == 200 and client.get("/v1/audit").status_code == 403
    assert client.delete("/v1/session").status_code == 403, "a change needs the session's token"
    assert client.delete("/v1/session", headers={"x-csrf-token": session["csrf"]}).status_code == 204


def test_an_area_of_the_claims_narrows_every_look(signing_on, provider):
    provider.person = person("u-2", areas=["town"])
    client, _ = sign_on(signing_on)
    county = signing_on.county
    assert client.get(f"/v1/households/{county.household()}").status_code == 200
    assert client.get(f"/v1/households/{county.elsewhere}").status_code == 404


def test_nothing_of_the_directory_is_kept(signing_on, provider):
    provider.person = person("u-3")
    entries = entries_of(signing_on, lambda: sign_on(signing_on))
    kept = str(entries) + str(list_keys(signing_on.state.book.engine))
    assert [entry["action"] for entry in entries] == ["key added", "signed in"]
    assert pseudonym(provider.issuer, "u-3") in kept
    for text in ("u-3", "张三", "z@example.cn", "13912345678"):
        assert text not in kept


def test_a_second_sign_in_uses_the_same_key_and_other_claims_revoke_it(signing_on, provider):
    engine, name = signing_on.state.book.engine, f"sso {pseudonym(provider.issuer, 'u-4')}"

    def states():
        return sorted((key.role, key.state) for key in list_keys(engine) if key.name == name)

    provider.person = person("u-4")
    first, _ = sign_on(signing_on)
    sign_on(signing_on)
    assert states() == [("screener", "in force")]
    provider.person = person("u-4", roles=["audit"])
    second, _ = sign_on(signing_on)
    assert states() == [("auditor", "in force"), ("screener", "revoked")]
    assert second.get("/v1/audit").status_code == 200
    signing_on.state.authenticator._known.clear()
    assert first.get("/v1/session").status_code == 401, "the session with the old rights has ended"


def test_a_person_whose_key_was_revoked_by_the_county_stays_out(signing_on, provider):
    provider.person = person("u-5")
    client, _ = sign_on(signing_on)
    engine, name = signing_on.state.book.engine, f"sso {pseudonym(provider.issuer, 'u-5')}"
    (key,) = [key for key in list_keys(engine) if key.name == name]
    revoke_key(engine, key.key_id)
    signing_on.state.authenticator._known.clear()
    assert client.get("/v1/session").status_code == 401
    _, answer = sign_on(signing_on)
    assert answer.status_code == 403 and "revoked" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("roles", "areas", "why"),
    [(["other"], ["ours"], "no role"), (["teams"], ["theirs"], "no area"), ([], [], "no role")],
)
def test_claims_that_are_not_mapped_give_nothing(signing_on, provider, roles, areas, why):
    provider.person = person("u-6", roles, areas)
    client, answer = sign_on(signing_on)
    assert answer.status_code == 403 and why in answer.json()["detail"]
    assert client.get("/v1/session").status_code == 401


@pytest.mark.parametrize(
    "spoil",
    [
        {"iss": "https://other.example"},
        {"aud": "another"},
        {"nonce": "another"},
        {"exp": int(time.time()) - 3600},
    ],
    ids=["issuer", "audience", "nonce", "expired"],
)
def test_a_token_that_is_not_for_this_sign_in_is_refused_and_written_into_the_audit(
    signing_on, provider, spoil
):
    provider.person = person("u-7")
    provider.spoil.update(spoil)
    answers = []
    entries = entries_of(signing_on, lambda: answers.append(sign_on(signing_on)[1]))
    assert answers[0].status_code == 403 and [entry["action"] for entry in entries] == ["sign-in refused"]


def test_a_token_of_another_key_is_refused(signing_on, provider):
    provider.person = person("u-8")
    provider.shown = RSAKey.generate_key(2048, {"kid": "first", "use": "sig"}, auto_kid=False)
    assert sign_on(signing_on)[1].status_code == 403


def test_the_provider_may_change_its_key_while_the_service_runs(signing_on, provider):
    provider.person = person("u-9")
    assert sign_on(signing_on)[1].status_code == 303
    provider.key = provider.shown = RSAKey.generate_key(2048, {"kid": "second", "use": "sig"}, auto_kid=False)
    assert sign_on(signing_on)[1].status_code == 303


@pytest.mark.parametrize("changed", [{"state": "another"}, {"code": "another"}])
def test_what_comes_back_must_be_what_was_begun(signing_on, provider, changed):
    provider.person = person("u-10")
    assert sign_on(signing_on, **changed)[1].status_code == 403


def test_a_sign_in_ends_in_the_browser_that_began_it_and_once(signing_on, provider):
    """A link with somebody else's code signs nobody in."""
    provider.person = person("u-11")
    client = signing_on.client()
    begun = client.get("/v1/session/sso", follow_redirects=False)
    back = httpx.get(begun.headers["location"]).headers["location"]
    path = back.removeprefix(ADDRESS)
    assert signing_on.client().get(path, follow_redirects=False).status_code == 403, (
        "another browser has no such cookie"
    )
    assert client.get(path, follow_redirects=False).status_code == 403, "and the try has used it up"


def test_who_says_no_at_the_provider_is_refused(signing_on):
    client = signing_on.client()
    answer = client.get(
        "/v1/session/sso/callback?state=x&error=access_denied&error_description=no&session_state=1"
    )
    assert answer.status_code == 403


def test_a_provider_that_is_away_is_a_503_and_keys_go_on_working(signing_on, provider):
    settings = signing_on.state.single_sign_on.settings.model_copy(update={"issuer": "http://127.0.0.1:9"})
    signing_on.state.single_sign_on = single_sign_on.Provider(settings)
    answer = signing_on.client().get("/v1/session/sso", follow_redirects=False)
    assert answer.status_code == 503 and answer.headers["retry-after"]
    assert signing_on.client(signing_on.county.own["screener"]).get("/v1/session").status_code == 200


def test_it_is_off_as_delivered(project, service):
    assert load_single_sign_on(project).enabled is False
    assert service.client().get("/v1/session/sso").status_code == 404


def test_the_secret_is_asked_for_when_the_service_starts(monkeypatch):
    monkeypatch.delenv("RISKMODEL_SSO_SECRET", raising=False)
    with pytest.raises(UserError, match="RISKMODEL_SSO_SECRET: not set"):
        single_sign_on.Provider(SingleSignOn(enabled=True, claims=Mapped(roles={"x": "auditor"})))


@pytest.mark.parametrize(
    "change",
    [
        "enabled: true\nclaims: {roles: {}}",
        "issuer: http://login.example",
        "claims: {areas: {x: ['52230']}}",
        "claims: {roles: {x: boss}}",
    ],
)
def test_impossible_settings_are_refused_with_their_line(own_project, change):
    (own_project.root / single_sign_on.FILE).write_text(change)
    with pytest.raises(ProjectError, match=r"single_sign_on.yaml:\d"):
        load_single_sign_on(own_project)


def test_the_first_role_of_the_mapping_counts_and_a_claim_of_another_form_gives_none():
    mapped = Mapped(roles={"b": "auditor", "a": "screener"}, areas={"x": ("522301",)})
    assert rights_of({"roles": ["a", "b"], "areas": "x"}, mapped).role == "auditor"
    assert rights_of({"roles": "a", "areas": ["x", "y"]}, mapped).areas == ("522301",)
    for claims in ({}, {"roles": {"a": 1}}, {"roles": [1, None]}, {"roles": "A"}):
        with pytest.raises(NotAdmitted):
            rights_of(claims, mapped)
