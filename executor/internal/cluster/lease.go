package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The annotations of csu's Lease. The run is in its holderIdentity.
const (
	digestAnnotation   = "csu.lsst.org/plan-digest"
	fileAnnotation     = "csu.lsst.org/plan-file"
	operatorAnnotation = "csu.lsst.org/operator"
)

// Holder says which run a Lease belongs to.
type Holder struct {
	Plan     string // name of the plan's file without its folder, for people; "" in a Lease that does not name it
	Digest   string // of the plan
	RunID    string
	Operator string
	Since    time.Time // to the microsecond
}

func (h Holder) equal(o Holder) bool {
	return h.Plan == o.Plan && h.Digest == o.Digest && h.RunID == o.RunID && h.Operator == o.Operator && h.Since.Equal(o.Since)
}

// PlanText names the plan by its file and its digest, as far as the Lease does.
func (h Holder) PlanText() string {
	switch {
	case h.Plan == "" && h.Digest == "":
		return "a plan that the Lease does not name"
	case h.Plan == "":
		return fmt.Sprintf("the plan with the digest %.12s…", h.Digest)
	case h.Digest == "":
		return fmt.Sprintf("plan %q", h.Plan)
	}
	return fmt.Sprintf("plan %q (digest %.12s…)", h.Plan, h.Digest)
}

// HeldError says that the Lease belongs to another run than expected.
type HeldError struct {
	Namespace, Name string
	Holder          Holder
}

func (e *HeldError) Error() string {
	h := e.Holder
	return fmt.Sprintf("Lease \"%s/%s\" belongs to run %q of %s, started by %q at %s",
		e.Namespace, e.Name, h.RunID, h.PlanText(), h.Operator, h.Since.UTC().Format(time.RFC3339))
}

// Hint says what the operator of another run can do.
func (e *HeldError) Hint() string {
	h := e.Holder
	return fmt.Sprintf("ask %q, and let run %s end, or take it up with csu exec PLAN --resume on %s, where its journal is; "+
		"if it can't come back, remove the Lease with csu unlock", h.Operator, h.RunID, h.PlanText())
}

// AcquireLease writes into the cluster that the run h is under way, or finds
// that this has been done; a zero h.Since means now. Another run's Lease gives a
// [*HeldError]: nothing takes it over. A Lease never expires.
//
// It keeps two careful operators apart, no more: it is no fence against a
// process that goes on without it.
func (c *Cluster) AcquireLease(ctx context.Context, namespace, name string, h Holder) error {
	if h.Since.IsZero() {
		h.Since = c.clock.Now()
	}
	since := metav1.NewMicroTime(h.Since)
	lease := &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: namespace,
			Annotations: map[string]string{fileAnnotation: h.Plan, digestAnnotation: h.Digest, operatorAnnotation: h.Operator},
		},
		Spec: coordinationv1.LeaseSpec{HolderIdentity: &h.RunID, AcquireTime: &since},
	}
	err := c.Write(ctx, fmt.Sprintf("create Lease \"%s/%s\"", namespace, name), func(ctx context.Context) error {
		_, err := c.typed.CoordinationV1().Leases(namespace).Create(ctx, lease, metav1.CreateOptions{})
		return err
	})
	var lost *LostError
	if err == nil || !apierrors.IsAlreadyExists(err) && !errors.As(err, &lost) {
		return err
	}
	holder, look := c.LeaseHolder(ctx, namespace, name)
	switch {
	case look != nil:
		return errors.Join(err, look)
	case holder == nil:
		return err // lost before it arrived, or removed in between
	case holder.RunID != h.RunID || holder.Digest != h.Digest:
		return &HeldError{Namespace: namespace, Name: name, Holder: *holder}
	}
	return nil
}

// LeaseHolder returns who holds the Lease; nil where there is none.
func (c *Cluster) LeaseHolder(ctx context.Context, namespace, name string) (*Holder, error) {
	lease, err := c.lease(ctx, namespace, name)
	if lease == nil || err != nil {
		return nil, err
	}
	holder := holderOf(lease)
	return &holder, nil
}

// ReleaseLease removes the Lease at the end of the run that it belongs to. A
// Lease that is gone is no error, one of another run is a [*HeldError].
func (c *Cluster) ReleaseLease(ctx context.Context, namespace, name, runID string) error {
	return c.removeLease(ctx, namespace, name, func(h Holder) bool { return h.RunID == runID })
}

// RemoveLease removes a Lease that was left behind, but only if it is still the
// one that the operator was shown; another one is a [*HeldError]. A Lease that
// is gone is no error.
func (c *Cluster) RemoveLease(ctx context.Context, namespace, name string, seen Holder) error {
	return c.removeLease(ctx, namespace, name, seen.equal)
}

func (c *Cluster) removeLease(ctx context.Context, namespace, name string, meant func(Holder) bool) error {
	lease, err := c.lease(ctx, namespace, name)
	if lease == nil || err != nil {
		return err
	}
	if holder := holderOf(lease); !meant(holder) {
		return &HeldError{Namespace: namespace, Name: name, Holder: holder}
	}
	err = c.Write(ctx, fmt.Sprintf("delete Lease \"%s/%s\"", namespace, name), func(ctx context.Context) error {
		return c.typed.CoordinationV1().Leases(namespace).Delete(ctx, name, metav1.DeleteOptions{
			Preconditions: &metav1.Preconditions{UID: &lease.UID, ResourceVersion: &lease.ResourceVersion},
		})
	})
	if apierrors.IsNotFound(err) {
		return nil
	}
	var lost *LostError
	if err == nil || !apierrors.IsConflict(err) && !errors.As(err, &lost) {
		return err
	}
	now, look := c.lease(ctx, namespace, name)
	switch {
	case look != nil:
		return errors.Join(err, look)
	case now == nil:
		return nil
	case now.UID != lease.UID:
		return &HeldError{Namespace: namespace, Name: name, Holder: holderOf(now)}
	}
	return err
}

// lease returns the Lease, or nil where there is none.
func (c *Cluster) lease(ctx context.Context, namespace, name string) (*coordinationv1.Lease, error) {
	var lease *coordinationv1.Lease
	err := c.Read(ctx, fmt.Sprintf("read Lease \"%s/%s\"", namespace, name), func(ctx context.Context) (err error) {
		lease, err = c.typed.CoordinationV1().Leases(namespace).Get(ctx, name, metav1.GetOptions{})
		return err
	})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return lease, nil
}

func holderOf(lease *coordinationv1.Lease) Holder {
	h := Holder{
		Plan: lease.Annotations[fileAnnotation], Digest: lease.Annotations[digestAnnotation],
		Operator: lease.Annotations[operatorAnnotation],
	}
	if lease.Spec.HolderIdentity != nil {
		h.RunID = *lease.Spec.HolderIdentity
	}
	if lease.Spec.AcquireTime != nil {
		h.Since = lease.Spec.AcquireTime.Time
	}
	return h
}
