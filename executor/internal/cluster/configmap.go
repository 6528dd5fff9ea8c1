package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ConfigMap is a ConfigMap as it was read.
type ConfigMap struct {
	Data   map[string]string
	Binary map[string][]byte

	object *corev1.ConfigMap
}

// MissingError reports that a ConfigMap does not exist.
type MissingError struct{ Namespace, Name string }

func (e *MissingError) Error() string {
	return fmt.Sprintf("no ConfigMap %q in namespace %q", e.Name, e.Namespace)
}

// Hint says how to create it.
func (e *MissingError) Hint() string {
	return fmt.Sprintf("ask the cluster's administrators to create it, once for the site: kubectl create namespace %s; kubectl create configmap %s -n %s; README.md lists the permissions for it", e.Namespace, e.Name, e.Namespace)
}

// ConflictError reports that a ConfigMap was not written because another client
// had changed or recreated it after it was read.
type ConflictError struct{ Err error }

func (e *ConflictError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *ConflictError) Unwrap() error { return e.Err }

// ConfigMap reads a ConfigMap, without retries. If it does not exist, the error
// is a [*MissingError].
func (c *Cluster) ConfigMap(ctx context.Context, namespace, name string) (*ConfigMap, error) {
	var m *corev1.ConfigMap
	err := limited(ctx, func(ctx context.Context) (err error) {
		m, err = c.typed.CoreV1().ConfigMaps(namespace).Get(ctx, name, metav1.GetOptions{})
		return err
	})
	switch {
	case apierrors.IsNotFound(err):
		return nil, &MissingError{namespace, name}
	case err != nil:
		return nil, c.explain(fmt.Sprintf("read ConfigMap \"%s/%s\"", namespace, name), err)
	}
	return &ConfigMap{maps.Clone(m.Data), maps.Clone(m.BinaryData), m}, nil
}

// UpdateConfigMap replaces the data of a ConfigMap that was read, and returns
// what the API server has now. Its errors are those of [Cluster.Write], and a
// [*ConflictError] if the ConfigMap has changed since it was read.
func (c *Cluster) UpdateConfigMap(ctx context.Context, m *ConfigMap) (*ConfigMap, error) {
	next := m.object.DeepCopy() // keeps labels that others have added
	next.Data, next.BinaryData = m.Data, m.Binary
	var now *corev1.ConfigMap
	err := c.Write(ctx, fmt.Sprintf("write ConfigMap \"%s/%s\"", next.Namespace, next.Name), func(ctx context.Context) (err error) {
		now, err = c.typed.CoreV1().ConfigMaps(next.Namespace).Update(ctx, next, metav1.UpdateOptions{})
		return err
	})
	var lost *LostError
	switch {
	case apierrors.IsConflict(err) && !errors.As(err, &lost):
		return nil, &ConflictError{err}
	case err != nil:
		return nil, err
	}
	return &ConfigMap{maps.Clone(now.Data), maps.Clone(now.BinaryData), now}, nil
}
