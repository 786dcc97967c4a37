"""Two lists of JSON Schemas made beforehand, over the kinds that JSONSchemaBench has: 150 within the documented subset
and 50 outside. The schemas are ours; a line of the tables below is one.

A line lists properties, `name:type`, with `?` after the name where one is optional. Types: `str int num bool null any`,
a format, `enum(a|b)`, `=value`, `[type]`, `{type}` for a map, `(properties)` for an object, `@Name` for a definition.
After them `<=n` and `>=n` limit characters, values or items, `%n` gives multiples, `~` allows null; `/regex/` is text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any]
_FORMATS = "date time date-time duration email hostname ipv4 ipv6 uri uuid".split()
_PLAIN = {"str": "string", "int": "integer", "num": "number", "bool": "boolean", "null": "null"}
_LIMITS = {
    "string": ("minLength", "maxLength"),
    "array": ("minItems", "maxItems"),
    "integer": ("minimum", "maximum"),
    "number": ("minimum", "maximum"),
}
_WORD = re.compile(r"[\w-]+")
_LIMIT = re.compile(r"(<=|>=|<|>|%)(-?[0-9.]+)")


class _Line:
    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0

    def properties(self) -> Schema:
        named: dict[str, Any] = {}
        required = []
        while self._at < len(self._text) and self._text[self._at] != ")":
            if self._take(" "):
                continue
            name = self._match(_WORD)[0]
            optional = self._take("?")
            assert self._take(":"), self._text[self._at :]
            named[name] = self._type()
            required += [] if optional else [name]
        return {"type": "object", "properties": named, "required": required}

    def _type(self) -> Schema:
        schema = self._limited(self._bare())
        return {"anyOf": [schema, {"type": "null"}]} if self._take("~") else schema

    def _bare(self) -> Schema:
        for opening, closing, make in (("[", "]", "items"), ("{", "}", "additionalProperties")):
            if self._take(opening):
                schema = {"type": "array" if opening == "[" else "object", make: self._type()}
                assert self._take(closing), self._text
                return schema
        if self._take("("):
            schema = self.properties()
            assert self._take(")"), self._text
            return schema
        if self._take("@"):
            return {"$ref": f"#/$defs/{self._match(_WORD)[0]}"}
        if self._take("="):
            return {"const": self._match(_WORD)[0]}
        if self._take("/"):
            end = self._text.index("/", self._at)
            self._at, pattern = end + 1, self._text[self._at : end]
            return {"type": "string", "pattern": pattern}
        if self._take("enum("):
            end = self._text.index(")", self._at)
            self._at, values = end + 1, self._text[self._at : end].split("|")
            return {"enum": [json.loads(value) if value[:1].isdigit() else value for value in values]}
        word = self._match(_WORD)[0]
        if word == "any":
            return {}
        return {"type": "string", "format": word} if word in _FORMATS else {"type": _PLAIN[word]}

    def _limited(self, schema: Schema) -> Schema:
        while (limit := _LIMIT.match(self._text, self._at)) is not None:
            self._at = limit.end()
            value = json.loads(limit[2])
            if limit[1] == "%":
                schema["multipleOf"] = value
            elif limit[1] in "<>":
                schema["exclusiveMaximum" if limit[1] == "<" else "exclusiveMinimum"] = value
            else:
                schema[_LIMITS[schema["type"]][limit[1] == "<="]] = value
        return schema

    def _take(self, text: str) -> bool:
        taken = self._text.startswith(text, self._at)
        self._at += len(text) * taken
        return taken

    def _match(self, pattern: re.Pattern[str]) -> re.Match[str]:
        found = pattern.match(self._text, self._at)
        assert found is not None, self._text[self._at :]
        self._at = found.end()
        return found


def of_line(text: str) -> Schema:
    return _Line(text).properties()


CALLS = """
book_table: restaurant:str<=60 guests:int>=1<=12 at:date-time window?:bool
convert_money: amount:num>=0 from:/^[A-Z]{3}$/ to:/^[A-Z]{3}$/
search_flights: origin:str>=3<=3 destination:str>=3<=3 leave:date back?:date cabin?:enum(economy|business|first)
play_song: title:str<=80 artist?:str<=80 shuffle?:bool volume?:int>=0<=100
send_mail: to:[email]>=1<=5 subject:str<=120 body:str<=400 urgent?:bool
set_alarm: at:time days?:[enum(mon|tue|wed|thu|fri|sat|sun)]<=7 label?:str<=40
mortgage: principal:num>0 rate:num>=0<1 years:int>=1<=40
translate: text:str<=300 into:enum(de|fr|ja|sw) formal?:bool
weather: place:str<=60 unit?:enum(celsius|kelvin) hours?:int>=1<=72
track_parcel: number:/^[0-9A-Z]{8,14}$/ carrier?:str<=20
find_recipe: ingredients:[str<=30]>=1<=8 minutes?:int>0%5 vegan?:bool
create_event: title:str<=80 start:date-time length:duration guests?:[email]<=10
calculate_tip: bill:num>=0 percent:enum(10|15|20) people?:int>=1
lookup_word: word:/^[a-z]+$/ senses?:int>=1<=5
resize_image: address:uri width:int>=16<=4096%16 height:int>=16<=4096%16
schedule_ride: from:str<=80 to:str<=80 seats:int>=1<=6 child_seat?:bool
generate_password: length:int>=8<=64 symbols?:bool
stock_price: ticker:/^[A-Z.]{1,6}$/ currency?:enum(EUR|USD)
plan_route: stops:[(name:str<=40 lat:num>=-90<=90 lon:num>=-180<=180)]>=2<=6 avoid_tolls?:bool
split_bill: total:num>=0 shares:[num>=0<=1]>=1<=10
block_host: address:ipv4 reason?:str<=80 until?:date
new_user: name:str<=40 mail:email age?:int>=13<=120 tags?:[str<=12]<=5
roll_dice: sides:enum(4|6|8|20) times:int>=1<=10
get_holidays: country:/^[A-Z]{2}$/ year:int>=1900<=2100
summarise: text:str<=400 sentences:int>=1<=5 style?:enum(plain|lively)
"""
RECORDS = """
id:uuid name:str<=80 created:date-time active:bool
sku:/^[A-Z]{2}-[0-9]{4}$/ price:num>=0 stock:int>=0 tags?:[str<=16]<=6
isbn:/^97[89][0-9]{10}$/ title:str<=100 authors:[str<=60]>=1<=4 pages?:int>=1
host:hostname port:int>=1<=65535 secure?:bool
lat:num>=-90<=90 lon:num>=-180<=180 label?:str<=40~
name:str<=40 owner:(login:/^[a-z0-9-]{1,39}$/ id:int>=0) stars:int>=0 fork:bool
question:str<=200 options:[str<=60]>=2<=6 answer:int>=0<=5
amount:num due:date~ paid:bool lines:[(text:str<=60 net:num)]<=10
year:int>=1886<=2100 make:str<=40 colour?:enum(red|blue|grey|white)
first:str<=40 last:str<=40 born?:date phones?:[/^[+]?[0-9 ]{5,18}$/]<=3
key:str<=40 value:any note?:str<=100
version:/^[0-9]+[.][0-9]+[.][0-9]+$/ license:enum(MIT|Apache-2.0|none) keywords?:[str<=20]<=10
street:str<=80 city:str<=60 zip:/^[0-9]{5}$/ country?:/^[A-Z]{2}$/
sensor:uuid at:date-time readings:[num]>=1<=12
score:int>=1<=10 reason:str<=300
team:str<=40 points:int>=0%3 goals:(scored:int>=0 taken:int>=0)
course:str<=80 credits:enum(2|4|6) passed?:bool~
path:str<=120 mode:/^[0-7]{3,4}$/ bytes:int>=0
title:str<=80 rating:num>=0<=5 seen:bool genres:[enum(drama|comedy|crime)]<=3
temperature:num>-273.15 unit:=celsius
hash:/^[0-9a-f]{40}$/ parents:[/^[0-9a-f]{40}$/]<=2 message:str<=200
from:ipv4 to:ipv6 hops:int>=1<=64
open:time close:time days:[int>=1<=7]>=1<=7
lang:/^[a-z]{2}(-[A-Z]{2})?$/ text:str<=200 confidence:num>=0<=1
matrix:[[int>=0<=9]>=3<=3]>=3<=3
"""
CONFIGURATIONS = """
root?:bool rules:{enum(off|warn|error)} extends?:[str<=40]<=5
services:{(image:str<=80 ports?:[/^[0-9]{2,5}:[0-9]{2,5}$/]<=4 restart?:enum(no|always))}
build:(steps:[(run:str<=100 name?:str<=40)]>=1<=6 timeout?:int>0) env?:{str<=80}
level:enum(debug|info|error) file?:str<=100~ rotate?:(bytes:int>=1024 keep:int>=0<=20)
printWidth?:int>=40<=320 semi?:bool quotes?:enum(single|double) overrides?:[(files:str<=40 tabs:bool)]<=3
cache:(path:str<=80 ttl:duration) peers:[hostname]<=5
tree:@Node
limits:{@Limit}
menu:[@Item]<=5
include:[str<=60]<=8 strict?:bool target:/^es(20[12][0-9]|next)$/ paths?:{[str<=40]<=3}
schedule:/^([0-9*]+ ){4}[0-9*]+$/ job:@Job
mounts:[(type:=bind source:str<=80 readonly?:bool)]<=4 user?:int>=0<=65535
theme:(dark:@Colours light:@Colours)
on:enum(push|pull_request) jobs:{@Job}
dependencies:{/^[~^]?[0-9]+([.][0-9]+)*$/} private?:bool
feature_flags:{bool} rollout?:{num>=0<=1}
retries:(max:int>=0<=10 backoff:num>0<60) hosts:[ipv4]>=1<=4
database:(url:uri pool?:int>=1<=100) migrations?:[/^[0-9]{4}_[a-z_]+$/]<=9
filters:[@Filter]<=4
editor:(tabSize:int>=1<=8 rulers:[int>=40<=200]<=3) languages?:{(comment:str<=3)}
window:(width:int>=200<=4000 height:int>=200<=4000) keymap:{/^((Ctrl|Alt)[+])*[A-Z]$/}
auth:(kind:enum(none|basic|token) user?:str<=40~ secret?:str<=80~)
outputs:[(format:enum(html|pdf) file:str<=60)]>=1<=4 toc?:bool
units:(length:enum(m|ft) weight:enum(kg|lb)) precision:int>=0<=9
plugins:[@Plugin]<=4
"""
RESOURCES = """
Pod: containers:[(name:/^[a-z0-9-]{1,20}$/ image:str<=60 ports?:[@Port]<=3)]>=1<=3
Service: selector:{str<=30} ports:[@Port]>=1<=3 type?:enum(ClusterIP|NodePort)
Deployment: replicas:int>=0<=50 template:(labels:{str<=30}) paused?:bool
ConfigMap: data:{str<=80} immutable?:bool
Secret: data:{/^[A-Za-z0-9]{4,40}={0,2}$/} type?:str<=30
Ingress: rules:[(host:hostname path:str<=40 port:@Quantity)]<=3
Job: completions?:int>=1 parallelism?:int>=1<=20 backoffLimit:int>=0<=10
CronJob: schedule:/^([0-9*]+ ){4}[0-9*]+$/ suspend?:bool
Volume: capacity:(storage:@Quantity) accessModes:[enum(ReadOnce|ReadMany)]>=1<=2
Claim: resources:(requests:{@Quantity}) volumeName?:str<=40
Role: rules:[(verbs:[enum(get|list|watch)]>=1<=3 resources:[str<=20]<=3)]<=3
Binding: role:str<=40 subjects:[(kind:enum(User|Group) name:str<=40)]<=3
Namespace: finalizers?:[str<=30]<=2
Node: cidr?:/^([0-9]{1,3}[.]){3}[0-9]{1,3}$/ unschedulable?:bool
Event: reason:str<=40 count:int>=1 first:date-time last?:date-time~
Quota: hard:{@Quantity}
Autoscaler: minReplicas:int>=1<=10 maxReplicas:int>=1<=100 metrics:[(name:str<=20 target:@Quantity)]<=2
Policy: ingress?:[(from:[ipv4]<=3 port:@Quantity)]<=2 egress?:bool
Endpoint: addresses:[ipv4]>=1<=4 ready:bool
Lease: holder:str<=40 seconds:int>0 renewed:date-time
Token: audiences:[str<=30]<=3 expires:int>=600
Webhook: url:uri timeout:int>=1<=30 failure:enum(Ignore|Fail)
Class: provisioner:str<=40 parameters?:{str<=20} reclaim?:enum(Delete|Retain)~
Budget: minAvailable:@Quantity
Image: names:[str<=60]>=1<=3 sizeBytes:int>=0
"""
EVENTS = """
page_view: url:uri referrer:str<=100~ ms:int>=0~
click: element:str<=40 x:int>=0<=10000 y:int>=0<=10000
sign_up: plan:enum(free|paid) source:str<=40~ at:date-time
purchase: order:/^[A-Z0-9]{6,12}$/ total:num>=0 currency:/^[A-Z]{3}$/ coupon:str<=20~
video: id:uuid position:num>=0 state:enum(play|pause|end)
search: terms:str<=80 results:int>=0 page:int>=1~
form_error: form:str<=40 fields:[str<=30]>=1<=6
login: method:enum(password|passkey) ok:bool ip:ipv4~
share: network:enum(mail|link) item:uuid
scroll: depth:int>=0<=100%5 height:int>=0~
cart: action:enum(add|remove) sku:str<=20 count:int>=1<=99
crash: app:/^[0-9]+[.][0-9]+$/ trace:str<=200~ free_mb:num>=0~
push: campaign:str<=40 opened:bool~ at:date-time
consent: purposes:{bool} version:int>=1
experiment: name:str<=40 arm:enum(a|b|c) seed:int>=0<=4294967295
install: device:str<=40 os:enum(linux|other) language:/^[a-z]{2}$/~
battery: percent:int>=0<=100 charging:bool
review: stars:int>=1<=5 text:str<=200~
transfer: from:/^[A-Z]{2}[0-9]{14}$/ amount:num>0 memo:str<=60~
checkpoint: level:int>=0 lives:int>=0<=9 score:int>=0%10
geofence: name:str<=30 inside:bool radius:num>0<=5000
upload: mime:/^[a-z]+[.][a-z.+-]+$/ bytes:int>=0 ok:bool
call: seconds:int>=0 quality:num>=1<=5~ dropped:bool
subscription: tier:enum(1|2|3) renews:date~ price:num>=0
survey: answers:[(question:int>=1 value:int>=0<=10)]>=1<=5
"""
ARTICLES = """
text: words:str<=200 | image: address:uri caption?:str<=80 | divider:
quote: words:str<=120 by?:str<=40 | list: items:[str<=60]>=1<=5
heading: words:str<=60 level:int>=1<=4 | text: words:str<=200
video: address:uri seconds:int>0 | gallery: images:[uri]>=1<=4
recipe: steps:[str<=80]>=1<=6 serves:int>=1<=12 | text: words:str<=120
chart: values:[num]>=2<=8 unit?:str<=10 | table: rows:[[str<=20]<=3]<=4
match: home:str<=30 away:str<=30 score:(home:int>=0 away:int>=0) | text: words:str<=100
poll: question:str<=80 options:[str<=30]>=2<=4 | result: shares:[num>=0<=1]<=4
author: name:str<=60 bio?:str<=120 mail?:email~ | agency: name:str<=40
place: name:str<=40 lat:num>=-90<=90 lon:num>=-180<=180 | date: at:date
correction: at:date-time words:str<=120 | retraction: reason:str<=120
tweet: id:/^[0-9]{6,19}$/ | toot: address:uri
audio: address:uri transcript?:str<=200~ | text: words:str<=80
section: title:str<=40 parts:[@Self]<=2 | text: words:str<=60
folder: name:str<=20 parts:[@Self]<=2 | file: name:str<=20 bytes:int>=0
plus: parts:[@Self]>=2<=2 | number: value:int>=-99<=99
and: parts:[@Self]>=1<=2 | is: field:str<=12 value:any
comment: by:str<=20 words:str<=80 parts:[@Self]<=2 | deleted:
row: parts:[@Self]<=2 | button: label:str<=20 action:enum(save|close)
event: name:str<=30 at:date-time | task: name:str<=30 done:bool | note: words:str<=60
circle: r:num>0 | square: side:num>0 | path: points:[[num]>=2<=2]>=2<=5
add: value:any at:/^([.][a-z]+)+$/ | remove: at:/^([.][a-z]+)+$/
card: last4:/^[0-9]{4}$/ month:int>=1<=12 | iban: number:/^[A-Z]{2}[0-9]{14}$/
person: name:str<=40 | company: name:str<=40 people:[str<=40]<=3
yes: why?:str<=60 | no: why:str<=60
"""
NODES: Schema = {
    "Node": of_line("name:str<=20 children?:[@Node]<=3"),
    "Limit": {"anyOf": [{"type": "integer", "minimum": 0}, {"const": "none"}]},
    "Item": {"allOf": [of_line("label:str<=20"), of_line("key?:str<=1 items?:[@Item]<=2")]},
    "Job": {"properties": of_line("steps:[str<=40]<=4")["properties"], "allOf": [{"required": ["steps"]}]},
    "Colours": of_line("text:/^#[0-9a-f]{6}$/ back:/^#[0-9a-f]{6}$/"),
    "Filter": {"oneOf": [of_line("op:=eq field:str<=20 value:any"), of_line("op:=not inner:@Filter")]},
    "Plugin": {
        "anyOf": [{"type": "string", "maxLength": 30}, {"type": "array", "prefixItems": [{"type": "string"}, {}]}]
    },
}
PARTS: Schema = {
    "Meta": of_line("name:/^[a-z]([a-z0-9-]{0,20}[a-z0-9])?$/ labels?:{str<=30} created?:date-time~"),
    "Port": of_line("port:int>=1<=65535 name?:str<=15 protocol?:enum(TCP|UDP)"),
    "Quantity": {"oneOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": "^[0-9]+[KMG]?i?$"}]},
}


def _lines(table: str) -> Iterator[tuple[str, str]]:
    """(what stands before the colon and a blank, the line)."""
    for line in table.strip().splitlines():
        yield line.partition(":")[0], line.partition(": ")[2]


def _event(name: str, data: str) -> Schema:
    inner = {**of_line(data), "description": "What happened."}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {"schema": {"const": f"event/{name}/1-0-0"}, "data": inner},
        "required": ["schema", "data"],
        "additionalProperties": False,
    }


def _resource(kind: str, spec: str) -> Schema:
    whole = {
        "apiVersion": {"enum": ["v1"]},
        "kind": {"const": kind},
        "metadata": {"$ref": "#/$defs/Meta"},
        "spec": of_line(spec),
    }
    return {"type": "object", "properties": whole, "required": ["kind", "metadata", "spec"], "$defs": PARTS}


def _article(line: str) -> Schema:
    parts = []
    for part in line.split(" | "):
        kind, _, rest = part.partition(":")
        parts.append(of_line(f"type:={kind} {rest.strip()}"))
    text = json.dumps({"oneOf": parts}).replace("#/$defs/Self", "#/$defs/Part")
    article = of_line("headline:str<=80 parts:[@Part]>=1<=3")
    return {**article, "$defs": {"Part": json.loads(text)}}


WITHIN: list[Schema] = [
    *(
        {
            "type": "object",
            "properties": {"name": {"const": n}, "arguments": of_line(a)},
            "required": ["name", "arguments"],
        }
        for n, a in _lines(CALLS)
    ),
    *(of_line(line) for line in RECORDS.strip().splitlines()),
    *({**of_line(line), "$defs": NODES} for line in CONFIGURATIONS.strip().splitlines()),
    *(_resource(kind, spec) for kind, spec in _lines(RESOURCES)),
    *(_event(name, data) for name, data in _lines(EVENTS)),
    *(_article(line) for line in ARTICLES.strip().splitlines()),
]


def _at(place: str, schema: Schema) -> Schema:
    """A schema somewhere inside another one: in a property, in items, behind a reference, in a branch."""
    places: dict[str, Schema] = {
        "property": {"type": "object", "properties": {"a": schema, "b": {"type": "null"}}, "required": ["a"]},
        "items": {"type": "array", "items": schema, "maxItems": 3},
        "definition": {"properties": {"a": {"$ref": "#/$defs/d"}}, "$defs": {"d": schema}},
        "branch": {"anyOf": [{"type": "null"}, schema]},
        "map": {"type": "object", "additionalProperties": schema},
    }
    return places[place]


_POINTERS = {"property": "/properties/a", "items": "/items", "definition": "/$defs/d", "branch": "/anyOf/1"}
_POINTERS["map"] = "/additionalProperties"
_NOT_ENFORCED: list[tuple[Schema, str]] = [
    ({"not": {"type": "null"}}, "/not"),
    ({"type": "string", "if": {"minLength": 2}, "then": {"maxLength": 3}}, "/if"),
    ({"type": "array", "uniqueItems": True}, "/uniqueItems"),
    ({"type": "array", "contains": {"const": 1}}, "/contains"),
    ({"type": "array", "unevaluatedItems": False}, "/unevaluatedItems"),
    ({"type": "array", "items": [{"type": "null"}]}, "/items"),
    ({"type": "array", "additionalItems": False}, "/additionalItems"),
    ({"type": "array", "minItems": 5000}, "/minItems"),
    ({"type": "object", "patternProperties": {"^x-": {}}}, "/patternProperties"),
    ({"type": "object", "propertyNames": {"maxLength": 4}}, "/propertyNames"),
    ({"type": "object", "dependentRequired": {"a": ["b"]}}, "/dependentRequired"),
    ({"type": "object", "dependentSchemas": {"a": {}}}, "/dependentSchemas"),
    ({"type": "object", "dependencies": {"a": ["b"]}}, "/dependencies"),
    ({"type": "object", "unevaluatedProperties": False}, "/unevaluatedProperties"),
    ({"type": "object", "minProperties": 2}, "/minProperties"),
    ({"properties": {"x": {}, "y": {}}, "maxProperties": 1}, "/maxProperties"),
    ({"properties": {"x": {}}, "required": ["z"]}, "/required"),
    ({"type": "string", "format": "idn-hostname"}, "/format"),
    ({"type": "string", "format": "json-pointer"}, "/format"),
    ({"type": "string", "format": "regex"}, "/format"),
    ({"type": "string", "format": "color"}, "/format"),
    ({"type": "string", "contentEncoding": "base64"}, "/contentEncoding"),
    ({"type": "string", "pattern": "^(?!x)"}, "/pattern"),
    ({"type": "string", "pattern": r"^(a)\1$"}, "/pattern"),
    ({"type": "string", "pattern": r"\bword\b"}, "/pattern"),
    ({"type": "string", "pattern": r"^\p{Lu}$"}, "/pattern"),
    ({"type": "string", "pattern": r"^\S+$"}, "/pattern"),
    ({"type": "string", "pattern": "^.*?$"}, "/pattern"),
    ({"type": "string", "pattern": "^a{3000}$"}, "/pattern"),
    ({"type": "string", "pattern": "^(a|^b)$"}, "/pattern"),
    ({"type": "string", "pattern": "["}, "/pattern"),
    ({"type": "string", "maxLength": 10**6}, "/maxLength"),
    ({"type": "number", "multipleOf": 0.01}, "/multipleOf"),
    ({"type": "integer", "multipleOf": 65536}, "/multipleOf"),
    ({"type": "integer", "multipleOf": 0}, "/multipleOf"),
    ({"type": "number", "minimum": 0, "exclusiveMinimum": True}, "/exclusiveMinimum"),
    ({"type": "integer", "maximum": 2**63 - 1}, "/maximum"),
    ({"type": "integer", "minimum": "1"}, "/minimum"),
    ({"enum": [2**53 + 1]}, "/enum"),
    ({"type": "string", "enum": [1, 2]}, "/enum"),
    ({"oneOf": [{"type": "string"}, {"maxLength": 3}]}, "/oneOf"),
    ({"oneOf": [{"type": "number"}, {"type": "integer"}]}, "/oneOf"),
    ({"oneOf": [{"required": ["x"]}, {"required": ["y"]}]}, "/oneOf"),
    ({"$ref": "https://example.com/other.json"}, "/$ref"),
    ({"$ref": "#/$defs/nowhere"}, "/$ref"),
    ({"$ref": "#anchor"}, "/$ref"),
    ({"$dynamicRef": "#node"}, "/$dynamicRef"),
    ({"$anchor": "node", "type": "null"}, "/$anchor"),
    ({"type": "text"}, "/type"),
    ({"nullable": True, "type": "string"}, "/nullable"),
]
OUTSIDE: list[tuple[Schema, str]] = [
    (_at(place, schema), _POINTERS[place] + pointer)
    for number, (schema, pointer) in enumerate(_NOT_ENFORCED)
    for place in [list(_POINTERS)[number % len(_POINTERS)]]
]
"""With the JSON pointer that is named."""
