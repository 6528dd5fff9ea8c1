# csu: the control-system upgrade tool. "make help" lists the targets.

SITES := summit tucson-teststand base-teststand
TYPES := full incremental recovery
# Debian packages of the real servers that the tests start, and a program of each.
SERVERS := openssh-server:/usr/sbin/sshd influxdb:/usr/bin/influxd

.PHONY: help build rehearse plans check test servers

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile

build: ## build bin/csu
	go build -o bin/csu ./cmd/csu

rehearse: build ## the main job: compile the summit's incremental plan and rehearse it on the simulated site
	bin/csu plan compile --site summit --type incremental -o bin/summit-incremental.json
	bin/csu rehearse bin/summit-incremental.json --consent all

plans: build ## compile the plan of every current request into plans/
	@for site in $(SITES); do for type in $(TYPES); do \
		bin/csu plan compile --site $$site --type $$type || exit; \
	done; done

check: ## the fast inner loop: format, vet, staticcheck, cue vet, unit tests
	@bad=$$(gofmt -l cmd compiler executor); if [ -n "$$bad" ]; then echo "gofmt would change:"; echo "$$bad"; exit 1; fi
	go vet ./...
	go tool staticcheck ./...
	go tool cue vet -c ./...
	go test $$(go list ./... | grep -v -e /cmd/csu -e /executor/ground -e /executor/internal/remote -e /executor/rehearsal)

test: servers ## every test, against real servers, which are installed first if they are missing
	@bad=$$(gofmt -l cmd compiler executor); if [ -n "$$bad" ]; then echo "gofmt would change:"; echo "$$bad"; exit 1; fi
	go vet ./...
	go tool staticcheck ./...
	go tool cue vet -c ./...
	go test -timeout 30m ./...

servers: ## install the real servers that the tests start, or say which are missing
	@missing=; for s in $(SERVERS); do \
		[ -x "$${s#*:}" ] || missing="$$missing $${s%%:*}"; \
	done; \
	[ -z "$$missing" ] && exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "installing the Debian packages$$missing, which the tests start as real servers"; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	else \
		echo "the tests need the Debian packages$$missing; install them (apt-get install$$missing), this account may not" >&2; exit 1; \
	fi
