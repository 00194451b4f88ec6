#!/usr/bin/env python3
"""Plays a batch service: asks an OpenAI-compatible server for each request of batch files, and writes result files.

    batch_service.py URL OUT SEED REQUESTS.jsonl...      URL: http://127.0.0.1:PORT, without the path

Results stand in another order than the requests; some expire, some fail, some stand there twice, and with an odd SEED
the last line is cut off. OUT-output.jsonl has the answers, OUT-errors.jsonl the rest. Requests are checked on the way.
"""
import json
import random
import sys
import urllib.error
import urllib.request


def ask(url, request):
    body = json.dumps(request["body"]).encode()
    http = urllib.request.Request(url + request["url"], body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(http) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def check(request):
    assert list(request) == ["custom_id", "method", "url", "body"], list(request)
    assert request["method"] == "POST" and request["url"] == "/v1/chat/completions", request["url"]
    assert 0 < len(request["custom_id"]) <= 64, request["custom_id"]


def main():
    url, out, seed, paths = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:]
    draw = random.Random(seed)
    requests = [json.loads(line) for path in paths for line in open(path)]
    assert len({r["custom_id"] for r in requests}) == len(requests), "a custom_id stands there twice"
    draw.shuffle(requests)
    answers, errors = [], []
    for i, request in enumerate(requests):
        check(request)
        line = {"id": f"batch_req_{i}", "custom_id": request["custom_id"], "response": None, "error": None}
        kind = draw.random()
        if kind < 0.1:
            line["error"] = {"code": "batch_expired", "message": "This request could not be executed in time."}
            errors.append(line)
            continue
        if kind < 0.2:
            body = {"error": {"message": "overloaded", "type": "server_error", "code": None}}
            line["response"] = {"status_code": 500, "request_id": f"r{i}", "body": body}
            errors.append(line)
            continue
        status, body = ask(url, request)
        line["response"] = {"status_code": status, "request_id": f"r{i}", "body": body}
        (answers if status == 200 else errors).append(line)
        if kind < 0.3:
            answers.append(line)
        elif kind < 0.35:
            errors.append({**line, "response": None, "error": {"code": "batch_expired", "message": "late"}})
    text = "".join(json.dumps(line) + "\n" for line in answers)
    if seed % 2 and text:
        text = text[:-20]
    open(out + "-output.jsonl", "w").write(text)
    open(out + "-errors.jsonl", "w").write("".join(json.dumps(line) + "\n" for line in errors))


main()
