# csu: the control-system upgrade tool. "make help" lists the targets.

SITES := $(patsubst sites/%/upgrade.cue,%,$(sort $(wildcard sites/*/upgrade.cue)))
TYPES := full incremental recovery
.PHONY: help build rehearse plans lint check test servers ground campaign bench

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile

build: ## build bin/csu
	go build -o bin/csu ./cmd/csu

rehearse: build ## the main job: compile the summit's incremental plan and rehearse it on the simulated site
	bin/csu plan compile --site summit --type incremental -o bin/summit-incremental.json
	bin/csu rehearse bin/summit-incremental.json --consent all

plans: build ## compile the plan of every current request into plans/
	@for site in $(SITES); do for type in $(TYPES); do \
		grep -q "^[[:space:]]*$$type:" sites/$$site/upgrade.cue || continue; \
		bin/csu plan compile --site $$site --type $$type || exit; \
	done; done

lint: ## format, vet, staticcheck, cue vet
	@bad=$$(gofmt -l cmd compiler executor); if [ -n "$$bad" ]; then echo "gofmt would change:"; echo "$$bad"; exit 1; fi
	go vet ./...
	go tool staticcheck ./...
	go tool cue vet -c ./...

check: lint ## the fast inner loop: lint and the unit tests
	go test $$(go list ./... | grep -v -e /cmd/csu -e '/csu/compiler$$' -e /internal/load -e /ground -e /internal/remote -e /internal/action -e /rehearsal -e /campaign)

# A relaxed garbage collector takes a seventh off what the tests and the compiler need
# of the processor; the limit is for machines with little memory.
test campaign: export GOGC = 400
test campaign: export GOMEMLIMIT = 4GiB
test: servers lint ## every test, none skipped, against real servers, which are installed first if they are missing
	go tool gotestsum --format standard-quiet $(RERUN) --packages ./... --post-run-command 'sh -c "test $$TESTS_SKIPPED = 0"' -- -timeout 45m

servers: ## install and build the real servers that the tests start, once, or list the missing packages
	go run ./executor/ground/cmd/ground prepare

ground: servers ## start the proving ground for interactive use, for PLAN=plans/x.json, until Ctrl-C
	go run ./executor/ground/cmd/ground serve $(PLAN)

campaign: servers ## kill csu at every boundary, fail its disk, damage its journals, fuzz what it reads, and every plan on the real servers; 20 to 30 minutes
	go test ./executor/campaign -full -v -count=1 -timeout 60m
	go test ./executor/ground -run '^(TestUpgradesOnTheGround|TestTakeoverOnTheGround)$$' -all -count=1 -timeout 60m
	go test ./executor/plan -run '^$$' -fuzz '^FuzzDecode$$' -fuzztime 60s -fuzzminimizetime 1s
	go test ./executor/journal -run '^$$' -fuzz '^FuzzRead$$' -fuzztime 60s -fuzzminimizetime 1s
	go test ./executor/journal -run '^$$' -fuzz '^FuzzUnpack$$' -fuzztime 60s -fuzzminimizetime 1s
	go test ./compiler/internal/load -run '^$$' -fuzz '^FuzzRequest$$' -fuzztime 60s -fuzzminimizetime 1s
	go test ./compiler/internal/load -run '^$$' -fuzz '^FuzzSite$$' -fuzztime 60s -fuzzminimizetime 1s

bench: ## compile against CUE alone, a step against two fsyncs: the ratios
	go test ./compiler/internal/load -run '^$$' -bench '^BenchmarkCompile$$' -benchtime 1x
	go test ./executor -run '^$$' -bench '^BenchmarkChain$$' -benchtime 1x
