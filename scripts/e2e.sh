#!/usr/bin/env bash
# Drives examples/webapp with a real browser, and the proxies of docs/deploy with a
# program behind them. It installs the browser and the proxies if they are missing
# and it may. Arguments go to go test: to take the pictures of the documents again,
#
#	scripts/e2e.sh -run TestEveryPage -screenshots ../docs/img
. "$(dirname "$0")/lib.sh"

# The font is that of the pictures; pages take what the system has.
have_all() {
	local tool
	for tool in chromium nginx caddy; do command -v "$tool" >/dev/null || return 1; done
}
if ! have_all && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -qq
	apt-get install -y -qq --no-install-recommends chromium fonts-inter nginx caddy >/dev/null
fi
cd e2e
SNIB_E2E=1 go test -count=1 -timeout 30m . "$@"
