#!/usr/bin/env bash
# Makes a release: scripts/release.sh VERSION [--tag] [--key FILE] [--out DIR]
# [--targets "linux/amd64 …"] [--ci-green] [--warm]. docs/RELEASING.md explains it.
#
# All of it happens in a clone under a temporary directory: the commit without
# replaces, the tags, the binaries. A dry run, the default, ends there. With
# --tag the commits and tags come back into this repository, and into no other:
# pushing them is left to the person.
. "$(dirname "$0")/lib.sh"

usage() {
	echo "usage: scripts/release.sh VERSION [--tag] [--key FILE] [--out DIR] [--targets \"os/arch …\"] [--ci-green] [--warm]" >&2
	exit 2
}
refuse() {
	echo "release: refused: $*" >&2
	exit 1
}
loud() { echo "!!!! $* !!!!"; }

version= tag= key= out= green= warm= targets="linux/amd64 linux/arm64 darwin/arm64 windows/amd64"
while [ $# -gt 0 ]; do
	case $1 in
	--tag) tag=yes ;;
	--dry-run) tag= ;;
	--ci-green) green=yes ;;
	--warm) warm=yes ;;
	--key | --out | --targets)
		[ $# -gt 1 ] || usage
		declare "${1#--}=$2"
		shift
		;;
	v*) [ -z "$version" ] && version=$1 || usage ;;
	*) usage ;;
	esac
	shift
done
[[ $version =~ ^v(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)(-[0-9A-Za-z.-]+)?$ ]] ||
	refuse "the version is not of the form v1.2.3"
[ -z "$key" ] || key=$(realpath "$key")
root=$(pwd) path=github.com/snibdb/snib
out=$(realpath -m "${out:-$root/out/release/$version}")

# Modules that are for the developers and are not published.
private='bench crash e2e'

# nested prints the folders of the modules that are published beside the root.
nested() {
	local module
	for module in $(modules); do
		module=${module#./}
		case " $private " in *" ${module%%/*} "*) continue ;; esac
		case $module in . | examples/*) continue ;; esac
		echo "$module"
	done
}

# needs prints the modules of this repository that the go.mod of a module requires.
needs() { sed '/^module /d' "$1/go.mod" | grep -oE "$path(/[a-z0-9]+)* v" | sed 's/ v$//' | sort -u; }

tools() { go tool -C "$root" -modfile=scripts/tools.mod -n "$1"; }

preconditions() {
	[ "$(git rev-parse --abbrev-ref HEAD)" = main ] || refuse "this is not the branch main"
	[ -z "$(git status --porcelain)" ] || refuse "the working tree is not clean"
	[ -z "$(git tag -l "$version" "*/$version")" ] || refuse "there is a tag for $version"
	grep -qE "^## \[?v?${version#v}\]?( |$)" CHANGELOG.md ||
		refuse "CHANGELOG.md has no heading for ${version#v}"
	if [ "$green" ]; then
		echo "CI: said to be green for $(git log -1 --format=%h)"
	elif [ -t 0 ]; then
		read -rp "was .ci/run green for $(git log -1 --format='%h, %s')? [y/N] " answer
		[ "$answer" = y ] || refuse "CI comes first"
	else
		[ -z "$tag" ] || refuse "nothing says that .ci/run was green: --ci-green"
		loud "NOT ASKED whether .ci/run was green: no terminal"
	fi
}

# public prints the import paths that users can import from a module.
public() { go list -f '{{if ne .Name "main"}}{{.ImportPath}}{{end}}' ./... | grep -vE '/(internal|examples|proof)(/|$)' || true; }

# api compares what is exported with the last tag. Before v1 an incompatible
# change needs a section Changed or Removed in the notes, later another major.
api() {
	local last apidiff package file broken=
	last=$(git describe --tags --abbrev=0 --match 'v[0-9]*' 2>/dev/null) || {
		echo "no tag yet: there is no API to compare with"
		return
	}
	apidiff=$(tools apidiff)
	git worktree add --quiet --detach "$tmp/last" "$last"
	(cd "$tmp/last" && public) >"$tmp/packages"
	[ -s "$tmp/packages" ] || refuse "no package found in $last"
	while read -r package; do
		file=$tmp/$(tr / _ <<<"$package").export
		(cd "$tmp/last" && "$apidiff" -w "$file" "$package")
		if ! go list "$package" >/dev/null 2>&1; then
			echo "$package: removed"
			broken=yes
			continue
		fi
		"$apidiff" "$file" "$package" >"$tmp/diff"
		! grep -q . "$tmp/diff" || { echo "$package, since $last:" && cat "$tmp/diff"; }
		! grep -q '^Incompatible' "$tmp/diff" || broken=yes
	done <"$tmp/packages"
	git worktree remove --force "$tmp/last"
	if [ "$broken" ]; then
		case $version in v0.*) ;; *) refuse "incompatible changes in $version need another major version" ;; esac
		notes | grep -qE '^### (Changed|Removed)' ||
			refuse "incompatible changes, and the notes of $version have no section Changed or Removed"
	fi
}

# notes prints the section of this version in CHANGELOG.md.
notes() { awk -v v="${version#v}" '/^## / { on = ($2 == v || $2 == "v" v || $2 == "[" v "]") } on' CHANGELOG.md; }

