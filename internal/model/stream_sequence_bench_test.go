package model

import "testing"

// BenchmarkSequence writes a sequence number, as is done for every record.
func BenchmarkSequence(b *testing.B) {
	s := Sequence{Epoch: 1_700_000_000, N: 300, Secs: 1_700_000_009, Shard: 7}
	b.ReportAllocs()
	for range b.N {
		if len(s.String()) != sequenceDigits {
			b.Fatal("a sequence number of another length")
		}
	}
}
