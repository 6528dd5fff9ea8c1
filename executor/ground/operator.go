package ground

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/lsst-ts/csu/executor/internal/cluster"
	"github.com/lsst-ts/csu/executor/ledger"
	"github.com/lsst-ts/csu/executor/plan"
)

// OperatorRights are the permissions that csu needs to run the plan, and all that an operator of the ground
// has. Asking for one's own permissions needs none.
func OperatorRights(p *plan.Plan) []cluster.Permission {
	targets := p.Targets
	var rights []cluster.Permission
	grant := func(namespace, group, resource, subresource string, verbs ...string) {
		for _, verb := range verbs {
			rights = append(rights, cluster.Permission{Verb: verb, Group: group, Resource: resource, Subresource: subresource, Namespace: namespace})
		}
	}
	grant("", "batch", "jobs", "", "get", "list", "delete")
	grant("", "", "pods", "", "list")
	grant("", "", "namespaces", "", "get", "list", "delete")
	grant(targets.Registry.Namespace, "", "pods", "exec", "create", "get")
	grant(targets.ArgoCD.Namespace, "argoproj.io", "applications", "", "get", "patch", "update")
	for _, verb := range []string{"get", "update"} {
		rights = append(rights, cluster.Permission{Verb: verb, Resource: "configmaps", Namespace: ledger.Namespace, Name: p.LedgerName()})
	}
	return rights
}

// Operator creates a new user of the cluster who has the permissions that csu
// needs, except those named. It returns the user's kubeconfig, whose only
// context has the targets' name. The namespaces of the targets must exist; the
// site's ledger is created if necessary.
func (c *Cluster) Operator(t testing.TB, p *plan.Plan, without ...cluster.Permission) (kubeconfig string) {
	t.Helper()
	targets, rights := p.Targets, OperatorRights(p)
	c.createLedger(t, p.LedgerName())
	for _, w := range without {
		i := slices.Index(rights, w)
		if i < 0 {
			t.Fatalf("remove the permission %q from an operator: operators do not have it", w)
		}
		rights = slices.Delete(rights, i, i+1)
	}
	c.mu.Lock()
	c.operators++
	user := fmt.Sprintf("operator%d", c.operators)
	certificate := c.plane.authority.client(t, user)
	c.mu.Unlock()
	for _, namespace := range []string{"", targets.Registry.Namespace, targets.ArgoCD.Namespace, ledger.Namespace} {
		c.bind(t, user, namespace, rights)
	}
	c.awaitRights(t, user, rights)
	kubeconfig = filepath.Join(c.dir, user+".kubeconfig")
	c.writeKubeconfig(t, kubeconfig, targets.Kubernetes.Context, certificate)
	return kubeconfig
}

// createLedger creates the ledger of a site, as an administrator does once.
func (c *Cluster) createLedger(t testing.TB, name string) {
	t.Helper()
	_, err := c.Admin.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ledger.Namespace}}, metav1.CreateOptions{})
	if err == nil || apierrors.IsAlreadyExists(err) {
		_, err = c.Admin.CoreV1().ConfigMaps(ledger.Namespace).Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	}
	if err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatalf("create the ledger %s: %v", name, err)
	}
}

// bind grants a user those of the permissions that apply in a namespace; "" is
// the whole cluster.
func (c *Cluster) bind(t testing.TB, user, namespace string, rights []cluster.Permission) {
	t.Helper()
	var rules []rbacv1.PolicyRule
	for _, r := range rights {
		if r.Namespace != namespace {
			continue
		}
		resource := r.Resource
		if r.Subresource != "" {
			resource += "/" + r.Subresource
		}
		rule := rbacv1.PolicyRule{APIGroups: []string{r.Group}, Resources: []string{resource}, Verbs: []string{r.Verb}}
		if r.Name != "" {
			rule.ResourceNames = []string{r.Name}
		}
		rules = append(rules, rule)
	}
	object := metav1.ObjectMeta{Name: user, Namespace: namespace}
	subjects := []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}}
	api := c.Admin.RbacV1()
	var err error
	if namespace == "" {
		if _, err = api.ClusterRoles().Create(t.Context(), &rbacv1.ClusterRole{ObjectMeta: object, Rules: rules}, metav1.CreateOptions{}); err == nil {
			_, err = api.ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
				ObjectMeta: object, Subjects: subjects, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: user},
			}, metav1.CreateOptions{})
		}
	} else {
		if _, err = api.Roles(namespace).Create(t.Context(), &rbacv1.Role{ObjectMeta: object, Rules: rules}, metav1.CreateOptions{}); err == nil {
			_, err = api.RoleBindings(namespace).Create(t.Context(), &rbacv1.RoleBinding{
				ObjectMeta: object, Subjects: subjects, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: user},
			}, metav1.CreateOptions{})
		}
	}
	if err != nil {
		t.Fatalf("grant %s its permissions in namespace %q: %v", user, namespace, err)
	}
}

// awaitRights waits until the API server applies a user's permissions, which
// may be some time after it accepted the roles.
func (c *Cluster) awaitRights(t testing.TB, user string, rights []cluster.Permission) {
	t.Helper()
	for _, r := range rights {
		c.Until(t, Limit, fmt.Sprintf("%s may %s", user, r), func(ctx context.Context) (bool, error) {
			review, err := c.Admin.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{
				Spec: authorizationv1.SubjectAccessReviewSpec{User: user, ResourceAttributes: &authorizationv1.ResourceAttributes{
					Verb: r.Verb, Group: r.Group, Resource: r.Resource, Subresource: r.Subresource, Namespace: r.Namespace, Name: r.Name,
				}},
			}, metav1.CreateOptions{})
			if err != nil {
				return false, err
			}
			return review.Status.Allowed, fmt.Errorf("%+v", review.Status)
		})
	}
}

// writeKubeconfig writes a kubeconfig with one context. Argo CD's controllers
// look for their own configuration in its namespace.
func (c *Cluster) writeKubeconfig(t testing.TB, name, context string, client pair) {
	t.Helper()
	config := clientcmdapi.NewConfig()
	config.Clusters["ground"] = &clientcmdapi.Cluster{Server: c.URL, CertificateAuthorityData: c.plane.authority.pem}
	config.AuthInfos["ground"] = &clientcmdapi.AuthInfo{ClientCertificateData: client.certificate, ClientKeyData: client.key}
	config.Contexts[context] = &clientcmdapi.Context{Cluster: "ground", AuthInfo: "ground", Namespace: argoNamespace}
	config.CurrentContext = context
	if err := clientcmd.WriteToFile(*config, name); err != nil {
		t.Fatalf("write a kubeconfig: %v", err)
	}
}
