package load

import (
	"errors"

	"golang.org/x/sync/errgroup"
)

// ErrDone is what a client of Fill says when its share is done.
var ErrDone = errors.New("done")

// Fill runs clients that each do their share and then say ErrDone.
func Fill(clients int, dial func(client, clients int) (Client, error)) error {
	var g errgroup.Group
	for i := range clients {
		g.Go(func() error {
			c, err := dial(i, clients)
			if err != nil {
				return err
			}
			for err == nil {
				_, err = c.Do()
			}
			if errors.Is(err, ErrDone) {
				err = nil
			}
			return joinClose(err, c.Close)
		})
	}
	return g.Wait()
}
