package load

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"strconv"
	"time"
)

// Credentials sign requests; the zero value sends none.
type Credentials struct{ AccessKey, Secret string }

// Region that requests are signed for.
const Region = "us-east-1"

// request builds signed AWS JSON requests: a head that stays, a date, an
// invocation id and a signature that change. It belongs to one goroutine.
type request struct {
	cred                  Credentials
	host, service, target string
	contentType           string
	invocation            bool // send amz-sdk-invocation-id, as SDKs do

	day     string
	mac     hash.Hash // keyed with the day's key
	head    []byte    // of the HTTP request, up to the variable part
	out     []byte
	text    []byte // canonical request, then string to sign
	second  int64
	date    [16]byte // 20060102T150405Z
	counter uint64
	id      [36]byte
	sum     [sha256.Size]byte
}

func newRequest(cred Credentials, host, service, contentType, target string, invocation bool, seed uint64) *request {
	r := &request{cred: cred, host: host, service: service, target: target, contentType: contentType, invocation: invocation, counter: seed << 32}
	r.head = []byte("POST / HTTP/1.1\r\nHost: " + host + "\r\nContent-Type: " + contentType + "\r\nX-Amz-Target: " + target + "\r\n")
	copy(r.id[:], "00000000-0000-4000-8000-000000000000")
	return r
}

// with returns the bytes of the whole request with that body, good until the
// next call.
func (r *request) with(body []byte) []byte {
	r.out = append(r.out[:0], r.head...)
	if r.invocation {
		r.counter++
		r.nextID()
		r.out = append(append(append(r.out, "amz-sdk-invocation-id: "...), r.id[:]...), "\r\n"...)
	}
	r.out = strconv.AppendInt(append(r.out, "Content-Length: "...), int64(len(body)), 10)
	r.out = append(r.out, "\r\n"...)
	if r.cred.AccessKey != "" {
		r.sign(body)
	}
	r.out = append(r.out, "\r\n"...)
	r.out = append(r.out, body...)
	return r.out
}

// nextID writes the counter into the id's hexadecimal digits, low ones first,
// around the hyphens.
func (r *request) nextID() {
	v := r.counter
	for i := len(r.id) - 1; i > 18; i-- {
		if r.id[i] == '-' {
			continue
		}
		r.id[i] = "0123456789abcdef"[v&15]
		v >>= 4
	}
}

func (r *request) sign(body []byte) {
	if now := time.Now().UTC(); now.Unix() != r.second {
		r.second = now.Unix()
		now.AppendFormat(r.date[:0], "20060102T150405Z")
		if day := string(r.date[:8]); day != r.day {
			r.day = day
			r.mac = hmac.New(sha256.New, r.dayKey())
		}
	}
	signed := "content-type;host;x-amz-date;x-amz-target"
	t := append(r.text[:0], "POST\n/\n\n"...)
	if r.invocation {
		signed = "amz-sdk-invocation-id;" + "content-type;host;x-amz-date;x-amz-target"
		t = append(append(append(t, "amz-sdk-invocation-id:"...), r.id[:]...), '\n')
	}
	t = append(append(append(t, "content-type:"...), r.contentType...), "\nhost:"...)
	t = append(append(append(t, r.host...), "\nx-amz-date:"...), r.date[:]...)
	t = append(append(append(t, "\nx-amz-target:"...), r.target...), "\n\n"...)
	t = append(append(t, signed...), '\n')
	r.sum = sha256.Sum256(body)
	t = hex.AppendEncode(t, r.sum[:])
	r.sum = sha256.Sum256(t)
	t = append(append(append(t[:0], "AWS4-HMAC-SHA256\n"...), r.date[:]...), '\n')
	t = append(append(append(append(t, r.day...), "/"+Region+"/"...), r.service...), "/aws4_request\n"...)
	t = hex.AppendEncode(t, r.sum[:])
	r.mac.Reset()
	r.mac.Write(t)
	r.mac.Sum(r.sum[:0])
	r.text = t

	o := append(append(append(r.out, "X-Amz-Date: "...), r.date[:]...), "\r\nAuthorization: AWS4-HMAC-SHA256 Credential="...)
	o = append(append(append(append(o, r.cred.AccessKey...), '/'), r.day...), "/"+Region+"/"...)
	o = append(append(append(o, r.service...), "/aws4_request, SignedHeaders="...), signed...)
	o = hex.AppendEncode(append(o, ", Signature="...), r.sum[:])
	r.out = append(o, "\r\n"...)
}

func (r *request) dayKey() []byte { return DayKey(r.cred.Secret, r.day, r.service) }

// DayKey derives SigV4's signing key.
func DayKey(secret, day, service string) []byte {
	key := []byte("AWS4" + secret)
	for _, part := range []string{day, Region, service, "aws4_request"} {
		m := hmac.New(sha256.New, key)
		m.Write([]byte(part))
		key = m.Sum(nil)
	}
	return key
}
