#!/usr/bin/env bash
# What somebody meets who has just found the library: the commit as it is, not
# the working tree, imported by a module of their own, and the examples run
# from a fresh copy.
. "$(dirname "$0")/lib.sh"

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
fresh=$tmp/snib
mkdir "$fresh" "$tmp/app"
if [ -e .git ] && git rev-parse --quiet --verify HEAD >/dev/null; then
	git archive HEAD | tar -x -C "$fresh"
else
	echo "no git here: the working tree is copied as it is"
	cp -R . "$fresh"
fi

cd "$fresh"
if ! have_library; then
	echo "no library yet: nothing to import"
	exit 0
fi

# The quick start of the README is compiled here outside the repository, as its
# reader would, and run twice: the second time the user is there.
import_it() {
	cd "$tmp/app"
	{
		printf 'package main\n\nimport (\n"context"\n"errors"\n"fmt"\n"log"\n\n"github.com/snibdb/snib"\n)\n'
		printf '\nfunc main() {\npath := "accounts.db"\nctx := context.Background()\n'
		awk '/^```go/ { on = 1; next } /^```/ && on { exit } on' "$fresh/README.md"
		echo '}'
	} >main.go
	go mod init example.com/app
	go mod edit -replace "github.com/snibdb/snib=$fresh"
	go mod tidy
	go run .
	go run .
}
step "a module that imports the library" import_it

cd "$fresh"
for example in quickstart movein; do
	[ ! -d "examples/$example" ] || step "examples/$example" go run "./examples/$example" </dev/null
done
