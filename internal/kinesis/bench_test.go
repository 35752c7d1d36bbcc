package kinesis

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strconv"
	"testing"

	"weir.dev/weir/internal/awsapi"
	"weir.dev/weir/internal/service"
)

// fullBatch is a PutRecords of 500 records of 1 KiB.
func fullBatch() string {
	var b bytes.Buffer
	b.WriteString(`{"StreamName":"s","Records":[`)
	data := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 1<<10))
	for i := range 500 {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"Data":"%s","PartitionKey":"key%d","ExplicitHashKey":"340282366920938463463374607431768211455"}`, data, i)
	}
	b.WriteString("]}")
	return b.String()
}

func BenchmarkReadPutRecords(b *testing.B) {
	text := fullBatch()
	for _, c := range []struct {
		name string
		p    awsapi.Protocol
		body []byte
	}{{"JSON", awsapi.JSON11, []byte(text)}, {"CBOR", awsapi.CBOR11, toCBOR(b, text)}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(c.body)))
			for range b.N {
				var in PutRecordsInput
				if err := awsapi.ReadBody(c.p, awsapi.StyleKinesis, c.body, &in); err != nil || len(in.Records) != 500 {
					b.Fatal(err)
				}
				if err := awsapi.CheckInput(&in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkWriteGetRecords(b *testing.B) {
	records := make([]service.Record, 500)
	for i := range records {
		records[i] = service.Record{Sequence: "49590338271490256608559692538361571095921575989136588898", ArrivedMs: 1_700_000_000_123,
			Key: "key" + strconv.Itoa(i), Data: bytes.Repeat([]byte{7}, 1<<10)}
	}
	out := &GetRecordsOutput{Records: recordsOut(records, ""), NextShardIterator: awsapi.Some("AAAA"), MillisBehindLatest: awsapi.Some(int64(0))}
	for name, p := range map[string]awsapi.Protocol{"JSON": awsapi.JSON11, "CBOR": awsapi.CBOR11} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var dst []byte
			for range b.N {
				dst = encode(dst[:0], p, out)
			}
			b.SetBytes(int64(len(dst)))
		})
	}
}
