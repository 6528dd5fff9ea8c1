package cluster

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/transport"
	"k8s.io/client-go/util/connrotation"
)

// logIn makes the config's requests carry its credential, and returns the client of
// them, and the plugin that gives the credential, or nil.
func logIn(context string, config *rest.Config) (*http.Client, *plugin, error) {
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return learning{next} })
	uses := config.ExecProvider != nil && config.BearerToken == "" && config.BearerTokenFile == "" && config.Username == "" &&
		config.CertData == nil && config.CertFile == ""
	if !uses {
		config.ExecProvider = nil // kubectl does not run it either
		client, err := rest.HTTPClientFor(config)
		if err == nil {
			client.Transport = &outermost{context, client.Transport}
		}
		return client, nil, err
	}
	p, err := newPlugin(context, config)
	if err != nil {
		return nil, nil, err
	}
	config.ExecProvider = nil
	config.Wrap(p.wrap)
	tc, err := config.TransportConfig()
	if err != nil {
		return nil, nil, err
	}
	dial := (&net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	tc.DialHolder = &transport.DialHolder{Dial: connrotation.NewDialerWithTracker(dial, p.conns).DialContext}
	tc.TLS.GetCertHolder = &transport.GetCertHolder{GetCert: p.certificate}
	rt, err := transport.New(tc)
	if err != nil {
		return nil, nil, err
	}
	return &http.Client{Transport: &outermost{context, rt}}, p, nil
}

// outermost tells an error of the login, after which nothing was sent, from one of the
// request.
type outermost struct {
	context string
	next    http.RoundTripper
}

// reached is the context key of the flag that the request got past the login.
type reached struct{}

func (o *outermost) RoundTrip(r *http.Request) (*http.Response, error) {
	var flag atomic.Bool
	resp, err := o.next.RoundTrip(r.WithContext(context.WithValue(r.Context(), reached{}, &flag)))
	var login *LoginError
	if err != nil && !flag.Load() && r.Context().Err() == nil && !errors.As(err, &login) {
		err = &LoginError{o.context, err}
	}
	return resp, err
}

// WrappedRoundTripper lets client-go find the transport, whose connections it closes.
func (o *outermost) WrappedRoundTripper() http.RoundTripper { return o.next }

// withCertificate returns the config for a connection that client-go makes without the
// cluster's client, with the plugin's certificate.
func (c *Cluster) withCertificate(ctx context.Context) (*rest.Config, error) {
	if c.plugin == nil {
		return c.config, nil
	}
	got, err := c.plugin.credential(ctx)
	if err != nil || got.cert == nil {
		return c.config, err
	}
	key, err := x509.MarshalPKCS8PrivateKey(got.cert.PrivateKey)
	if err != nil {
		return nil, err
	}
	config := rest.CopyConfig(c.config)
	for _, der := range got.cert.Certificate {
		config.CertData = append(config.CertData, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	config.KeyData = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})
	return config, nil
}

// Expiry returns when the operator's credential for the cluster expires, as far as it
// says so, otherwise zero. If a plugin gives it, the plugin may give another one then,
// and renews is true. The error is a [*LoginError].
func (c *Cluster) Expiry(ctx context.Context) (at time.Time, renews bool, err error) {
	if c.plugin != nil {
		got, err := c.plugin.credential(ctx)
		if err != nil {
			return time.Time{}, true, err
		}
		return got.expires, true, nil
	}
	token := c.config.BearerToken
	if file := c.config.BearerTokenFile; file != "" {
		data, err := os.ReadFile(file)
		if err != nil {
			return time.Time{}, false, &LoginError{c.context, err}
		}
		token = strings.TrimSpace(string(data))
	}
	if p := c.config.AuthProvider; p != nil {
		token, renews = p.Config["id-token"], p.Config["refresh-token"] != ""
	}
	if token != "" {
		return tokenExpiry(token), renews, nil
	}
	certificate := c.config.CertData
	if c.config.CertFile != "" && certificate == nil {
		if certificate, err = os.ReadFile(c.config.CertFile); err != nil {
			return time.Time{}, false, &LoginError{c.context, err}
		}
	}
	if block, _ := pem.Decode(certificate); block != nil {
		if leaf, err := x509.ParseCertificate(block.Bytes); err == nil {
			return leaf.NotAfter, false, nil
		}
	}
	return time.Time{}, renews, nil
}

// tokenExpiry returns when a JSON Web Token (RFC 7519, "exp") expires; zero for another
// token.
func tokenExpiry(token string) time.Time {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return time.Time{}
	}
	data, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct {
		Expires float64 `json:"exp"`
	}
	if err != nil || json.Unmarshal(data, &claims) != nil || claims.Expires <= 0 {
		return time.Time{}
	}
	return time.Unix(int64(claims.Expires), 0).UTC()
}
