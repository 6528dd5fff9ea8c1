// Package gate keeps a run from causing effects that it is no longer entitled
// to.
//
// Each client of an outside system calls [Pass] right before it sends a request
// that changes something. The check is in the context. Inside a run, it
// verifies that the run still holds its site's ledger. Outside of a run there
// is no check.
package gate

import (
	"context"
	"fmt"
)

type key struct{}

// With returns a context whose effects must pass check. A nil check lets
// everything pass.
func With(ctx context.Context, check func(context.Context) error) context.Context {
	return context.WithValue(ctx, key{}, check)
}

// ClosedError reports that an effect did not pass. Nothing was sent.
type ClosedError struct{ Err error }

func (e *ClosedError) Error() string { return fmt.Sprintf("nothing was sent: %v", e.Err) }

// Unwrap returns the cause.
func (e *ClosedError) Unwrap() error { return e.Err }

// Pass reports whether an effect may be sent now: nil, or a [*ClosedError].
func Pass(ctx context.Context) error {
	check, _ := ctx.Value(key{}).(func(context.Context) error)
	if check == nil {
		return nil
	}
	if err := check(ctx); err != nil {
		return &ClosedError{err}
	}
	return nil
}
