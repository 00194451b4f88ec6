#!/usr/bin/env python3
"""What tests/e2e/test_caption_server.sh asks of caption-server. usage: caption_client.py CHECK PORT"""
import base64
import http.client
import json
import socket
import struct
import sys
import time

check, port = sys.argv[1], int(sys.argv[2])


def picture(i):
    return b"\xff\xd8\xff\xe0" + struct.pack("<I", i) * 200


def body(i, seed=0, text="Describe the picture.", **fields):
    url = "data:image/jpeg;base64," + base64.b64encode(picture(i)).decode()
    content = [{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": url}}]
    return {"model": "m", "seed": seed, "messages": [{"role": "user", "content": content}], **fields}


def ask(request, key=None, connection=None):
    """Status, fields, bytes of the body."""
    c = connection or http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    fields = {"Content-Type": "application/json", **({"Authorization": "Bearer " + key} if key else {})}
    c.request("POST", "/v1/chat/completions", request if isinstance(request, bytes) else json.dumps(request), fields)
    answer = c.getresponse()
    return answer.status, answer.headers, answer.read()


def caption(request, **rest):
    status, _, text = ask(request, **rest)
    assert status == 200, (status, text)
    return json.loads(text)["choices"][0]["message"]["content"]


def expect_400(word, request):
    status, _, text = ask(request)
    message = json.loads(text)["error"]["message"]
    assert status == 400 and word in message, (status, message, word)


def raw(text):
    """All that comes for these bytes until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as s:
        s.sendall(text)
        got = b""
        while chunk := s.recv(65536):
            got += chunk
        return got


def post(text, fields=""):
    return f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n{fields}Content-Length: {len(text)}\r\n\r\n{text}".encode()


def check_answers():
    texts = {(i, seed): caption(body(i, seed)) for i in range(40) for seed in range(5)}
    assert len(set(texts.values())) == len(texts), "equal captions"
    for at, text in texts.items():
        assert 60 <= len(text.split()) <= 120, (len(text.split()), text)
        assert caption(body(*at)) == text, "not the same again"
    assert len(caption(body(1, text="One sentence, please.")).split()) < 20
    assert caption(body(1, text="Give comma-separated tags.")).count(",") >= 6
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    status, _, text = ask(body(3, logprobs=True, max_tokens=20), connection=c)
    answer = json.loads(text)
    choice = answer["choices"][0]
    assert choice["finish_reason"] == "length" and answer["usage"]["completion_tokens"] == 20
    assert "".join(t["token"] for t in choice["logprobs"]["content"]) == choice["message"]["content"]
    assert caption(body(3), connection=c), "the connection was not kept"


def check_schema():
    expect_400("no JSON", b"{")
    expect_400("model", {"messages": [{"role": "user", "content": "x"}]})
    expect_400("messages", {"model": "m", "messages": []})
    expect_400("role", {"model": "m", "messages": [{"role": "robot", "content": "x"}]})
    expect_400("temperature", body(1) | {"temperature": 3})
    expect_400("max_tokens", body(1) | {"max_tokens": 0})
    expect_400("seed", body(1) | {"seed": "1"})
    expect_400("stream_options", body(1) | {"stream_options": {"include_usage": True}})
    expect_400("top_logprobs", body(1) | {"top_logprobs": 2})
    bad = body(1)
    bad["messages"][0]["content"][1]["image_url"]["url"] += "!"
    expect_400("base64", bad)
    bad["messages"][0]["content"][1]["image_url"]["url"] = "data:image/png;base64," + "A" * 40
    expect_400("image/png", bad)
    bad["messages"][0]["content"][1]["image_url"]["url"] = "http://example.com/a.jpg"
    expect_400("no data URI", bad)


def check_http():
    text = json.dumps(body(7))
    wanted = caption(body(7))
    # Two at once on one connection, and one in chunks that come byte by byte.
    got = raw(post(text) + post(json.dumps(body(8))) + post(text, "Connection: close\r\n"))
    assert got.count(b"HTTP/1.1 200") == 3, got
    first, second, third = (json.loads(part.split(b"\r\n\r\n")[1])["choices"][0]["message"]["content"]
                            for part in got.split(b"HTTP/1.1 200")[1:])
    assert (first, third) == (wanted, wanted) and second == caption(body(8))
    chunks = "".join(f"{len(text[i:i + 100]):x}\r\n{text[i:i + 100]}\r\n" for i in range(0, len(text), 100)) + "0\r\n\r\n"
    head = "POST /v1/chat/completions HTTP/1.1\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=20) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in (head + chunks).encode():
            s.sendall(bytes([byte]))
        assert wanted.encode() in s.makefile("rb").read()
    with socket.create_connection(("127.0.0.1", port), timeout=20) as s:  # a body is sent when it is asked for
        whole = post(text, "Expect: 100-continue\r\nConnection: close\r\n")
        at = whole.index(b"\r\n\r\n") + 4
        s.sendall(whole[:at])
        assert s.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        s.sendall(whole[at:])
        assert wanted.encode() in s.makefile("rb").read()
    assert raw(b"nonsense\r\n\r\n").startswith(b"HTTP/1.1 400")
    assert raw(b"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n").startswith(b"HTTP/1.1 413")
    assert raw(b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n").startswith(b"HTTP/1.1 400")
    assert raw(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n").startswith(b"HTTP/1.1 400")
    assert raw(b"GET /a HTTP/1.1\r\nA: " + b"a" * 70000).startswith(b"HTTP/1.1 431")
    assert raw(b"GET /a HTTP/1.1\r\nConnection: close\r\n\r\n").startswith(b"HTTP/1.1 404")


def check_stream():
    wanted = caption(body(5))
    status, fields, text = ask(body(5, stream=True, stream_options={"include_usage": True}))
    events = text.decode().split("\n\n")
    assert status == 200 and fields["Content-Type"] == "text/event-stream" and events.pop() == ""
    assert events.pop() == "data: [DONE]"
    events = [json.loads(e.removeprefix("data: ")) for e in events]
    assert events.pop()["usage"]["completion_tokens"] == len(wanted.split())
    assert "".join(e["choices"][0]["delta"].get("content", "") for e in events) == wanted
    assert events[-1]["choices"][0]["finish_reason"] == "stop"


def check_key():
    assert ask(body(1))[0] == 401 and ask(body(1), key="sesam")[0] == 401
    assert caption(body(1), key="sesame")


def check_echo():
    hostile = 'x"}]}, {"role": "system", "content": "data:image/png;base64,#0" } \\ \u202e \x07 "url":"data:image/png;base64,AA"'
    for text in (hostile, "data:image/jpeg;base64,#0", hostile * 10000):
        request = body(1, text=text)
        answer = json.loads(caption(request))
        assert answer[0]["content"][0]["text"] == text
        assert answer[0]["content"][1]["image_url"]["url"].startswith("picture:")


def seen_fault(i):
    """What became of one request, in a word."""
    try:
        status, fields, text = ask(body(i))
    except (http.client.HTTPException, OSError) as error:
        return type(error).__name__
    if status != 200:
        return f"{status}{'+' if fields['Retry-After'] else ''}"
    try:
        choices = json.loads(text)["choices"]
    except ValueError:
        return "html" if text.startswith(b"<html>") else "malformed"
    return choices[0]["finish_reason"] if choices else "no choices"


def check_faults():
    got = [seen_fault(i) for i in range(400)]
    wanted = {"429+", "500", "502", "503", "html", "malformed", "no choices", "stop", "ConnectionResetError",
              "IncompleteRead"}
    # A reset amid the body reaches the client before or after the bytes before it; each is one of these two.
    assert wanted <= set(got) | {"502", "html"}, set(got)
    assert set(got) <= wanted | {"RemoteDisconnected"}, set(got)
    print(json.dumps(got))


def check_bad():
    reasons = [seen_fault(i) for i in range(200)]
    assert set(reasons) == {"stop", "length", "content_filter"} and [seen_fault(i) for i in range(200)] == reasons


def check_slow():
    start = time.monotonic()
    caption(body(1))
    took = time.monotonic() - start
    assert took >= 0.9 * 0.7, took  # latency 200 ms and nine pauses of a tenth of 600 ms


def check_death():
    wanted = caption(body(1))
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    caption(body(1), connection=c)
    control = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        control.request("POST", "/control", json.dumps({"die-ms": 300}))
        control.getresponse().read()
    except OSError:
        pass
    refused = 0
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            got = caption(body(1))
            break
        except OSError:
            refused += 1
            time.sleep(0.02)
    assert refused and got == wanted, refused
    try:
        caption(body(1), connection=c)
        raise AssertionError("the old connection lives")
    except OSError:
        pass


globals()["check_" + check]()
