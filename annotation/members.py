"""Annotators of a server of ours: signed up with the invitation link, each with a token."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Collection, Iterable, Mapping
from http import HTTPStatus
from pathlib import Path

import httpx

from annotation.client import Client
from annotation.connection import TIMEOUT_SECONDS
from annotation.server import write_secret
from warehouse.errors import AnnotationError


def sign_up(admin: Client, emails: Mapping[str, str], secret_file: Path) -> dict[str, Client]:
    """Name → client of that annotator; whoever is missing is signed up.

    emails: name → log-in. The server takes anything shaped like an e-mail; nothing is ever sent.
    secret_file: passwords and tokens (0600). Passwords are written before they are used, so that
        a killed sign-up is taken up again.
    Raises: AnnotationError where the server refuses, e.g. an e-mail that is taken.
    """
    if not all(re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", email) for email in emails.values()):
        raise AnnotationError(
            "a name to sign up is no e-mail; give one like ann@example.org (nothing is ever sent)"
        )
    held = _held(secret_file)
    for name in emails:
        held.setdefault(name, {"password": secrets.token_urlsafe(18)})
    write_secret(secret_file, held)
    for name in emails:
        if "token" not in held[name] or not _works(admin.url, held[name]["token"]):
            held[name]["token"] = _token(admin, emails[name], held[name]["password"])
            write_secret(secret_file, held)
    return {name: Client(admin.url, held[name]["token"]) for name in emails}


def members_among(admin: Client, emails: Iterable[str]) -> set[str]:
    """Those of these e-mails that a member of the server has, in capitals or not."""
    there = {user.email.casefold() for user in admin.users().values() if user.email}
    return {email for email in emails if email.casefold() in there}


def strike_out(secret_file: Path, names: Collection[str]) -> None:
    """Forget passwords and tokens of annotators who were signed up by one of these names."""
    held = _held(secret_file)
    gone = {name.casefold() for name in names}
    kept = {name: secret for name, secret in held.items() if name.casefold() not in gone}
    if kept != held:
        write_secret(secret_file, kept)


def _held(secret_file: Path) -> dict[str, dict[str, str]]:
    if not secret_file.is_file():
        return {}
    return dict(json.loads(secret_file.read_text(encoding="utf-8")))


def _works(url: str, token: str) -> bool:
    client = Client(url, token)
    try:
        client.whoami()
    except AnnotationError:
        return False
    finally:
        client.close()
    return True


def _token(admin: Client, email: str, password: str) -> str:
    """Token of a user who can log in, after signing up where that is needed."""
    try:
        with httpx.Client(base_url=admin.url, timeout=TIMEOUT_SECONDS, trust_env=False) as browser:
            if not _logged_in(browser, email, password):
                invitation = str(admin.call("GET", "api/invite")["token"])
                _registered(browser, email, password, invitation)
            answer = browser.get("/api/current-user/token")
            token = answer.json().get("token") if answer.is_success else None
    except (httpx.HTTPError, ValueError) as error:
        raise AnnotationError(
            f"Label Studio at {admin.url} broke off while an annotator signed up"
            f" ({type(error).__name__}); look at its log, then run again"
        ) from error
    if not isinstance(token, str):
        raise AnnotationError(
            f"Label Studio at {admin.url} gives annotators no token; switch on legacy API tokens in"
            " its organisation settings"
        )
    return token


def _logged_in(browser: httpx.Client, email: str, password: str) -> bool:
    form = {"email": email, "password": password}
    return _posted(browser, "/user/login/", form, {}).status_code == HTTPStatus.FOUND


def _registered(browser: httpx.Client, email: str, password: str, invitation: str) -> None:
    form = {"email": email, "password": password}
    answer = _posted(browser, "/user/signup/", form, {"token": invitation})
    if answer.status_code != HTTPStatus.FOUND:
        raise AnnotationError(
            f"Label Studio refused to sign up an annotator (answer {answer.status_code}): the"
            " e-mail is taken with another password, or is none; choose another"
        )


def _posted(
    browser: httpx.Client, path: str, form: Mapping[str, str], params: Mapping[str, str]
) -> httpx.Response:
    """Submit a form of the web pages, with the token against forged requests."""
    browser.get(path, params=params)
    forged = browser.cookies.get("csrftoken", "")
    return browser.post(
        path,
        params=params,
        data={**form, "csrfmiddlewaretoken": forged},
        headers={"Referer": f"{browser.base_url}"},
    )
