package main

import (
	"fmt"
	"sync"
	"time"

	"weir.dev/weir/bench/internal/load"
	"weir.dev/weir/bench/internal/proc"
)

func (s *scale) procs() []*proc.Process { return []*proc.Process{s.node.Process} }

// backlogPart fills a queue, compares it with an empty one, and restarts. With
// --keep it goes on where the run before it ended.
func (s *scale) backlogPart() error {
	full, err := s.aws.CreateQueue("full")
	if err != nil {
		return err
	}
	empty, err := s.aws.CreateQueue("empty")
	if err != nil {
		return err
	}
	s.table("messages in the queue", "sent per s", "memory", "disk")
	have, err := s.aws.Messages(full)
	if err != nil {
		return err
	}
	if err := s.room(float64(s.messages-have) * perMessage); err != nil {
		return err
	}
	s.printf("| %d | | %.0f MiB | %.0f MiB |\n", have, s.memory(), s.stored())
	for until := time.Now().Add(s.limit); have < s.messages; {
		n, rate, err := s.fillTo(full, 0, "", min(s.messages-have, max(s.messages/10, load.MaxBatch)))
		if err != nil {
			return err
		}
		have += n
		s.printf("| %d | %.0f | %.0f MiB | %.0f MiB |\n", have, rate, s.memory(), s.stored())
		if time.Now().After(until) {
			break
		}
	}
	if have < s.messages && s.keep != "" {
		s.printf("\nThe next run with --keep %s goes on.\n", s.keep)
		return nil
	}
	if err := s.besideEmpty(full, empty); err != nil {
		return err
	}
	s.printf("\nMemory after that %.0f MiB, disk %.0f MiB.\n", s.memory(), s.stored())
	return s.restarts(full)
}

// besideEmpty compares a queue with an empty one on the same node, by turns.
func (s *scale) besideEmpty(full, empty string) error {
	s.printf("\nBy turns with an empty queue on the same node, batches of %d, %d clients, medians of three turns.\n", load.MaxBatch, targetClients)
	s.table("operation", "empty queue", "this queue", "ratio", "p99 empty", "p99 this", "server CPU each, empty", "this")
	for _, w := range []struct {
		name string
		dial func(url string) func(int) (load.Client, error)
	}{
		{"send, receive and delete", func(url string) func(int) (load.Client, error) { return s.aws.Queue(url, load.MaxBatch) }},
		{"send", s.aws.Send},
		{"receive and delete", s.aws.Take},
	} {
		rows, err := s.pair(w.dial(empty), w.dial(full))
		if err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
		s.printf("| %s | %.0f/s | %.0f/s | %.2f | %s | %s | %.1f us | %.1f us |\n", w.name, rows[0].PerSecond, rows[1].PerSecond, rows[1].PerSecond/rows[0].PerSecond,
			micros(rows[0].P99Micros), micros(rows[1].P99Micros), rows[0].CPUMicros, rows[1].CPUMicros)
	}
	return nil
}

// restarts says how long it takes until a message is received again.
func (s *scale) restarts(url string) error {
	s.table("restart after", "first message received after", "memory then")
	for _, kill := range []bool{false, true} {
		took, err := s.restart(kill, func() error { return s.receiveOne(url) })
		if err != nil {
			return err
		}
		s.printf("| %s | %.2f s | %.0f MiB |\n", map[bool]string{false: "SIGTERM", true: "SIGKILL"}[kill], took.Seconds(), s.memory())
	}
	return nil
}

func (s *scale) receiveOne(url string) error {
	c, err := s.aws.Take(url)(0)
	if err != nil {
		return err
	}
	defer c.Close()
	n, err := c.Do()
	if err == nil && n == 0 {
		err = fmt.Errorf("no message came")
	}
	return err
}

