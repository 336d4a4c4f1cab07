#!/bin/sh
# The store with nothing but curl: keys and values are in base64.
set -eu
endpoint="http://${ENDPOINT:-localhost:2379}"
encode() { printf %s "$1" | base64; }

curl -sf "$endpoint/v3/kv/put" -d "{\"key\":\"$(encode greeting)\",\"value\":\"$(encode hello)\"}"
echo
curl -sf "$endpoint/v3/kv/range" -d "{\"key\":\"$(encode greeting)\"}"
echo
curl -sf "$endpoint/v3/kv/deleterange" -d "{\"key\":\"$(encode greeting)\"}"
echo
curl -sf "$endpoint/health"
echo
