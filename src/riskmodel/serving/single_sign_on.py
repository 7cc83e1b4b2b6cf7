"""Single sign-on by OpenID Connect: a person of the county's own directory gets a session, with role and
areas from claims.

Off unless `serving/single_sign_on.yaml` has `enabled: true`. The authorization code flow with PKCE, state
and nonce (Authlib); the ID token is checked for signature, issuer, audience, time and nonce. A sign-in makes
a key without a secret in the casebook, for as long as a session lasts, so that the audit, areas, expiry and
`riskmodel keys revoke` work as for every other key. The person is named by a hash of issuer and subject: no
name, number or address of the directory is kept.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, model_validator
from sqlalchemy import Engine

from riskmodel.casebook.credentials import Key, add_key, list_keys, open_session, revoke_key, who_of
from riskmodel.casebook.roles import ROLES_OF_AREAS, Who
from riskmodel.declared import Strict
from riskmodel.errors import Fault, UserError
from riskmodel.project import Project

if TYPE_CHECKING:
    from authlib.integrations.httpx_client import OAuth2Client

FILE: Final = "serving/single_sign_on.yaml"
PATH: Final = "/v1/session/sso"
COOKIE: Final = "riskmodel_sso"
BEGUN_SECONDS: Final = 300  # from the start of a sign-in to its end
BEGUN_AT_MOST: Final = 1000
PROVIDER_SECONDS: Final = 10.0  # for each question to the provider
KEPT_SECONDS: Final = 600.0  # the provider's description and keys
ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
BY: Final = "single sign-on"
AREA_DIGITS: Final = (2, 4, 6, 9, 12)

Role = Literal["analyst", "screener", "case_system", "auditor", "operator"]


def _area(code: str) -> str:
    if not (code.isascii() and code.isdigit() and len(code) in AREA_DIGITS):
        raise ValueError("an area code of 2, 4, 6, 9 or 12 digits")
    return code


def _https(address: str) -> str:
    local = ("http://127.0.0.1:", "http://localhost:")
    if not address.startswith(("https://", *local)) or address.endswith("/"):
        raise ValueError("an https address without a slash at its end (http only on this machine)")
    return address


AreaCode = Annotated[str, AfterValidator(_area)]
Address = Annotated[str, AfterValidator(_https)]


class Mapped(Strict):
    """Claims of the provider, as rights here.

    role_claim, area_claim: names of the claims; a dot leads into an object (`realm_access.roles`). roles:
    value of the role claim -> role, the first one in this order that the person has. areas: value of the area
    claim -> area codes; a value that is not named gives none.
    """

    role_claim: Annotated[str, Field(min_length=1)] = "roles"
    roles: dict[str, Role] = {}
    area_claim: Annotated[str, Field(min_length=1)] = "areas"
    areas: dict[str, tuple[AreaCode, ...]] = {}


class SingleSignOn(Strict):
    """`serving/single_sign_on.yaml`.

    issuer: of the provider, exactly as its description has it. client_secret_variable: the variable of the
    environment with the client's secret. address: where browsers reach this service; the provider must know
    `address` + /v1/session/sso/callback.
    """

    enabled: bool = False
    issuer: Address = "https://login.example.gov.cn"
    client_id: Annotated[str, Field(min_length=1)] = "riskmodel"
    client_secret_variable: Annotated[str, Field(pattern="^[A-Z][A-Z0-9_]*$")] = "RISKMODEL_SSO_SECRET"
    address: Address = "https://screening.example.gov.cn"
    purpose: Annotated[str, Field(min_length=1, max_length=200)] = "home visits"
    claims: Mapped = Mapped()

    @model_validator(mode="after")
    def _useful(self) -> SingleSignOn:
        if self.enabled and not self.claims.roles:
            raise ValueError("`claims.roles` names at least one role: nobody could sign in")
        return self


def load_single_sign_on(project: Project) -> SingleSignOn:
    """The project's settings; off where there is no file. Raises ProjectError with file and line."""
    return project.load(FILE, SingleSignOn) if (project.root / FILE).is_file() else SingleSignOn()


@dataclass(frozen=True)
class Rights:
    """What the claims of a person give here."""

    role: str
    areas: tuple[str, ...]


class NotAdmitted(Exception):
    """A sign-in that ends without a session. The text is for the person and holds no claim."""


