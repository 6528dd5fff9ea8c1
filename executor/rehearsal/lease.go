package rehearsal

import (
	"errors"
	"net/http"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var leases = schema.GroupResource{Group: "coordination.k8s.io", Resource: "leases"}

func (k *cluster) leaseEffect(kind string, l *coordinationv1.Lease) {
	e := Effect{System: SystemCluster, Kind: kind, Subject: l.Namespace + "/" + l.Name}
	if l.Spec.HolderIdentity != nil {
		e.Identity = *l.Spec.HolderIdentity
	}
	k.site.effect(e)
}

func (k *cluster) createLease(r *http.Request) (any, error) {
	var l coordinationv1.Lease
	if err := body(r, &l); err != nil {
		return nil, err
	}
	name := r.PathValue("namespace") + "/" + l.Name
	switch {
	case l.Name == "":
		return nil, apierrors.NewBadRequest("the Lease has no name")
	case k.namespaces[r.PathValue("namespace")] == nil:
		return nil, apierrors.NewNotFound(namespaces, r.PathValue("namespace"))
	case k.leases[name] != nil:
		return nil, apierrors.NewAlreadyExists(leases, l.Name)
	}
	annotations := l.Annotations
	l.TypeMeta = metav1.TypeMeta{Kind: "Lease", APIVersion: "coordination.k8s.io/v1"}
	l.ObjectMeta = k.meta(r.PathValue("namespace"), l.Name, l.Labels)
	l.Annotations = annotations
	k.leases[name] = &l
	k.leaseEffect(LeaseCreated, &l)
	return &l, nil
}

func (k *cluster) lease(r *http.Request) (*coordinationv1.Lease, error) {
	if l := k.leases[key(r)]; l != nil {
		return l, nil
	}
	return nil, apierrors.NewNotFound(leases, r.PathValue("name"))
}

func (k *cluster) getLease(r *http.Request) (any, error) {
	l, err := k.lease(r)
	return l, err
}

func (k *cluster) updateLease(r *http.Request) (any, error) {
	now, err := k.lease(r)
	if err != nil {
		return nil, err
	}
	var l coordinationv1.Lease
	if err := body(r, &l); err != nil {
		return nil, err
	}
	if l.ResourceVersion != "" && l.ResourceVersion != now.ResourceVersion || l.UID != "" && l.UID != now.UID {
		return nil, apierrors.NewConflict(leases, now.Name, errors.New("the object has been modified; please apply your changes to the latest version and try again"))
	}
	l.TypeMeta, l.UID, l.CreationTimestamp = now.TypeMeta, now.UID, now.CreationTimestamp
	l.Namespace, l.Name, l.ResourceVersion = now.Namespace, now.Name, k.bump()
	k.leases[key(r)] = &l
	k.leaseEffect(LeaseUpdated, &l)
	return &l, nil
}

func (k *cluster) deleteLease(r *http.Request) (any, error) {
	l, err := k.lease(r)
	if err != nil {
		return nil, err
	}
	if _, err := deleteOptions(r, leases, l); err != nil {
		return nil, err
	}
	delete(k.leases, key(r))
	k.leaseEffect(LeaseDeleted, l)
	return deleted(), nil
}
