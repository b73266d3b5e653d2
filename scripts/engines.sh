#!/usr/bin/env bash
# Tests the modules of other engines on the servers that they are for, and the metrics
# with a real Prometheus. Missing servers are installed, which needs root and Debian;
# the tests start and stop them, on loopback and in temporary directories. Arguments
# go to go test.
. "$(dirname "$0")/lib.sh"

export SNIB_REQUIRE_SERVERS=1

# installed COMMANDS… -- PACKAGES… installs packages unless all commands are there.
# Servers that the packages would start by themselves are not wanted.
installed() {
	local missing=
	while [ "$1" != -- ]; do
		[ -n "$(compgen -G "$1" || true)" ] || missing=yes
		shift
	done
	shift
	[ "$missing" ] || return 0
	if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
		echo "missing: $*" && exit 1
	fi
	export DEBIAN_FRONTEND=noninteractive
	mkdir -p /etc/postgresql-common
	[ -e /etc/postgresql-common/createcluster.conf ] ||
		echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
	timeout 300 apt-get update -qq
	timeout 300 apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

engine() {
	local module=$1
	shift
	(cd "$module" && go test -count=1 -timeout 30m -skip '^Test(Root|Model)$' "$@" ./...)
}

# accounts MODULE runs the root's tests and the model on an engine, and says how many
# there were.
accounts() {
	(cd "$1" && go test -count=1 -timeout 30m -v -run '^Test(Root|Model)$' .)
}

# with_postgres COMMAND... runs it with SNIB_POSTGRES naming a server, which runs as
# long as the command, in a temporary directory of a user who is not root.
with_postgres() (
	bin=$(printf '%s\n' /usr/lib/postgresql/*/bin | tail -1) dir=$(mktemp -d) as=
	port=$((10000 + RANDOM % 22000)) # below those of outgoing connections
	[ "$(id -u)" != 0 ] || { chown postgres "$dir" && as="setpriv --reuid postgres --regid postgres --clear-groups"; }
	cd "$dir"
	$as "$bin/initdb" -D data -U snib -A trust -E UTF8 --locale=C --no-sync >/dev/null
	trap '$as "$bin/pg_ctl" -D "$dir/data" -m immediate stop >/dev/null; rm -rf "$dir"' EXIT
	$as "$bin/pg_ctl" -D data -l log -w -o "-p $port -k $dir -c listen_addresses=127.0.0.1" start >/dev/null
	cd "$OLDPWD"
	SNIB_POSTGRES=postgres://snib@127.0.0.1:$port/postgres "$@"
)

step "install servers" installed '/usr/lib/postgresql/*/bin/initdb' /usr/sbin/pgbouncer /usr/bin/prometheus -- postgresql pgbouncer prometheus
step snibsqlite engine snibsqlite "$@"
step snibetcd engine snibetcd "$@"
SNIB_POSTGRES=auto step snibpg engine snibpg "$@"
# The writers, readers and processes of one run, without the servers that are killed.
raced='TestPartitions|TestConn|TestAnInterrupted|TestRowsBeside|TestTrips|TestMarks|Claim|TestRetry|TestJoin|TestOwnRows|TestRevocationBetween|TestRefreshAtTwo|TestOneAlone'
[ -z "$race" ] || SNIB_POSTGRES=auto step "snibpg, race detector" engine snibpg -race -vet=off -run "$raced"
step "the accounts' tests on SQLite" accounts snibsqlite
step "the accounts' tests on etcd" accounts snibetcd
SNIB_POSTGRES=auto step "the accounts' tests on PostgreSQL" accounts snibpg
step snibprom engine snibprom "$@"
step examples/engines with_postgres engine examples/engines "$@"
