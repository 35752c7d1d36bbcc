package front

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"weir.dev/weir/internal/base"
)

// maxOperations bounds the operations that are counted apart; AWS's services
// that Weir speaks have fewer.
const maxOperations = 256

// otherOperations is the name under which all is counted that is no known
// operation of a door.
const otherOperations = "other"

// operationName is an operation of a service, as X-Amz-Target names them.
type operationName struct{ service, operation string }

// operationMeter counts the requests of one operation.
type operationMeter struct {
	latency      base.Histogram
	clientErrors atomic.Uint64
	serverErrors atomic.Uint64
}

// meter counts requests by operation. Clients choose the names that they send:
// so an operation is counted apart from its first answer on that is no error of
// the client, and as otherOperations until then.
type meter struct {
	mu    sync.RWMutex // guards known
	known map[operationName]*operationMeter
}

// lastMeter remembers a lookup: a connection mostly repeats itself.
type lastMeter struct {
	name  operationName
	meter *operationMeter
}

// observe counts one request of an exchange.
func (m *meter) observe(last *lastMeter, name operationName, status int, took time.Duration) {
	if last.meter == nil || last.name != name {
		*last = lastMeter{name, m.of(name, status < 400 || status >= 500)}
	}
	o := last.meter
	if o == nil {
		o = m.of(operationName{otherOperations, otherOperations}, true)
	}
	switch {
	case status >= 500:
		o.serverErrors.Add(1)
	case status >= 400:
		o.clientErrors.Add(1)
	}
	o.latency.Observe(took)
}

// of is the meter of that name; nil when it is not known, and is not to be, or
// there are too many.
func (m *meter) of(name operationName, learn bool) *operationMeter {
	m.mu.RLock()
	o := m.known[name]
	m.mu.RUnlock()
	if o != nil || !learn {
		return o
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if o = m.known[name]; o != nil {
		return o
	}
	if m.known == nil {
		m.known = map[operationName]*operationMeter{}
	}
	if len(m.known) >= maxOperations && name.service != otherOperations {
		return nil
	}
	o = &operationMeter{}
	m.known[name] = o
	return o
}

// OperationStats counts the requests of one operation since the start.
type OperationStats struct {
	Service, Operation string // as X-Amz-Target names them
	Latency            base.HistogramCounts
	ClientErrors       uint64 // answers of 400 to 499
	ServerErrors       uint64 // answers of 500 and above
}

// Operations returns what was counted, by service and operation.
func (s *Server) Operations() (list []OperationStats) {
	s.meter.mu.RLock()
	defer s.meter.mu.RUnlock()
	for name, o := range s.meter.known {
		list = append(list, OperationStats{
			Service: name.service, Operation: name.operation, Latency: o.latency.Counts(),
			ClientErrors: o.clientErrors.Load(), ServerErrors: o.serverErrors.Load(),
		})
	}
	slices.SortFunc(list, func(a, b OperationStats) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Operation, b.Operation))
	})
	return list
}
