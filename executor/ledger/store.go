package ledger

import (
	"context"
	"errors"
	"fmt"

	"github.com/lsst-ts/csu/executor/internal/cluster"
	"github.com/lsst-ts/csu/executor/internal/gate"
)

// Namespace is where the ledgers are. It is csu's own, so that write access to
// it gives access to nothing else.
const Namespace = "csu"

// The keys of the ConfigMap.
const (
	textKey = "ledger"  // in data
	copyKey = "journal" // in binaryData
)

// Store keeps a ledger.
type Store interface {
	// Read returns the ledger, and its version for Write.
	Read(ctx context.Context) (Ledger, Version, error)
	// Write replaces the ledger of that version and returns the new version.
	// [ErrConflict] means that another process has written, [ErrLost] that it
	// is unknown whether this was written. After any other error it was not.
	Write(ctx context.Context, l Ledger, v Version) (Version, error)
}

// Version identifies a ledger as it was read or written.
type Version any

// The errors of a [Store] after which to read again.
var (
	ErrConflict = errors.New("another csu wrote the site's ledger in the meantime")
	ErrLost     = errors.New("it is unknown whether the site's ledger was written")
)

// Missing reports whether an error means that the ledger was never created.
func Missing(err error) bool {
	var missing *cluster.MissingError
	return errors.As(err, &missing)
}

// Away reports whether an error means that the cluster did not answer, rather than that the ledger cannot or
// may not be read.
func Away(err error) bool {
	var format *FormatError
	return !Missing(err) && !errors.As(err, &format) && cluster.Away(err)
}

// In returns the store of the named ledger in a cluster.
func In(c *cluster.Cluster, name string) Store { return clusterStore{c, name} }

type clusterStore struct {
	cluster *cluster.Cluster
	name    string
}

// ungated is for the ledger's own writes, since the gate waits for them.
func ungated(ctx context.Context) context.Context { return gate.With(ctx, nil) }

func (s clusterStore) Read(ctx context.Context) (Ledger, Version, error) {
	m, err := s.cluster.ConfigMap(ungated(ctx), Namespace, s.name)
	if err != nil {
		return Ledger{}, nil, err
	}
	l, err := decode([]byte(m.Data[textKey]))
	l.Copy = m.Binary[copyKey]
	return l, m, err
}

func (s clusterStore) Write(ctx context.Context, l Ledger, v Version) (Version, error) {
	text, err := l.encode()
	if err != nil {
		return nil, err
	}
	m := *v.(*cluster.ConfigMap)
	m.Data, m.Binary = map[string]string{textKey: string(text)}, nil
	if len(l.Copy) > 0 {
		m.Binary = map[string][]byte{copyKey: l.Copy}
	}
	now, err := s.cluster.UpdateConfigMap(ungated(ctx), &m)
	var conflict *cluster.ConflictError
	var lost *cluster.LostError
	switch {
	case errors.As(err, &conflict):
		return nil, fmt.Errorf("%w: %w", ErrConflict, err)
	case errors.As(err, &lost):
		return nil, fmt.Errorf("%w: %w", ErrLost, err)
	case err != nil:
		return nil, err
	}
	return now, nil
}
