"""What an endpoint is: its address, and the models that it names.

    GET http://127.0.0.1:8000/v1/models   {"data": [{"id": "student", "root": "/runs/dpo-3"}]}
    names(...)                            ["/runs/dpo-3", "student"]

A provider's catalogue changes with every model that it adds: of a long list the model that is asked alone
counts. A server without such a list names nothing.
"""

import asyncio
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from harness.common.secrets.redaction import without_credentials
from harness.endpoints.responses import meaning, page
from harness.endpoints.wire import Endpoint, client_with, key_of, secrets_of

SECONDS = 5.0  # until an endpoint counts as silent
TRIES = 2
CATALOGUE = 10  # models; a longer list is a provider's
BUSY = (408, 425, 429, 502, 503, 504)  # says nothing of what is served
DEFAULT_PORTS = {"http": 80, "https": 443}


def address(base_url: str) -> str:
    """Scheme, host, port and path of a base URL, as one writes them: no credentials, no default port."""
    if re.search(r"\s", base_url.strip()):  # no part of it is told, as it may be one of a password
        raise ValueError(f"{base_url.strip().partition('//')[0]}//...: a base URL has no spaces")
    try:
        parts = urlsplit(base_url.strip())
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError as e:
        raise ValueError(f"{without_credentials(base_url)}: not a URL ({e})") from None
    if parts.query or parts.fragment:
        # What is asked would be put behind it, and it may hold a key: no part of it is told.
        raise ValueError(f"{parts.scheme}://{host}{parts.path}: a base URL has no ?query and no #fragment")
    if not host:
        return base_url.strip().rstrip("/")
    host = f"[{host}]" if ":" in host else host
    shown = "" if port in (None, DEFAULT_PORTS.get(parts.scheme)) else f":{port}"
    return f"{parts.scheme}://{host}{shown}{parts.path.rstrip('/')}"


def names(endpoint: Endpoint) -> list[str]:
    """The ids that /models gives, and the weights behind where it says; ValueError where it is silent."""
    fault = ""
    for _ in range(TRIES):
        status, body = _listed(endpoint)
        if status == 200:
            return _named(body, endpoint.model)
        if status == 401:
            let_in = meaning.let_in_by(endpoint.base_url, endpoint.api_key_env)
            raise ValueError(f"{endpoint.where}: status 401, wrong key or no access; {let_in}")
        if status and status not in BUSY:
            return []
        fault = f"status {status}" if status else f"broken connections: {body}"
    raise ValueError(f"{endpoint.where} does not answer ({fault}); nothing was done")


def _listed(endpoint: Endpoint) -> tuple[int, Any]:
    """The status of /models and its JSON, None for any other page; 0 and why where there is no connection."""
    import httpx2

    try:
        got = asyncio.run(_page(endpoint))
    except httpx2.InvalidURL as e:
        raise ValueError(f"{endpoint.where}: not a URL ({e})") from None
    except httpx2.HTTPError as e:
        return 0, page.shown(str(e), secrets_of(endpoint))
    except TimeoutError:
        return 0, f"no page within {SECONDS:g} s"
    except page.TooLarge:
        return 200, None
    return got.status, got.body


async def _page(endpoint: Endpoint) -> page.Page:
    url = f"{endpoint.base_url.strip().rstrip('/')}/models"
    headers = {"Authorization": f"Bearer {key_of(endpoint)}"}
    async with (
        # Of the whole page: a byte now and then is none.
        asyncio.timeout(SECONDS),
        client_with(endpoint, timeout=SECONDS, follow_redirects=True) as client,
        client.stream("GET", url, headers=headers) as response,
    ):
        return await page.read(response, secrets_of(endpoint))


def _named(body: Any, model: str) -> list[str]:
    listed = body.get("data") if isinstance(body, Mapping) else None
    found = [one for one in listed if isinstance(one, Mapping)] if isinstance(listed, list) else []
    if len(found) > CATALOGUE:
        found = [one for one in found if one.get("id") == model]
    said = (one.get(name) for one in found for name in ("id", "root"))
    return sorted({page.clean(name) for name in said if isinstance(name, str)})
