"""Servers that others may reach: with TLS, behind a proxy below a path; and without what serving needs."""

from __future__ import annotations

import re
import ssl
import subprocess
import sys
from collections.abc import Iterator

import httpx
import psutil
import pytest
import trustme

from nightjar.scripts.commands.serve import EXTRA
from tests.acceptance.web.test_commands import typed
from tests.home import Home, eventually

WITHIN_S = 240.0
PASSWORD = "a long enough one"
NAME = "nightjar.example"
BROWSER = {"accept": "text/html", "sec-fetch-site": "same-origin"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """With a user, and both servers under way at once."""
    home = Home(folder=tmp_path_factory.mktemp("beyond"))
    try:
        added = typed(home, f"{PASSWORD}\n", "user", "add", "ann", "--role", "admin", "--stdin")
        assert added.returncode == 0, added.stderr
        authority = trustme.CA()
        issued = authority.issue_cert("localhost", "127.0.0.1")
        authority.cert_pem.write_to_path(str(home.folder / "ca.pem"))
        issued.cert_chain_pems[0].write_to_path(str(home.folder / "cert.pem"))
        issued.private_key_pem.write_to_path(str(home.folder / "key.pem"))
        files = ("--tls-cert", str(home.folder / "cert.pem"), "--tls-key", str(home.folder / "key.pem"))
        alone = ("serve", "--port", "0", "--workers", "none")
        home.start("tls", *alone, "--host", "0.0.0.0", "--allow-host", "localhost", *files)
        home.start("proxied", *alone, "--behind-proxy", "--allow-host", NAME, "--root-path", "/nightjar/")
        yield home
    finally:
        home.close()


def port_of(home: Home, name: str) -> int:
    """Where a server listens, whatever it calls itself."""
    eventually(lambda: "Nightjar is at" in home.said(name), WITHIN_S, lambda: home.said(name))

    sockets = psutil.Process(home.running[name].pid).net_connections("tcp")
    [port] = {each.laddr.port for each in sockets if each.status == psutil.CONN_LISTEN}
    return int(port)


def log_in(client: httpx.Client, origin: str, root: str = "") -> httpx.Response:
    page = client.get(f"{root}/login")
    assert page.status_code == 200, page.text
    [token] = re.findall(r'name="token" value="([0-9a-f]+)"', page.text)
    fields = {"token": token, "name": "ann", "password": PASSWORD, "next": "/runs"}
    return client.post(f"{root}/login", data=fields, headers={"origin": origin})


def test_tls(home: Home) -> None:
    """A certificate that browsers check; the cookie goes over TLS alone; without TLS nothing is answered."""
    port = port_of(home, "tls")
    assert f"https://localhost:{port}/" in home.said("tls")
    trusted = ssl.create_default_context(cafile=str(home.folder / "ca.pem"))
    address = f"https://localhost:{port}"
    with httpx.Client(base_url=address, verify=trusted, headers=BROWSER, timeout=WITHIN_S) as client:
        done = log_in(client, address)
        assert (done.status_code, done.headers["location"]) == (303, "/runs")
        cookie = done.headers["set-cookie"]
        assert cookie.startswith("__Host-nightjar=")
        assert {"secure", "httponly", "path=/", "samesite=strict"} <= {
            word.strip().lower() for word in cookie.split(";")
        }
        shown = client.get("/runs")
        assert shown.status_code == 200
        assert "max-age" in shown.headers["strict-transport-security"]
        assert client.get("/runs", headers={"host": f"127.0.0.1:{port}"}).status_code == 421
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(address, verify=ssl.create_default_context())
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"http://localhost:{port}/health")


def test_behind_a_proxy_below_a_path(home: Home) -> None:
    """By the proxy's name alone; the proxy says where a request came from; all addresses are below the path."""
    port = port_of(home, "proxied")
    assert f"https://{NAME}/nightjar/" in home.said("proxied")
    origin = f"https://{NAME}"
    headers = {**BROWSER, "host": NAME, "x-forwarded-for": "203.0.113.9", "x-forwarded-host": "evil.example"}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=WITHIN_S) as client:
        for root in ("", "/nightjar"):  # a proxy may take the path off
            sent_on = client.get(f"{root}/runs")
            assert (sent_on.status_code, sent_on.headers["location"]) == (303, "/nightjar/login?next=/runs")
        assert client.get("/health", headers={"host": f"127.0.0.1:{port}"}).status_code == 421
        foreign = log_in(client, "https://evil.example", "/nightjar")
        assert foreign.status_code == 403
        done = log_in(client, origin, "/nightjar")
        assert (done.status_code, done.headers["location"]) == (303, "/nightjar/runs")
        secret = re.match(r"__Host-nightjar=([^;]+); .*Secure", done.headers["set-cookie"])
        assert secret is not None
        shown = client.get("/nightjar/runs", headers={"cookie": f"__Host-nightjar={secret[1]}"})
        assert shown.status_code == 200
        links = re.findall(r'(?:href|src|action)="(/[^"]*)"', shown.text)
        assert len(links) > 10
        assert [link for link in links if not link.startswith("/nightjar/")] == []
        style = next(link for link in links if link.endswith(".css"))
        assert client.get(style).status_code == 200
        several = client.get("/health", headers={"x-forwarded-for": "203.0.113.9, 10.0.0.1"})
        assert several.status_code == 200
    logins = [entry for entry in home.find("audit", action="login") if entry["address"] != "127.0.0.1"]
    assert [(entry["who"], entry["address"], entry["outcome"]) for entry in logins] == [("ann", "203.0.113.9", "done")]


WITHOUT = """
import sys
for name in {names!r}:
    sys.modules[name] = None  # as if it were not installed
from nightjar.scripts.cli import main
sys.argv = ["nightjar", *{words!r}]
main()
"""


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("serve",), 2),
        (("user", "add", "bob", "--role", "viewer", "--stdin"), 2),  # passwords need it, too
        (("token", "show", "local"), 0),
        (("user", "list"), 0),
        (("token", "list"), 0),
        (("status", "--json"), 0),
    ],
)
def test_without_the_extra(words: tuple[str, ...], code: int, home: Home) -> None:
    """What needs it says what is missing and how to install it; every other command works."""
    names = (*EXTRA, "starlette")
    environment = home._environ({"NIGHTJAR_HOME": str(home.path)})
    done = subprocess.run(
        [sys.executable, "-P", "-c", WITHOUT.format(names=names, words=words)],
        cwd=home.folder,
        env=environment,
        input=f"{PASSWORD}\n",
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
    )
    assert done.returncode == code, done.stderr
    if code:
        for name in EXTRA:
            assert name in done.stderr
        assert "[serve]" in done.stderr
        assert "Traceback" not in done.stderr
