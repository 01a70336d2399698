#!/bin/sh
# Works with the agents of a program on a mesh of its own, and fails if a result is wrong. Needs python3, to read JSON, and
# timeout of coreutils.
# usage: sh script.sh COMMAND…, where COMMAND serves shop.total and shop.menu; OAM_URL must not be set
set -eu
member() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }
count() { python3 -c 'import json, sys; print(len(json.load(sys.stdin)))'; }
expect() { [ "$1" = "$2" ] || { echo "expected $2, got $1" >&2; exit 1; }; }

oam mesh up --port 0 --quiet
"$@" & host=$!
trap 'kill $host; wait $host || :; oam mesh down --quiet' EXIT
timeout 60 oam mesh catalog --watch --json | grep -q '"shop.total"'

expect "$(oam agent call shop.total '[290, 340]')" 630
oam agent stream shop.menu '"drinks"' | while read -r item; do
    echo "$item" | oam kv put "menu.$(oam kv list --json | count)" --quiet
done
expect "$(oam kv get menu.1)" '"coffee"'
expect "$(oam kv get menu.1 --json | member revision)" 2
oam kv list 'menu.*' --json | oam workspace put menu.json --content-type application/json --quiet
expect "$(oam workspace info menu.json --json | member content_type)" application/json
expect "$(oam workspace get menu.json | count)" 2

code=0
oam agent call shop.totl '[]' --json 2>error.json || code=$?
expect "$code" 5
grep -q '"code":"not_found"' error.json
echo 'all results are as expected'
