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
	largest := s.gib[len(s.gib)-1] * (1 << 30)
	if err := s.room(largest*1.1 + 1<<30); err != nil {
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
	s.table("GiB of records", "records", "records/s", "MiB/s", "memory", "disk", "tables", "written", "restart after SIGKILL", "of it until the node is up", "memory then", "restart at rest",
		"records/s at the tail", "beside laggards", "age of a record at the tail, p50 and p99", "beside laggards", "the laggards read")
	var have int64
	for _, gib := range s.gib {
		want := int64(gib*(1<<20))/int64(s.recordKiB) - have
		q := load.NewQuota(want, s.limit)
		start := time.Now()
		if err := load.Fill(streamClients, s.aws.FillStream(streamName, times, q)); err != nil {
			return err
		}
		rate := float64(q.Done()) / time.Since(start).Seconds()
		have += q.Done()
		wrote, err := s.node.Written()
		if err != nil {
			return err
		}
		memory, stored, tables := s.memory(), s.stored(), s.tables()
		took, up, err := s.restartStream(shards)
		if err != nil {
			return err
		}
		again := s.memory()
		rested, _, err := s.restartStream(shards)
		if err != nil {
			return err
		}
		tail, lag := "- | - | - | -", 0.0
		if s.tail {
			t, err := s.tailBesideLaggard(shards)
			if err != nil {
				return err
			}
			tail, lag = t.String(), t.lag
		}
		s.printf("| %.2f | %d | %.0f | %.0f | %.0f MiB | %.0f MiB | %d | %.2fx | %.2f s | %.2f s | %.0f MiB | %.2f s | %s | %.0f records/s |\n", float64(have)*float64(s.recordKiB)/(1<<20), have, rate,
			rate*float64(s.recordKiB)/1024, memory, stored, tables, float64(wrote)/max(1, float64(q.Done())*float64(s.recordKiB)*1024),
			took.Seconds(), up.Seconds(), again, rested.Seconds(), tail, lag)
	}
	s.printf("\nWritten: to files, for each byte of records, from the start of the process that was filled on. Restart: until an iterator is given; at rest: once more, with nothing put since. At the tail %d records of %d bytes a second are put in batches of %d and pushed to one subscriber; medians of three\n"+
		"turns, and the ratio of the rates. Laggards, one for each shard, read all from the beginning as fast as they can.\n", tailRate, load.RecordBytes, tailBatch)
	return nil
}

// restartStream kills the node and starts it; it returns how long that took until
// an iterator was given, and until the node said that it is up.
func (s *scale) restartStream(shards []string) (took, up time.Duration, err error) {
	var first time.Time
	took, err = s.restart(true, func() error {
		if first.IsZero() {
			first = time.Now()
		}
		_, err := s.aws.Poll(0, streamName, shards[0], "TRIM_HORIZON")
		return err
	})
	return took, took - time.Since(first), err
}

// tailed is the tail without and with laggards, by turns.
type tailed struct {
	alone, beside []Row
	lag           float64 // records a second that the laggards read
}

func (t *tailed) String() string {
	rate := func(rows []Row) float64 { return median(rows, func(r *Row) float64 { return r.PerSecond }) }
	age := func(rows []Row) string {
		return micros(median(rows, func(r *Row) float64 { return r.P50Micros })) + ", " + micros(median(rows, func(r *Row) float64 { return r.P99Micros }))
	}
	alone, beside := rate(t.alone), rate(t.beside)
	return fmt.Sprintf("%.0f | %.0f (%.2fx) | %s | %s", alone, beside, beside/max(alone, 1), age(t.alone), age(t.beside))
}

// tailBesideLaggard measures the tail without and with laggards.
func (s *scale) tailBesideLaggard(shards []string) (*tailed, error) {
	t := &tailed{}
	for range 3 {
		for _, lagging := range []bool{false, true} {
			// A consumer of its own: the subscriptions of the turn before still count.
			consumer, err := s.aws.RegisterConsumer(streamName, fmt.Sprintf("c%d", time.Now().UnixNano()))
			if err != nil {
				return nil, err
			}
			row, lag, err := s.tailTurn(consumer, shards, lagging)
			switch {
			case err != nil:
				return nil, err
			case lagging:
				t.beside, t.lag = append(t.beside, *row), max(t.lag, lag)
			default:
				t.alone = append(t.alone, *row)
			}
		}
	}
	return t, nil
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
	puts, err := s.measureTailed(s.procs(), streamClients, load.Paced(s.aws.PutRecords(streamName, tailBatch), streamClients, tailRate/tailBatch), tails)
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
	if err != nil {
		return nil, 0, err
	}
	return &Row{PerSecond: puts.PerSecond, P50Micros: us(0.5), P99Micros: us(0.99)}, lag.PerSecond, nil
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
