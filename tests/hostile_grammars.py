"""Grammars and schemas made to hang, hoard or break what reads them, and what becomes of each; run as a program, it
measures what the process that tries them uses."""

from __future__ import annotations

import contextlib
import json
import resource
import threading
import time
from typing import Any

import psutil

from nightjar.config.errors import ParameterError
from nightjar.workers.engine.grammar.held import held_to

ACCEPTED = ""
ENDED = "needs more than 1 s of processor time or 200 MB .it was ended: "
NESTED = {
    "A": {"properties": {"n": {"$ref": "#/$defs/A"}}, "type": "object", "required": ["n"]},
    "B": {"properties": {"n": {"$ref": "#/$defs/B"}}, "type": "object", "required": ["n"]},
}


def brackets(count: int, inside: str = "b ") -> str:
    """Each with something in it: brackets around nothing but brackets are dropped while they are read."""
    return "root ::= " + f"({inside}" * count + '"a"' + ")" * count + '\nb ::= "b"'


GRAMMARS: list[tuple[str, str]] = [
    (brackets(100), ACCEPTED),
    (brackets(200), ACCEPTED),
    (brackets(12).replace(")", ")*"), ACCEPTED),
    ("\n" + brackets(100).replace(")", ")*"), r"root .line 2.: lark grammar too deeply nested"),
    ("root ::= " + "(" * 200 + '"a"' + ")" * 200, ACCEPTED),
    (brackets(250), "line 1: More than 200 brackets"),
    ('\n\n# deep\nroot ::= "x" y\ny ::= ' + brackets(300)[9:], "line 5: More than 200 brackets"),
    (brackets(5000), "line 1: More than 200 brackets"),
    ("root ::= " + "(" * 5000 + '"a"' + ")" * 5000, "line 1: More than 200 brackets"),
    ('root ::= ("' + "a" * 30, "line 1: Unexpected end"),
    # Of those that were refused while llama.cpp held replies to grammars, what llguidance does without harm.
    ('root ::= ([a-z] | [a-y])* "."', ACCEPTED),
    ('root ::= "-" (" " | [ \\t])* "."', ACCEPTED),
    ('root ::= ("a" | "a" "a")*', ACCEPTED),
    ('root ::= ("a" |)*', ACCEPTED),
    ('root ::= ("a"?){0,100}', ACCEPTED),
    ('root ::= (("a"{0,40}){0,40}){0,40}', ACCEPTED),
    ('root ::= ""?', ACCEPTED),
    ('root ::= "" ?', ACCEPTED),
    ('root ::= root "a" | "b"', ACCEPTED),
    ('root ::= a\na ::= b "x" | "y"\nb ::= root', ACCEPTED),  # left recursion by another rule,
    ('root ::= a root "b" | "c"\na ::= b\nb ::= "x" |', ACCEPTED),  # and by one that may be empty
    ('root ::= "x" root "y" | "x" root "z" | "x"', ACCEPTED),
    ('root ::= "x" [^b]* . * [^c]* [a-z]* "x"', ACCEPTED),
    ("root ::= r0\n" + "".join(f"r{n} ::= r{n + 1} | r{n + 1}\n" for n in range(28)) + 'r28 ::= "x"', ACCEPTED),
    ("root ::= " + " | ".join(f'"{n}"' for n in range(3900)), ACCEPTED),
    ("root ::= " + " | ".join(f'"{n}"' for n in range(4001)), "Current row has"),  # noticed by the first token
    ("root ::= " + '"abcdefghij"{2000} ' * 6, "more than 4,000 bytes that are forced"),
    # Still refused, each where it goes wrong.
    ('root ::= "a" !<[5]>', "line 1: .*from '!<"),  # a token by its number
    ('root ::= "a" <think>', "line 1: .*from '<think>'"),
    ('root ::= "a"\n\0', "line 2: Expected name, from '.x00'"),
    ('root ::= "a"\n  "\ud800"', "line 2: .*'.ud800' is half of a surrogate pair"),
    ("/a\ud800/", "line 1: .*half of a surrogate pair"),
    ('start: "\ud800"', "line 1: .*half of a surrogate pair"),
    ("root ::= root", "nothing is valid by it"),
    ("root ::= a\na ::= root", "nothing is valid by it"),
    ('root ::= "b" |\n  "a"{' + "9" * 5000 + "}", "line 2: More than 2000 repetitions"),
    ("root ::= " + "a" * 500_000, "a... .line 1.' not found"),
    # More than a second, or more than 200 MB.
    ("root ::= " + '"abcdefghij" ' * 70_000, ENDED),
    ("root ::= (" + " | ".join(f'"{n}"{{0,2000}}' for n in range(2000)) + "){0,2000}", ENDED),
    ('root ::= "' + "a" * 1_000_000 + '"', "it has 1,000,011 characters"),
]
SCHEMAS: list[tuple[dict[str, Any], str]] = [
    ({"type": "integer", "multipleOf": 99730001}, "/multipleOf"),
    ({"$ref": "#"}, "leads back to itself"),
    ({"type": "array", "minItems": 1_000_000}, "/minItems"),
    ({"$ref": "#/$defs/a", "$defs": {"a": {"items": {"$ref": "#/$defs/a"}, "minItems": 2}}}, "needs another of itself"),
    ({"properties": {f"a{n}": {} for n in range(5000)}}, "/properties/a999 is beyond"),
    ({"properties": {f"a{n}": {"type": "string"} for n in range(900)}}, ACCEPTED),
    ({"allOf": [{"pattern": f"^.*{letter}.{{20}}$"} for letter in "abc"]}, "the schema: Unable to determine"),
    (
        {"anyOf": [{"properties": {"a": {"pattern": f"^(.*{n}.*){{40}}$"}}, "required": ["a"]} for n in range(400)]},
        "too many expressions",
    ),
    ({"pattern": "^" + "(a?){1000}" * 1000 + "$"}, "too many expressions"),
    ({"pattern": "^" + "a?" * 200_000 + "$"}, ENDED),
    # Branches that are compared with each other for ever, or each with each.
    ({"oneOf": [{"$ref": "#/$defs/A"}, {"$ref": "#/$defs/B"}], "$defs": NESTED}, "/oneOf has branches 0 and 1"),
    ({"oneOf": [{"enum": [f"{b}-{n}" for n in range(500)]} for b in range(100)]}, ACCEPTED),
    ({"properties": {f"p{k}": {"enum": [f"{k}-{n}" for n in range(5000)]} for k in range(100)}}, ENDED),
    ({"const": "a" * 70_000_000}, ENDED + "(no memory|SIGABRT|exit code 1)"),
    # Nothing is valid by them, which only llguidance finds out.
    ({"items": False, "minItems": 1}, "the schema: .*item is unsatisfiable"),
    ({"properties": {"a": {"items": False, "minItems": 1}, "b": {}}, "required": ["a"]}, ": /properties/a: .*item is"),
    (
        {"items": {"$ref": "#/$defs/n"}, "minItems": 1, "$defs": {"n": {"format": "date", "pattern": "^a+$"}}},
        ": /.defs/n: .*Regex is empty",
    ),
    ({"format": "date", "pattern": "^a+$"}, "the schema: .*Regex is empty"),
]
"""With what is said of it; nothing where it is accepted."""


