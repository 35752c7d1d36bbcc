package model

import (
	"encoding/hex"
	"reflect"
	"testing"
)

// TestLinkGolden pins the specs of links. They are described in
// docs/format/region.md.
func TestLinkGolden(t *testing.T) {
	link := LinkSpec{
		To: "h:1", Authority: [16]byte{1}, Key: [32]byte{2}, Inbound: 3, Region: 300, RegionName: "w", Mode: LinkManual, Tables: []string{"a", "b*"},
		Where: "c", Values: "{}", Paused: true, BytesPerSecond: 300, Targets: []LinkTarget{{4, 5}}, CreatedMs: 6, Passive: true, VerifySeconds: 7, VerifiedMs: 8, Differences: 9, Epoch: 10, Held: true, RegionsRequired: 12,
		Queues: []string{"q"}, Streams: []string{"s*"},
	}
	inbound := InboundSpec{TokenHash: [32]byte{1}, ExpiresMs: 300, KeyHash: [32]byte{2}, Region: 7, RegionName: "e", Link: "l", Passive: true, Epoch: 11, Queues: []string{"q"}, Streams: []string{"s"}, Promoted: 13}
	zeros := func(n int) string { return hex.EncodeToString(make([]byte, n)) }
	for _, g := range []struct {
		spec tableBody
		want string
	}{
		{&link, "0103683a3101" + zeros(15) + "02" + zeros(31) + "03ac0201770202016102622a0163027b7d01ac0201040506010708090a010c" + "010171" + "0102732a"},
		{&inbound, "0101" + zeros(31) + "ac0202" + zeros(31) + "070165016c010b" + "010171" + "010173" + "0d"},
	} {
		encoded := g.spec.Append(nil)
		if got := hex.EncodeToString(encoded); got != g.want {
			t.Errorf("%T: %s", g.spec, got)
		}
		got, d := fresh(g.spec), NewDecoder(encoded)
		got.Decode(d)
		if err := d.Done(); err != nil || !reflect.DeepEqual(got, g.spec) {
			t.Errorf("%T: %v: %+v", g.spec, err, got)
		}
	}
}
