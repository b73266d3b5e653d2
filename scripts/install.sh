#!/usr/bin/env bash
# Installs what the steps of CI need beside Go and a C compiler, all at once, where
# this script may: with root and Debian. Each step does so for itself otherwise, or
# says what is missing; steps that run side by side must not.
. "$(dirname "$0")/lib.sh"

missing=
for program in strace /usr/lib/postgresql/*/bin/initdb /usr/sbin/pgbouncer prometheus chromium nginx caddy; do
	command -v "$program" >/dev/null || missing+=" $program"
done
[ "$missing" ] || exit 0
echo "missing:$missing"
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then exit 0; fi
export DEBIAN_FRONTEND=noninteractive
mkdir -p /etc/postgresql-common
[ -e /etc/postgresql-common/createcluster.conf ] ||
	echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
timeout 300 apt-get update -qq &&
	timeout 600 apt-get install -y -qq --no-install-recommends \
		strace postgresql pgbouncer prometheus chromium fonts-inter nginx caddy >/dev/null ||
	echo "!!!! NOT ALL COULD BE INSTALLED !!!!"
