package limits

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/valyala/fasthttp"

	"weir.dev/weir/bench/internal/load"
)

// The handlers answer a PutItem as Weir would, but store nothing: what is left
// is what HTTP, the signature and the JSON cost at least.

// ServeNetHTTP serves an empty handler on addr until the process ends.
func ServeNetHTTP(addr string, cred load.Credentials) error {
	v := &verifier{cred: cred}
	return http.ListenAndServe(addr, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = v.check(r.Method, r.URL.Path, r.Header.Get("Authorization"), body, func(name string) string {
				if name == "host" {
					return r.Host
				}
				return r.Header.Get(name)
			})
		}
		if err == nil {
			err = decode(body)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		_, _ = w.Write(answer) // a client that is gone is no error here
	}))
}

// ServeFastHTTP is the same on fasthttp.
func ServeFastHTTP(addr string, cred load.Credentials) error {
	v := &verifier{cred: cred}
	return fasthttp.ListenAndServe(addr, func(c *fasthttp.RequestCtx) {
		h := &c.Request.Header
		body := c.PostBody()
		err := v.check(string(h.Method()), string(c.Path()), string(h.Peek("Authorization")), body, func(name string) string {
			return string(h.Peek(name))
		})
		if err == nil {
			err = decode(body)
		}
		if err != nil {
			c.Error(err.Error(), fasthttp.StatusBadRequest)
			return
		}
		c.SetContentType("application/x-amz-json-1.0")
		c.SetBody(answer)
	})
}

var answer = []byte("{}")

func decode(body []byte) error {
	var put struct {
		TableName string
		Item      map[string]map[string]string
	}
	if err := json.Unmarshal(body, &put); err != nil {
		return err
	}
	if put.TableName == "" || put.Item["id"]["S"] == "" {
		return errors.New("no table or no key")
	}
	return nil
}

type verifier struct {
	cred load.Credentials
	keys sync.Map // day and service to a *sync.Pool of keyed hashes
}

var errSignature = errors.New("the signature does not match")

// check checks a header signature of SigV4.
func (v *verifier) check(method, path, authorization string, body []byte, header func(string) string) error {
	_, rest, ok := strings.Cut(authorization, "Credential=")
	credential, rest, ok2 := strings.Cut(rest, ", SignedHeaders=")
	signed, signature, ok3 := strings.Cut(rest, ", Signature=")
	access, scope, ok4 := strings.Cut(credential, "/")
	if !ok || !ok2 || !ok3 || !ok4 || access != v.cred.AccessKey {
		return errSignature
	}
	var b bytes.Buffer
	b.WriteString(method + "\n" + path + "\n\n")
	for name := range strings.SplitSeq(signed, ";") {
		b.WriteString(name)
		b.WriteByte(':')
		b.WriteString(header(name))
		b.WriteByte('\n')
	}
	b.WriteString("\n" + signed + "\n")
	sum := sha256.Sum256(body)
	b.Write(hex.AppendEncode(b.AvailableBuffer(), sum[:]))
	sum = sha256.Sum256(b.Bytes())
	b.Reset()
	b.WriteString("AWS4-HMAC-SHA256\n" + header("x-amz-date") + "\n" + scope + "\n")
	b.Write(hex.AppendEncode(b.AvailableBuffer(), sum[:]))
	want := v.sign(scope, b.Bytes())
	if !hmac.Equal([]byte(signature), want) {
		return errSignature
	}
	return nil
}

func (v *verifier) sign(scope string, text []byte) []byte {
	pool, ok := v.keys.Load(scope)
	if !ok {
		part := strings.Split(scope, "/")
		if len(part) != 4 {
			return nil
		}
		key := load.DayKey(v.cred.Secret, part[0], part[2])
		pool, _ = v.keys.LoadOrStore(strings.Clone(scope), &sync.Pool{New: func() any { return hmac.New(sha256.New, key) }})
	}
	p := pool.(*sync.Pool)
	mac := p.Get().(interface {
		io.Writer
		Sum([]byte) []byte
		Reset()
	})
	defer p.Put(mac)
	mac.Reset()
	_, _ = mac.Write(text) // a hash never fails
	return hex.AppendEncode(nil, mac.Sum(nil))
}