// delayedPart schedules messages for one moment, and drains them then.
func (s *scale) delayedPart() error {
	if err := s.room(float64(s.messages) * perMessage); err != nil {
		return err
	}
	later, err := s.aws.CreateQueue("later")
	if err != nil {
		return err
	}
	empty, err := s.aws.CreateQueue("empty")
	if err != nil {
		return err
	}
	full, err := s.aws.CreateQueue("control")
	if err != nil {
		return err
	}
	// A sample tells how long the filling takes; the moment is well after that
	// and the turns that follow.
	sample := s.messages / 20
	_, rate, err := s.fillTo(full, 0, "", sample)
	if err != nil {
		return err
	}
	due := time.Now().Add(time.Duration(3*float64(s.messages)/rate*float64(time.Second)) + 60*time.Second)
	extra := fmt.Sprintf(`,"MessageAttributes":{"weir.DeliverAt":{"DataType":"Number","StringValue":"%d"}}`, due.Unix())
	before := s.memory()
	sent, rate, err := s.fillTo(later, 0, extra, s.messages)
	if err != nil {
		return err
	}
	s.printf("\n%d messages scheduled for one moment at %.0f/s (with a message attribute; %d ordinary ones before). Memory %.0f MiB before, %.0f MiB after; disk %.0f MiB.\n",
		sent, rate, sample, before, s.memory(), s.stored())
	s.printf("\nSending, receiving and deleting in the queue with the scheduled messages, by turns with an empty one:\n")
	rows, err := s.pair(s.aws.Queue(empty, load.MaxBatch), s.aws.Queue(later, load.MaxBatch))
	if err != nil {
		return err
	}
	s.table("queue", "per s", "p50", "p99", "server CPU each")
	for i, name := range []string{"empty", "with scheduled messages"} {
		s.printf("| %s | %.0f | %s | %s | %.1f us |\n", name, rows[i].PerSecond, micros(rows[i].P50Micros), micros(rows[i].P99Micros), rows[i].CPUMicros)
	}
	if time.Now().After(due) {
		return fmt.Errorf("the messages were due before all was measured: schedule fewer")
	}
	early, err := s.drain(later)
	if err != nil {
		return err
	}
	if rest := time.Until(due.Add(time.Second)); rest > 0 {
		s.say("waiting %v until the messages are due", rest.Round(time.Second))
		time.Sleep(rest)
	}
	start := time.Now()
	n, err := s.drain(later)
	if err != nil {
		return err
	}
	took := time.Since(start).Seconds() - 1 // the last receive waits for a second
	s.printf("\nBefore that moment %d messages were left over from the turns. When it had come, %d were received and deleted in %.1f s, %.0f/s; memory %.0f MiB.\n",
		early, n, took, float64(n)/took, s.memory())
	if n != sent {
		return fmt.Errorf("%d messages were scheduled and %d came", sent, n)
	}
	return nil
}

func (s *scale) drain(url string) (int64, error) {
	q := load.NewQuota(0, s.limit)
	err := load.Fill(fillClients, s.aws.Drain(url, q))
	return q.Done(), err
}

// groupsPart puts messages into many message groups, and as many into a few.
func (s *scale) groupsPart() error {
	s.table("message groups", "messages", "sent per s", "server CPU each", "received and deleted per s", "server CPU each", "memory full", "disk")
	for _, groups := range []int{640, s.groups} {
		url, err := s.aws.CreateQueue(fmt.Sprintf("groups-%d.fifo", groups))
		if err != nil {
			return err
		}
		perClient := (groups + fillClients - 1) / fillClients
		cpu := s.cpu()
		sent, rate, err := s.fillTo(url, perClient, "", s.messages)
		if err != nil {
			return err
		}
		sending := s.cpu() - cpu
		memory, stored := s.memory(), s.stored()
		start := time.Now()
		cpu = s.cpu()
		n, err := s.drain(url)
		if err != nil {
			return err
		}
		taking := s.cpu() - cpu
		if n != sent {
			return fmt.Errorf("%d messages were sent and %d came", sent, n)
		}
		took := time.Since(start).Seconds() - 1
		each := func(d time.Duration) float64 { return float64(d.Microseconds()) / float64(n) }
		s.printf("| %d | %d | %.0f | %.1f us | %.0f | %.1f us | %.0f MiB | %.0f MiB |\n", perClient*fillClients, sent, rate, each(sending), float64(n)/took, each(taking), memory, stored)
	}
	return nil
}

