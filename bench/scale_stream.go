package main

import (
	"fmt"
	"time"

	"weir.dev/weir/bench/internal/load"
)

const (
	// tailRate is how many records a second are written while a laggard reads.
	tailRate = 5000
	// tailBatch is how many of them at once.
	tailBatch = 50
)

// streamPart fills a stream step by step, and reads it at its end while others
// read it from its beginning.
func (s *scale) streamPart() error {
	largest := float64(s.gib[len(s.gib)-1]) * (1 << 30)
	if err := s.room(largest * 2.5); err != nil {
		return err
	}
	if err := s.aws.CreateStream(streamName, streamShards); err != nil {
		return err
	}
	shards, err := s.aws.Shards(streamName)
	if err != nil {
		return err
	}
	times := s.recordKiB * 1024 / load.RecordBytes
	s.printf("\nRecords of about %d KiB in %d shards, PutRecords of 500, %d clients.\n", s.recordKiB, len(shards), streamClients)
	s.table("GiB of records", "records", "records/s", "MiB/s", "memory", "disk", "age of a record at the tail, p50 and p99", "the same beside a laggard", "the laggard reads")
	var have int64
	for _, gib := range s.gib {
		want := int64(gib)*(1<<20)/int64(s.recordKiB) - have
		q := load.NewQuota(want, s.limit)
		start := time.Now()
		if err := load.Fill(streamClients, s.aws.FillStream(streamName, times, q)); err != nil {
			return err
		}
		rate := float64(q.Done()) / time.Since(start).Seconds()
		have += q.Done()
		memory, stored := s.memory(), s.stored()
		alone, beside, lag, err := s.tailBesideLaggard(shards)
		if err != nil {
			return err
		}
		s.printf("| %.1f | %d | %.0f | %.0f | %.0f MiB | %.0f MiB | %s | %s | %.0f records/s |\n", float64(have)*float64(s.recordKiB)/(1<<20), have, rate,
			rate*float64(s.recordKiB)/1024, memory, stored, alone, beside, lag)
	}
	s.printf("\nAt the tail %d records of %d bytes a second are put in batches of %d and pushed to one subscriber; medians of three turns. Laggards, one for each shard,\nread all from the beginning as fast as they can.\n", tailRate, load.RecordBytes, tailBatch)
	took, err := s.restart(true, func() error {
		_, err := s.aws.Poll(0, streamName, shards[0], "TRIM_HORIZON")
		return err
	})
	if err != nil {
		return err
	}
	s.printf("\nRestart after SIGKILL until an iterator is given: %.2f s; memory then %.0f MiB.\n", took.Seconds(), s.memory())
	return nil
}

// tailBesideLaggard measures the tail without and with laggards, by turns.
func (s *scale) tailBesideLaggard(shards []string) (alone, beside string, lagPerSecond float64, err error) {
	answer, err := s.aws.RegisterConsumer(streamName, fmt.Sprintf("c%d", time.Now().UnixNano()))
	if err != nil {
		return "", "", 0, err
	}
	var rows [2][]Row
	for range 3 {
		for i := range rows {
			row, lag, err := s.tailTurn(answer, shards, i == 1)
			if err != nil {
				return "", "", 0, err
			}
			lagPerSecond = max(lagPerSecond, lag)
			rows[i] = append(rows[i], *row)
		}
	}
	text := func(rows []Row) string {
		return micros(median(rows, func(r *Row) float64 { return r.P50Micros })) + ", " + micros(median(rows, func(r *Row) float64 { return r.P99Micros }))
	}
	return text(rows[0]), text(rows[1]), lagPerSecond, nil
}

// tailTurn is one turn; its row has the ages of the records.
func (s *scale) tailTurn(consumer string, shards []string, lagging bool) (*Row, float64, error) {
	readers, err := s.readers(shards, func(i int, shard string) (load.Reader, error) { return s.aws.Push(i, consumer, shard) })
	if err != nil {
		return nil, 0, err
	}
	tails := load.Tail(readers)
	lag := &load.Tailed{}
	var laggards *load.Tails
	if lagging {
		behind, err := s.readers(shards, func(i int, shard string) (load.Reader, error) { return s.aws.Laggard(i, streamName, shard) })
		if err != nil {
			return nil, 0, err
		}
		laggards = load.Tail(behind)
		laggards.Begin()
	}
	_, err = s.measureTailed(s.procs(), streamClients, load.Paced(s.aws.PutRecords(streamName, tailBatch), streamClients, tailRate/tailBatch), tails)
	if laggards != nil {
		laggards.End()
		var lagErr error
		if lag, lagErr = laggards.Close(); err == nil {
			err = lagErr
		}
	}
	seen, tailErr := tails.Close()
	if err == nil {
		err = tailErr
	}
	if err == nil && seen.Latency.Count() == 0 {
		err = fmt.Errorf("nothing came to the tail")
	}
	us := func(q float64) float64 { return float64(seen.Latency.Quantile(q)) / 1e3 }
	return &Row{P50Micros: us(0.5), P99Micros: us(0.99)}, lag.PerSecond, err
}

func (s *scale) readers(shards []string, open func(i int, shard string) (load.Reader, error)) (all []load.Reader, err error) {
	for i, shard := range shards {
		r, err := open(i, shard)
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
}
