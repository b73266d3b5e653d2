#!/usr/bin/env bash
# Drives examples/webapp with a real browser, which it installs if it is missing
# and may. Arguments go to go test: to take the pictures of the documents again,
#
#	scripts/e2e.sh -run TestEveryPage -screenshots ../docs/img
. "$(dirname "$0")/lib.sh"

# The font is that of the pictures; pages take what the system has.
if ! command -v chromium >/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -qq
	apt-get install -y -qq --no-install-recommends chromium fonts-inter >/dev/null
fi
cd e2e
SNIB_E2E=1 go test -count=1 -timeout 600s . "$@"
