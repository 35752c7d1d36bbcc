package machine_test

import (
	"fmt"
	"testing"

	"weir.dev/weir/internal/machine"
	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/storage"
)

// benchTablet is a machine on real storage, without a log.
type benchTablet struct {
	b     *testing.B
	m     *machine.Machine
	db    *storage.DB
	batch *storage.Batch
	index model.Index
	nowMs int64
}

func newBenchTablet(b *testing.B) *benchTablet {
	db, err := storage.Open(storage.Options{FS: storage.DiskFS(), Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	t := &benchTablet{b: b, m: machine.New(1, 0, model.SlotCount), db: db, batch: db.NewBatch(), nowMs: 1_700_000_000_000}
	if err := t.m.Load(db.View()); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		t.batch.Close()
		_ = db.Close()
	})
	return t
}

func (t *benchTablet) do(kind model.CommandKind, body []byte) model.Result {
	t.index++
	cmd := model.Command{Kind: kind, Resource: 5, Slot: model.QueueSlot(5), Stamp: model.Stamp(uint64(t.nowMs)<<16 + uint64(t.index)%60000), Body: body}
	if t.index%10 == 0 {
		t.nowMs++
	}
	out, err := t.m.Apply(t.db.View(), t.batch, machine.Position{Index: t.index}, &cmd)
	if err == nil {
		err = t.batch.Commit()
	}
	if err != nil {
		t.b.Fatal(err)
	}
	res, err := out.Expand(t.db.View(), &cmd)
	if err != nil {
		t.b.Fatal(err)
	}
	return res
}

var benchSettings = model.QueueSettings{RetentionMs: 4 * 24 * 3600 * 1000, MaxReceives: 5}

// cycle sends n messages, receives and deletes them.
func (t *benchTablet) cycle(n int) {
	send := model.Send{Settings: benchSettings}
	for range n {
		send.Entries = append(send.Entries, model.SendEntry{Message: model.Message{Sender: "AIDAEXAMPLE", Body: make([]byte, 128)}})
	}
	t.do(model.CmdSend, send.Append(nil))
	t.take(n)
}

func (t *benchTablet) take(n int) {
	receive := model.Receive{Settings: benchSettings, Max: uint32(n), VisibilityMs: 30_000, Nonce: uint64(t.index)}
	var got model.ReceiveResult
	got.Decode(model.NewDecoder(t.do(model.CmdReceive, receive.Append(nil)).Bytes()))
	if len(got.Messages) != n {
		t.b.Fatalf("received %d messages, want %d", len(got.Messages), n)
	}
	var del model.DeleteMessages
	for _, m := range got.Messages {
		r, err := model.ParseReceipt(5, m.Receipt)
		if err != nil {
			t.b.Fatal(err)
		}
		del.Receipts = append(del.Receipts, r)
	}
	t.do(model.CmdDeleteMessages, del.Append(nil))
}

// BenchmarkQueueCycle is one message sent, received and deleted, on a queue
// that holds a backlog of ten and has seen few or many deletions: the figures
// must be the same.
func BenchmarkQueueCycle(b *testing.B) {
	for _, deleted := range []int{10, 100_000, 1_000_000} {
		for _, n := range []int{1, 10} {
			b.Run(fmt.Sprintf("deleted=%d/batch=%d", deleted, n), func(b *testing.B) {
				t := newBenchTablet(b)
				t.do(model.CmdSend, backlog(10))
				for range deleted / 10 {
					t.cycle(10)
				}
				b.ReportAllocs()
				for b.Loop() {
					t.cycle(n)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/msg")
			})
		}
	}
}

func backlog(n int) []byte {
	send := model.Send{Settings: benchSettings}
	for range n {
		send.Entries = append(send.Entries, model.SendEntry{Message: model.Message{Body: make([]byte, 128)}})
	}
	return send.Append(nil)
}

// BenchmarkPipeClaim is the source's side of a pipe: a hundred messages sent,
// claimed and settled.
func BenchmarkPipeClaim(b *testing.B) {
	t := newBenchTablet(b)
	body := backlog(100)
	b.ReportAllocs()
	for b.Loop() {
		t.do(model.CmdSend, body)
		claim := model.Claim{Settings: benchSettings, Pipe: 9, Max: 100, Plan: make([]byte, 200)}
		var got model.ClaimResult
		got.Decode(model.NewDecoder(t.do(model.CmdClaim, claim.Append(nil)).Body))
		if got.Taken != 100 {
			b.Fatalf("claimed %d", got.Taken)
		}
		t.do(model.CmdSettle, (&model.Settle{Pipe: 9, Claim: got.Seq}).Append(nil))
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*100), "ns/msg")
}

