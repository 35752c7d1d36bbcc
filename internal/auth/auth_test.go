package auth

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

func wantKind(t *testing.T, v *Verifier, r *Request, service string, want Kind) *Error {
	t.Helper()
	id, err := v.Verify(r, service)
	var e *Error
	if !errors.As(err, &e) || e.Kind != want {
		t.Fatalf("got %+v, %v; want kind %d", id, err, want)
	}
	return e
}

func simple(t testing.TB, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequest("POST", "http://localhost:4566/000000000000/q?b=2&a=1&empty=", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Amz-Target", "AmazonSQS.SendMessage")
	r.Header.Set("Content-Type", "application/x-amz-json-1.0")
	return r
}

func setHeader(r *Request, name, value string) {
	for i := range r.Headers {
		if string(r.Headers[i].Name) == name {
			r.Headers[i].Value = []byte(value)
			return
		}
	}
	r.Headers = append(r.Headers, Header{[]byte(name), []byte(value)})
}

func header(r *Request, name string) string {
	for i := range r.Headers {
		if string(r.Headers[i].Name) == name {
			return string(r.Headers[i].Value)
		}
	}
	return ""
}

func replaceInHeader(r *Request, name, old, new string) {
	setHeader(r, name, strings.Replace(header(r, name), old, new, 1))
}

func TestTampering(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Request)
		kind   Kind
		text   string
	}{
		{"method", func(r *Request) { r.Method = []byte("GET") }, InvalidSignature, "does not match"},
		{"path", func(r *Request) { r.Path = []byte("/000000000000/r") }, InvalidSignature, "does not match"},
		{"query value", func(r *Request) { r.Query = []byte("a=1&b=3&empty=") }, InvalidSignature, "does not match"},
		{"query added", func(r *Request) { r.Query = []byte("a=1&b=2&c&empty=") }, InvalidSignature, "does not match"},
		{"query removed", func(r *Request) { r.Query = nil }, InvalidSignature, "does not match"},
		{"malformed query", func(r *Request) { r.Query = []byte("a=%zz") }, MalformedQuery, "syntax"},
		{"body", func(r *Request) { r.Body = []byte("other") }, InvalidSignature, "does not match"},
		{"host", func(r *Request) { setHeader(r, "Host", "localhost") }, InvalidSignature, "does not match"},
		{"target", func(r *Request) { setHeader(r, "X-Amz-Target", "AmazonSQS.DeleteQueue") }, InvalidSignature, "does not match"},
		{"header twice", func(r *Request) {
			r.Headers = append(r.Headers, Header{[]byte("x-amz-target"), []byte("AmazonSQS.DeleteQueue")})
		}, InvalidSignature, "does not match"},
		{"signed header gone", func(r *Request) { replaceInHeader(r, "Authorization", "content-type", "content-typf") }, InvalidSignature, "does not match"},
		{"unsigned x-amz header", func(r *Request) { setHeader(r, "X-Amz-Extra", "1") }, InvalidSignature, "not signed: X-Amz-Extra"},
		{"host unsigned", func(r *Request) { replaceInHeader(r, "Authorization", ";host;", ";") }, InvalidSignature, "'Host' or ':authority'"},
		{"unsorted list", func(r *Request) {
			replaceInHeader(r, "Authorization", "content-length;content-type", "content-type;content-length")
		}, Incomplete, "sorted"},
		{"upper case list", func(r *Request) { replaceInHeader(r, "Authorization", ";host;", ";Host;") }, Incomplete, "lower case"},
		{"signature", func(r *Request) { replaceInHeader(r, "Authorization", "Signature=", "Signature=0") }, InvalidSignature, "does not match"},
		{"no signature", func(r *Request) { replaceInHeader(r, "Authorization", "Signature=", "Signaturf=") }, Incomplete, "requires 'Signature' parameter."},
		{"unknown key", func(r *Request) { replaceInHeader(r, "Authorization", testKey, "AKIDOTHER") }, UnknownKey, "The security token included in the request is invalid."},
		{"scope date", func(r *Request) { replaceInHeader(r, "Authorization", "/20260301/", "/20260302/") }, InvalidSignature, "'20260302' != '20260301'"},
		{"scope region", func(r *Request) { replaceInHeader(r, "Authorization", "us-east-1", "us-west-1") }, InvalidSignature, "valid region, not 'us-west-1'"},
		{"scope service", func(r *Request) { replaceInHeader(r, "Authorization", "/sqs/", "/dynamodb/") }, InvalidSignature, "correct service: 'sqs'"},
		{"scope terminator", func(r *Request) { replaceInHeader(r, "Authorization", "aws4_request", "aws5_request") }, InvalidSignature, "'aws4_request', not 'aws5_request'"},
		{"scope short", func(r *Request) { replaceInHeader(r, "Authorization", "/sqs/", "/") }, Incomplete, "exactly 5 slash-delimited"},
		{"date", func(r *Request) { setHeader(r, "X-Amz-Date", "20260301T123046Z") }, InvalidSignature, "does not match"},
		{"date malformed", func(r *Request) { setHeader(r, "X-Amz-Date", "20260231T123046Z") }, Incomplete, "ISO-8601 'basic format'. Got '20260231T123046Z'"},
		{"date old", func(r *Request) { setHeader(r, "X-Amz-Date", "20260301T121000Z") }, InvalidSignature,
			"Signature expired: 20260301T121000Z is now earlier than 20260301T121545Z (20260301T123045Z - 15 min.)"},
		{"date ahead", func(r *Request) { setHeader(r, "X-Amz-Date", "20260301T125000Z") }, InvalidSignature,
			"Signature not yet current: 20260301T125000Z is still later than 20260301T124545Z (20260301T123045Z + 15 min.)"},
		{"algorithm", func(r *Request) { replaceInHeader(r, "Authorization", "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1") }, Incomplete, "Unsupported AWS 'algorithm'"},
		{"not a pair", func(r *Request) { setHeader(r, "Authorization", "Basic dXNlcg") }, Incomplete, "'dXNlcg' not a valid key=value pair (missing equal-sign)"},
		{"empty", func(r *Request) { setHeader(r, "Authorization", "") }, Incomplete,
			"Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter. Authorization header requires 'SignedHeaders' parameter."},
		{"two headers", func(r *Request) {
			r.Headers = append(r.Headers, Header{[]byte("AUTHORIZATION"), []byte("x")})
		}, Incomplete, "more than one"},
		{"both ways", func(r *Request) {
			r.Query = []byte("X-Amz-Credential=x&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=1&X-Amz-SignedHeaders=host&X-Amz-Date=1")
		}, Incomplete, "Only one auth mechanism"},
		{"half presigned", func(r *Request) { r.Query = []byte("X-Amz-Credential=x") }, Incomplete, "must include"},
		{"streaming", func(r *Request) { setHeader(r, "X-Amz-Content-Sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER") }, InvalidSignature, "STREAMING"},
		{"none", func(r *Request) { replaceInHeader(r, "Authorization", "", ""); r.Headers = r.Headers[:1] }, MissingToken, "Missing Authentication Token"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := testVerifier(t, func(cfg *Config) { cfg.Region = "us-east-1" })
			r := sdkSigned(t, simple(t, "body"), "body", "sqs", testTime)
			c.change(r)
			if c.kind == MissingToken {
				r.Headers = []Header{{[]byte("Host"), []byte("h")}}
			}
			e := wantKind(t, v, r, "sqs", c.kind)
			if !strings.Contains(e.Message, c.text) && !(c.kind == MissingToken) {
				t.Errorf("message %q lacks %q", e.Message, c.text)
			}
		})
	}
}

