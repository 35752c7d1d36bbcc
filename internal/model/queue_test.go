package model

import (
	"bytes"
	"encoding/hex"
	"reflect"
	"strings"
	"testing"
)

// body is what every command's body, result and stored record has.
type body interface {
	Append(dst []byte) []byte
	Decode(d *Decoder)
}

// queueBodies are examples of everything that queues and pipes encode.
func queueBodies() []body {
	settings := QueueSettings{RetentionMs: 345600000, MaxReceives: 5, Fifo: true, DedupPerGroup: true, RateMilli: 1, GroupRateMilli: 2}
	message := Message{
		ID: MessageID{1, 2, 3}, SentMs: 1700000000000, Sender: "AIDA", Trace: "Root=1-5759e988", DeadFrom: 9, Group: "g", Dedup: "d", Priority: 9,
		Attrs: []MessageAttr{{Name: "kind", DataType: "String", Value: "like"}}, Body: []byte("hello"),
	}
	received := Received{Message: message, Seq: 300, Receives: 2, FirstReceiveMs: 1700000000500, Receipt: "abc"}
	entries := EntryStatuses{EntryOK, EntryNotFound, EntryNotInflight, EntryOverLimit}
	spec := NewQueueSpec()
	spec.Redrive = RedrivePolicy{DeadLetters: 6, TargetArn: "arn:aws:sqs:us-east-1:000000000000:dead", MaxReceives: 3}
	spec.Fifo, spec.KeepForever, spec.KmsKey, spec.KmsReuseSeconds, spec.Partitions, spec.RateMilli, spec.GroupRateMilli = true, true, "alias/aws/sqs", 300, 1, 5, 6
	spec.Policy, spec.Tags, spec.CreatedMs, spec.ModifiedMs = "{}", []Tag{{"a", "b"}}, 1, 2
	return []body{
		&message,
		&spec,
		&Send{Settings: settings, Entries: []SendEntry{{Message: message, DelayMs: 900, AtMs: 1700000000900}}},
		&SendResult{Sent: []SentMessage{{MessageID{7}, 1}, {MessageID{8}, 300}}},
		&Receive{Settings: settings, Max: 10, VisibilityMs: 30000, Nonce: 1 << 63, Attempt: RequestID{4}},
		&ReceiveResult{Taken: 2, Messages: []Received{received}},
		&DeleteMessages{Receipts: []Receipt{{Seq: 300, Receives: 2, Nonce: 77}}},
		&Purge{Follows: true},
		&ChangeVisibility{Changes: []VisibilityChange{{Receipt: Receipt{Seq: 1, Receives: 1, Nonce: 5}, VisibilityMs: 60000}}, GiveBack: true},
		&entries,
		&SetQueueSettings{Settings: settings},
		&SweepResult{More: true},
		&CancelScheduled{IDs: []MessageID{{9}}},
		&PeekQuery{NowMs: 1700000000000, After: 7, Max: 10, Contains: "like", Group: "g"},
		&PeekResult{Messages: []Peeked{{Received: received, Place: MessageInFlight, AtMs: 1700000000900}}, Next: 300, More: true},
		&QueueQuery{NowMs: 1700000000000},
		&QueueCounts{Visible: 1, Delayed: 2, InFlight: 3, Claimed: 4, Dead: 5, Bytes: 6, OldestMs: 7, Groups: 8, Noisy: 9},
		&PipeSpec{Source: 5, Target: 7, TargetKind: KindTable, SourceSlots: 3, TargetSlots: 1, TargetShards: []ShardStart{{Number: 3}, {Number: 300, Lo: HashKey{1, 2}}}, DeadLetters: 6, Mapping: []byte{1}, Text: "ADD", RateMilli: 2500, Burst: 9,
			BatchMax: 100, MaxClaims: 4, Paused: true, Bounds: []Slot{0, 100}, Tags: []Tag{{"a", "b"}}, CreatedMs: 1, ModifiedMs: 2},
		&Claim{Settings: settings, Pipe: 8, Max: 100, Dead: true, Nonce: 6, Plan: []byte("plan")},
		&ClaimResult{Taken: 1, Seq: 4, Floor: 3, Messages: []Received{received}},
		&PipeApply{Settings: settings, Pipe: 8, Source: PipeSource{Resource: 5, Slot: 99}, Claim: 4, Floor: 3, Part: DeadPart, Effects: []PipeEffect{{Message: 300, Kind: CmdSend, Body: []byte{1}}}},
		&PipeApplyResult{Effects: 2, Rejected: []Rejected{{Message: 300, Status: StatusInvalid, Reason: "why"}}},
		&Settle{Pipe: 8, Claim: 4, Release: true, Returned: 300},
		&ClaimsQuery{Pipe: 8, After: 3},
		&ClaimsResult{Floor: 3, Settled: 300, More: true, Claims: []UnsettledClaim{{Pipe: 8, Seq: 4, Nonce: 6, Dead: true, Plan: []byte("plan"), Messages: []Received{received}}}},
	}
}

