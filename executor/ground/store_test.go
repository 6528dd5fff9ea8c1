package ground_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/google/go-cmp/cmp"

	"github.com/lsst-ts/csu/executor/ground"
	"github.com/lsst-ts/csu/executor/internal/cluster"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/ledger"
)

// ledgerOf creates the ledger of a new site and returns it as an operator sees
// it.
func ledgerOf(t *testing.T, site string) (c *ground.Cluster, store ledger.Store, name string) {
	t.Helper()
	p := siteNamed(site)
	c, client := connectTo(t, p)
	return c, ledger.In(client, p.LedgerName()), p.LedgerName()
}

func readLedger(t *testing.T, store ledger.Store) (ledger.Ledger, ledger.Version) {
	t.Helper()
	l, v, err := store.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return l, v
}

var annsLedger = ledger.Ledger{
	Format: ledger.Format, Epoch: 3,
	Holder: &ledger.Holder{
		Run: "r1", Plan: "plan.json", Digest: "d1", Operator: "ann", Host: "alps", Process: "p1",
		Since: time.Date(2026, 11, 24, 9, 0, 0, 123456000, time.UTC), Renewed: time.Date(2026, 11, 24, 9, 1, 0, 0, time.UTC),
		Journal: journal.Place{Machine: "m1", Path: "/home/ann/plan.json.journal", File: "1:2"},
	},
	Head:     ledger.Head{Run: "r1", Plan: "plan.json", Digest: "d1", Head: journal.Head{Seq: 7, Hash: "h7"}, Stage: "<deploy> & more"},
	Finished: []ledger.Finished{{Digest: "d0", Run: "r0", Outcome: ledger.Complete, Operator: "bob"}},
	Copy:     []byte("copy\x00\xff"),
}

