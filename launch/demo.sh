#!/usr/bin/env bash
# Installs what is missing, builds, and runs the whole pipeline on the samples that ship with lens, up to a report.
# Arguments go to `lens demo` (-o DIR, --steps N, --quick; --help names them all).
set -eu

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source-path=SCRIPTDIR source=setup.sh
. "$root/launch/setup.sh"
(cd "$root" && cmake --preset release && cmake --build --preset release) >&2
exec "$root/build/release/lens" demo "$@"