# release makes the commit that is tagged, and one after it for development.
release() {
	local module need
	for module in $(nested); do
		for need in $(needs "$module"); do
			[ "$need" = "$path" ] || nested | grep -qxF "${need#"$path"/}" ||
				refuse "$module needs $need, which is not published"
			(cd "$module" && go mod edit -dropreplace="$need" -require="$need@$version")
		done
		! grep -q "^replace\|=>" "$module/go.mod" || refuse "$module/go.mod still has a replace"
	done
	git add -- '*go.mod'
	git commit --quiet -m "release: $version"
	local sign=(-a)
	[ -z "$key" ] || sign=(-s)
	for module in "" $(nested); do # the root first: the others require it
		git -c gpg.format=ssh -c user.signingkey="$key" tag "${sign[@]}" -m "snib $version" "${module:+$module/}$version"
	done
	git checkout --quiet HEAD~1 -- $(nested | sed 's|$|/go.mod|')
	git commit --quiet -m "modules: build from this tree again, after $version"
	git --no-pager log --oneline -2
	git tag --points-at HEAD~1
}

# build compiles the command in a checkout of the tag, of which it takes its
# version and its commit. The root module comes from the same checkout, because nothing can download it before the tag is
# pushed; the go.mod with that replace lies outside.
build() {
	local checkout=$1 to=$2 target name
	mkdir -p "$to" "$checkout.mod"
	cp "$checkout/cmd/go.mod" "$checkout/cmd/go.sum" "$checkout.mod"
	go mod edit -replace="$path=.." "$checkout.mod/go.mod"
	for target in $targets; do
		name=snib_${version#v}_${target%/*}_${target#*/}
		[ "${target%/*}" != windows ] || name=$name.exe
		(
			cd "$checkout/cmd"
			CGO_ENABLED=0 GOOS=${target%/*} GOARCH=${target#*/} GOFLAGS= \
				go build -trimpath -buildvcs=true -modfile="$checkout.mod/go.mod" -o "$to/$name" ./snib
		)
	done
}

binaries() {
	local n
	for n in 1 2; do # two folders of different length, which no binary may show
		git -c advice.detachedHead=false clone --quiet --branch "cmd/$version" "$tmp/snib" "$tmp/build${n/2/-again}"
	done
	build "$tmp/build1" "$out"
	# An empty cache makes the second build independent of the first; a dry run
	# and --warm save those minutes and compare what the linker makes.
	(
		[ -z "$tag" ] || [ "$warm" ] || export GOCACHE=$tmp/cache
		build "$tmp/build-again" "$tmp/again"
	)
	(cd "$out" && sha256sum snib_*) >"$tmp/SHA256SUMS"
	(cd "$tmp/again" && sha256sum --quiet -c "$tmp/SHA256SUMS") ||
		refuse "two builds of one commit differ"
	cat "$tmp/SHA256SUMS"
}

# sbom writes what is in each binary, as CycloneDX. Nothing in it depends on the
# time or on chance.
sbom() {
	local bom binary
	bom=$(tools cyclonedx-gomod)
	for binary in "$out"/snib_*; do
		"$bom" bin -json -noserial -notimestamp -version "$version" -output "$tmp/bom" "$binary" 2>/dev/null
		sed -e "s|golang/\.\.@(devel)|golang/$path@$version|g" -e "s|\"name\": \"\.\.\"|\"name\": \"$path\"|" \
			-e "s|\"version\": \"(devel)\"|\"version\": \"$version\"|" "$tmp/bom" >"$binary.cdx.json"
		grep -q "\"name\": \"$path\"" "$binary.cdx.json" || refuse "the SBOM of $binary does not name the library"
	done
}

# vulnerabilities asks the database of Go with a binary first, which is quick;
# then the packages, which finds what tests and libraries call.
vulnerabilities() {
	local check binary module rc=0
	check=$(tools govulncheck)
	binary=$(find "$out" -name 'snib_*' -not -name '*.json' | sort | head -n 1)
	timeout 120 "$check" -mode=binary "$binary" >"$tmp/vulns" 2>&1 || rc=$?
	if [ $rc -ne 0 ] && [ $rc -ne 3 ]; then
		loud "VULNERABILITIES NOT CHECKED: govulncheck cannot reach its database"
		tail -n 1 "$tmp/vulns"
		return
	fi
	cat "$tmp/vulns"
	[ $rc -eq 0 ] || refuse "govulncheck has found vulnerabilities in the command"
	for module in . $(nested); do
		(cd "$module" && "$check" ./...) || refuse "govulncheck refuses $module"
	done
}

checksums() {
	(cd "$out" && sha256sum snib_*) >"$out/SHA256SUMS"
	if [ "$key" ]; then
		ssh-keygen -q -Y sign -f "$key" -n file "$out/SHA256SUMS"
	else
		loud "NOT SIGNED: no --key"
	fi
	ls -l "$out"
}

preconditions
# Signatures and sums of another run must not pass for ones of this.
rm -rf "$out"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
git clone --quiet "$root" "$tmp/snib"
for name in user.name user.email; do
	git -C "$tmp/snib" config "$name" "$(git config "$name" || refuse "git has no $name")"
done
cd "$tmp/snib"
step API api
step "commit and tags" release
step binaries binaries
step SBOM sbom
step vulnerabilities vulnerabilities
step checksums checksums
if [ -z "$tag" ]; then
	echo "DRY RUN of $version: nothing is tagged; the files are in $out"
	exit 0
fi
cd "$root"
git fetch --quiet "$tmp/snib" main "refs/tags/*:refs/tags/*"
git merge --quiet --ff-only FETCH_HEAD
echo "TAGGED $version. To publish: git push --atomic origin main $(git tag --points-at HEAD~1 | tr '\n' ' ')"
