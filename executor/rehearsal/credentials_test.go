package rehearsal

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every file of a site that holds a credential is its owner's alone, even where an older
// one could be read by everybody.
func TestOnlyTheOwnerReadsCredentials(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{MapFile, "kubeconfig"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s, err := Start(t.Context(), Config{Plan: smallPlan(), Digest: "d", Dir: dir, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	secrets := []string{s.lovePassword, s.efdPassword, s.slackToken, s.cluster.token, "PRIVATE KEY"}
	found := map[string]bool{}
	err = filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		for _, secret := range secrets {
			if !strings.Contains(string(content), secret) {
				continue
			}
			found[secret] = true
			if info, err := d.Info(); err != nil || info.Mode().Perm()&0o077 != 0 {
				t.Errorf("%s holds a credential and has the mode %v, %v", name, info.Mode(), err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != len(secrets) {
		t.Errorf("%d of %d credentials are in files", len(found), len(secrets))
	}
}
