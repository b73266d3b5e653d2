#!/usr/bin/env bash
# Runs a command in every module: scripts/each.sh go list ./...
. "$(dirname "$0")/lib.sh"
each "$@"
