package auth

import (
	"errors"
	"strings"
	"testing"
)

func FuzzAuthorization(f *testing.F) {
	r := sdkSigned(f, simple(f, "body"), "body", "sqs", testTime)
	f.Add(header(r, "Authorization"), "", "20260301T123045Z")
	f.Add("AWS4-HMAC-SHA256 Credential=a/b/c/d/aws4_request,SignedHeaders=host;;,Signature=", "a=%4", "x")
	f.Add("AWS4-HMAC-SHA256 Credential=,,=,", "X-Amz-Credential=a&X-Amz-Credential=b&X-Amz-Expires=", "Sun, 01 Mar 2026 12:30:45 UTC")
	f.Add("", string(sdkPresigned(f, simple(f, ""), "", "sqs", testTime).Query), "")
	v, open := testVerifier(f, nil), testVerifier(f, func(c *Config) { c.Open = true })
	f.Fuzz(func(t *testing.T, authorization, query, date string) {
		req := &Request{Method: []byte("POST"), Path: []byte("/"), Query: []byte(query), Body: []byte("fuzz"), Headers: []Header{
			{[]byte("Host"), []byte("localhost")}, {[]byte("X-Amz-Date"), []byte(date)}, {[]byte("Authorization"), []byte(authorization)}}}
		if id, err := v.Verify(req, "sqs"); err == nil {
			t.Fatalf("accepted: %+v", id)
		} else if e := (*Error)(nil); !errors.As(err, &e) || e.Message == "" {
			t.Fatalf("not a refusal: %v", err)
		}
		if id, err := open.Verify(req, "sqs"); err == nil && id.Verified {
			t.Fatalf("verified: %+v", id)
		}
	})
}

func benchRequest(b *testing.B) *Request {
	body := strings.Repeat("x", 300)
	r := sdkSigned(b, simple(b, body), body, "sqs", testTime)
	r.Query = nil
	h := simple(b, body)
	h.URL.RawQuery = ""
	h.Header.Set("Amz-Sdk-Invocation-Id", "11111111-2222-3333-4444-555555555555")
	h.Header.Set("Amz-Sdk-Request", "attempt=1; max=3")
	h.Header.Set("Accept-Encoding", "identity")
	h.Header.Set("User-Agent", strings.Repeat("aws-sdk ", 20))
	return sdkSigned(b, h, body, "sqs", testTime)
}

func BenchmarkVerifyHeader(b *testing.B) {
	v, r := testVerifier(b, nil), benchRequest(b)
	b.ReportAllocs()
	for b.Loop() {
		r.hashed = false
		if _, err := v.Verify(r, "sqs"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSign(b *testing.B) {
	g := NewSigner(testKey, testSecret, "us-east-1", "sqs")
	r := &Request{Method: []byte("POST"), Path: []byte("/"), Body: make([]byte, 300), Headers: []Header{
		{[]byte("Host"), []byte("localhost:4566")}, {[]byte("X-Amz-Target"), []byte("AmazonSQS.SendMessage")}}}
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		dst = g.Sign(dst[:0], r, testTime)
	}
}
