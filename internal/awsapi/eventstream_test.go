package awsapi

import (
	"bytes"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
)

// TestEvents holds messages to golden bytes and to the SDK's decoder.
func TestEvents(t *testing.T) {
	b := AppendEvent([]byte("before"), JSON11, "E", func(dst []byte) []byte { return append(dst, "{}"...) })
	golden := "6265666f7265" +
		"00000063" + "00000051" + "a7dcb396" +
		"0b" + "3a6576656e742d74797065" + "07" + "0001" + "45" +
		"0d" + "3a636f6e74656e742d74797065" + "07" + "001a" + "6170706c69636174696f6e2f782d616d7a2d6a736f6e2d312e31" +
		"0d" + "3a6d6573736167652d74797065" + "07" + "0005" + "6576656e74" +
		"7b7d" + "8fd66efe"
	if want := fromHex(t, golden); !bytes.Equal(b, want) {
		t.Errorf("got  %x\nwant %x", b, want)
	}
	b = AppendEventException(b[6:], CBOR11, &Error{Code: "X", Message: "gone"})
	in := bytes.NewReader(b)
	for _, c := range []struct {
		payload string
		headers map[string]string
	}{
		{"{}", map[string]string{":event-type": "E", ":content-type": "application/x-amz-json-1.1", ":message-type": "event"}},
		{"\xbf\x67message\x64gone\xff", map[string]string{":exception-type": "X", ":content-type": "application/x-amz-cbor-1.1", ":message-type": "exception"}},
	} {
		m, err := eventstream.NewDecoder().Decode(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		if string(m.Payload) != c.payload || len(m.Headers) != len(c.headers) {
			t.Errorf("%q with %v", m.Payload, m.Headers)
		}
		for name, value := range c.headers {
			if got := m.Headers.Get(name); got == nil || got.String() != value {
				t.Errorf("%s is %v", name, got)
			}
		}
	}
	if in.Len() != 0 {
		t.Errorf("%d bytes are left", in.Len())
	}
}