def rights_of(claims: Mapping[str, Any], mapped: Mapped) -> Rights:
    """Role and areas from claims. Raises NotAdmitted where they give no role, or no area to a role that needs
    one.
    """
    has = set(_values(claims, mapped.role_claim))
    role = next((role for value, role in mapped.roles.items() if value in has), None)
    if role is None:
        raise NotAdmitted("your account has no role in this service")
    if role not in ROLES_OF_AREAS:
        return Rights(role, ())
    areas = {code for value in _values(claims, mapped.area_claim) for code in mapped.areas.get(value, ())}
    if not areas:
        raise NotAdmitted("your account has no area in this service")
    return Rights(role, tuple(sorted(areas)))


def _values(claims: Mapping[str, Any], name: str) -> Sequence[str]:
    """The texts of a claim; none where it is missing or of another form."""
    found: Any = claims
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    if isinstance(found, str):
        return [found]
    return [value for value in found if isinstance(value, str)][:1000] if isinstance(found, list) else []


def pseudonym(issuer: str, subject: str) -> str:
    """The name of a person's keys in the casebook: 16 hex digits of a hash of issuer and subject."""
    return hashlib.sha256(f"{issuer}\0{subject}".encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Begun:
    """A sign-in that has begun: what the answer of the provider must fit."""

    nonce: str
    verifier: str
    until: float


class Provider:
    """The OpenID provider, and the sign-ins that have begun. All methods block: call them in a thread.

    Raises UserError where the provider cannot be asked.
    """

    def __init__(self, settings: SingleSignOn) -> None:
        self.settings = settings
        self._secret = os.environ.get(settings.client_secret_variable, "")
        self._begun: dict[str, Begun] = {}
        self._lock = threading.Lock()
        self._metadata: tuple[float, dict[str, Any]] | None = None
        self._keys: tuple[float, dict[str, Any]] | None = None
        if not self._secret:
            remedy = "Set it in the environment of the service, from a file that only its user reads."
            raise UserError(Fault(settings.client_secret_variable, "not set", "the client's secret", remedy))
        try:
            import authlib  # noqa: F401
        except ImportError:
            remedy = "Install the extra: relapse-riskmodel[sso]."
            raise UserError(Fault(FILE, "Authlib is not installed", "the extra `sso`", remedy)) from None

    def begin(self) -> tuple[str, str]:
        """(address of the provider to which the browser goes, state)."""
        state, nonce, verifier = (
            secrets.token_urlsafe(24),
            secrets.token_urlsafe(24),
            secrets.token_urlsafe(48),
        )
        with self._client() as client:
            address, _ = client.create_authorization_url(
                self.metadata()["authorization_endpoint"], state=state, nonce=nonce, code_verifier=verifier
            )
        now = time.monotonic()
        with self._lock:
            self._begun = {name: begun for name, begun in self._begun.items() if begun.until > now}
            while len(self._begun) >= BEGUN_AT_MOST:
                self._begun.pop(next(iter(self._begun)))
            self._begun[state] = Begun(nonce, verifier, now + BEGUN_SECONDS)
        return str(address), state

    def finish(self, state: str, code: str, cookie: str) -> tuple[str, Rights]:
        """(pseudonym, rights) of the person who comes back with a code. cookie: the state that this browser
        began with.

        Raises NotAdmitted: another browser, too late, a token that does not fit, no rights.
        """
        with self._lock:
            begun = self._begun.pop(state, None)
        fits = hmac.compare_digest(state.encode(), cookie.encode())
        if begun is None or not fits or begun.until < time.monotonic():
            raise NotAdmitted("this sign-in was not begun here, or too long ago: begin again")
        claims = self._claims(code, begun)
        return pseudonym(self.settings.issuer, str(claims["sub"])), rights_of(claims, self.settings.claims)

    def metadata(self) -> dict[str, Any]:
        """The provider's description, whose issuer must be the one of the settings."""
        if self._metadata is None or self._metadata[0] < time.monotonic():
            found = self._asked(f"{self.settings.issuer}/.well-known/openid-configuration")
            if found.get("issuer") != self.settings.issuer:
                remedy = "Write the issuer as the provider has it."
                raise UserError(
                    Fault(f"{FILE} (issuer)", "the provider has another issuer", self.settings.issuer, remedy)
                )
            self._metadata = (time.monotonic() + KEPT_SECONDS, found)
        return self._metadata[1]

    def _claims(self, code: str, begun: Begun) -> Mapping[str, Any]:
        """The claims of the ID token that a code is exchanged for, checked."""
        import httpx
        from authlib.common.errors import AuthlibBaseError
        from authlib.oidc.core import CodeIDToken
        from joserfc.errors import JoseError

        try:
            with self._client() as client:
                token = client.fetch_token(
                    self.metadata()["token_endpoint"], code=code, code_verifier=begun.verifier
                )
            decoded = self._decoded(str(token["id_token"]))
            options = {
                "iss": {"essential": True, "value": self.settings.issuer},
                "aud": {"essential": True, "value": self.settings.client_id},
            }
            fitting = {
                "nonce": begun.nonce,
                "client_id": self.settings.client_id,
                "access_token": token.get("access_token"),
            }
            claims = CodeIDToken(decoded.claims, decoded.header, options, fitting)
            claims.validate(leeway=60)
        except (AuthlibBaseError, JoseError, KeyError, ValueError, TypeError):
            raise NotAdmitted("the provider's answer does not fit this sign-in: begin again") from None
        except httpx.HTTPError as error:
            raise _away(error) from None
        return dict(claims)

    def _decoded(self, token: str) -> Any:
        """The signed token; the provider's keys are asked for again where none of them fits."""
        from joserfc import jwt
        from joserfc.errors import JoseError
        from joserfc.jwk import KeySet
        from joserfc.jws import JWSRegistry

        registry = JWSRegistry(algorithms=list(ALGORITHMS), strict_check_header=False)
        try:
            return jwt.decode(token, key=KeySet.import_key_set(self._key_set()), registry=registry)  # type: ignore[arg-type]
        except JoseError:  # an unknown key, or, where the provider names none, a signature of another one
            self._keys = None
            return jwt.decode(token, key=KeySet.import_key_set(self._key_set()), registry=registry)  # type: ignore[arg-type]

    def _key_set(self) -> dict[str, Any]:
        if self._keys is None or self._keys[0] < time.monotonic():
            self._keys = (time.monotonic() + KEPT_SECONDS, self._asked(self.metadata()["jwks_uri"]))
        return self._keys[1]

    def _asked(self, address: str) -> dict[str, Any]:
        import httpx

        try:
            answer = httpx.get(address, timeout=PROVIDER_SECONDS)
            answer.raise_for_status()
            found: dict[str, Any] = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise _away(error) from None
        return found

    def _client(self) -> OAuth2Client:
        from authlib.integrations.httpx_client import OAuth2Client

        return OAuth2Client(
            client_id=self.settings.client_id,
            client_secret=self._secret,
            scope="openid",
            redirect_uri=f"{self.settings.address}{PATH}/callback",
            code_challenge_method="S256",
            timeout=PROVIDER_SECONDS,
        )


def admit(engine: Engine, name: str, rights: Rights, purpose: str) -> tuple[str, Who]:
    """Open a session for a person by pseudonym and rights: the cookie's secret, and who it is.

    A key that the same rights gave before is used again while it is in force; one with other rights is
    revoked. Raises NotAdmitted where `riskmodel keys revoke` has taken a key of this person: that shuts the
    person out for good.
    """
    label = f"sso {name}"
    theirs = [key for key in list_keys(engine) if key.name == label]
    if any(key.state == "revoked" and not _by_us(engine, key) for key in theirs):
        raise NotAdmitted("your access was revoked")
    same = [
        key
        for key in theirs
        if key.state == "in force"
        and (key.role, key.areas, key.purpose) == (rights.role, rights.areas, purpose)
    ]
    for key in theirs:
        if key.state == "in force" and key not in same:
            revoke_key(engine, key.key_id, by=BY)
    key = (
        same[0]
        if same
        else add_key(
            engine, name=label, role=rights.role, areas=rights.areas, purpose=purpose, days=1, by=BY
        ).key
    )
    return open_session(
        engine,
        who_of(key),
    )


def _by_us(engine: Engine, key: Key) -> bool:
    from sqlalchemy import select

    from riskmodel.casebook.schema import keys
    from riskmodel.casebook.store import reading

    with reading(engine) as connection:
        by = connection.execute(select(keys.c.revoked_by).where(keys.c.key_id == key.key_id)).scalar_one()
    return bool(by == BY)


def _away(error: Exception) -> UserError:
    remedy = "Try again; sign in with a key meanwhile."
    return UserError(Fault("the provider of single sign-on", type(error).__name__, "its answer", remedy))