// TestEveryBitCounts flips bits of everything that is signed.
func TestEveryBitCounts(t *testing.T) {
	v := testVerifier(t, nil)
	for _, presigned := range []bool{false, true} {
		make := func() *Request {
			if presigned {
				return sdkPresigned(t, simple(t, "body"), "body", "sqs", testTime)
			}
			return sdkSigned(t, simple(t, "body"), "body", "sqs", testTime)
		}
		probe := make()
		fields := 4 + len(probe.Headers)
		for f := range fields {
			field := func(r *Request) []byte {
				return [][]byte{r.Method, r.Path, r.Query, r.Body}[f]
			}
			if f >= 4 {
				field = func(r *Request) []byte { return r.Headers[f-4].Value }
			}
			for at := range field(probe) {
				r := make()
				field(r)[at] ^= 0x04
				if _, err := v.Verify(r, "sqs"); err == nil {
					t.Fatalf("presigned %v field %d byte %d: accepted", presigned, f, at)
				}
			}
		}
	}
}

func TestPresignedTimes(t *testing.T) {
	for _, c := range []struct {
		expires string
		late    time.Duration
		want    Kind
	}{
		{"", 14 * time.Minute, 0},
		{"", 16 * time.Minute, InvalidSignature},
		{"60", time.Minute, 0},
		{"60", 61 * time.Second, InvalidSignature},
		{"604800", 7 * 24 * time.Hour, 0},
		{"604801", 0, Incomplete},
		{"0", 0, Incomplete},
		{"-1", 0, Incomplete},
		{"99999999999999999999", 0, Incomplete},
		{"60", -16 * time.Minute, InvalidSignature},
	} {
		v := testVerifier(t, func(cfg *Config) { cfg.Clock = fixedClock{at: testTime.Add(c.late)} })
		r := simple(t, "")
		if c.expires != "" {
			r.URL.RawQuery += "&X-Amz-Expires=" + c.expires
		}
		signed := sdkPresigned(t, r, "", "sqs", testTime)
		if c.want == 0 {
			if _, err := v.Verify(signed, "sqs"); err != nil {
				t.Errorf("expires %q after %v: %v", c.expires, c.late, err)
			}
			continue
		}
		wantKind(t, v, signed, "sqs", c.want)
	}
}

