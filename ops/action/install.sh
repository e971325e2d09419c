#!/usr/bin/env bash
# Builds the command where the action was checked out, unless that was done before.
set -euo pipefail
cd "$GITHUB_ACTION_PATH"
if [ ! -d node_modules ]; then npm ci --no-audit --no-fund; fi
node ops/build.mjs --if-stale
