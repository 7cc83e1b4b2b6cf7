"""An OpenID provider for tests, made of Authlib's own server parts on Flask: consent is given at once by the
person who is set.
"""

from __future__ import annotations

import secrets
import threading
import time
from typing import Any

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import ClientMixin, grants
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oidc.core import UserInfo
from authlib.oidc.core.grants import OpenIDCode
from flask import Flask, jsonify, request
from joserfc.jwk import RSAKey
from werkzeug.serving import make_server


class Client(ClientMixin):
    """The one client that is registered."""

    client_id = "riskmodel"
    client_secret = "only for tests"

    def __init__(self, redirect: str) -> None:
        self.redirect = redirect

    def get_client_id(self):
        return self.client_id

    def get_default_redirect_uri(self):
        return self.redirect

    def get_allowed_scope(self, scope):
        return scope

    def check_redirect_uri(self, redirect_uri):
        return redirect_uri == self.redirect

    def check_client_secret(self, client_secret):
        return secrets.compare_digest(client_secret, self.client_secret)

    def check_endpoint_auth_method(self, method, endpoint):
        return method == "client_secret_basic"

    def check_response_type(self, response_type):
        return response_type == "code"

    def check_grant_type(self, grant_type):
        return grant_type == "authorization_code"


class Code:
    """An authorization code that was given out."""

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)
        self.auth_time = int(time.time())

    def get_redirect_uri(self):
        return self.redirect_uri

    def get_scope(self):
        return self.scope

    def get_nonce(self):
        return self.nonce

    def get_auth_time(self):
        return self.auth_time

    def get_acr(self):
        return None

    def get_amr(self):
        return None


class Person:
    """Who is signed in at the provider; `claims` go into the ID token."""

    def __init__(self, subject: str, **claims: Any) -> None:
        self.subject, self.claims = subject, claims

    def get_user_id(self):
        return self.subject


class Provider:
    """The running provider: `issuer`, `person` (who signs in next), and what it may do wrongly: `spoil`
    changes claims.
    """

    def __init__(self, redirect: str) -> None:
        self.person = Person("nobody")
        self.spoil: dict[str, Any] = {}
        self.key = RSAKey.generate_key(2048, {"kid": "first", "use": "sig"}, auto_kid=False)
        self.shown = self.key
        self._codes: dict[str, Code] = {}
        app = Flask("provider")
        self._server = make_server("127.0.0.1", 0, app, threaded=True)
        self.issuer = f"http://127.0.0.1:{self._server.server_port}"
        client = Client(redirect)
        found = AuthorizationServer(
            app,
            query_client=lambda name: client if name == client.client_id else None,
            save_token=lambda *_: None,
        )
        found.register_grant(self._grant(), [CodeChallenge(required=True), self._openid()])

        @app.get("/.well-known/openid-configuration")
        def description():
            return jsonify(
                issuer=self.issuer,
                authorization_endpoint=f"{self.issuer}/authorize",
                token_endpoint=f"{self.issuer}/token",
                jwks_uri=f"{self.issuer}/keys",
            )

        @app.get("/keys")
        def keys():
            return jsonify(keys=[self.shown.as_dict(private=False)])

        @app.get("/authorize")
        def authorize():
            grant = found.get_consent_grant(end_user=self.person)
            return found.create_authorization_response(grant=grant, grant_user=self.person)

        @app.post("/token")
        def token():
            assert request.form["grant_type"] == "authorization_code"
            return found.create_token_response()

        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join(10)

    def _grant(provider):
        class Grant(grants.AuthorizationCodeGrant):
            TOKEN_ENDPOINT_AUTH_METHODS = ("client_secret_basic",)

            def save_authorization_code(self, code, request):
                data = request.payload.data
                provider._codes[code] = Code(
                    code=code,
                    redirect_uri=request.payload.redirect_uri,
                    scope=request.payload.scope,
                    nonce=data.get("nonce"),
                    code_challenge=data.get("code_challenge"),
                    code_challenge_method=data.get("code_challenge_method"),
                    person=request.user,
                )
                return code

            def query_authorization_code(self, code, client):
                return provider._codes.get(code)

            def delete_authorization_code(self, authorization_code):
                provider._codes.pop(authorization_code.code)

            def authenticate_user(self, authorization_code):
                return authorization_code.person

        return Grant

    def _openid(provider):
        class Tokens(OpenIDCode):
            def exists_nonce(self, nonce, request):
                return False

            def get_client_algorithm(self, client):
                return "RS256"

            def get_client_claims(self, client):
                return {"iss": provider.issuer}

            def resolve_client_private_key(self, client):
                return provider.key

            def generate_user_info(self, user, scope):
                return UserInfo({"sub": user.subject, **user.claims, **provider.spoil})

        return Tokens(require_nonce=True)
