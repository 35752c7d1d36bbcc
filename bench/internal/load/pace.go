package load

import (
	"math/rand/v2"
	"time"
)

// pacer is a client that waits before it does the next thing.
type pacer interface{ wait() }

// paced does a thing at an even rate, or as soon as it can when it is late.
type paced struct {
	Client
	every time.Duration
	next  time.Time
}

// Paced lets clients together do perSecond calls of Do, at moments of their own.
func Paced(dial func(client int) (Client, error), clients int, perSecond float64) func(client int) (Client, error) {
	every := time.Duration(float64(clients) / perSecond * float64(time.Second))
	return func(client int) (Client, error) {
		c, err := dial(client)
		if err != nil {
			return nil, err
		}
		return &paced{c, every, time.Now().Add(rand.N(every))}, nil
	}
}

func (p *paced) wait() {
	now := time.Now()
	time.Sleep(p.next.Sub(now))
	if p.next = p.next.Add(p.every); p.next.Before(now.Add(-p.every)) {
		p.next = now // it does not make up for more than one
	}
}
