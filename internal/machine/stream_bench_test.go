package machine_test

import (
	"fmt"
	"testing"

	"weir.dev/weir/internal/machine"
	"weir.dev/weir/internal/model"
)

// putBody is a put of n records of that many bytes.
func putBody(n, size int) []byte {
	records := make([]model.Record, n)
	for i := range records {
		records[i] = model.Record{PartitionKey: []byte(fmt.Sprint("user-", i)), Data: make([]byte, size)}
	}
	return (&model.PutRecords{}).AppendRecords(nil, records)
}

// BenchmarkStreamPut is one put of 500 records of 256 bytes.
func BenchmarkStreamPut(b *testing.B) {
	t := newBenchTablet(b)
	body := putBody(500, 256)
	b.SetBytes(500 * 256)
	b.ReportAllocs()
	for b.Loop() {
		t.do(model.CmdPutRecords, body)
	}
}

// BenchmarkStreamPutOne is one put of one record, from a shard with no or many
// removed records before.
func BenchmarkStreamPutOne(b *testing.B) {
	for _, removed := range []int{0, 200_000} {
		b.Run(fmt.Sprintf("removed=%d", removed), func(b *testing.B) {
			t := newBenchTablet(b)
			body := putBody(1, 256)
			for range removed {
				t.do(model.CmdPutRecords, body)
			}
			t.do(model.CmdTrimShard, (&model.TrimShard{BeforeMs: t.nowMs + 1}).Append(nil))
			b.ReportAllocs()
			for b.Loop() {
				t.do(model.CmdPutRecords, body)
			}
		})
	}
}

// BenchmarkStreamRead is one page of 10 MiB, encoded and taken apart.
func BenchmarkStreamRead(b *testing.B) {
	t := newBenchTablet(b)
	for range 100 {
		t.do(model.CmdPutRecords, putBody(500, 256))
	}
	q := model.RecordsQuery{N: 1, MaxRecords: model.MaxReadRecords * 10, MaxBytes: model.MaxReadBytes}
	query := model.Query{Kind: model.QueryRecords, Resource: 5, Slot: model.QueueSlot(5), Body: q.Append(nil)}
	b.ReportAllocs()
	records := 0
	for b.Loop() {
		res, err := machine.Query(t.db.View(), &query)
		if err != nil {
			b.Fatal(err)
		}
		var page model.RecordsResult
		page.Decode(model.NewDecoder(res.Body))
		records = int(page.Next - 1)
		b.SetBytes(int64(len(res.Body)))
	}
	b.ReportMetric(float64(records), "records")
}

// BenchmarkStreamTrim is a put of one record and the removal of the one that
// was put 1,000 puts before, the finest trimming there can be.
func BenchmarkStreamTrim(b *testing.B) {
	t := newBenchTablet(b)
	body := putBody(1, 16)
	for range 1000 {
		t.nowMs++
		t.do(model.CmdPutRecords, body)
	}
	b.ReportAllocs()
	for b.Loop() {
		t.nowMs++
		t.do(model.CmdPutRecords, body)
		t.do(model.CmdTrimShard, (&model.TrimShard{BeforeMs: t.nowMs - 1000}).Append(nil))
	}
}
