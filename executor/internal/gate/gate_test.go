package gate

import (
	"context"
	"errors"
	"testing"
)

func TestPass(t *testing.T) {
	if err := Pass(t.Context()); err != nil {
		t.Errorf("Pass without a gate = %v", err)
	}
	shut := errors.New("taken over")
	ctx := With(t.Context(), func(context.Context) error { return shut })
	var closed *ClosedError
	if err := Pass(ctx); !errors.As(err, &closed) || !errors.Is(err, shut) {
		t.Errorf("Pass of a closed gate = %v, want a *ClosedError that wraps its reason", err)
	}
	if err := Pass(With(ctx, nil)); err != nil {
		t.Errorf("Pass of a removed gate = %v", err)
	}
	if err := Pass(With(t.Context(), func(context.Context) error { return nil })); err != nil {
		t.Errorf("Pass of an open gate = %v", err)
	}
}
