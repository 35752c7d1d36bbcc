package auth

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"weir.dev/weir/internal/base"
)

const (
	testKey    = "AKIDEXAMPLE"
	testSecret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
)

var testTime = time.Date(2026, 3, 1, 12, 30, 45, 0, time.UTC)

// fixedClock is a clock that stands still.
type fixedClock struct {
	base.SystemClock
	at time.Time
}

func (c fixedClock) Now() time.Time { return c.at }

func testVerifier(t testing.TB, change func(*Config)) *Verifier {
	t.Helper()
	keys := NewKeys()
	if err := keys.Add(testKey, testSecret, "alice"); err != nil {
		t.Fatal(err)
	}
	cfg := Config{Keys: keys, Clock: fixedClock{at: testTime}}
	if change != nil {
		change(&cfg)
	}
	return NewVerifier(cfg)
}

// fromHTTP is the request as it would arrive.
func fromHTTP(r *http.Request, body string) *Request {
	out := &Request{Method: []byte(r.Method), Path: []byte(r.URL.EscapedPath()), Query: []byte(r.URL.RawQuery), Body: []byte(body)}
	if len(out.Path) == 0 {
		out.Path = []byte("/")
	}
	host := r.Host
	if host == "" {
		host = r.URL.Host
	}
	out.Headers = append(out.Headers, Header{[]byte("Host"), []byte(host)})
	if r.ContentLength > 0 {
		out.Headers = append(out.Headers, Header{[]byte("Content-Length"), fmt.Append(nil, r.ContentLength)})
	}
	names := make([]string, 0, len(r.Header))
	for name := range r.Header {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		for _, value := range r.Header[name] {
			out.Headers = append(out.Headers, Header{[]byte(name), []byte(value)})
		}
	}
	return out
}

func bodyHash(body string) string {
	sum := sha256.Sum256([]byte(body))
	return hex.EncodeToString(sum[:])
}

func sdkSigned(t testing.TB, r *http.Request, body, service string, at time.Time) *Request {
	t.Helper()
	creds := aws.Credentials{AccessKeyID: testKey, SecretAccessKey: testSecret}
	if err := v4.NewSigner().SignHTTP(context.Background(), creds, r, bodyHash(body), service, "us-east-1", at); err != nil {
		t.Fatal(err)
	}
	return fromHTTP(r, body)
}

func sdkPresigned(t testing.TB, r *http.Request, body, service string, at time.Time) *Request {
	t.Helper()
	creds := aws.Credentials{AccessKeyID: testKey, SecretAccessKey: testSecret}
	uri, headers, err := v4.NewSigner().PresignHTTP(context.Background(), creds, r, bodyHash(body), service, "us-east-1", at)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := http.NewRequest(r.Method, uri, nil)
	if err != nil {
		t.Fatal(err)
	}
	signed.ContentLength = r.ContentLength
	for name, values := range headers {
		switch name {
		case "Host":
			signed.Host = values[0]
		case "Content-Length":
		default:
			signed.Header[name] = values
		}
	}
	return fromHTTP(signed, body)
}

const alphabet = "abcXYZ019-_.~ !*'()/+%&=?#@:;,$[]{}|^`\"<>\\äé€\x7f"

func randomText(rng *rand.Rand, most int, from string) string {
	letters := []rune(from)
	out := make([]rune, rng.IntN(most+1))
	for i := range out {
		out[i] = letters[rng.IntN(len(letters))]
	}
	return string(out)
}

func randomRequest(t testing.TB, rng *rand.Rand) (*http.Request, string) {
	t.Helper()
	u := &url.URL{Scheme: "http", Host: []string{"localhost:4566", "weir", "10.0.0.1:80", "sqs.us-east-1.example.com"}[rng.IntN(4)]}
	u.Path = "/" + randomText(rng, 20, alphabet)
	query := url.Values{}
	for range rng.IntN(6) {
		query.Add(randomText(rng, 6, alphabet), randomText(rng, 12, alphabet))
	}
	u.RawQuery = query.Encode()
	body := randomText(rng, 300, alphabet)
	r, err := http.NewRequest([]string{"GET", "POST", "PUT"}[rng.IntN(3)], u.String(), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"X-Amz-Target", "Content-Type", "Amz-Sdk-Invocation-Id", "X-Custom", "User-Agent", "X-Amz-Meta-A", "X-Amz-Meta-B", "Accept"}
	for range rng.IntN(8) {
		const inValue = "abc  XYZ 01;=,\"/ "
		r.Header.Add(names[rng.IntN(len(names))], strings.TrimSpace(randomText(rng, 20, inValue)))
	}
	return r, body
}

// TestAgainstSDKSigner holds the verifier to what the AWS SDK signs.
func TestAgainstSDKSigner(t *testing.T) {
	v := testVerifier(t, nil)
	for seed := range uint64(2000) {
		rng := rand.New(rand.NewPCG(seed, 1))
		r, body := randomRequest(t, rng)
		at := testTime.Add(time.Duration(rng.IntN(1200)-600) * time.Second)
		var got *Request
		if seed%2 == 0 {
			got = sdkSigned(t, r, body, "sqs", at)
		} else {
			got = sdkPresigned(t, r, body, "sqs", at)
		}
		id, err := v.Verify(got, "sqs")
		if err != nil {
			t.Fatalf("seed %d: %v\n%s %s?%s\n%s", seed, err, got.Method, got.Path, got.Query, got.Headers)
		}
		if want := (Identity{testKey, "alice", "us-east-1", "sqs", true}); id != want {
			t.Fatalf("seed %d: identity %+v", seed, id)
		}
		// The same request with one byte of its body changed is refused.
		got.Body, got.hashed = append(got.Body, '!'), false
		wantKind(t, v, got, "sqs", InvalidSignature)
	}
}

// TestSignerAgainstVerifier holds our own signer to the verifier, and so to the SDK's.
func TestSignerAgainstVerifier(t *testing.T) {
	v := testVerifier(t, nil)
	g := NewSigner(testKey, testSecret, "eu-west-1", "dynamodb")
	for seed := range uint64(300) {
		r, body := randomRequest(t, rand.New(rand.NewPCG(seed, 2)))
		got := fromHTTP(r, body)
		lines := strings.Split(string(g.Sign(nil, got, testTime)), "\r\n")
		for _, line := range lines[:len(lines)-1] {
			name, value, _ := strings.Cut(line, ": ")
			got.Headers = append(got.Headers, Header{[]byte(name), []byte(value)})
		}
		if _, err := v.Verify(got, "dynamodb"); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}
