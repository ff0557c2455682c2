# Targets of podswitch; `make help` lists them.
SHELL := /bin/bash
export CGO_ENABLED ?= 0
FUZZTIME ?= 60s
LINTER_VERSION := v2.15.0
LINTER := .cache/bin/golangci-lint-$(LINTER_VERSION)
# Packages whose tests need neither root nor a network.
UNIT := $$(go list ./... | grep -v /e2e)

.DEFAULT_GOAL := help
.PHONY: help setup tools build image image-qemu demo demo-podman check test test-kubernetes lint fuzz soak bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## install the Debian packages that demo and tests need
	@e2e/kit/setup

tools: setup $(LINTER) ## build what the tests use: the linter, network plugins, a guest, a DHCP client
	@e2e/kit/setup --containers
	@e2e/kit/tools >/dev/null
	@e2e/kit/guest-image --daemons >/dev/null
	@e2e/kit/unpacked >/dev/null
	@e2e/kit/schema >/dev/null
	@deploy/image --tools
	@e2e/kit/qemu-image --tools

$(LINTER):
	@echo "building golangci-lint $(LINTER_VERSION), once" >&2
	@mkdir -p $(@D)/linter
	@GOFLAGS=-mod=mod GOBIN=$(abspath $(@D)/linter) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINTER_VERSION)
	@mv $(@D)/linter/golangci-lint $@

build: ## build bin/podswitch
	go build -trimpath -o bin/podswitch ./cmd/podswitch

image: ## build the image IMAGE (podswitch:dev) for amd64 and arm64 with podman or buildah, without a registry
	@deploy/image

image-qemu: ## build an image with QEMU 10 and a test guest, for demos: QEMU_IMAGE (podswitch-qemu:dev)
	@e2e/kit/qemu-image

demo: setup build ## show the main job on real parts: a VM takes over a pod's address
	PODSWITCH=bin/podswitch e2e/kit/demo

demo-podman: setup ## show a VM in a pod of podman, on one machine without a cluster
	@e2e/kit/setup --containers
	@e2e/kit/demo-podman

check: build lint ## the quick tests, for every change: format, lint, unit and script tests, fuzz seeds; no root, no network
	go test $(UNIT)

test: tools build lint ## run every test: unit and script tests with the race detector, a little fuzzing, then end to end
	CGO_ENABLED=1 go test -race $(UNIT)
	fuzz/run --smoke 5s
	go test -count=1 -p 1 -timeout 45m ./e2e/...

test-kubernetes: tools image ## run the manifests of deploy/ under a real Kubernetes on this machine; builds it once, in 20 processor minutes
	@e2e/kit/setup --kubernetes
	@e2e/kubernetes/build >/dev/null
	@e2e/kubernetes/images >/dev/null
	go test -tags kubernetes -count=1 -v -timeout 30m ./e2e/kubernetes

lint: $(LINTER) ## check format, vet, and with golangci-lint the walls between packages and common mistakes
	@files=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$files" || { echo "gofmt would change: $$files"; exit 1; }
	go vet -tags kubernetes ./...
	for arch in arm64 loong64 ppc64le riscv64 s390x; do GOARCH=$$arch go vet ./host/... || exit 1; done
	$(LINTER) run

fuzz: ## run every fuzz target on all cores for FUZZTIME (default 60s) each
	fuzz/run $(FUZZTIME)

soak: tools build ## kill, take over and load podswitch for half an hour
	go test -count=1 -v -timeout 60m -run 'TestKill|TestTakeover$$|TestSoak' ./e2e -soak

bench: setup build ## measure podswitch against its peers and the machine's limits in one run
	bench/peers >/dev/null || echo "bench: going on without them"
	go run ./bench/measure
	go test ./bench/measure -run TestPage -update

clean: ## remove what was built and cached
	rm -rf bin .cache
