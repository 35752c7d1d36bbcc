# Weir's tasks. `make help` lists them.

GO     ?= go
SEEDS  ?= 280
BIN    := bin/weir
SOURCE := bench cmd examples internal test weirstream weirtest

.DEFAULT_GOAL := help
.PHONY: help build run demo test check unit race sim sim-soak bugs clients readme faults wan bench clean tools

help: ## list the tasks
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-10s %s\n", $$1, $$2 }'

build: ## build bin/weir
	$(GO) build -o $(BIN) ./cmd/weir

run: build ## build and run a node on ./weir-data, all listeners on loopback
	$(BIN) serve

demo: build ## three nodes, a flash crowd, a killed leader, and the proof that nothing was lost
	$(BIN) demo

test: check unit race sim bugs clients readme faults ## everything that must pass
	@echo "All tests passed."

check: ## formatting, vet, staticcheck, known vulnerabilities
	@test -z "$$(gofmt -l $(SOURCE))" || { gofmt -l $(SOURCE); echo "gofmt differs"; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	@scripts/vulncheck

unit: ## unit tests, fuzz seeds, the import graph
	$(GO) test $$($(GO) list ./... | grep -v -e /internal/sim$$ -e /test/clients$$ -e /test/diff$$ -e /test/faults$$)
	cd bench && $(GO) vet ./... && $(GO) test ./...

race: ## the race detector where goroutines meet
	$(GO) test -race -short ./internal/journal ./internal/storage ./internal/transport ./internal/cluster ./internal/front ./internal/pipe ./internal/region ./internal/service ./internal/stream ./internal/tablet ./weirstream

sim: ## simulated clusters with faults; SEEDS=N, or SEED=N to replay one
	@scripts/sim $(if $(SEED),--seed $(SEED),--seeds $(SEEDS))

sim-soak: ## the simulator for a night: SEEDS=100000
	@scripts/sim --seeds $(if $(filter 280,$(SEEDS)),100000,$(SEEDS))

bugs: ## planted bugs, each of which the simulator must catch
	@scripts/bugs

clients: build ## real clients against a real node: AWS SDKs for Go, JavaScript and Python, AWS CLI, Celery
	@scripts/clients

readme: build ## the README's examples, as they stand there
	@scripts/readme

faults: build ## real processes: kill -9, SIGSTOP, networks that are cut, slow and lossy, under load
	$(GO) test -count=1 -v -timeout 15m -skip 'TestWAN$$' ./test/faults

wan: build ## two regions of real processes over a network that is late and lossy; not part of make test, see docs/testing.md
	$(GO) test -count=1 -v -timeout 15m -run 'TestWAN$$' ./test/faults
	$(BIN) demo --seconds 10 --json --out ''

bench: ## benchmarks beside peers; see bench/README.md
	@bench/run

clean: ## remove what the tasks built
	rm -rf bin .cache
