package love

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/lsst-ts/csu/executor/secret"
)

func TestCheck(t *testing.T) {
	m := newManager(t)
	c := m.client()
	who, err := c.Check(t.Context())
	if err != nil || who.Username != user || !who.ExecuteCommands {
		t.Errorf("Check = %+v, %v, want a user who may send commands", who, err)
	}
	m.expireTokens()
	if who, err := c.Check(t.Context()); err != nil || !who.ExecuteCommands {
		t.Errorf("Check with an expired token = %+v, %v, want it renewed", who, err)
	}
	m.forbid()
	who, err = c.Check(t.Context())
	var auth *AuthError
	if !errors.As(err, &auth) || who == nil || who.ExecuteCommands {
		t.Errorf("Check without the permission = %+v, %v, want the account and an AuthError", who, err)
	}
	if _, requests, _ := m.seen(); requests != 0 {
		t.Errorf("Check sent %d commands", requests)
	}
}

func TestCheckDistinguishesRefusalFromOutage(t *testing.T) {
	m := newManager(t)
	secret.Know("hunter2")
	var auth *AuthError
	for name, c := range map[string]*Client{
		"wrong password": New(m.URL+"/love", user, "hunter2", nil),
		"unknown user":   New(m.URL+"/love", "stranger", "hunter2", nil),
		"no password":    New(m.URL+"/love", user, "", nil),
		"no user":        New(m.URL+"/love", "", "hunter2", nil),
	} {
		_, err := c.Check(t.Context())
		if !errors.As(err, &auth) {
			t.Errorf("%s: %v, want an AuthError", name, err)
			continue
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error shows the password: %v", name, err)
		}
	}
	var unreachable *UnreachableError
	for name, c := range map[string]*Client{
		"wrong path": New(m.URL, user, password, nil),
		"no server":  New("http://127.0.0.1:1/love", user, password, nil),
		"no URL":     New("::", user, password, nil),
	} {
		if _, err := c.Check(t.Context()); !errors.As(err, &unreachable) {
			t.Errorf("%s: %v, want an UnreachableError", name, err)
		}
	}
}

func TestTheTokenIsRequestedOnceAndRenewedOnce(t *testing.T) {
	m := newManager(t)
	c := m.client()
	if logins, _, _ := m.seen(); logins != 0 {
		t.Error("New requested a token")
	}
	for range 3 {
		if err := c.Resume(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
	}
	if logins, _, _ := m.seen(); logins != 1 {
		t.Errorf("%d tokens for three commands, want 1", logins)
	}
	m.expireTokens()
	if err := c.Resume(t.Context(), 1); err != nil {
		t.Fatalf("after the token expired: %v", err)
	}
	if logins, _, commands := m.seen(); logins != 2 || len(commands) != 4 {
		t.Errorf("%d tokens and %d accepted commands, want 2 and 4", logins, len(commands))
	}
}

func TestATokenThatIsAlwaysRejectedIsRenewedOnce(t *testing.T) {
	m := newManager(t)
	c := New("http://love.invalid/love", user, password, &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
		defer m.expireTokens() // before they are used
		r = r.Clone(r.Context())
		r.URL.Host = strings.TrimPrefix(m.URL, "http://")
		return http.DefaultTransport.RoundTrip(r)
	})})
	err := c.Resume(t.Context(), 1)
	var auth *AuthError
	if !errors.As(err, &auth) || auth.Status != http.StatusUnauthorized {
		t.Errorf("Resume = %v, want an AuthError with 401", err)
	}
	if logins, requests, commands := m.seen(); logins != 2 || requests != 2 || len(commands) != 0 {
		t.Errorf("%d tokens, %d requests, %d accepted commands, want 2, 2, 0", logins, requests, len(commands))
	}
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestOneTokenServesManyAtOnce(t *testing.T) {
	m := newManager(t)
	c := m.client()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if err := c.Resume(t.Context(), 1); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if logins, _, commands := m.seen(); logins != 1 || len(commands) != 8 {
		t.Errorf("%d tokens and %d commands, want 1 and 8", logins, len(commands))
	}
}