class Meter(threading.Thread):
    """The processor time of this process's children, ended and alive, and the most memory of one that lives."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.child = 0
        self.most_mb = 0.0
        """What is said of a child that has ended is not its own: it counts what its parent had when it was forked."""

    @property
    def used_s(self) -> float:
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        alive = [child.cpu_times() for child in psutil.Process().children()]
        return ended.ru_utime + ended.ru_stime + sum(times.user + times.system for times in alive)

    def run(self) -> None:
        while True:
            with contextlib.suppress(OSError), open(f"/proc/{self.child}/status") as file:
                peak = [line.split()[1] for line in file if line.startswith("VmHWM:")]
                self.most_mb = max([self.most_mb, *(int(kib) / 1024 for kib in peak)])
            time.sleep(0.002)


def main() -> None:
    """A row of JSON a case: what was said, seconds of processor time, and megabytes more than at the start."""
    held_to("/x/", None)
    meter = Meter()
    meter.start()
    for number, case in enumerate([*GRAMMARS, *SCHEMAS]):
        grammar, schema = (case[0], None) if isinstance(case[0], str) else (None, case[0])
        held_to(f"/{number}/", None)  # a process that was ended is there again, which is not counted
        [child] = psutil.Process().children()
        meter.child, meter.most_mb = child.pid, 0
        time.sleep(0.01)
        began, start_mb, said = meter.used_s, meter.most_mb, ACCEPTED
        try:
            held_to(grammar, schema)
        except ParameterError as error:
            said = str(error)
        print(json.dumps([said, meter.used_s - began, meter.most_mb - start_mb]))


if __name__ == "__main__":
    main()
