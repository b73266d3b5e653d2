#!/usr/bin/env bash
# Tries scripts/release.sh on the commit as it is, in a clone under a temporary
# directory and with a version that does not exist: what it refuses, what it
# tags, and whether a program outside can be built from the tagged tree.
. "$(dirname "$0")/lib.sh"

if ! git rev-parse --quiet --verify HEAD >/dev/null 2>&1; then
	echo "no git here: there is nothing to tag"
	exit 0
fi
command -v ssh-keygen >/dev/null || {
	echo "!!!! NO ssh-keygen: no release is tried !!!!"
	exit 0
}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
version=v0.99.0 path=github.com/snibdb/snib
host=$(go env GOHOSTOS)/$(go env GOHOSTARCH)
fail() {
	echo "FAILED: $*" >&2
	exit 1
}

git clone --quiet . "$tmp/snib"
cd "$tmp/snib"
git checkout --quiet -B main
git tag -l | xargs -r git tag -d >/dev/null
git config user.name "Somebody"
git config user.email "somebody@example.com"
change() { sed "$1" "$2" >"$tmp/changed" && cat "$tmp/changed" >"$2"; }

# refused runs the script and expects it to refuse in these words, and to have
# left no tag.
refused() {
	local words=$1 tags
	tags=$(git tag -l)
	shift
	if scripts/release.sh "$@" </dev/null >"$tmp/log" 2>&1; then fail "not refused: $words"; fi
	grep -q "refused: .*$words" "$tmp/log" || { cat "$tmp/log" && fail "refused for another reason than: $words"; }
	[ "$(git tag -l)" = "$tags" ] || fail "a refused release has tagged: $words"
}

refusals() {
	refused "not of the form" v1.2
	refused "has no heading" $version
	change "s/^## Unreleased\$/## Unreleased\n\n## ${version#v}/" CHANGELOG.md
	refused "not clean" $version
	git commit --quiet -am "changelog: $version"
	refused "ci-green" $version --tag
	git checkout --quiet -b elsewhere
	refused "not the branch main" $version
	git checkout --quiet main
	git tag "snibsqlite/$version"
	refused "there is a tag" $version
	git tag -d "snibsqlite/$version" >/dev/null
}

# dry makes everything but tags here.
dry() {
	local head
	head=$(git rev-parse HEAD)
	scripts/release.sh $version --targets "$host" --out "$tmp/dry" </dev/null | tee "$tmp/log"
	grep -q "no tag yet" "$tmp/log" || fail "nothing says that there is no API to compare with"
	grep -q "!! NOT SIGNED" "$tmp/log" || fail "nothing says that the sums are not signed"
	[ "$(git rev-parse HEAD)$(git tag -l)$(git status --porcelain)" = "$head" ] || fail "a dry run has changed the repository"
}

# real is a release with everything but a push: nothing here has a remote side.
real() {
	ssh-keygen -q -t ed25519 -N "" -f "$tmp/key"
	echo "somebody@example.com namespaces=\"file,git\" $(cat "$tmp/key.pub")" >"$tmp/signers"
	scripts/release.sh $version --tag --warm --ci-green --key "$tmp/key" --targets "$host" --out "$tmp/out" </dev/null >"$tmp/log" ||
		{ cat "$tmp/log" && fail "the release"; }
}

# outcome looks at the tags, without what release.sh says of them.
outcome() {
	local module name
	[ -z "$(git status --porcelain)" ] || fail "the tree is not clean after a release"
	git diff --exit-code --quiet HEAD~2 HEAD || fail "development goes on with another tree"
	[ "$(git rev-parse "$version^{commit}")" = "$(git rev-parse HEAD~1)" ] || fail "$version is not the release commit"
	git -c gpg.ssh.allowedSignersFile="$tmp/signers" tag -v "$version" >/dev/null 2>&1 || fail "the tag is not signed"
	git clone --quiet --branch "$version" . "$tmp/released" 2>/dev/null
	for module in $(git ls-tree -r --name-only $version | grep '/go\.mod$' | grep -v testdata | sed 's|/go\.mod$||'); do
		case $module in
		bench | bench/* | crash | e2e | examples/*)
			! git rev-parse --quiet --verify "$module/$version" >/dev/null || fail "$module has a tag"
			continue
			;;
		esac
		[ "$(git rev-parse "$module/$version^{commit}")" = "$(git rev-parse "$version^{commit}")" ] ||
			fail "$module/$version is not beside $version"
		(cd "$tmp/released/$module" && go mod edit -json) >"$tmp/mod.json"
		grep -q '"Replace": null' "$tmp/mod.json" || fail "$module has a replace"
		grep -A1 "\"Path\": \"$path\"" "$tmp/mod.json" | grep -q "\"Version\": \"$version\"" ||
			fail "$module does not require $path $version"
		echo "$module"
	done >"$tmp/modules"
	[ "$(wc -l <"$tmp/modules")" -ge 6 ] || fail "only $(wc -l <"$tmp/modules") nested modules have tags"

	cd "$tmp/out"
	sha256sum --quiet -c SHA256SUMS || fail "the checksums do not verify"
	verify() { ssh-keygen -Y verify -f "$tmp/signers" -I somebody@example.com -n file -s SHA256SUMS.sig >/dev/null 2>&1; }
	verify <SHA256SUMS || fail "the signature does not verify"
	if (cat SHA256SUMS && echo more) | verify; then fail "the signature is good for another file"; fi
	for name in snib_*; do grep -q " $name\$" SHA256SUMS || fail "$name has no checksum"; done
	name=snib_${version#v}_${host%/*}_${host#*/}
	"./$name" --version | grep -qF "$version" || fail "the command says: $("./$name" --version)"
	grep -qF "pkg:golang/$path@$version" "$name.cdx.json" || fail "the SBOM does not name the library"
	! grep -qF -e "$tmp" -e "(devel)" "$name.cdx.json" || fail "the SBOM names a folder"
}

# consumer is a program outside that uses every published library. Replaces
# stand for the versions that no proxy has.
consumer() {
	local module
	mkdir "$tmp/app"
	cd "$tmp/app"
	go mod init example.com/app 2>/dev/null
	go mod edit -require="$path@$version" -replace="$path@$version=$tmp/released"
	printf 'package main\n\nimport (\n\t"fmt"\n\n\t"%s"\n' "$path" >main.go
	while read -r module; do
		[ "$module" != cmd ] || continue
		go mod edit -require="$path/$module@$version" -replace="$path/$module@$version=$tmp/released/$module"
		printf '\t_ "%s/%s"\n' "$path" "$module" >>main.go
	done <"$tmp/modules"
	printf ')\n\nfunc main() { fmt.Println(snib.ErrUserNotFound) }\n' >>main.go
	go mod tidy
	go run .
}

step refusals refusals
step "dry run" dry
step release real
step outcome outcome
step "a program outside" consumer
