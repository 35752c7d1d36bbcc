package transport

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// FuzzRaftMessage holds the hand-written codec to the generic one.
func FuzzRaftMessage(f *testing.F) {
	for _, m := range raftSamples() {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte{0x0a})
	f.Add([]byte{0x3a, 0x02, 0x22, 0x00})
	f.Fuzz(func(t *testing.T, b []byte) {
		want := new(raftpb.Message)
		wantErr := proto.Unmarshal(b, want)
		got, err := decodeRaft(b)
		if (err != nil) != (wantErr != nil) {
			t.Fatalf("error %v, generic %v", err, wantErr)
		}
		if err != nil {
			return
		}
		if !proto.Equal(got, want) {
			t.Fatalf("decoded %v, generic %v", got, want)
		}
		if len(want.ProtoReflect().GetUnknown()) > 0 || unknownEntry(want) {
			return // what raft itself never makes is not encoded
		}
		out := appendRaft(nil, got)
		if len(out) != raftSize(got) {
			t.Fatalf("%d bytes, size says %d", len(out), raftSize(got))
		}
		again := new(raftpb.Message)
		if err := proto.Unmarshal(out, again); err != nil || !proto.Equal(again, want) {
			t.Fatalf("encoded as %v (%v), want %v", again, err, want)
		}
	})
}

func unknownEntry(m *raftpb.Message) bool {
	for _, e := range m.Entries {
		if len(e.ProtoReflect().GetUnknown()) > 0 {
			return true
		}
	}
	return false
}

func raftSamples() []*raftpb.Message {
	vote := &raftpb.Message{Type: raftpb.MsgPreVoteResp.Enum(), To: proto.Uint64(1 << 63), From: proto.Uint64(2),
		Term: proto.Uint64(1 << 40), Reject: proto.Bool(true), RejectHint: proto.Uint64(9), Context: []byte("c"), Vote: proto.Uint64(4)}
	empty := &raftpb.Message{Type: raftpb.MsgApp.Enum(), Context: []byte{}, Entries: []*raftpb.Entry{{}, {Data: []byte{}}}}
	snap := &raftpb.Message{Type: raftpb.MsgSnap.Enum(), Snapshot: &raftpb.Snapshot{Data: []byte("x"),
		Metadata: &raftpb.SnapshotMetadata{Index: proto.Uint64(5), ConfState: &raftpb.ConfState{Voters: []uint64{1, 2}}}}}
	return []*raftpb.Message{appendMsg(300, 300), batchMsg(3), vote, empty, snap, {}}
}

func TestRaftSamples(t *testing.T) {
	for _, m := range raftSamples() {
		got, err := decodeRaft(appendRaft(nil, m))
		if err != nil || !proto.Equal(got, m) {
			t.Errorf("%v came back as %v, %v", m, got, err)
		}
	}
}

// FuzzFrames: no bytes make the reader panic, give a frame over the limit, or
// depend on how they were cut.
func FuzzFrames(f *testing.F) {
	f.Add(appendFrame(appendFrame(nil, framePing, nil), frameCall, []byte("abc")))
	f.Add([]byte{0})
	f.Add([]byte{0x80, 0x80, 0x80, 0x80, 0x80, 0x01})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0x0f, 1})
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		const limit = 1 << 10
		whole, wholeErr := readFrames(t, bytes.NewReader(b), limit)
		cut, cutErr := readFrames(t, iotest.OneByteReader(bytes.NewReader(b)), limit)
		if !bytes.Equal(whole, cut) || (wholeErr == io.EOF) != (cutErr == io.EOF) {
			t.Fatalf("%x, %v at once; %x, %v in bytes", whole, wholeErr, cut, cutErr)
		}
	})
}

