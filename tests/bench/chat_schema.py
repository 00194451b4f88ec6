#!/usr/bin/env python3
"""Checks requests that a captioner makes, and a server's answers to them, field by field against two published schemas:
OpenAI's (the types of the PyPI package openai) and vLLM's (read from the source in its wheel, nothing of it is run).

    caption-server --bodies BODIES ...                        what was asked, a line each
    chat_schema.py BODIES [--ask URL] [--vllm WHEEL]          needs: pip install openai

Every field must be one that the schema names, and of its type. Prints each field once, with how often it was there and
which of the schemas have it; exit status 1 where one has not."""
import argparse
import ast
import collections
import json
import typing
import urllib.request
import zipfile

import openai
import pydantic
import typing_extensions
from openai.types.chat import ChatCompletion
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming

PLAIN = {"str": str, "int": int, "float": (int, float), "bool": bool, "None": type(None), "list": list, "dict": dict}


def vllm_classes(wheel):
    """Name of each class of vLLM's chat schema: {field: annotation}."""
    with zipfile.ZipFile(wheel) as z:
        names = [n for n in z.namelist() if n.startswith("vllm/entrypoints/openai/") and n.endswith("protocol.py")]
        source = [ast.parse(z.read(n)) for n in names]
    return {c.name: {f.target.id: f.annotation for f in c.body if isinstance(f, ast.AnnAssign)}
            for module in source for c in module.body if isinstance(c, ast.ClassDef)}


def fits(value, annotation):
    """False where the annotation is plain enough to say that the value is of another type."""
    if isinstance(annotation, ast.BinOp):
        return fits(value, annotation.left) or fits(value, annotation.right)
    head = annotation.value if isinstance(annotation, ast.Subscript) else annotation
    name = head.id if isinstance(head, ast.Name) else str(head.value) if isinstance(head, ast.Constant) else ""
    if name not in PLAIN:
        return True
    return isinstance(value, PLAIN[name]) and (name == "bool" or not isinstance(value, bool))


def paths(value, at=""):
    """Every field of a JSON value as a path; members of lists share one."""
    if isinstance(value, dict):
        for name, member in value.items():
            yield f"{at}.{name}".lstrip(".")
            yield from paths(member, f"{at}.{name}")
    elif isinstance(value, list):
        for member in value:
            yield from paths(member, at + "[]")


def fields_of(kind):
    """The names that an openai type has, whatever union or list it stands in, with the types of each."""
    found = collections.defaultdict(list)
    if isinstance(kind, type) and issubclass(kind, pydantic.BaseModel):
        for name, field in kind.model_fields.items():
            found[name].append(field.annotation)
    elif typing_extensions.is_typeddict(kind):
        for name, annotation in typing_extensions.get_type_hints(kind).items():
            found[name].append(annotation)
    for argument in typing.get_args(kind):
        for name, types in fields_of(argument).items():
            found[name] += types
    return found


def has_openai(kinds, path):
    """Is each name of the path a field of what the one before may be?"""
    for name in path.replace("[]", "").split("."):
        found = [t for kind in kinds for t in fields_of(kind).get(name, [])]
        if not found:
            return False
        kinds = found
    return True


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("bodies")
    parser.add_argument("--ask")
    parser.add_argument("--vllm")
    args = parser.parse_args()
    vllm = vllm_classes(args.vllm) if args.vllm else None
    bodies = [json.loads(line) for line in open(args.bodies)]
    failures, seen = [], collections.Counter()
    adapter = pydantic.TypeAdapter(CompletionCreateParamsNonStreaming)

    def check(what, value, kind, validate, vllm_class):
        try:
            validate(value)
        except pydantic.ValidationError as error:
            failures.append(f"{what}: openai: {error}")
        for path in set(paths(value)):
            seen[what, path, has_openai([kind], path), "-" if vllm is None or "." in path else path in vllm[vllm_class]] += 1
        for name, member in value.items():
            if vllm and name in vllm[vllm_class] and not fits(member, vllm[vllm_class][name]):
                failures.append(f"{what}: vLLM: {name} is {member!r}, expected {ast.unparse(vllm[vllm_class][name])}")

    for body in bodies:
        check("request", body, CompletionCreateParamsNonStreaming, adapter.validate_python, "ChatCompletionRequest")
        if not args.ask:
            continue
        request = urllib.request.Request(args.ask + "/chat/completions", json.dumps(body).encode(),
                                         {"Content-Type": "application/json"})
        answer = json.load(urllib.request.urlopen(request))
        check("answer", answer, ChatCompletion, ChatCompletion.model_validate, "ChatCompletionResponse")
    print(f"openai {openai.__version__}" + (f", {args.vllm.split('/')[-1]}" if args.vllm else ""))
    for (what, path, in_openai, in_vllm), n in sorted(seen.items(), key=lambda item: item[0][:2]):
        print(f"{what:8} {path:40} {n:6} openai {in_openai} vllm {in_vllm}")
        if not (in_openai and in_vllm):
            failures.append(f"{what}: {path}: unknown")
    print("\n".join(failures) or f"{len(bodies)} requests: all fields as published")
    return 1 if failures else 0


raise SystemExit(main())
