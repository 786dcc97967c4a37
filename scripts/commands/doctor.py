"""`nightjar doctor`: is this machine ready, and if not, what to do."""

from __future__ import annotations

import typer

from nightjar.scripts.views.output import Json

app = typer.Typer(add_completion=False)


@app.command()
def doctor(as_json: Json = False) -> None:
    """Check this machine and say what to do; exit code 1 on a problem. Example: nightjar doctor"""
    from dataclasses import asdict

    from nightjar.config.logging import configure
    from nightjar.config.settings import load_settings
    from nightjar.scripts.doctor.machine import all_checks
    from nightjar.scripts.session import run_async
    from nightjar.scripts.views.output import emit_json, plain

    settings = load_settings()
    configure(settings)
    checks = run_async(all_checks(settings))
    if as_json:
        emit_json({"checks": [asdict(check) for check in checks]})
    else:
        for check in checks:
            print(plain(f"{check.state:8} {check.name:14} {check.found}"))
            if check.remedy:
                print(plain(f"{'':23} {check.remedy}"))
    if any(check.state == "problem" for check in checks):
        raise typer.Exit(1)