// readFrames returns all frames, encoded again.
func readFrames(t *testing.T, src io.Reader, limit int) (out []byte, err error) {
	r := newFrameReader(src, limit)
	for {
		kind, payload, err := r.next()
		if err != nil {
			return out, err
		}
		if len(payload)+1 > limit || len(r.buf) > 2*fullReadBuffer {
			t.Fatalf("payload %d, buffer %d", len(payload), len(r.buf))
		}
		out = appendFrame(out, kind, payload)
	}
}

func TestFrameReaderAllocatesWhatArrives(t *testing.T) {
	huge := frameHeader(nil, frameCall, maxFrameBytes-1)
	r := newFrameReader(io.MultiReader(bytes.NewReader(huge), bytes.NewReader(make([]byte, 1000))), maxFrameBytes)
	if _, _, err := r.next(); err != io.ErrUnexpectedEOF || len(r.buf) > fullReadBuffer {
		t.Fatalf("%v with a buffer of %d", err, len(r.buf))
	}
	over := frameHeader(nil, frameCall, maxFrameBytes)
	if _, _, err := newFrameReader(bytes.NewReader(over), maxFrameBytes).next(); !errors.Is(err, errFrame) {
		t.Fatal(err)
	}
}

func TestFrameReaderGivesUpLargeBuffer(t *testing.T) {
	stream := appendFrame(nil, frameCall, make([]byte, 3<<20))
	stream = appendFrame(stream, framePing, nil)
	r := newFrameReader(bytes.NewReader(stream), maxFrameBytes)
	for range 2 {
		if _, _, err := r.next(); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := r.next(); err != io.EOF || len(r.buf) > fullReadBuffer {
		t.Fatalf("%v with a buffer of %d", err, len(r.buf))
	}
}

// TestGoldenBytes pins the examples of docs/format/transport.md.
func TestGoldenBytes(t *testing.T) {
	h := &hello{oldest: 1, newest: 1, purpose: purposePeer, clusterID: testCluster, node: 0x11, to: 0x1234, incarnation: 3}
	var q queue
	q.init(1 << 20)
	q.addRaft(7, []*raftpb.Message{appendMsg(5, 2)})
	q.addIDFrame(frameCall, 0x10003, []byte("ask"))
	q.addIDFrame(frameReply, 0x10003, []byte("answer"))
	q.addIDFrame(frameFault, 0x10003, appendFault(nil, errors.New("no")))
	for _, c := range []struct {
		name, want string
		got        []byte
	}{
		{"hello", "1c" + "01" + "57454952" + "01" + "01" + "01" + testCluster + "11" + "b424" + "03",
			appendFrame(nil, frameHello, h.append(nil))},
		{"refuse", "05" + "02" + "05" + "02" + "6e6f", appendFrame(nil, frameRefuse, refuse(refuseMember, "no").append(nil))},
		{"queue", "1c" + "05" + "07" + "0803" + "1002" + "1801" + "2003" + "2803" + "3005" +
			"3a0a" + "0800" + "1003" + "1806" + "22020505" + "4005" +
			"07" + "06" + "838004" + "61736b" +
			"0a" + "07" + "838004" + "616e73776572" +
			"08" + "08" + "838004" + "00" + "026e6f", q.buf},
		{"ping", "01" + "03", appendFrame(nil, framePing, nil)},
		{"done", "02" + "0e" + "01", appendFrame(nil, frameSnapDone, appendDone(nil, nil))},
		{"failed", "06" + "0e" + "00" + "00" + "026e6f", appendFrame(nil, frameSnapDone, appendDone(nil, errors.New("no")))},
	} {
		if got := hex.EncodeToString(c.got); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

func FuzzHello(f *testing.F) {
	h := &hello{oldest: 1, newest: 1, purpose: purposePeer, clusterID: testCluster, node: 1, to: 2, incarnation: 3}
	f.Add(h.append(nil))
	f.Add([]byte("WEIR"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := decodeHello(b)
		if err != nil {
			return
		}
		again, err := decodeHello(h.append(nil))
		if err != nil || again != h {
			t.Fatalf("%+v came back as %+v, %v", h, again, err)
		}
	})
}