// fill sends n messages, each made by message.
func (t *benchTablet) fill(n int, settings model.QueueSettings, message func(i int) model.SendEntry) {
	for i := 0; i < n; i += 100 {
		send := model.Send{Settings: settings}
		for j := i; j < min(i+100, n); j++ {
			send.Entries = append(send.Entries, message(j))
		}
		t.do(model.CmdSend, send.Append(nil))
	}
}

// groupCycle sends ten messages to groups that message chooses, and receives and
// deletes ten.
func (t *benchTablet) groupCycle(settings model.QueueSettings, message func(i int) model.SendEntry, at *int) {
	t.fill(10, settings, func(int) model.SendEntry { *at++; return message(*at) })
	receive := model.Receive{Settings: settings, Max: 10, VisibilityMs: 30_000, Nonce: uint64(t.index)}
	var got model.ReceiveResult
	got.Decode(model.NewDecoder(t.do(model.CmdReceive, receive.Append(nil)).Bytes()))
	var del model.DeleteMessages
	for _, m := range got.Messages {
		r, err := model.ParseReceipt(5, m.Receipt)
		if err != nil {
			t.b.Fatal(err)
		}
		del.Receipts = append(del.Receipts, r)
	}
	if len(del.Receipts) != 10 {
		t.b.Fatalf("received %d messages", len(del.Receipts))
	}
	t.do(model.CmdDeleteMessages, del.Append(nil))
}

// BenchmarkGroups is one message of a group sent, received and deleted, on a
// queue that holds one message in each of few or many groups.
func BenchmarkGroups(b *testing.B) {
	for _, fifo := range []bool{true, false} {
		for _, groups := range []int{100, 10_000, 100_000} {
			b.Run(fmt.Sprintf("fifo=%v/groups=%d", fifo, groups), func(b *testing.B) {
				t := newBenchTablet(b)
				settings := model.QueueSettings{RetentionMs: benchSettings.RetentionMs, Fifo: fifo}
				message := func(i int) model.SendEntry {
					m := model.Message{Group: fmt.Sprint("group-", i*7919%groups), Body: make([]byte, 128)}
					if fifo {
						m.Dedup = fmt.Sprint(i)
					}
					return model.SendEntry{Message: m}
				}
				at := groups
				t.fill(groups, settings, message)
				b.ReportAllocs()
				for b.Loop() {
					t.groupCycle(settings, message, &at)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*10), "ns/msg")
			})
		}
	}
}

// BenchmarkScheduled is one message sent, received and deleted on a queue that
// holds few or many scheduled ones.
func BenchmarkScheduled(b *testing.B) {
	for _, scheduled := range []int{100, 10_000, 200_000} {
		b.Run(fmt.Sprintf("scheduled=%d", scheduled), func(b *testing.B) {
			t := newBenchTablet(b)
			t.fill(scheduled, benchSettings, func(i int) model.SendEntry {
				var e model.SendEntry
				e.Message.ID[0], e.Message.ID[1], e.Message.ID[2] = byte(i), byte(i>>8), byte(i>>16)
				e.Message.Body, e.AtMs = make([]byte, 128), t.nowMs+3_600_000+int64(i%1000)
				return e
			})
			b.ReportAllocs()
			for b.Loop() {
				t.cycle(10)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*10), "ns/msg")
		})
	}
}
