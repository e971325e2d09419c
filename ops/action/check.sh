#!/usr/bin/env bash
# Annotates each finding; exits as `portcullis check` does.
set -euo pipefail
portcullis() { node "$GITHUB_ACTION_PATH/bin/portcullis.js" "$@"; }
options=()
if [ "$STRICT" = true ]; then options+=(--strict); fi
if [ -n "$SARIF" ]; then portcullis check "$POLICY_PATH" "${options[@]}" --format sarif > "$SARIF" || true; fi
portcullis check "$POLICY_PATH" "${options[@]}" --format github
