package cluster

import "context"

type ConfigMap struct {
	Namespace, Name, UID, Version string
	Data                          map[string]string
	Binary                        map[string][]byte
}
type ConflictError struct{ error }
type MissingError struct{ error }

func (c *Cluster) ConfigMap(ctx context.Context, ns, name string) (*ConfigMap, error) {
	return nil, nil
}
func (c *Cluster) UpdateConfigMap(ctx context.Context, m *ConfigMap) (string, error) { return "", nil }
