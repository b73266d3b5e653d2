.PHONY: help check ci fuzz newuser cover golden bench harness crash engines soak

FUZZTIME ?= 20s
BENCH ?= .
COUNT ?= 1

help: ## show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 18

check: ## format, vet, staticcheck, tidy, tests, some with -race, a build for another system
	scripts/check.sh

ci: ## everything CI runs
	.ci/run

fuzz: ## run every fuzz target for FUZZTIME=20s each
	FUZZTIME=$(FUZZTIME) scripts/fuzz.sh

crash: ## crash states, failing disks, kills, damage, load: OPS= KILL= DAMAGED= LOAD= …
	scripts/crash.sh

engines: ## the engines on PostgreSQL, SQLite and etcd, metrics on Prometheus
	scripts/engines.sh

soak: ## random operations and misfortunes with other seeds for DURATION=1h
	scripts/soak.sh

newuser: ## import the committed library from outside, run the examples
	scripts/newuser.sh

cover: ## test coverage of the root module, profile in out/cover.out
	mkdir -p out
	go test -coverpkg=./... -coverprofile=out/cover.out ./...
	go tool cover -func=out/cover.out | tail -n 1

golden: ## rewrite golden files and API snapshots; read the diff before committing it
	set -e; for file in $$(grep -rlE '^var .*flag\.Bool\("update"' --include='*_test.go' .); do \
		(cd "$$(dirname "$$file")" && go test . -update); done

bench: ## run benchmarks in every module: BENCH=regexp COUNT=n
	scripts/each.sh go test -run '^$$' -bench '$(BENCH)' -benchmem -count $(COUNT) ./...

harness: ## compare with other session stores: HARNESS='-n 10000 -suite read'
	go -C bench run . $(HARNESS)