func TestOpenMode(t *testing.T) {
	v := testVerifier(t, func(c *Config) { c.Open = true })
	anonymous := &Request{Method: []byte("POST"), Path: []byte("/")}
	if id, err := v.Verify(anonymous, "sqs"); err != nil || id != (Identity{}) {
		t.Errorf("anonymous: %+v, %v", id, err)
	}
	r := sdkSigned(t, simple(t, ""), "", "sqs", testTime.Add(-48*time.Hour))
	replaceInHeader(r, "Authorization", testKey, "test")
	want := Identity{AccessKey: "test", Region: "us-east-1", Service: "sqs"}
	for range 2 { // fresh, then cached
		if id, err := v.Verify(r, "sqs"); err != nil || id != want {
			t.Errorf("unknown key: %+v, %v", id, err)
		}
	}
	r = sdkSigned(t, simple(t, ""), "", "sqs", testTime)
	r.Body = []byte("changed")
	wantKind(t, v, r, "sqs", InvalidSignature) // a known key is verified in open mode too
	setHeader(r, "Authorization", "AWS4-HMAC-SHA256 Credential=x")
	wantKind(t, v, r, "sqs", Incomplete)
	anonymous.Headers = []Header{{[]byte("x-amz-content-sha256"), []byte("STREAMING-AWS4-HMAC-SHA256-PAYLOAD")}}
	wantKind(t, v, anonymous, "sqs", InvalidSignature)
}

