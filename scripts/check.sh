#!/usr/bin/env bash
# The fast part of CI: what holds of every commit, in every module. What it does less
# than CI, which sets INSTRUMENT=all, is a table in docs/CONTRIBUTING.md.
. "$(dirname "$0")/lib.sh"

formatted() {
	local files
	files=$(gofmt -l .)
	[ -z "$files" ] || { echo "not formatted by gofmt:" && echo "$files" && exit 1; }
}

# touched says whether more is done in this module than vet: in CI, and in a tree
# without changes, in each; else in the root, and in those that have changed.
touched() {
	[ "$all" ] || [ ! "$changes" ] || [ "$PWD" = "$root" ] || [ -n "$(git status --porcelain -- .)" ]
}

# The tool comes from scripts/tools.mod, so that the library's go.mod does not
# name it. The path is that of the built tool, which then runs in the modules.
lint() {
	local staticcheck
	staticcheck=$(go tool -modfile=scripts/tools.mod -n staticcheck)
	each linted "$staticcheck"
}
linted() { ! touched || "$1" ./...; }

tidy() {
	if [ "$(pwd)" = "$root" ] && ! have_library; then
		echo "root: no library yet, its go.mod is not compared"
	else
		go mod tidy -diff
	fi
}

# INSTRUMENT=all, as in CI, gives every test to the race detector. Without it all
# tests run once without the detector, and again with it the packages whose code does
# several things at once, and those tests of proof that do; with -short, which takes
# some of the real hashes, of the schedules of a theft and of other long lists. To
# build the root's tests for the detector takes longer than to run them: CI does.
all= short=-short
[ "${INSTRUMENT:-}" != all ] || all=yes short=

# The race detector makes the hashes of x/crypto ten times slower and finds
# nothing there: they share no memory. Only CI watches them.
hashing=-gcflags=golang.org/x/crypto/...=-race=false
[ ! "$all" ] || hashing=

# Tests that also run without the detector: budgets that it would blur, times of
# hashing, of which it says nothing, and all the real hashes of other systems, of
# which it is too slow for more than some. The examples hash as programs do, and are
# left out there.
unraced='Allocations$|Lucia|EverySchedule|TakesTooLong|WhatIsSlow|CostFollows|AttackBy|^Example'

# packages prints the folders of packages with files of some names in which a
# pattern is found. The others need not be built and linked a second time.
packages() {
	local dir files=$1 pattern=$2
	go list -f '{{.Dir}}' ./... | while read -r dir; do
		if [ "$files" = tests ]; then
			! grep -qsE "$pattern" "$dir"/*_test.go
		else
			! find "$dir" -maxdepth 1 -name '*.go' -not -name '*_test.go' -exec grep -qE "$pattern" {} +
		fi || echo "${dir/#"$PWD"/.}"
	done
}

# concurrent prints a pattern of the tests of a folder that begin goroutines.
concurrent() {
	awk '/^func / { name = "" } /^func Test/ { sub(/^func /, ""); sub(/\(.*/, ""); name = $0 }
		name && /go func|\.Go\(|together\(|meanwhile\(|inParallel\(|holdWriter\(/ { print name; name = "" }' "$1"/*_test.go |
		paste -s -d '|' | sed 's/.*/^(&)$/'
}

# The modules crash and e2e and those of the engines have scripts of their own, which
# run their tests; what bench, cmd and examples/signin import takes long to compile
# for the race detector. Vet is a step of its own: go test does not repeat it.
tests() {
	local list
	case ${PWD#"$root"/} in
	crash | e2e | snibpg | snibsqlite | snibetcd | snibprom | examples/engines) return ;;
	bench/http) touched || return 0 ;;
	bench | cmd | examples/signin)
		! touched || go test -vet=off -timeout 30m $short ./...
		return
		;;
	esac
	if [ ! "$race" ]; then
		echo "!!!! NO C COMPILER: the tests run WITHOUT the race detector !!!!"
		go test -vet=off -timeout 30m $short ./...
	elif [ "$all" ]; then
		go test -race ./... -timeout 30m -skip '^Example' -vet=off $hashing
		list=$(packages tests "^func (Example|(Test|Fuzz)[A-Za-z0-9_]*(Allocations\(|$unraced))")
		[ -z "$list" ] || go test -vet=off -timeout 30m -run "$unraced" $list
	else
		go test -vet=off -timeout 30m $short ./...
		list=$(packages code 'go func|\.Go\(|sync\.|atomic\.' | grep -vxE '\.|\./(proof|examples/.*|internal/policy)' || true)
		[ -z "$list" ] || go test -race -vet=off -timeout 30m $short -skip '^Example' $hashing $list
		[ "$PWD" != "$root" ] ||
			go test -race -vet=off -timeout 30m $short -run "$(concurrent ./proof)" $hashing ./proof
	fi
}

# Other systems: built, never run. The modules bench, crash and e2e are for Linux or
# the developers' machines and left out. Windows on 32 bits is two differences at once;
# CI vets each, tests included, and the modules that are built for other systems.
cross() {
	local target module does=build targets=windows/386 modules=.
	[ ! "$all" ] || does=vet targets="windows/amd64 darwin/arm64 linux/386" modules=". cmd snibsqlite"
	for target in $targets; do
		for module in $modules; do
			echo "$target $module"
			(
				cd "$module"
				export CGO_ENABLED=0 GOOS="${target%/*}" GOARCH="${target#*/}"
				go $does ./...
			)
		done
	done
}

# The engine, and in CI the accounts, on 32 bits, where the kernel of this machine
# runs them too.
narrow() {
	if [ "$(go env GOHOSTOS)/$(go env GOHOSTARCH)" != linux/amd64 ]; then
		echo "!!!! NOT linux/amd64: nothing is run on 32 bits !!!!"
		return
	fi
	if ! runs386; then
		echo "!!!! THIS KERNEL RUNS NO PROGRAMS OF 32 BITS: nothing is run on them !!!!"
		return
	fi
	CGO_ENABLED=0 GOARCH=386 go test -vet=off -timeout 30m ${all:+.} ./internal/kv/...
}

runs386() (
	cd "$(mktemp -d)"
	trap 'rm -rf "$PWD"' EXIT
	echo 'package main; func main() {}' >main.go
	CGO_ENABLED=0 GOARCH=386 go build -o p main.go || exit 0 # go test will say why
	./p 2>/dev/null
)

looks() {
	step "go vet" each go vet ./...
	step staticcheck lint
	step "go mod tidy" each tidy
	step "other systems" cross
	step "32 bits" narrow
}
runs() {
	step "go test" each tests
}

# SQLite, badger and pebble, which bench measures, take minutes to compile and
# longer to look at. They are left out here; make harness has them.
export GOFLAGS="${GOFLAGS:-} -tags=light"

root=$(pwd)
changes=$(git status --porcelain 2>/dev/null || true)
step gofmt formatted

# In CI another lane runs beside this script.
if [ "$all" ]; then
	looks
	runs
else
	two_lanes runs looks
fi