// cpu is the processor time that the node has used.
func (s *scale) cpu() time.Duration {
	d, err := s.node.CPU()
	if err != nil {
		s.say("the node's processor time is unknown: %v", err)
	}
	return d
}

// queuesPart makes many queues and uses each.
func (s *scale) queuesPart() error {
	before := s.memory()
	start := time.Now()
	urls := make([]string, s.queues)
	var tenth [11]time.Duration // when each tenth of them was there
	for t := range 10 {
		lo, hi := s.queues*t/10, s.queues*(t+1)/10
		err := each(hi-lo, func(i int) (err error) {
			urls[lo+i], err = s.aws.CreateQueue(fmt.Sprintf("queue-%05d", lo+i))
			return err
		})
		if err != nil {
			return err
		}
		tenth[t+1] = time.Since(start)
	}
	made := tenth[10]
	rate := func(t int) float64 { return float64(s.queues) / 10 / (tenth[t+1] - tenth[t]).Seconds() }
	s.printf("\n%d queues made in %.1f s, %.0f/s: by tenths %.0f, %.0f, %.0f, %.0f, %.0f, %.0f, %.0f, %.0f, %.0f, %.0f/s. Memory %.0f MiB before, %.0f MiB after, which is %.1f KiB for each queue; disk %.0f MiB.\n",
		s.queues, made.Seconds(), float64(s.queues)/made.Seconds(), rate(0), rate(1), rate(2), rate(3), rate(4), rate(5), rate(6), rate(7), rate(8), rate(9), before, s.memory(), (s.memory()-before)*1024/float64(s.queues), s.stored())
	start = time.Now()
	if _, err := s.aws.Once("sqs", "ListQueues", `{"MaxResults":1000}`); err != nil {
		return err
	}
	s.printf("A page of 1,000 of them is listed in %s.\n", micros(float64(time.Since(start).Microseconds())))
	start = time.Now()
	err := each(s.queues, func(i int) error {
		c, err := s.aws.Queue(urls[i], load.MaxBatch)(i)
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.Do()
		return err
	})
	if err != nil {
		return err
	}
	used := time.Since(start)
	s.printf("Ten messages through each of them: %.1f s, %.0f queues/s, a new connection for each. Memory %.0f MiB, disk %.0f MiB.\n",
		used.Seconds(), float64(s.queues)/used.Seconds(), s.memory(), s.stored())
	one, err := s.aws.CreateQueue("one")
	if err != nil {
		return err
	}
	row, err := s.measure(s.procs(), targetClients, s.aws.Queue(one, load.MaxBatch))
	if err != nil {
		return err
	}
	s.printf("One queue beside them: %.0f messages/s, server CPU %.1f us each.\n", row.PerSecond, row.CPUMicros)
	took, err := s.restart(true, func() error {
		_, err := s.aws.Once("sqs", "ListQueues", `{"MaxResults":10}`)
		return err
	})
	if err != nil {
		return err
	}
	s.printf("Restart after SIGKILL until queues are listed: %.2f s; memory then %.0f MiB.\n", took.Seconds(), s.memory())
	return nil
}

// each does something n times, several at once.
func each(n int, do func(i int) error) error {
	const at = 16
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex // guards first
		first error
	)
	for worker := range at {
		wg.Go(func() {
			for i := worker; i < n; i += at {
				if err := do(i); err != nil {
					mu.Lock()
					defer mu.Unlock()
					if first == nil {
						first = err
					}
					return
				}
			}
		})
	}
	wg.Wait()
	return first
}
