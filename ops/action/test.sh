#!/usr/bin/env bash
# Runs the tests of a policy directory; exits 4 when one does not hold.
set -euo pipefail
portcullis() { node "$GITHUB_ACTION_PATH/bin/portcullis.js" "$@"; }
if [ -n "$JUNIT" ]; then portcullis test "$POLICY_PATH" --format junit > "$JUNIT"; else portcullis test "$POLICY_PATH"; fi
