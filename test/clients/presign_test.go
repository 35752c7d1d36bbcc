package clients

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"weir.dev/weir/test/process"
	"weir.dev/weir/weirtest/awsclient"
)

// signed is a client with that key.
func signed(endpoint, id, secret string) *sqs.Client {
	cfg := awsclient.Config(endpoint)
	cfg.Credentials = credentials.NewStaticCredentialsProvider(id, secret, "")
	return sqs.NewFromConfig(cfg)
}

// presigned makes URLs that carry their signature and opens them with a plain
// HTTP client, as they are and changed.
func presigned(t *testing.T, node *process.Node, id, secret string) {
	t.Helper()
	link := func(query string, at time.Time) string {
		return presign(t, testContext(t), node.Endpoint()+"/?"+query, id, secret, at)
	}
	const ask = "Action=GetQueueUrl&QueueName=q&Version=2012-11-05&X-Amz-Expires=60"
	for what, c := range map[string]struct {
		url    string
		status int
		text   string
	}{
		"as signed":         {link(ask, time.Now()), 200, "/000000000000/q</QueueUrl>"},
		"another parameter": {strings.Replace(link(ask, time.Now()), "QueueName=q", "QueueName=r", 1), 403, "SignatureDoesNotMatch"},
		"expired":           {link(ask, time.Now().Add(-2*time.Minute)), 403, "SignatureDoesNotMatch"},
		"of tomorrow":       {link(ask, time.Now().Add(24*time.Hour)), 403, "SignatureDoesNotMatch"},
		"without signature": {node.Endpoint() + "/?" + ask, 403, "MissingAuthenticationToken"},
	} {
		resp, err := http.Get(c.url)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != c.status || !strings.Contains(string(body), c.text) {
			t.Errorf("a presigned URL, %s: got %d %s %v, want %d with %s", what, resp.StatusCode, body, err, c.status, c.text)
		}
	}
}

func presign(t *testing.T, ctx context.Context, address, id, secret string, at time.Time) string {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	empty := sha256.Sum256(nil)
	uri, _, err := v4.NewSigner().PresignHTTP(ctx, aws.Credentials{AccessKeyID: id, SecretAccessKey: secret}, req, hex.EncodeToString(empty[:]), "sqs", "us-east-1", at)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := url.Parse(uri); err != nil {
		t.Fatal(err)
	}
	return uri
}