func TestUnsignedPayload(t *testing.T) {
	for _, c := range []struct{ allow, tls, ok bool }{{false, false, false}, {false, true, false}, {true, false, false}, {true, true, true}} {
		v := testVerifier(t, func(cfg *Config) { cfg.AllowUnsignedPayload = c.allow })
		h := simple(t, "body")
		h.Header.Set("X-Amz-Content-Sha256", unsignedPayload)
		creds := aws.Credentials{AccessKeyID: testKey, SecretAccessKey: testSecret}
		if err := v4.NewSigner().SignHTTP(context.Background(), creds, h, unsignedPayload, "sqs", "us-east-1", testTime); err != nil {
			t.Fatal(err)
		}
		r := fromHTTP(h, "body")
		r.TLS = c.tls
		if _, err := v.Verify(r, "sqs"); (err == nil) != c.ok {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// TestPathForms: a client may or may not normalize the path before signing.
func TestPathForms(t *testing.T) {
	v := testVerifier(t, nil)
	for signed, sent := range map[string]string{"//a/../b/": "//a/../b/", "/b/": "//a/./../b/", "/": "/..", "/a/b": "/a//b"} {
		h := simple(t, "")
		h.URL = &url.URL{Scheme: "http", Host: "localhost:4566", Path: signed}
		if strings.HasPrefix(signed, "//") {
			h.URL = &url.URL{Scheme: "http", Host: "localhost:4566", Opaque: "//localhost:4566" + signed}
		}
		r := sdkSigned(t, h, "", "sqs", testTime)
		r.Path = []byte(sent)
		if _, err := v.Verify(r, "sqs"); err != nil {
			t.Errorf("signed %q, sent %q: %v", signed, sent, err)
		}
	}
}

func TestWhiteSpaceIsFolded(t *testing.T) {
	v := testVerifier(t, nil)
	h := simple(t, "")
	h.Header.Set("X-Amz-Note", "a b c")
	r := sdkSigned(t, h, "", "sqs", testTime)
	setHeader(r, "X-Amz-Note", " \ta  b\t \tc  ")
	if _, err := v.Verify(r, "sqs"); err != nil {
		t.Error(err)
	}
}

// TestAWSExample is the derivation example of AWS's documentation.
func TestAWSExample(t *testing.T) {
	got := hex.EncodeToString(deriveKey("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "20150830", "us-east-1", "iam"))
	if want := "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestCachedScopesAreBounded(t *testing.T) {
	v := testVerifier(t, func(c *Config) { c.Open = true })
	for i := range 5 * maxScopes {
		r := &Request{Method: []byte("GET"), Path: []byte("/"), Headers: []Header{
			{[]byte("X-Amz-Date"), []byte("20260301T123045Z")},
			{[]byte("Authorization"), fmt.Appendf(nil, "AWS4-HMAC-SHA256 Credential=k%d/20260301/r/s/aws4_request,SignedHeaders=host,Signature=0", i)},
		}}
		if _, err := v.Verify(r, ""); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(v.scopes.young) + len(v.scopes.old); n > 2*maxScopes {
		t.Errorf("%d scopes cached", n)
	}
	keyed := testVerifier(t, nil)
	r := sdkSigned(t, simple(t, ""), "", "sqs", testTime)
	r.Body = []byte("changed")
	wantKind(t, keyed, r, "sqs", InvalidSignature)
	if len(keyed.scopes.young) != 0 {
		t.Error("a request that was refused entered the cache")
	}
}

func TestKeys(t *testing.T) {
	keys, err := ParseKeys("# ours\n\nAKID1:secret:with:colons\r\n  AKID2 : s2 \n")
	if err != nil || keys.Len() != 2 {
		t.Fatalf("%v, %d keys", err, keys.Len())
	}
	k, ok := keys.lookup([]byte("AKID1"))
	if !ok || k.principal != "AKID1" || *k.secret.text != "secret:with:colons" {
		t.Error("AKID1 is wrong")
	}
	var logged strings.Builder
	slog.New(slog.NewTextHandler(&logged, nil)).Info("keys", "keys", keys, "secret", k.secret)
	for _, shown := range []string{fmt.Sprintf("%v %+v %#v %v %q", keys, keys, keys, k, k.secret), logged.String()} {
		if strings.Contains(shown, "secret:with") || strings.Contains(shown, "s2") {
			t.Errorf("a secret is printed: %s", shown)
		}
	}
	for _, text := range []string{"nosecret", "id:", ":secret", "a b:c", "a:b c", "a/b:c", "a:b\na:c", "a:" + strings.Repeat("x", 300)} {
		if _, err := ParseKeys(text); err == nil || strings.Contains(err.Error(), "xxx") {
			t.Errorf("%q: %v", text, err)
		}
	}
	if (*Keys)(nil).Len() != 0 {
		t.Error("a nil Keys has keys")
	}
}
