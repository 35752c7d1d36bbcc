package main

import (
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"weir.dev/weir/bench/internal/load"
)

const (
	wakeRounds  = 300                   // sends that each wake a waiting receive
	wakeSettle  = 25 * time.Millisecond // in which a receive surely waits
	idleWaiters = 1000
	restTime    = 8 * time.Second // less than a long poll
)

// waitingPart measures what long polls cost: how soon a send through one node
// wakes a receive that waits through another, and what a thousand of them use
// while nothing comes.
func (s *scale) waitingPart() error {
	url, err := s.aws.CreateQueue("waited-for")
	if err != nil {
		return err
	}
	if err := s.wakeUps(url); err != nil {
		return err
	}
	return s.idle(url)
}

func (s *scale) wakeUps(url string) error {
	var asked, answered load.Histogram // since the send was asked for, and since it was answered
	nodes := len(s.aws.Addrs)
	waiters, senders := make([]*load.Waiter, nodes), make([]*load.Waiter, nodes)
	for i := range nodes {
		var err error
		if waiters[i], err = s.aws.Waiter(url, i); err != nil {
			return err
		}
		defer waiters[i].Close()
		if senders[i], err = s.aws.Waiter(url, i); err != nil {
			return err
		}
		defer senders[i].Close()
	}
	for round := range wakeRounds {
		w, sender := waiters[round%nodes], senders[(round+1+round/nodes%(nodes-1))%nodes]
		var woken time.Time
		var waiting errgroup.Group
		waiting.Go(func() error {
			ok, err := w.Wait()
			woken = time.Now()
			if err == nil && !ok {
				err = fmt.Errorf("no message came in 20 seconds")
			}
			return err
		})
		time.Sleep(wakeSettle)
		begun := time.Now()
		if err := sender.Send(); err != nil {
			return err
		}
		sent := time.Now()
		if err := waiting.Wait(); err != nil {
			return err
		}
		asked.Add(woken.Sub(begun))
		answered.Add(max(woken.Sub(sent), 0))
		if err := w.Delete(); err != nil {
			return err
		}
	}
	s.printf("\nA receive that waits through one node, woken by a send through another, %d times:\n", wakeRounds)
	s.table("from", "p50", "p90", "p99", "most")
	for _, h := range []struct {
		from string
		*load.Histogram
	}{{"the send's request to the receive's answer", &asked}, {"the send's answer to the receive's", &answered}} {
		s.printf("| %s |", h.from)
		for _, q := range []float64{0.5, 0.9, 0.99, 1} {
			s.printf(" %.2f ms |", float64(h.Quantile(q).Microseconds())/1000)
		}
		s.printf("\n")
	}
	return nil
}

// idle measures the processor time of all nodes without waiters and with many.
func (s *scale) idle(url string) error {
	before, err := s.cpuFor(restTime)
	if err != nil {
		return err
	}
	var waiting errgroup.Group
	for i := range idleWaiters {
		w, err := s.aws.Waiter(url, i)
		if err != nil {
			return err
		}
		defer w.Close()
		waiting.Go(func() error {
			_, err := w.Wait()
			return err
		})
	}
	time.Sleep(2 * time.Second)
	with, err := s.cpuFor(restTime)
	if err != nil {
		return err
	}
	s.printf("\nProcessor time of the three nodes together, in percent of one: %.1f without requests, %.1f with %d receives that wait. Memory of the first %.0f MiB.\n",
		before, with, idleWaiters, s.memory())
	return waiting.Wait() // they end with their 20 seconds
}

// cpuFor is the processor time of all nodes in some time, in percent.
func (s *scale) cpuFor(d time.Duration) (percent float64, err error) {
	sum := func() (all time.Duration) {
		for _, p := range s.nodes {
			used, e := p.CPU()
			if e != nil {
				err = e
			}
			all += used
		}
		return all
	}
	before, start := sum(), time.Now()
	time.Sleep(d)
	return 100 * float64(sum()-before) / float64(time.Since(start)), err
}
