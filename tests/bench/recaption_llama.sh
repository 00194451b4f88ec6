#!/usr/bin/env bash
# lens recaption against llama.cpp's own server with a model of random weights: that its requests are taken, its answers
# read, and its errors told in a line. Run by hand, never by CI: it builds llama.cpp (ten minutes on two cores).
#   tests/bench/recaption_llama.sh LLAMA_SERVER PYTHON [LENS]
# LLAMA_SERVER: PyPI's source archive of llama-cpp-python holds all of llama.cpp (used: 0.3.36):
#   pip download --no-binary llama-cpp-python --no-deps llama-cpp-python && tar xzf llama_cpp_python-*.tar.gz
#   cmake -S llama_cpp_python-*/vendor/llama.cpp -B llama -G Ninja -DCMAKE_BUILD_TYPE=Release -DGGML_NATIVE=OFF \
#       -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_UI=OFF -DLLAMA_USE_PREBUILT_UI=OFF -DBUILD_SHARED_LIBS=OFF
#   cmake --build llama --target llama-server        # llama/bin/llama-server
# PYTHON: of a virtual environment with gguf and numpy (pip install gguf), for tests/bench/tiny_gguf.py.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
server=$(realpath "${1:?usage: recaption_llama.sh LLAMA_SERVER PYTHON [LENS]}")
python=$(cd "$(dirname "${2:?a Python with gguf}")" && pwd)/$(basename "$2")
lens=$(realpath "${3:-$root/build/release/lens}")
port=18811
work=$(mktemp -d)
pid=
stop() {
    [ -n "$pid" ] || return 0
    kill "$pid"
    wait "$pid" || true
    pid=
}
trap 'stop; rm -rf "$work"' EXIT
cd "$work"
"$python" "$root/tests/bench/tiny_gguf.py" .
"$lens" scenes -n 24 --seed 5 -o set >/dev/null
"$lens" recaption --gate-list | sed 's/action: .*/action: off/' >gate.yaml
start() { # [OPTION]... of the server, which may still be loading when this returns
    stop
    if (: <>/dev/tcp/127.0.0.1/$port) 2>/dev/null; then # it would share the port
        echo "FAILED: somebody else listens at port $port" >&2
        exit 1
    fi
    "$server" --host 127.0.0.1 --port $port -t 1 -tb 1 -m tiny.gguf "$@" >server.log 2>&1 &
    pid=$!
}
# ask WHAT [OPTION]...: the last lines of what lens says, its status and time
ask() {
    local what=$1 status=0 begin=$SECONDS
    shift
    rm -rf out
    timeout 120 "$lens" recaption set -o out --captioner http://127.0.0.1:$port/v1 --model tiny --kinds dense=detailed \
        --attempts 1 --min-words 1 --max-words 1000 --gate gate.yaml "$@" >out.txt 2>&1 || status=$?
    echo "== $what: status $status, $((SECONDS - begin)) s"
    tail -n 3 out.txt
    [ ! -s out/stats.json ] || grep -o '"answered":[0-9]*,"failed":[0-9]*\|"tokens_in":[0-9]*,"tokens_out":[0-9]*,"usd"' out/stats.json
}
start --mmproj tiny-mmproj.gguf -c 32768 -np 8
ask 'pictures, asked while it loads (refused connections, then 503)' --image-format jpeg --max-tokens 96
cp -r out first
ask 'the same again, one at a time' --image-format jpeg --max-tokens 96 --concurrency 1
if diff -rq -x stats.json first out; then echo 'equal layers'; fi # log-probabilities would differ in their last digits
ask 'log-probabilities, options of its own' --image-format jpeg --max-tokens 32 --logprobs \
    --extra '{"top_k":20,"min_p":0.05,"repeat_penalty":1.1,"chat_template_kwargs":{"enable_thinking":false}}'
ask 'WebP, which it cannot read' --image-format webp --max-tokens 32
start --mmproj tiny-mmproj.gguf -c 4096 -np 8
ask 'a context of 512 tokens' --image-format jpeg --max-tokens 96
start -c 32768 -np 8
ask 'a model without sight' --image-format jpeg --max-tokens 96
start --mmproj tiny-mmproj.gguf -c 32768 -np 8 --api-key sk-right
OPENAI_API_KEY=sk-wrong ask 'a wrong key' --image-format jpeg --max-tokens 96
