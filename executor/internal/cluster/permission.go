package cluster

import (
	"context"
	"fmt"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Permission is a permission as RBAC grants it: a verb on a resource. Group ""
// is the core group, Namespace "" all namespaces (or a resource that has none),
// Name "" all names.
type Permission struct {
	Verb, Group, Resource, Subresource string
	Namespace, Name                    string
}

// String returns the permission much as kubectl auth can-i takes it: delete
// jobs.batch in namespace simonyitel.
func (p Permission) String() string {
	var b strings.Builder
	b.WriteString(p.Verb + " " + p.Resource)
	if p.Group != "" {
		b.WriteString("." + p.Group)
	}
	if p.Subresource != "" {
		b.WriteString("/" + p.Subresource)
	}
	if p.Name != "" {
		b.WriteString(" " + p.Name)
	}
	if p.Namespace != "" {
		b.WriteString(" in namespace " + p.Namespace)
	}
	return b.String()
}

// Allowed asks the API server (SelfSubjectAccessReview) and returns the
// permissions that the operator lacks.
func (c *Cluster) Allowed(ctx context.Context, permissions []Permission) (denied []Permission, err error) {
	for _, p := range permissions {
		review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
			ResourceAttributes: &authorizationv1.ResourceAttributes{
				Verb: p.Verb, Group: p.Group, Resource: p.Resource, Subresource: p.Subresource,
				Namespace: p.Namespace, Name: p.Name,
			},
		}}
		var allowed bool
		// Although a review is created, it only asks: the server stores
		// nothing.
		err := c.Read(ctx, fmt.Sprintf("ask whether %q is allowed", p), func(ctx context.Context) error {
			answer, err := c.typed.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
			if err == nil {
				allowed = answer.Status.Allowed
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		if !allowed {
			denied = append(denied, p)
		}
	}
	return denied, nil
}
