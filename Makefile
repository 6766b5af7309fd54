# Brainer's tasks. `make help` lists them.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

BINARIES := run_broker run_node brainer-cli
VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
REVISION := $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
LDFLAGS  := -X main.version=$(VERSION) -X main.revision=$(REVISION)

# What a call may set:
ARGS    ?=
# RACE=1 turns the race detector on.
RACE    ?=
# Packages in which nothing runs beside anything else (internal/archtest): the race detector takes five to ten times as long in
# their tests, and has nothing to find.
ALONE := broker/replication internal/command internal/keyspace internal/sim internal/wire node/replica resp
TIMEOUT ?= 14m
# One FUZZ target runs this long; before a release FUZZTIME=10m.
FUZZTIME ?= 20s
# What sim runs: about 12,500 steps each, a thousand million together.
SEEDS ?= 80000
CHAOS ?= 10m
CHAOSSEED ?= 0
SOAK ?= 30m
FIGURES ?= 20
PLANTS ?= NoReadHold ReadAnywhere OrderAgain ack=primary AckEarly AddEarly IgnoreDataID ReplyMixUp
FROM  ?= 1

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: build ## build, then start a broker with its embedded node on 127.0.0.1:6379 (ARGS="--debug ...")
	@trap : INT; bin/run_broker $(ARGS) || [ $$? = 130 ] # a second Ctrl-C, which ends it at once, is no error either

.PHONY: build
build: deps ## bin/run_broker, bin/run_node and bin/brainer-cli
	go build -trimpath -ldflags '$(LDFLAGS)' -o bin/ $(addprefix ./cmd/,$(BINARIES))

.PHONY: test
test: deps-test ## every test (RACE=1: under the race detector, but for packages without goroutines)
ifeq ($(RACE),)
	go test -timeout $(TIMEOUT) ./...
else
	go test -race -timeout $(TIMEOUT) $(filter-out $(addprefix brainer/,$(ALONE)),$(shell go list ./...))
	go test -race -run TestSeeds ./internal/sim -args -seeds 20 # worlds beside each other, which share nothing
	go test -gcflags=brainer/internal/keyspace=-d=checkptr -timeout $(TIMEOUT) $(addprefix ./,$(ALONE)) # -race looks at pointers, too
endif

.PHONY: race
race: ## the same as make test RACE=1
	$(MAKE) test RACE=1

.PHONY: check
check: deps ## formatting, go vet, staticcheck, the import rules
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "gofmt these:"; echo "$$unformatted"; exit 1; fi
	go vet ./...
	go tool staticcheck -checks inherit,-ST1005 ./... # error texts are Redis's own, capitals and full stops included
	go test -count=1 ./internal/archtest

.PHONY: fuzz
fuzz: deps ## each fuzz target for FUZZTIME (20s)
	@go test -list '^Fuzz' ./... | awk '/^Fuzz/ { t[n++] = $$1 } /^ok/ { for (i = 0; i < n; i++) print $$2, t[i]; n = 0 }' | \
	while read -r package target; do \
		echo "== $$package $$target"; \
		go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$package"; \
	done

.PHONY: sim
sim: deps ## a long simulation: SEEDS (80000) seeds, 1e9 steps, from FROM (1)
	go test ./internal/sim -run TestSeeds -seeds $(SEEDS) -from $(FROM) -timeout 0 -v

.PHONY: bench
bench: deps-bench ## side by side with redis-server and nutcracker, alternating (ARGS="-rows ... -repeat ...")
	go run ./bench -rows '.*' $(ARGS)

.PHONY: bench-quick
bench-quick: deps-bench ## the rows that matter most in about two minutes, for a first idea
	go run ./bench -seconds 1 -repeat 3 $(ARGS)

.PHONY: bench-memory
bench-memory: deps-bench ## tables in bench/ of bytes a key, hit ratios, memory at a limit, saving and loading, beside redis-server's (ARGS="-rows saves -keys 10000000 ...")
	go run ./bench -memory bench $(ARGS)

.PHONY: bench-growth
bench-growth: deps-bench ## pictures in bench/ of throughput and CPU over nodes, connections, value sizes and keys
	go run ./bench -growth bench $(ARGS)

.PHONY: chaos
chaos: deps-test ## real processes, faults at random for CHAOS (10m), a quarter more in network namespaces, histories through porcupine
	go test ./integration -run 'TestChaos(InNamespaces)?$$' -count=1 -v -timeout 0 -args -chaos $(CHAOS) -chaosseed $(CHAOSSEED)

.PHONY: chaos-planted
chaos-planted: deps-test ## which of the mistakes in PLANTS a minute of chaos finds
	@for mistake in $(PLANTS); do \
		case $$mistake in ack=*) args="-chaosack $${mistake#ack=}" ;; *) args="-plant $$mistake" ;; esac; \
		out=$$(go test ./integration -run 'TestChaos$$' -count=1 -v -args $$args 2>&1 || true); \
		case $$out in *"--- FAIL: TestChaos"*) echo "$$mistake: found" ;; *"--- PASS: TestChaos"*) echo "$$mistake: NOT FOUND" ;; *) echo "$$out"; exit 1 ;; esac; \
	done

.PHONY: soak
soak: deps-test ## the same for SOAK (30m) without restarts of the broker, which must not grow
	go test ./integration -run 'TestChaos$$' -count=1 -v -timeout 0 -args -soak -chaos $(SOAK) -chaosseed $(CHAOSSEED)

.PHONY: faults
faults: deps-test ## each way to die FIGURES (20) times under half of what the cluster can do: how long clients stall
	go test ./integration -run 'TestFailureFigures$$' -count=1 -v -timeout 0 -args -figures $(FIGURES)

.PHONY: fairness
fairness: deps-test ## what one client with huge pipelines or values costs the others, and what links with a delay cost
	go test ./integration -run 'TestGreedyClientsLeaveRoom|TestLongLinks' -count=1 -v -timeout 0 -args -fairness -longlink

.PHONY: overload
overload: deps-test ## 10,000 connections, 400 clients that do not read and 1 GB of pipelined writes at once: memory and latency
	go test ./integration -run 'TestOverload$$' -count=1 -v -timeout 0 -args -overload

.PHONY: join
join: deps-test ## nodes join and come back under half of what the cluster can write: a table of what clients see
	go test ./integration -run 'TestJoinUnderLoad$$' -count=1 -v -timeout 0 -args -join

.PHONY: restart
restart: deps-test ## 1,000,000 keys on three disks under load, everything killed at once: all that was acknowledged comes back
	go test ./integration -run 'TestEverythingIsKilledAndComesBack$$' -count=1 -v -timeout 0 -args -restart 1000000

.PHONY: generate
generate: deps ## rewrite the tables in README.md that are derived from code
	go test $$(git ls-files -co --exclude-standard '*/readme_test.go' | xargs -n 1 dirname | sed 's|^|./|') -run TestReadme -update

.PHONY: deps
deps: ## install what building needs and is missing (libzmq3-dev, gcc, pkg-config)
	@.ci/deps build

.PHONY: deps-test
deps-test: ## install what the tests need and is missing (redis, promtool, python3-redis, words), starting no service
	@.ci/deps test

.PHONY: deps-bench
deps-bench: ## install what bench compares with and is missing (redis-server, nutcracker), starting no service
	@.ci/deps bench

.PHONY: clean
clean: ## remove what was built
	rm -rf bin
