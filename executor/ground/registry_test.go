package ground_test

import (
	"errors"
	"net/http"
	"slices"
	"testing"

	"github.com/lsst-ts/csu/executor/ground"
	"github.com/lsst-ts/csu/executor/internal/cluster"
	"github.com/lsst-ts/csu/executor/internal/registry"
)

func TestTheRegistryIsReachedThroughItsPod(t *testing.T) {
	c, client := connect(t)
	target := site().Targets.Registry
	server := ground.StartRegistry(t, c, target)
	r := registry.New(client, target.Namespace, target.Selector, target.Container)
	ctx := t.Context()
	if level, err := r.Level(ctx); err != nil || level != "FORWARD" {
		t.Fatalf("Level = %q, %v, want FORWARD", level, err)
	}
	for _, level := range []string{"NONE", "FORWARD"} {
		if err := r.SetLevel(ctx, level); err != nil {
			t.Fatal(err)
		}
		if now, err := r.Level(ctx); err != nil || now != level || server.Level() != level {
			t.Errorf("Level = %q, %v, and the registry's is %q; want %s", now, err, server.Level(), level)
		}
	}
	if !slices.Equal(server.Sets(), []string{"NONE", "FORWARD"}) {
		t.Errorf("levels set: %v, want each level once", server.Sets())
	}
	var answered *registry.Error
	var lost *cluster.LostError
	if err := r.SetLevel(ctx, "SIDEWAYS"); !errors.As(err, &answered) || answered.Code != 42203 || errors.As(err, &lost) {
		t.Errorf("SetLevel(SIDEWAYS) = %v, want the registry's error 42203, not in doubt", err)
	}
	server.Fail(http.StatusInternalServerError)
	if _, err := r.Level(ctx); !errors.As(err, &answered) || answered.Code != 50001 {
		t.Errorf("Level = %v, want the registry's error 50001", err)
	}
	if err := r.SetLevel(ctx, "NONE"); !errors.As(err, &lost) {
		t.Errorf("SetLevel = %v, want a *LostError: a registry that fails may have stored it", err)
	}
	if server.Level() != "FORWARD" {
		t.Errorf("the level is %q at the end, want FORWARD", server.Level())
	}
}

func TestTheRegistryWithoutItsServer(t *testing.T) {
	c, client := connect(t)
	target := site().Targets.Registry
	target.Selector = "app=stopped-registry"
	// The pod exists, with a registry's environment, but nothing is listening.
	ground.StartRegistry(t, c, target).Stop()
	r := registry.New(client, target.Namespace, target.Selector, target.Container)
	var exit *cluster.ExitError
	if _, err := r.Level(t.Context()); !errors.As(err, &exit) || exit.Status != 7 {
		t.Errorf("Level = %v, want curl's exit status 7", err)
	}
	var lost *cluster.LostError
	if err := r.SetLevel(t.Context(), "NONE"); err == nil || errors.As(err, &lost) {
		t.Errorf("SetLevel = %v, want an error that leaves nothing in doubt", err)
	}
}
