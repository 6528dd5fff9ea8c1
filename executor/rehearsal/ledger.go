package rehearsal

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/lsst-ts/csu/executor/ledger"
)

var configMaps = schema.GroupResource{Resource: "configmaps"}

// maxData is the maximum total size of a ConfigMap's data, as in kube-apiserver
// (ValidateConfigMap in k8s.io/kubernetes 1.37).
const maxData = 1 << 20

// addLedger creates the site's ledger, as an administrator does before the first
// upgrade.
func (k *cluster) addLedger() {
	k.addNamespace(ledger.Namespace, nil)
	k.ledger = &corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{Kind: "ConfigMap", APIVersion: "v1"},
		ObjectMeta: k.meta(ledger.Namespace, k.site.plan.LedgerName(), nil),
	}
}

func (k *cluster) configMap(r *http.Request) (*corev1.ConfigMap, error) {
	if m := k.ledger; m.Namespace == r.PathValue("namespace") && m.Name == r.PathValue("name") {
		return m, nil
	}
	return nil, apierrors.NewNotFound(configMaps, r.PathValue("name"))
}

func (k *cluster) getConfigMap(r *http.Request) (any, error) {
	m, err := k.configMap(r)
	return m, err
}

func (k *cluster) updateConfigMap(r *http.Request) (any, error) {
	now, err := k.configMap(r)
	if err != nil {
		return nil, err
	}
	var m corev1.ConfigMap
	if err := body(r, &m); err != nil {
		return nil, err
	}
	if m.ResourceVersion != "" && m.ResourceVersion != now.ResourceVersion || m.UID != "" && m.UID != now.UID {
		return nil, apierrors.NewConflict(configMaps, now.Name, errors.New("the object has been modified; please apply your changes to the latest version and try again"))
	}
	size := 0
	for name, text := range m.Data {
		size += len(name) + len(text)
	}
	for name, data := range m.BinaryData {
		size += len(name) + len(data)
	}
	if size > maxData {
		return nil, apierrors.NewInvalid(schema.GroupKind{Kind: "ConfigMap"}, m.Name, field.ErrorList{field.TooLong(field.NewPath(""), "", maxData)})
	}
	m.TypeMeta, m.UID, m.CreationTimestamp = now.TypeMeta, now.UID, now.CreationTimestamp
	m.Namespace, m.Name, m.ResourceVersion = now.Namespace, now.Name, k.bump()
	k.ledgerEffects(now, &m)
	k.ledger = &m
	return &m, nil
}

// ledgerState is the part of a ledger that the record is about.
type ledgerState struct {
	Epoch  int
	Holder *struct{ Run string }
}

// ledgerEffects records which run has claimed or released the site. Other writes
// change nothing at the site.
func (k *cluster) ledgerEffects(before, after *corev1.ConfigMap) {
	var was, is ledgerState
	for m, into := range map[*corev1.ConfigMap]*ledgerState{before: &was, after: &is} {
		_ = json.Unmarshal([]byte(m.Data["ledger"]), into) // a new ConfigMap has no ledger yet
	}
	subject := after.Namespace + "/" + after.Name
	if is.Epoch > was.Epoch && is.Holder != nil {
		k.site.effect(Effect{System: SystemCluster, Kind: LedgerClaimed, Subject: subject, Detail: fmt.Sprintf("epoch %d", is.Epoch), Identity: is.Holder.Run})
	}
	if was.Holder != nil && is.Holder == nil {
		k.site.effect(Effect{System: SystemCluster, Kind: LedgerReleased, Subject: subject, Identity: was.Holder.Run})
	}
}
