"""
---
title: External links
summary: Asks every link that leaves the site whether it is alive, when told to.
---

# Are the links out of the site alive?

A build never touches the network, so that it gives the same site everywhere, and does not tell strangers what
you write. `sidebyside check --external` does, because its user asked for it. Servers are asked for the head of a
page, and only those that refuse that for the page.
"""

import socket
import ssl
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPException
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urldefrag
from urllib.request import Request, urlopen

from sidebyside import __version__

TIMEOUT_SECONDS = 10
N_AT_ONCE = 16

# Such an answer says that a machine asked, and nothing about the page
REFUSALS = {401, 403, 405, 406, 429, 999}


@dataclass(frozen=True)
class Answer:
    """
    ## What came back for one address

    * `is_alive` is `None` where the server would not tell a machine
    * `text` says it in words
    """

    address: str
    is_alive: bool | None
    text: str
    is_offline: bool = False


def ask_all(addresses: Iterable[str]) -> Iterator[Answer]:
    """
    ## Ask many addresses at once, and answer in their order
    """
    with ThreadPoolExecutor(N_AT_ONCE) as executor:
        yield from executor.map(ask, addresses)


def ask(address: str) -> Answer:
    """
    ## Ask one address
    """
    answer = _request(address, "HEAD")
    return answer if answer.is_alive else _request(address, "GET")


def _request(address: str, method: str) -> Answer:
    # What a browser would quote before it sends it
    page = quote(urldefrag(address).url, safe="/:?&=%~+,;@!$'()*[]-._")
    headers = {"User-Agent": f"Mozilla/5.0 (compatible; sidebyside/{__version__}; link check)"}
    try:
        with urlopen(Request(page, method=method, headers=headers), timeout=TIMEOUT_SECONDS) as response:
            return Answer(address, True, str(response.status))
    except HTTPError as error:
        is_alive = None if error.code in REFUSALS else False
        return Answer(address, is_alive, f"answers {error.code} {error.reason}")
    except URLError as error:
        return Answer(address, False, _reason(error.reason), isinstance(error.reason, socket.gaierror))
    except (OSError, HTTPException, ValueError) as error:
        return Answer(address, False, _reason(error))


def _reason(error: object) -> str:
    if isinstance(error, TimeoutError):
        return f"does not answer within {TIMEOUT_SECONDS} seconds"
    if isinstance(error, socket.gaierror):
        return "has no such host"
    if isinstance(error, ssl.SSLError):
        return f"cannot be trusted: {error.reason}"
    return f"cannot be reached: {error}"
