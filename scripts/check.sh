#!/usr/bin/env bash
# The fast part of CI: what holds of every commit, in every module.
. "$(dirname "$0")/lib.sh"

formatted() {
	local files
	files=$(gofmt -l .)
	[ -z "$files" ] || { echo "not formatted by gofmt:" && echo "$files" && exit 1; }
}

# The tool comes from scripts/tools.mod, so that the library's go.mod does not
# name it. The path is that of the built tool, which then runs in every module.
lint() {
	local staticcheck
	staticcheck=$(go tool -modfile=scripts/tools.mod -n staticcheck)
	each "$staticcheck" ./...
}

tidy() {
	if [ "$(pwd)" = "$root" ] && ! have_library; then
		echo "root: no library yet, its go.mod is not compared"
	else
		go mod tidy -diff
	fi
}

# The race detector makes the hashes of x/crypto ten times slower and finds
# nothing there: they share no memory. Only CI, with INSTRUMENT=all, watches them.
hashing=-gcflags=golang.org/x/crypto/...=-race=false
[ "${INSTRUMENT:-}" != all ] || hashing=

# Tests that also run without the detector: budgets that it would blur, and all
# the real hashes of other systems, of which it is too slow for more than some.
unraced='Allocations$|Lucia'

# unraced_packages prints the folders with such tests. The others need not be
# built and linked a second time.
unraced_packages() {
	local dir
	go list -f '{{.Dir}}' ./... | while read -r dir; do
		! grep -qsE '^func (Test|Fuzz|Example)[A-Za-z0-9_]*(Allocations\(|Lucia)' "$dir"/*_test.go ||
			echo "${dir/#"$PWD"/.}"
	done
}

# The modules crash and e2e have scripts of their own, which run their tests;
# what bench imports takes long to compile for the race detector. Vet has run:
# go test does not repeat it.
tests() {
	local packages
	case ${PWD#"$root"/} in
	crash | e2e) return ;;
	bench)
		go test -vet=off ./...
		return
		;;
	esac
	if [ "$race" ]; then
		go test -race ./... -vet=off $hashing
		packages=$(unraced_packages)
		[ -z "$packages" ] || go test -vet=off -run "$unraced" $packages
	else
		echo "!!!! NO C COMPILER: the tests run WITHOUT the race detector !!!!"
		go test -vet=off ./...
	fi
}

# Other systems: type-checked and vetted, tests included, never run. The modules
# bench, crash and e2e are for Linux or the developers' machines and left out.
cross() {
	local target module
	for target in windows/amd64 darwin/arm64 linux/386; do
		for module in . cmd/*/; do
			[ -e "$module/go.mod" ] || continue
			echo "$target $module"
			(
				cd "$module"
				export CGO_ENABLED=0 GOOS="${target%/*}" GOARCH="${target#*/}"
				go vet ./...
			)
		done
	done
}

# The engine and the accounts on 32 bits, where the kernel of this machine runs
# them too.
narrow() {
	if [ "$(go env GOHOSTOS)/$(go env GOHOSTARCH)" != linux/amd64 ]; then
		echo "!!!! NOT linux/amd64: nothing is run on 32 bits !!!!"
		return
	fi
	CGO_ENABLED=0 GOARCH=386 go test . ./internal/kv/...
}

# SQLite, badger and pebble, which bench measures, take minutes to compile and
# longer to look at. They are left out here; make harness has them.
export GOFLAGS="${GOFLAGS:-} -tags=light"

root=$(pwd)
step gofmt formatted
step "go vet" each go vet ./...
step staticcheck lint
step "go mod tidy" each tidy
step "go test" each tests
step "other systems" cross
step "32 bits" narrow