func TestALedgerIsWrittenOnlyOverWhatWasRead(t *testing.T) {
	c, store, name := ledgerOf(t, "store-swap")
	empty, first := readLedger(t, store)
	if diff := cmp.Diff(ledger.Ledger{}, empty); diff != "" {
		t.Errorf("a ledger that was never written (-want +got):\n%s", diff)
	}
	second, err := store.Write(t.Context(), annsLedger, first)
	if err != nil {
		t.Fatal(err)
	}
	now, _ := readLedger(t, store)
	if diff := cmp.Diff(annsLedger, now); diff != "" {
		t.Errorf("the ledger as it was read again (-want +got):\n%s", diff)
	}
	if _, err := store.Write(t.Context(), ledger.Ledger{Epoch: 9}, first); !errors.Is(err, ledger.ErrConflict) {
		t.Errorf("Write over an old version = %v, want ErrConflict", err)
	}

	// Others' changes to the object are not lost, and make it another version.
	others := []byte(`{"metadata": {"labels": {"owner": "it"}, "annotations": {"note": "do not delete"}}, "data": {"README": "csu's"}}`)
	if _, err := c.Admin.CoreV1().ConfigMaps(ledger.Namespace).Patch(t.Context(), name, types.MergePatchType, others, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Write(t.Context(), annsLedger, second); !errors.Is(err, ledger.ErrConflict) {
		t.Errorf("Write after another change = %v, want ErrConflict", err)
	}
	now, third := readLedger(t, store)
	now.Epoch, now.Copy = 4, nil
	if _, err := store.Write(t.Context(), now, third); err != nil {
		t.Fatal(err)
	}
	m, err := c.Admin.CoreV1().ConfigMaps(ledger.Namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if m.Labels["owner"] != "it" || m.Annotations["note"] != "do not delete" {
		t.Errorf("labels %v and annotations %v, want them kept", m.Labels, m.Annotations)
	}
	if len(m.BinaryData) != 0 || !strings.Contains(m.Data["ledger"], `"epoch": 4`) {
		t.Errorf("data %v and %d binary keys, want epoch 4 without a copy", m.Data, len(m.BinaryData))
	}
}

func TestARecreatedLedgerIsAConflict(t *testing.T) {
	c, store, name := ledgerOf(t, "store-anew")
	_, v := readLedger(t, store)
	v, err := store.Write(t.Context(), annsLedger, v)
	if err != nil {
		t.Fatal(err)
	}
	maps := c.Admin.CoreV1().ConfigMaps(ledger.Namespace)
	if err := maps.Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Write(t.Context(), annsLedger, v); err == nil || errors.Is(err, ledger.ErrLost) {
		t.Errorf("Write of a deleted ledger = %v, want an error that says it was not written", err)
	}
	if _, _, err := store.Read(t.Context()); !ledger.Missing(err) {
		t.Errorf("Read of a deleted ledger = %v, want a *MissingError", err)
	}
	if _, err := maps.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Write(t.Context(), annsLedger, v); !errors.Is(err, ledger.ErrConflict) {
		t.Errorf("Write of a recreated ledger = %v, want ErrConflict", err)
	}
	if now, _ := readLedger(t, store); now.Epoch != 0 {
		t.Errorf("the recreated ledger has epoch %d, want it unchanged", now.Epoch)
	}
}

func TestALargeCopyIsAccepted(t *testing.T) {
	_, store, _ := ledgerOf(t, "store-large")
	_, v := readLedger(t, store)
	large := annsLedger
	large.Copy = make([]byte, journal.MostCopy)
	random := rand.NewChaCha8([32]byte{})
	if _, err := random.Read(large.Copy); err != nil {
		t.Fatal(err)
	}
	v, err := store.Write(t.Context(), large, v)
	if err != nil {
		t.Fatalf("write a copy of %d bytes: %v", len(large.Copy), err)
	}
	if now, _ := readLedger(t, store); !bytes.Equal(now.Copy, large.Copy) {
		t.Errorf("the copy that was read has %d bytes, want the %d that were written", len(now.Copy), len(large.Copy))
	}
	// A copy too large for a ConfigMap is certainly not written.
	large.Copy = append(large.Copy, large.Copy...)
	if _, err := store.Write(t.Context(), large, v); err == nil || errors.Is(err, ledger.ErrLost) || errors.Is(err, ledger.ErrConflict) {
		t.Errorf("Write of a copy of %d bytes = %v, want it refused", len(large.Copy), err)
	}
}

// still is a journal of one record.
type still struct{ hash string }

func (s still) Copy() journal.Copy { return journal.Copy{Head: journal.Head{Seq: 1, Hash: s.hash}} }

// newKeeper returns the keeper of a run that is starting.
func newKeeper(store ledger.Store, run string) *ledger.Keeper {
	return ledger.NewKeeper(store, ledger.Real(), ledger.Options{
		Claim:   ledger.Claim{Run: run, Plan: "plan.json", Digest: "digest of " + run},
		Holder:  ledger.Holder{Run: run, Plan: "plan.json", Digest: "digest of " + run, Operator: "ann", Host: "alps", Process: "process of " + run},
		Journal: still{run}, Now: time.Now, Stage: func() string { return "" },
	})
}

func TestOfManyClaimsOneSucceeds(t *testing.T) {
	_, store, _ := ledgerOf(t, "store-many")
	var keepers [8]*ledger.Keeper
	var errs [len(keepers)]error
	var all sync.WaitGroup
	for i := range keepers {
		keepers[i] = newKeeper(store, fmt.Sprintf("r%d", i))
		all.Go(func() { errs[i] = keepers[i].Pass(t.Context()) })
	}
	all.Wait()
	now, _ := readLedger(t, store)
	if now.Holder == nil || now.Epoch != 1 {
		t.Fatalf("the ledger is %+v, want one of the runs as its holder, at epoch 1", now)
	}
	for i, err := range errs {
		run := fmt.Sprintf("r%d", i)
		var displaced *ledger.DisplacedError
		var held *ledger.HeldError
		switch mine := now.Holder.Run == run; {
		case mine && (err != nil || keepers[i].Epoch() != 1):
			t.Errorf("Pass of the run that has the site = %v at epoch %d, want nil at epoch 1", err, keepers[i].Epoch())
		case !mine && (!errors.As(err, &displaced) || !errors.As(err, &held) || held.Holder.Run != now.Holder.Run):
			t.Errorf("Pass of run %s = %v, want a *HeldError that names %s", run, err, now.Holder.Run)
		}
	}
}

// Permission to write the ledger permits nothing else.
func TestTheOperatorMayWriteTheLedgerAlone(t *testing.T) {
	p := siteNamed("store-rights")
	c, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig := c.Operator(t, p)
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	operator, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	other := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "other"}}
	for _, namespace := range []string{ledger.Namespace, "argocd"} {
		if _, err := c.Admin.CoreV1().ConfigMaps(namespace).Create(t.Context(), other, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
			t.Fatal(err)
		}
	}
	ctx := t.Context()
	own, name := operator.CoreV1().ConfigMaps(ledger.Namespace), p.LedgerName()
	m, err := own.Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		t.Fatalf("read the ledger: %v", err)
	}
	m.Data = map[string]string{"ledger": ""}
	if _, err := own.Update(ctx, m, metav1.UpdateOptions{}); err != nil {
		t.Fatalf("write the ledger: %v", err)
	}
	create := func(namespace, name string) error {
		_, err := operator.CoreV1().ConfigMaps(namespace).Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
		return err
	}
	update := func(namespace, name string) error {
		_, err := operator.CoreV1().ConfigMaps(namespace).Update(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.UpdateOptions{})
		return err
	}
	refused := map[string]func() error{
		"create the ledger":               func() error { return create(ledger.Namespace, name) },
		"create another ConfigMap in csu": func() error { return create(ledger.Namespace, "new") },
		"delete the ledger":               func() error { return own.Delete(ctx, name, metav1.DeleteOptions{}) },
		"list the ledgers":                func() error { _, err := own.List(ctx, metav1.ListOptions{}); return err },
		"patch the ledger": func() error {
			_, err := own.Patch(ctx, name, types.MergePatchType, []byte(`{}`), metav1.PatchOptions{})
			return err
		},
		"read another ConfigMap in csu":    func() error { _, err := own.Get(ctx, "other", metav1.GetOptions{}); return err },
		"write another ConfigMap in csu":   func() error { return update(ledger.Namespace, "other") },
		"create a ConfigMap in argocd":     func() error { return create("argocd", name) },
		"write a ConfigMap in argocd":      func() error { return update("argocd", "other") },
		"write Argo CD's configuration":    func() error { return update("argocd", "argocd-cm") },
		"write the same name in sasquatch": func() error { return update("sasquatch", name) },
	}
	for what, try := range refused {
		if err := try(); !apierrors.IsForbidden(err) {
			t.Errorf("%s: %v, want it forbidden", what, err)
		}
	}
}

// A ledger that may not be written was not written, and the error says which
// permission is missing.
func TestALedgerThatMayNotBeWritten(t *testing.T) {
	p := siteNamed("store-forbidden")
	_, client := connectTo(t, p, cluster.Permission{Verb: "update", Resource: "configmaps", Namespace: ledger.Namespace, Name: p.LedgerName()})
	store := ledger.In(client, p.LedgerName())
	_, v := readLedger(t, store)
	_, err := store.Write(t.Context(), annsLedger, v)
	if err == nil || errors.Is(err, ledger.ErrLost) || errors.Is(err, ledger.ErrConflict) || !strings.Contains(err.Error(), "permission") {
		t.Errorf("Write = %v, want a refusal that says what to ask for", err)
	}
	if now, _ := readLedger(t, store); now.Epoch != 0 {
		t.Errorf("the ledger was written: %+v", now)
	}
}