func TestQueueBodiesRoundTrip(t *testing.T) {
	for _, b := range queueBodies() {
		encoded := b.Append(nil)
		back := reflect.New(reflect.TypeOf(b).Elem()).Interface().(body)
		d := NewDecoder(encoded)
		back.Decode(d)
		if err := d.Done(); err != nil {
			t.Errorf("%T: %v", b, err)
		}
		if !reflect.DeepEqual(b, back) {
			t.Errorf("%T: got %+v, want %+v", b, back, b)
		}
		for n := range encoded {
			d := NewDecoder(encoded[:n])
			reflect.New(reflect.TypeOf(b).Elem()).Interface().(body).Decode(d)
			if d.Done() == nil {
				t.Errorf("%T: %d of %d bytes decode", b, n, len(encoded))
			}
		}
	}
}

// FuzzQueueBodies decodes any bytes as each of the bodies: what decodes must
// encode to something that decodes to the same.
func FuzzQueueBodies(f *testing.F) {
	for i, b := range queueBodies() {
		f.Add(uint8(i), b.Append(nil))
	}
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		all := queueBodies()
		kind := reflect.TypeOf(all[int(which)%len(all)]).Elem()
		first, second := reflect.New(kind).Interface().(body), reflect.New(kind).Interface().(body)
		d := NewDecoder(data)
		first.Decode(d)
		if d.Done() != nil {
			return
		}
		encoded := first.Append(nil)
		d = NewDecoder(encoded)
		second.Decode(d)
		if err := d.Done(); err != nil || !bytes.Equal(second.Append(nil), encoded) {
			t.Fatalf("%v: %x encodes to %x, %v", kind, data, encoded, err)
		}
	})
}

func TestReceipt(t *testing.T) {
	r := Receipt{Queue: 5, Slot: 0x0983, Seq: 300, Receives: 2, Nonce: 0x0123456789abcdef}
	text := r.String()
	if want := "AQAAAAAAAAAFCYMAAAAAAAABLAAAAAIBI0VniavN78zfZ58="; text != want {
		t.Errorf("got %s, want %s", text, want)
	}
	if back, err := ParseReceipt(5, text); err != nil || back != r {
		t.Errorf("got %+v, %v", back, err)
	}
	for _, bad := range []string{"", "x", text[1:], text + "A", strings.Repeat("A", len(text)), strings.Replace(text, "BLAAAA", "BLAAAB", 1)} {
		if _, err := ParseReceipt(5, bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
	if _, err := ParseReceipt(6, text); err == nil {
		t.Error("another queue's receipt is accepted")
	}
}

func FuzzParseReceipt(f *testing.F) {
	f.Add(Receipt{Queue: 5, Slot: 3, Seq: 300, Receives: 2, Nonce: 9}.String())
	f.Add("AQAAAAAAAAAF")
	f.Fuzz(func(t *testing.T, handle string) {
		if r, err := ParseReceipt(5, handle); err == nil && r.String() != handle {
			t.Fatalf("%q is the receipt %+v, whose handle is %q", handle, r, r.String())
		}
	})
}

func TestQueueGoldenBytes(t *testing.T) {
	m := Message{ID: MessageID{0xaa}, SentMs: 1000, Sender: "me", Attrs: []MessageAttr{{"k", "String", "v"}}, Body: []byte("hi")}
	send := Send{Settings: QueueSettings{RetentionMs: 60000, MaxReceives: 3}, Entries: []SendEntry{{Message: m, DelayMs: 5}}}
	const message = "01aa000000000000000000000000000000e807026d650000000000" + "01016b06537472696e670176026869"
	for _, c := range []struct {
		name string
		body body
		want string
	}{
		{"message", &m, message},
		{"send", &send, "e0d403" + "03" + "00" + "01" + "05" + "00" + message},
		{"receive", &Receive{Settings: QueueSettings{RetentionMs: 60000}, Max: 10, VisibilityMs: 30000, Nonce: 7}, "e0d403" + "00" + "00" + "0a" + "b0ea01" + "07" + "00000000000000000000000000000000"},
		{"settle", &Settle{Pipe: 8, Claim: 300, Release: true}, "08" + "ac02" + "01" + "00"},
		{"pipe apply", &PipeApply{Pipe: 8, Source: PipeSource{Resource: 5, Slot: 99}, Claim: 4, Floor: 3, Part: 1,
			Effects: []PipeEffect{{Message: 300, Kind: CmdPutItem, Body: []byte{0xff}}}}, "000000" + "08" + "05" + "63" + "04" + "03" + "01" + "01" + "ac02" + "10" + "01ff"},
	} {
		if got := hex.EncodeToString(c.body.Append(nil)); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

func TestPartOf(t *testing.T) {
	s := PipeSpec{Bounds: []Slot{0, 100, 200}}
	for slot, want := range map[Slot]uint32{0: 0, 99: 0, 100: 1, 199: 1, 200: 2, 65535: 2} {
		if part, home := s.PartOf(slot); part != want || home != s.Bounds[want] {
			t.Errorf("slot %d: part %d at %d", slot, part, home)
		}
	}
}
